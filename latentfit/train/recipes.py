"""Recipes: presets for what is worth training, and what runs one on a store."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import nn

from latentfit.approx import Approximation
from latentfit.errors import TrainError
from latentfit.files import save
from latentfit.fit import ChannelMap
from latentfit.nets.approx_cnn import ApproxCnn
from latentfit.nets.cell import CellDecoder
from latentfit.nets.loading import loaded
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.nets.pixel_mlp import PixelMlp
from latentfit.nets.tiny import DECODER_BLOCKS, ENCODER_BLOCKS, TinyDecoder, TinyEncoder
from latentfit.pairs import PairStore, Sample, Split
from latentfit.resources import write_atomic
from latentfit.spaces import LatentSpace
from latentfit.train.callbacks import MetricsCsv, SampleSheet, TensorBoard
from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource, Target
from latentfit.train.loop import Callback, train
from latentfit.train.objective import Objective
from latentfit.vae_opening import fingerprint_of

CHARTS_COUNT_LESS: Mapping[str, float] = {"chart": 0.25, "drawing": 0.25}


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
        Side of a crop, and the rim that no loss sees unless it is the picture's own. The receptive field is wider; what
        lies beyond counts less.
    losses : mapping of str to float
        Weights by name, see `latentfit.train.losses`; "gan" and "features" bring an adversary in.
    target : {"rgb", "photo", "cells"}
        The other side of the latents: what a decoder gives, what an encoder takes.
    encodes : bool
        The network goes from pictures to latents.
    closed_form : bool
        Begin from the 3×3 decoder that least squares finds on the same pictures.
    draw : mapping of str to float
        How often pictures of a kind are drawn, relative to 1.
    config : TrainConfig
    """

    title: str
    make: Callable[[LatentSpace], nn.Module]
    crop_cells: int
    border_cells: int
    losses: Mapping[str, float]
    target: Target = "rgb"
    scale: int | None = None
    encodes: bool = False
    closed_form: bool = False
    draw: Mapping[str, float] = field(default_factory=lambda: CHARTS_COUNT_LESS)
    config: TrainConfig = field(default_factory=TrainConfig)


def _cell(width: int, n_blocks: int) -> Callable[[LatentSpace], nn.Module]:
    return lambda space: CellDecoder(space.channels, width, n_blocks, space.cell_px)


def _tiny(
    kind: type[TinyDecoder] | type[TinyEncoder], width: int, n_blocks: Sequence[int] | None = None
) -> Callable[[LatentSpace], nn.Module]:
    def make(space: LatentSpace) -> nn.Module:
        if space.cell_px != 8:
            raise TrainError(
                f"TAESD's networks have 8 px a cell, {space.name!r} has {space.cell_px}; take a cell decoder"
            )
        usual = DECODER_BLOCKS if kind is TinyDecoder else ENCODER_BLOCKS
        return kind(space.channels, width, n_blocks=n_blocks or usual)

    return make


