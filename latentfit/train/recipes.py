"""Recipes: presets for what is worth training, and train_decoder() that runs one on a store."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentfit.approx import Approximation
from latentfit.errors import TrainError
from latentfit.files import save
from latentfit.fit import ChannelMap
from latentfit.nets.approx_cnn import ApproxCnn
from latentfit.nets.cell import CellDecoder
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.nets.pixel_mlp import PixelMlp
from latentfit.nets.tiny import TinyDecoder
from latentfit.pairs import PairStore
from latentfit.resources import write_atomic
from latentfit.spaces import LatentSpace
from latentfit.train.callbacks import MetricsCsv, SampleSheet, TensorBoard
from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource, Target
from latentfit.train.loop import Callback, train
from latentfit.train.objective import Objective


@dataclass(frozen=True)
class Preset:
    """A network, what it learns from, and how long.

    Attributes
    ----------
    title : str
        For people.
    make : callable
        Space -> network, its weights drawn from torch's generator.
    scale : int or None
        Output pixels a cell; None: the space's `cell_px`.
    crop_cells, border_cells : int
        Side of a crop, and the rim that no loss sees. The receptive field is wider; what lies beyond counts less.
    losses : mapping of str to float
        Weights by name, see `latentfit.train.losses`; "gan" and "features" bring an adversary in.
    target : {"rgb", "photo", "cells"}
    closed_form : bool
        Begin from the 3×3 decoder that least squares finds on the same pictures.
    config : TrainConfig
    """

    title: str
    make: Callable[[LatentSpace], nn.Module]
    crop_cells: int
    border_cells: int
    losses: Mapping[str, float]
    target: Target = "rgb"
    scale: int | None = None
    closed_form: bool = False
    config: TrainConfig = field(default_factory=TrainConfig)


def _cell(width: int, n_blocks: int) -> Callable[[LatentSpace], nn.Module]:
    return lambda space: CellDecoder(space.channels, width, n_blocks, space.cell_px)


def _check_cell_px(space: LatentSpace) -> nn.Module:
    if space.cell_px != 8:
        raise TrainError(
            f"TAESD's decoder enlarges 8 times, {space.name!r} has {space.cell_px} px a cell; take a cell decoder"
        )
    return TinyDecoder(space.channels)


PRESETS: dict[str, Preset] = {
    "cell-small": Preset(
        "cell decoder, small: half a megabyte, minutes on a CPU", _cell(48, 4), 16, 3, {"charbonnier": 1.0},
        closed_form=True, config=TrainConfig(n_images=60_000, lr=3e-3),
    ),
    "cell": Preset(
        "cell decoder: a megabyte", _cell(64, 5), 20, 4, {"charbonnier": 1.0, "gradient": 0.3},
        closed_form=True, config=TrainConfig(n_images=200_000, lr=2e-3),
    ),
    "cell-large": Preset(
        "cell decoder, large: learns from photographs, with an adversary for texture", _cell(128, 6), 32, 5,
        {"l1": 1.0, "ms_ssim": 0.2, "gan": 0.01, "features": 0.2}, target="photo",
        closed_form=True, config=TrainConfig(n_images=300_000, lr=1e-3),
    ),
    "tiny": Preset(
        "TAESD's decoder, anew", _check_cell_px, 32, 5, {"l1": 1.0, "ms_ssim": 0.2, "gan": 0.01, "features": 0.2},
        target="photo", config=TrainConfig(n_images=400_000, lr=5e-4),
    ),
    "pixel-mlp": Preset(
        "Birch-san's pixel MLP", lambda space: PixelMlp(space.channels), 32, 0, {"mse": 1.0}, target="cells", scale=1,
        config=TrainConfig(n_images=10_000, lr=1e-2),
    ),
    "approx-cnn": Preset(
        "A1111's approximate decoder", lambda space: ApproxCnn(space.channels), 24, 3, {"l1": 1.0}, scale=2,
        config=TrainConfig(n_images=40_000, lr=2e-3),
    ),
}  # fmt: skip


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises
    ------
    TrainError
        When there is none.
    """
    if name not in PRESETS:
        raise TrainError(f"preset {name!r}: expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def train_decoder(
    store: PairStore,
    preset: str | Preset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
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
    device : str
    progress : bool

    Returns
    -------
    Approximation
        As it was saved.
    """
    name, preset = (preset, preset_named(preset)) if isinstance(preset, str) else (preset.title, preset)
    config = config or preset.config
    target = Path(out).with_suffix(".safetensors")
    run = target.with_suffix(".run")
    space, samples = store.space, store.split("train")
    scale = preset.scale or space.cell_px
    source = CropSource(store, samples, preset.crop_cells, preset.target, scale, seed=config.seed)
    network = _network(preset, store, config)
    with_adversary = {"gan", "features"} & set(preset.losses)
    objective = Objective(preset.losses, preset.border_cells * scale, PatchDiscriminator() if with_adversary else None)
    identity = {"preset": name, "vae": store.fingerprint, "space": space.name, "n_samples": len(source.samples)}
    write_atomic(run / "config.json", json.dumps({**identity, **config.to_dict()}, indent=1) + "\n")
    trained = train(
        network, objective, source, config, run / "checkpoint.pt",
        identity=identity, callbacks=_callbacks(run, store, preset, scale, config), device=device, progress=progress,
    )  # fmt: skip
    hashes = sorted({sample.sha256 for sample in source.samples})
    card: dict[str, Any] = {
        "form": name, "title": preset.title, "vae": store.vae_name, "fingerprint": store.fingerprint,
        "reference": store.reference, "learned_from": preset.target, "losses": dict(preset.losses),
        "seen_images": trained.seen_images, "config": config.to_dict(), "n_images": len(hashes), "train_hashes": hashes,
    }  # fmt: skip
    approximation = Approximation(trained.model.cpu(), space, scale, name=name, card=card)
    save(approximation, target)
    return approximation


def _network(preset: Preset, store: PairStore, config: TrainConfig) -> nn.Module:
    """Drawn from the seed; with its closed form put in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = preset.make(store.space)
    if preset.closed_form and isinstance(network, CellDecoder):
        fitted = ChannelMap("3", scale=store.space.cell_px, censored=False).fit(store).module_
        values = fitted.coefficients
        n_channels = store.space.channels
        weight = values[1:].T.reshape(-1, n_channels, 3, 3) / 2
        network.set_skip(weight, values[0] / 2 + 0.5)
    return network


def _callbacks(run: Path, store: PairStore, preset: Preset, scale: int, config: TrainConfig) -> list[Callback]:
    found: list[Callback] = [MetricsCsv(run / "metrics.csv"), TensorBoard(run / "tensorboard")]
    if config.sample_images:
        held_out = store.split("test") or store.split("train")
        source = CropSource(store, held_out, preset.crop_cells, preset.target, scale, seed=1)
        few = source.batch(range(4))
        found.append(SampleSheet(run / "samples", few["input"], few["target"], config.sample_images))
    return found
