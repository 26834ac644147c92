"""train_palette(): a palettized decoder from a store's pictures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import PaletteError
from latentfit.fit import ChannelMap
from latentfit.formats.saved import save
from latentfit.maps.contracts import Approximation
from latentfit.nets.palette import CellPalette
from latentfit.pairs.store import PairStore, Sample, Split
from latentfit.palettes.decoder import palette_of, palettized
from latentfit.palettes.targets import PaletteTargets, Palettizing
from latentfit.runtime import distributed as parallel
from latentfit.train.callbacks import SampleSheet
from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource
from latentfit.train.loop import Callback
from latentfit.train.palette_objective import ClassCrops, ClassObjective
from latentfit.train.palette_presets import PalettePreset
from latentfit.train.presets import preset_named
from latentfit.train.run import Run, Task, WarmStart, hold_skip, named_preset, result_path

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

    The store's rgb is palettized once, into side shards beside it (`latentfit.palettes.targets`).

    Parameters
    ----------
    store : PairStore
        With rgb.
    how : Palettizing
        The palette, and how pictures become its classes.
    preset : str or PalettePreset
        A name among `preset_names("palette")`. Its crops are made as small as nine samples in ten need.
    out : path
        The decoder, .safetensors. Beside it, in ``NAME.run/``: checkpoint, metrics, config, samples.
    config : TrainConfig, optional
        Instead of the preset's.
    balance, oklab : float, optional
        Instead of the preset's, see `latentfit.train.ClassObjective`.
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
        The decoder as it was saved.

    Raises
    ------
    StoreError
        When the store keeps no rgb.
    TrainError
        When there is no sample, or the run goes wrong.
    SpaceMismatchError, PaletteError
        When `begin` is of another space, or of another number of classes.
    """
    name, chosen = named_preset(preset, lambda title: preset_named(title, "palette"))
    wanted = list(store.split(split) if samples is None else samples)
    chosen = replace(
        chosen,
        crop_cells=_crop_of(chosen.crop_cells, wanted),
        balance=chosen.balance if balance is None else balance,
        oklab=chosen.oklab if oklab is None else oklab,
    )
    first = _begin(begin, store, how)
    course = config or chosen.config
    crops = CropSource(
        store, wanted, chosen.crop_cells, "cells", 1,
        border_cells=chosen.border_cells, weights=chosen.draw, seed=course.seed,
    )  # fmt: skip
    parallel.start_ranks()
    targets = PaletteTargets(store, how, crops.samples, progress=progress)
    objective = ClassObjective(how.palette, targets.counts(crops.samples), chosen.balance, chosen.oklab)
    chosen_by = split if samples is None else "given"
    run = Run(result_path(out), name, chosen.title, crops.samples, chosen_by, course, first, store=store)
    network, weights = _network(chosen, run, how), {"balance": chosen.balance, "oklab": chosen.oklab}
    identity = {
        "vae": store.fingerprint, "space": store.space.name, "targets": how.key, **weights,
        "network": [type(network).__name__, network.config()],  # type: ignore[operator]
        "crop": [chosen.crop_cells, chosen.border_cells], "draw": dict(chosen.draw),
    }  # fmt: skip

    def wrap(network: nn.Module, card: dict[str, Any]) -> Approximation:
        made = palettized(network, how.palette, store.space, dither=how.dither, name=name, card=card)
        save(made, run.path)
        return made

    task = Task(
        run, ClassCrops(crops, targets), network, objective, identity, about={"targets": how.to_dict(), **weights},
        wrap=wrap, noted={"palette": how.palette.to_dict()}, callbacks=_sheets(run, crops, targets, how),
    )  # fmt: skip
    return task.train(device, progress=progress)


def _network(preset: PalettePreset, run: Run, how: Palettizing) -> nn.Module:
    """Drawn from the seed, on the closed form of the pictures to learn from; or begun from what is given."""
    network = run.begun(run.drawn(lambda: preset.make(run.store.space, how.palette)))
    if isinstance(network, CellPalette):
        form = ChannelMap("3", target="photo" if how.of == "photo" else "vae")
        hold_skip(network, (lambda: form.fit(run.store, samples=run.samples).module_) if run.is_new else None)
    return network


def _sheets(run: Run, crops: CropSource, targets: PaletteTargets, how: Palettizing) -> list[Callback]:
    """A sheet of samples now and then, where they are wished."""
    if not run.config.sample_images:
        return []

    def picture(classes: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(how.palette.picture(classes), scale_factor=float(SHEET_PX))

    latents, classes = _few(crops, targets)
    return [
        SampleSheet(
            run.folder / "samples", latents, picture(classes), run.config.sample_images,
            as_picture=lambda logits: picture(logits.argmax(1)),
        )
    ]  # fmt: skip


def _few(crops: CropSource, targets: PaletteTargets, most: int = 4) -> tuple[Tensor, Tensor]:
    """Latents and classes of the first crop of each of a few pictures, photographs first."""
    by_picture = {one.sha256: one for one in sorted(crops.samples, key=lambda s: s.kind != "photograph")}
    latents, classes, side = [], [], crops.crop_cells
    for sample in list(by_picture.values())[:most]:
        latents.append(torch.from_numpy(crops.latents(sample, 0, 0)))
        classes.append(torch.from_numpy(targets[sample][:side, :side].astype("int64")))
    return torch.stack(latents), torch.stack(classes)


def _crop_of(most_cells: int, samples: Sequence[Sample]) -> int:
    """Side of a crop that at least nine samples in ten hold; smaller ones are left out."""
    sides = sorted(min(sample.size_cells) for sample in samples)
    return min(most_cells, sides[len(sides) // 10]) if sides else most_cells


def _begin(begin: Approximation | None, store: PairStore, how: Palettizing) -> WarmStart | None:
    """The network inside; its number of classes and its space must fit."""
    first = WarmStart.at(begin, store.space)
    if begin is None or first is None:
        return None
    palette = palette_of(begin)
    if len(palette) != len(how.palette):
        raise PaletteError(
            f"begin: {begin.name!r} has {len(palette)} classes ({palette.name}), "
            f"palette {how.palette.name!r} has {len(how.palette)} colours",
            remedy="begin from one of as many classes, or train from nothing",
        )
    return replace(first, network=begin.module.network)  # type: ignore[arg-type]
