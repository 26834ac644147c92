"""train_palette(): a palettized decoder from a store's pictures."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfit import parallel
from latentfit.approx import Approximation
from latentfit.errors import PaletteError, SpaceMismatchError
from latentfit.files import save
from latentfit.fit import ChannelMap
from latentfit.nets.loading import loaded
from latentfit.nets.palette import CellPalette
from latentfit.pairs import PairStore, Sample, Split
from latentfit.palette_targets import PaletteTargets, Palettizing
from latentfit.palettized import palette_of, palettized
from latentfit.resources import write_atomic
from latentfit.train.callbacks import MetricsCsv, SampleSheet, TensorBoard
from latentfit.train.classes import ClassCrops, ClassObjective
from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource
from latentfit.train.loop import Callback, train
from latentfit.train.palette_presets import PalettePreset, palette_preset_named
from latentfit.vae_opening import fingerprint_of

SHEET_PX = 8  # a cell's side on a sample sheet


def train_palette(
    store: PairStore,
    how: Palettizing,
    preset: str | PalettePreset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
    balance: float | None = None,
    oklab: float | None = None,
    split: Split = "train",
    samples: Sequence[Sample] | None = None,
    begin: Approximation | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Approximation:
    """Train a palettized decoder; the same call goes on where a killed one stopped.

    The store's rgb is palettized once, into side shards beside it (`latentfit.palette_targets`).

    Parameters
    ----------
    store : PairStore
        With rgb.
    how : Palettizing
        The palette, and how pictures become its classes.
    preset : str or PalettePreset
        A name of `PALETTE_PRESETS`. Its crops are made as small as nine samples in ten need.
    out : path
        The decoder, .safetensors. Beside it, in ``NAME.run/``: checkpoint, metrics, config, samples.
    config : TrainConfig, optional
        Instead of the preset's.
    balance, oklab : float, optional
        Instead of the preset's, see `latentfit.train.classes.ClassObjective`.
    split : {"train", "all"}
        "all": also the pictures that the store holds out; score the result on others then.
    samples : sequence of Sample, optional
        Learn from exactly these instead of a split.
    begin : Approximation, optional
        What to begin from, of the same make and number of classes; the pictures that it learned from count as this
        one's too.
    device : str
    progress : bool

    Returns
    -------
    Approximation
        As it was saved.

    Raises
    ------
    StoreError
        When the store keeps no rgb.
    TrainError
        When there is no sample, or the run goes wrong.
    SpaceMismatchError, PaletteError
        When `begin` is of another space, or of another number of classes.
    """
    name, chosen = (preset, palette_preset_named(preset)) if isinstance(preset, str) else (preset.title, preset)
    wanted = list(store.split(split) if samples is None else samples)
    chosen = replace(
        chosen,
        crop_cells=_crop_of(chosen.crop_cells, wanted),
        balance=chosen.balance if balance is None else balance,
        oklab=chosen.oklab if oklab is None else oklab,
    )
    given = _begun(begin, store, how)
    course = config or chosen.config
    crops = CropSource(
        store, wanted, chosen.crop_cells, "cells", 1,
        border_cells=chosen.border_cells, weights=chosen.draw, seed=course.seed,
    )  # fmt: skip
    parallel.start()
    targets = PaletteTargets(store, how, crops.samples, progress=progress)
    objective = ClassObjective(how.palette, targets.counts(crops.samples), chosen.balance, chosen.oklab)
    run = _Run(store, how, name, chosen, course, crops, targets, _path(out))
    network = run.network(given)
    trained = train(
        network, objective, ClassCrops(crops, targets), course, run.folder / "checkpoint.pt",
        identity=run.begin(network, given, split if samples is None else "given"), callbacks=run.callbacks(),
        device=device, progress=progress,
    )  # fmt: skip
    card = run.card(trained.seen_images)
    if begin is not None:
        learned = {*card["train_hashes"], *begin.card.get("train_hashes", ())}
        card.update(train_hashes=sorted(learned), n_images=len(learned), begun_from=begin.card)
    approximation = palettized(trained.model.cpu(), how.palette, store.space, dither=how.dither, name=name, card=card)
    save(approximation, run.path)
    return approximation


@dataclass(frozen=True)
class _Run:
    """What one run is about, and what it leaves beside its result."""

    store: PairStore
    how: Palettizing
    name: str
    preset: PalettePreset
    config: TrainConfig
    crops: CropSource
    targets: PaletteTargets
    path: Path

    @property
    def folder(self) -> Path:
        return self.path.with_suffix(".run")

    def network(self, given: nn.Module | None) -> nn.Module:
        """Drawn from the seed, on the closed form of the pictures to learn from; or begun from what is given."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = self.preset.make(self.store.space, self.how.palette)
        if given is not None:
            loaded(network, given.state_dict(), f"a network of preset {self.preset.title!r}")
            network.train().requires_grad_(True)
        if isinstance(network, CellPalette):
            if given is None and not (self.folder / "checkpoint.pt").is_file():
                fitted = ChannelMap("3").fit(self.store, samples=self.crops.samples).module_
                values, n_channels = fitted.coefficients, self.store.space.channels
                network.set_skip(values[1:].T.reshape(-1, n_channels, 3, 3) / 2, values[0] / 2 + 0.5)
            network.skip.requires_grad_(False)
        return network

    def begin(self, network: nn.Module, given: nn.Module | None, split: str) -> dict[str, Any]:
        """What the result depends on besides the config; written down when the run begins."""
        preset, samples = self.preset, self.crops.samples
        keys = "".join(sorted(sample.key for sample in samples))
        identity: dict[str, Any] = {
            "preset": self.name, "vae": self.store.fingerprint, "space": self.store.space.name, "split": split,
            "targets": self.how.key, "balance": preset.balance, "oklab": preset.oklab,
            "n_samples": len(samples), "samples": hashlib.sha256(keys.encode()).hexdigest(),
            "network": [type(network).__name__, network.config()],  # type: ignore[operator]
            "crop": [preset.crop_cells, preset.border_cells], "draw": dict(preset.draw),
        }  # fmt: skip
        if given is not None:
            identity["begun_from"] = fingerprint_of(given)
        if not (self.folder / "checkpoint.pt").is_file():  # a run that is refused leaves what it finds
            said = {**identity, **self.config.to_dict(), "palette": self.how.palette.to_dict()}
            write_atomic(self.folder / "config.json", json.dumps(said, indent=1) + "\n")
        return identity

    def callbacks(self) -> list[Callback]:
        found: list[Callback] = [MetricsCsv(self.folder / "metrics.csv"), TensorBoard(self.folder / "tensorboard")]
        if self.config.sample_images:
            latents, classes = self._few()
            found.append(
                SampleSheet(
                    self.folder / "samples", latents, self._picture(classes), self.config.sample_images,
                    as_picture=lambda logits: self._picture(logits.argmax(1)),
                )
            )  # fmt: skip
        return found

    def card(self, seen_images: int) -> dict[str, Any]:
        store, preset, samples = self.store, self.preset, self.crops.samples
        hashes = sorted({sample.sha256 for sample in samples})
        return {
            "form": self.name, "title": preset.title, "vae": store.vae_name, "fingerprint": store.fingerprint,
            "reference": store.reference, "targets": self.how.to_dict(),
            "balance": preset.balance, "oklab": preset.oklab, "seen_images": seen_images,
            "config": self.config.to_dict(),
            "n_images": len(hashes), "n_samples": len(samples), "train_hashes": hashes,
        }  # fmt: skip

    def _few(self, most: int = 4) -> tuple[Tensor, Tensor]:
        """Latents and classes of the first crop of each of a few pictures, photographs first."""
        by_picture = {one.sha256: one for one in sorted(self.crops.samples, key=lambda s: s.kind != "photograph")}
        latents, classes = [], []
        for sample in list(by_picture.values())[:most]:
            side = self.preset.crop_cells
            latents.append(torch.from_numpy(self.crops.latents(sample, 0, 0)))
            classes.append(torch.from_numpy(self.targets[sample][:side, :side].astype("int64")))
        return torch.stack(latents), torch.stack(classes)

    def _picture(self, classes: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(self.how.palette.picture(classes), scale_factor=float(SHEET_PX))


def _crop_of(most_cells: int, samples: Sequence[Sample]) -> int:
    """Side of a crop that at least nine samples in ten hold; smaller ones are left out."""
    sides = sorted(min(sample.size_cells) for sample in samples)
    return min(most_cells, sides[len(sides) // 10]) if sides else most_cells


def _path(out: str | os.PathLike[str]) -> Path:
    path = Path(out)
    return path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")


def _begun(begin: Approximation | None, store: PairStore, how: Palettizing) -> nn.Module | None:
    """The network inside; its crossing, its number of classes and its space must fit."""
    if begin is None:
        return None
    if begin.space != store.space:
        raise SpaceMismatchError(
            f"begin: {begin.name!r} is of space {begin.space.name!r}, the store of {store.space.name!r}: begin from "
            "one of the same space"
        )
    palette = palette_of(begin)
    if len(palette) != len(how.palette):
        raise PaletteError(
            f"begin: {begin.name!r} has {len(palette)} classes ({palette.name}), palette {how.palette.name!r} has "
            f"{len(how.palette)} colours: begin from one of as many classes, or train from nothing"
        )
    network: nn.Module = begin.module.network  # type: ignore[assignment]
    return network