PRESETS: dict[str, Preset] = {
    "cell-small": Preset(
        "cell decoder, small: half a megabyte, minutes on a CPU", _cell(48, 4), 24, 2, {"charbonnier": 1.0},
        closed_form=True, config=TrainConfig(n_images=40_000, batch_images=8, lr=3e-3),
    ),
    "cell": Preset(
        "cell decoder: a megabyte", _cell(62, 5), 32, 2, {"charbonnier": 1.0},
        closed_form=True, config=TrainConfig(n_images=40_000, batch_images=8, lr=2e-3),
    ),
    "cell-large": Preset(
        "cell decoder, large: learns from photographs, edges as strong as theirs", _cell(126, 6), 32, 2,
        {"charbonnier": 1.0, "gradient_similarity": 0.1}, target="photo", closed_form=True, config=TrainConfig(n_images=16_000, batch_images=8, lr=1.5e-3),
    ),
    "cell-texture": Preset(
        "cell decoder, large, with an adversary for texture: to begin from a trained one", _cell(126, 6), 32, 2,
        {"l1": 1.0, "gan": 0.01, "features": 0.2}, target="photo",
        closed_form=True, config=TrainConfig(n_images=20_000, batch_images=4, lr=5e-4),
    ),
    "tiny": Preset(
        "TAESD's decoder, anew", _tiny(TinyDecoder, 64), 32, 5,
        {"l1": 1.0, "ms_ssim": 0.2, "gan": 0.01, "features": 0.2}, target="photo",
        config=TrainConfig(n_images=400_000, lr=5e-4),
    ),
    "tiny-encoder": Preset(
        "TAESD's encoder, anew", _tiny(TinyEncoder, 64), 24, 4, {"l1": 1.0}, target="photo", encodes=True,
        config=TrainConfig(n_images=200_000, lr=1e-3),
    ),
    "mini-decoder": Preset(
        "a third of TAESD's decoder", _tiny(TinyDecoder, 40, (5, 3, 1, 0)), 32, 2, {"l1": 1.0, "gradient": 0.3},
        target="photo", config=TrainConfig(n_images=7_000, lr=1.5e-3, batch_images=2),
    ),
    "mini-encoder": Preset(
        "a third of TAESD's encoder", _tiny(TinyEncoder, 40, (0, 1, 2, 4)), 32, 2, {"l1": 1.0}, target="photo",
        encodes=True, config=TrainConfig(n_images=7_000, lr=1.5e-3, batch_images=2),
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
    split: Split = "train",
    begin: nn.Module | None = None,
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
    begin : nn.Module, optional
        Weights to begin from, of a network of the same make.
    device : str
    progress : bool

    Returns
    -------
    Approximation
        As it was saved.
    """
    name, chosen = _named(preset, encodes=False)
    made = _trained(store, name, chosen, Path(out), config or chosen.config, split, begin, device, progress)
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
    """Distil an encoder: L1 to the latents of the store's own VAE. Parameters as `train_decoder` takes them.

    The file holds TAESD's keys: ``NAME_encoder.safetensors`` beside ``NAME_decoder.safetensors`` is what `Vae.load`
    takes for a pair.
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
    path = out.with_suffix(".safetensors")
    run, space, scale = path.with_suffix(".run"), store.space, preset.scale or store.space.cell_px
    source = _source(store, store.split(split), preset, scale, config.seed)
    network, adversary = _networks(preset, store, config, begin)
    objective = Objective(preset.losses, adversary)
    identity = {"preset": name, "vae": store.fingerprint, "space": space.name, "n_samples": len(source.samples)}
    if begin is not None:
        identity["begun_from"] = fingerprint_of(begin)
    if not (run / "checkpoint.pt").is_file():  # a run that is refused leaves what it finds
        write_atomic(run / "config.json", json.dumps({**identity, **config.to_dict()}, indent=1) + "\n")
    trained = train(
        network, objective, source, config, run / "checkpoint.pt",
        identity=identity, callbacks=_callbacks(run, store, preset, scale, config), device=device, progress=progress,
    )  # fmt: skip
    hashes = sorted({sample.sha256 for sample in source.samples})
    card = {
        "form": name, "title": preset.title, "vae": store.vae_name, "fingerprint": store.fingerprint,
        "reference": store.reference, "learned_from": preset.target, "losses": dict(preset.losses),
        "seen_images": trained.seen_images, "config": config.to_dict(), "n_images": len(hashes), "train_hashes": hashes,
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
    """The network, its closed form or what it begins from put in, and its adversary: both drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = preset.make(store.space)
        adversary = PatchDiscriminator() if {"gan", "features"} & set(preset.losses) else None
    if begin is not None:
        loaded(network, begin.state_dict(), f"a network of preset {preset.title!r}")
        network.train().requires_grad_(True)
    elif preset.closed_form and isinstance(network, CellDecoder):
        fitted = ChannelMap("3", scale=store.space.cell_px, censored=False).fit(store).module_
        values = fitted.coefficients
        n_channels = store.space.channels
        weight = values[1:].T.reshape(-1, n_channels, 3, 3) / 2
        network.set_skip(weight, values[0] / 2 + 0.5)
    return network, adversary


def _callbacks(run: Path, store: PairStore, preset: Preset, scale: int, config: TrainConfig) -> list[Callback]:
    found: list[Callback] = [MetricsCsv(run / "metrics.csv"), TensorBoard(run / "tensorboard")]
    if config.sample_images and not preset.encodes:
        few = _source(store, store.split("test") or store.split("train"), preset, scale, 1).batch(range(4))
        found.append(SampleSheet(run / "samples", few["input"], few["target"], config.sample_images))
    return found
