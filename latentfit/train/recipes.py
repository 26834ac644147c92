"""Recipes: a preset, run on a store."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from latentfit.approx import Approximation
from latentfit.errors import SpaceMismatchError, TrainError
from latentfit.files import save
from latentfit.fit import ChannelMap
from latentfit.nets.cell import CellDecoder
from latentfit.nets.loading import loaded
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.nets.tiny import TinyEncoder
from latentfit.pairs import PairStore, Sample, Split
from latentfit.resources import write_atomic
from latentfit.train.callbacks import MetricsCsv, SampleSheet, TensorBoard
from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource
from latentfit.train.loop import Callback, train
from latentfit.train.objective import Objective
from latentfit.train.presets import Preset, preset_named
from latentfit.vae_opening import fingerprint_of


def train_decoder(
    store: PairStore,
    preset: str | Preset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
    split: Split = "train",
    begin: Approximation | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Approximation:
    """Train a decoder on a store's training pictures; the same call goes on where a killed one stopped.

    Parameters
    ----------
    store : PairStore
        With rgb or photo, as the preset learns from.
    preset : str or Preset
        A name of `PRESETS`.
    out : path
        The decoder, .safetensors. Beside it, in ``NAME.run/``: checkpoint, metrics, config, samples.
    config : TrainConfig, optional
        Instead of the preset's.
    split : {"train", "all"}
        "all": also the pictures that the store holds out; score the result on others then.
    begin : Approximation, optional
        What to begin from, of the same make; the pictures that it learned from count as this one's too.
    device : str
    progress : bool

    Returns
    -------
    Approximation
        As it was saved.
    """
    name, chosen = _named(preset, encodes=False)
    if begin is not None and begin.space != store.space:
        raise SpaceMismatchError(
            f"begin: {begin.name!r} is of space {begin.space.name!r}, the store of {store.space.name!r}: begin from "
            "one of the same space"
        )
    first = None if begin is None else begin.module
    made = _trained(store, name, chosen, Path(out), config or chosen.config, split, first, device, progress)
    if begin is not None:
        learned = {*made.card["train_hashes"], *begin.card.get("train_hashes", ())}
        made.card.update(train_hashes=sorted(learned), n_images=len(learned), begun_from=begin.card)
    scale = chosen.scale or store.space.cell_px
    approximation = Approximation(made.model.cpu(), store.space, scale, name=name, card=made.card)
    save(approximation, made.path)
    return approximation


def train_encoder(
    store: PairStore,
    preset: str | Preset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
    split: Split = "train",
    begin: nn.Module | None = None,
    device: str = "auto",
    progress: bool = True,
) -> TinyEncoder:
    """Distil an encoder: L1 to the latents of the store's own VAE.

    Parameters are `train_decoder`'s, but `begin` is an encoder. The file holds TAESD's keys:
    ``NAME_encoder.safetensors`` beside ``NAME_decoder.safetensors`` is what `Vae.load` takes for a pair.
    """
    name, chosen = _named(preset, encodes=True)
    made = _trained(store, name, chosen, Path(out), config or chosen.config, split, begin, device, progress)
    encoder = made.model.cpu()
    weights = {key: tensor.contiguous() for key, tensor in encoder.state_dict().items()}
    about = {"latentfit_encoder": json.dumps({"space": store.space.name, "card": made.card})}
    write_atomic(made.path, to_bytes(weights, about))
    assert isinstance(encoder, TinyEncoder)
    return encoder


@dataclass(frozen=True)
class _Made:
    model: nn.Module
    path: Path
    card: dict[str, Any]


def _named(preset: str | Preset, *, encodes: bool) -> tuple[str, Preset]:
    name, chosen = (preset, preset_named(preset)) if isinstance(preset, str) else (preset.title, preset)
    if chosen.encodes != encodes:
        kind, other = ("encoder", "decoder") if chosen.encodes else ("decoder", "encoder")
        raise TrainError(f"preset {name!r}: expected one of an {other}, got one of a {kind}; train that instead")
    return name, chosen


def _trained(
    store: PairStore,
    name: str,
    preset: Preset,
    out: Path,
    config: TrainConfig,
    split: Split,
    begin: nn.Module | None,
    device: str,
    progress: bool,
) -> _Made:
    """The network after all its images, its file's path and its card."""
    path = out if out.suffix == ".safetensors" else out.with_name(f"{out.name}.safetensors")
    run, space, scale = path.with_suffix(".run"), store.space, preset.scale or store.space.cell_px
    source = _source(store, store.split(split), preset, scale, config.seed)
    resumes = (run / "checkpoint.pt").is_file()
    network, adversary = _networks(preset, store, config, begin)
    if preset.closed_form:
        assert isinstance(network, CellDecoder)
        if begin is None and not resumes:
            _put_closed_form_in(network, store, split)
        network.skip.requires_grad_(False)
    objective = Objective(preset.losses, adversary)
    keys = "".join(sorted(sample.key for sample in source.samples))
    identity: dict[str, Any] = {
        "preset": name, "vae": store.fingerprint, "space": space.name, "split": split, "losses": dict(preset.losses),
        "n_samples": len(source.samples), "samples": hashlib.sha256(keys.encode()).hexdigest(),
        "network": [type(network).__name__, network.config()],  # type: ignore[operator]
        "crop": [preset.crop_cells, preset.border_cells, preset.target, scale], "draw": dict(preset.draw),
        "closed_form": preset.closed_form,
    }  # fmt: skip
    if begin is not None:
        identity["begun_from"] = fingerprint_of(begin)
    if not resumes:  # a run that is refused leaves what it finds
        write_atomic(run / "config.json", json.dumps({**identity, **config.to_dict()}, indent=1) + "\n")
    trained = train(
        network, objective, source, config, run / "checkpoint.pt",
        identity=identity, callbacks=_callbacks(run, store, preset, scale, config), device=device, progress=progress,
    )  # fmt: skip
    hashes = sorted({sample.sha256 for sample in source.samples})
    card = {
        "form": name, "title": preset.title, "vae": store.vae_name, "fingerprint": store.fingerprint,
        "reference": store.reference, "learned_from": preset.target, "losses": dict(preset.losses),
        "seen_images": trained.seen_images, "config": config.to_dict(),
        "n_images": len(hashes), "n_samples": len(source.samples), "train_hashes": hashes,
    }  # fmt: skip
    return _Made(trained.model, path, card)


def _source(store: PairStore, samples: Sequence[Sample], preset: Preset, scale: int, seed: int) -> CropSource:
    return CropSource(
        store, samples, preset.crop_cells, preset.target, scale,
        encodes=preset.encodes, border_cells=preset.border_cells, weights=preset.draw, seed=seed,
    )  # fmt: skip


def _networks(
    preset: Preset, store: PairStore, config: TrainConfig, begin: nn.Module | None
) -> tuple[nn.Module, PatchDiscriminator | None]:
    """The network, what it begins from put in, and its adversary: both drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = preset.make(store.space)
        adversary = PatchDiscriminator() if {"gan", "features"} & set(preset.losses) else None
    if begin is not None:
        loaded(network, begin.state_dict(), f"a network of preset {preset.title!r}")
        network.train().requires_grad_(True)
    return network, adversary


def _put_closed_form_in(network: CellDecoder, store: PairStore, split: Split) -> None:
    """Least squares' 3×3 decoder, of the pictures that will be trained on, as the network's skip."""
    fitted = ChannelMap("3", scale=store.space.cell_px).fit(store, split=split).module_
    values = fitted.coefficients
    network.set_skip(values[1:].T.reshape(-1, store.space.channels, 3, 3) / 2, values[0] / 2 + 0.5)


def _callbacks(run: Path, store: PairStore, preset: Preset, scale: int, config: TrainConfig) -> list[Callback]:
    found: list[Callback] = [MetricsCsv(run / "metrics.csv"), TensorBoard(run / "tensorboard")]
    if config.sample_images and not preset.encodes:
        few = _few_crops(store, preset, scale)
        found.append(SampleSheet(run / "samples", few["input"], few["target"], config.sample_images))
    return found


def _few_crops(store: PairStore, preset: Preset, scale: int, most: int = 4) -> dict[str, Tensor]:
    """One crop of each of a few pictures, held out where there are any, photographs first."""
    large = [s for s in store.samples if min(s.size_cells) >= preset.crop_cells]
    shown = [s for s in large if s.is_test] or large
    by_picture = {s.sha256: s for s in sorted(shown, key=lambda s: s.kind != "photograph")}
    few = [CropSource(store, [s], preset.crop_cells, preset.target, scale) for s in list(by_picture.values())[:most]]
    crops = [source.batch([0]) for source in few]
    return {name: torch.cat([crop[name] for crop in crops]) for name in ("input", "target")}
