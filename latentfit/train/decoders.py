"""Recipes: a preset, run on a store."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from latentfit.errors import TrainError
from latentfit.fit import ChannelMap
from latentfit.formats.saved import save
from latentfit.maps.contracts import Approximation
from latentfit.nets.cell import CellDecoder
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.nets.tiny import TinyEncoder
from latentfit.pairs.store import PairStore, Sample, Split
from latentfit.runtime.storage import write_atomic
from latentfit.train.callbacks import SampleSheet
from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource
from latentfit.train.decoder_presets import Preset
from latentfit.train.loop import Callback
from latentfit.train.objective import Objective
from latentfit.train.presets import preset_named
from latentfit.train.run import Result, Run, Task, WarmStart, hold_skip, named_preset, result_path


def train_decoder(
    store: PairStore,
    preset: str | Preset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
    split: Split = "train",
    draw: Mapping[str, float] | None = None,
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
        A name among `preset_names("decoder")`.
    out : path
        The decoder, .safetensors. Beside it, in ``NAME.run/``: checkpoint, metrics, config, samples.
    config : TrainConfig, optional
        Instead of the preset's.
    split : {"train", "all"}
        "all": also the pictures that the store holds out; score the result on others then.
    draw : mapping of str to float, optional
        Instead of the preset's: how often samples of a kind are drawn, relative to 1.
    begin : Approximation, optional
        What to begin from, of the same make; the pictures that it learned from count as this one's too.
    device : str
    progress : bool

    Returns
    -------
    Approximation
        The decoder as it was saved.
    """
    first = WarmStart.at(begin, store.space)

    def wrap(run: Run, scale: int, network: nn.Module, card: dict[str, Any]) -> Approximation:
        approximation = Approximation(network, store.space, scale, name=run.name, card=card)
        save(approximation, run.path)
        return approximation

    return _task(store, preset, out, config, split, draw, first, wrap).train(device, progress=progress)


def train_encoder(
    store: PairStore,
    preset: str | Preset,
    out: str | os.PathLike[str],
    *,
    config: TrainConfig | None = None,
    split: Split = "train",
    draw: Mapping[str, float] | None = None,
    begin: nn.Module | None = None,
    device: str = "auto",
    progress: bool = True,
) -> TinyEncoder:
    """Distil an encoder: L1 to the latents of the store's own VAE.

    Parameters are `train_decoder`'s, but `begin` is an encoder. The file holds TAESD's keys:
    ``NAME_encoder.safetensors`` beside ``NAME_decoder.safetensors`` is what `Vae.load` takes for a pair.
    """
    first = None if begin is None else WarmStart(begin)

    def wrap(run: Run, _: int, network: nn.Module, card: dict[str, Any]) -> TinyEncoder:
        assert isinstance(network, TinyEncoder)
        weights = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        about = {"space": store.space.name, "card": card}
        write_atomic(run.path, to_bytes(weights, {"latentfit_encoder": json.dumps(about)}))
        return network

    return _task(store, preset, out, config, split, draw, first, wrap, encodes=True).train(device, progress=progress)


def _task(
    store: PairStore,
    preset: str | Preset,
    out: str | os.PathLike[str],
    config: TrainConfig | None,
    split: Split,
    draw: Mapping[str, float] | None,
    begin: WarmStart | None,
    wrap: Callable[[Run, int, nn.Module, dict[str, Any]], Result],
    *,
    encodes: bool = False,
) -> Task[Result]:
    """What a preset trains on a store."""
    kind: Literal["decoder", "encoder"] = "encoder" if encodes else "decoder"
    name, preset = named_preset(preset, lambda title: preset_named(title, kind))
    if preset.kind != kind:
        words = {"encoder": "an encoder", "decoder": "a decoder"}
        raise TrainError(
            f"preset {name!r}",
            expected=f"one of {words[kind]}",
            got=f"one of {words[preset.kind]}",
            remedy="train that instead",
        )
    preset = preset if draw is None else replace(preset, draw=dict(draw))
    config, scale = config or preset.config, preset.scale or store.space.cell_px
    source = _source(store, store.split(split), preset, scale, config.seed)
    run = Run(result_path(out), name, preset.title, source.samples, split, config, begin, store=store)
    network, adversary = _networks(preset, run, split)
    identity = {
        "vae": store.fingerprint, "space": store.space.name, "losses": dict(preset.losses),
        "network": [type(network).__name__, network.config()],  # type: ignore[operator]
        "crop": [preset.crop_cells, preset.border_cells, preset.target, scale], "draw": dict(preset.draw),
        "closed_form": preset.closed_form,
    }  # fmt: skip
    return Task(
        run, source, network, Objective(preset.losses, adversary), identity,
        about={"learned_from": preset.target, "losses": dict(preset.losses)},
        wrap=partial(wrap, run, scale), callbacks=_sheets(run, preset, scale),
    )  # fmt: skip


def _source(store: PairStore, samples: Sequence[Sample], preset: Preset, scale: int, seed: int) -> CropSource:
    return CropSource(
        store, samples, preset.crop_cells, preset.target, scale,
        encodes=preset.encodes, border_cells=preset.border_cells, weights=preset.draw, seed=seed,
    )  # fmt: skip


def _networks(preset: Preset, run: Run, split: Split) -> tuple[nn.Module, PatchDiscriminator | None]:
    """The network, what it begins from put in, and its adversary: both drawn from the seed."""
    has_adversary = bool({"gan", "features"} & set(preset.losses))
    network, adversary = run.drawn(
        lambda: (preset.make(run.store.space), PatchDiscriminator() if has_adversary else None)
    )
    run.begun(network)
    if preset.closed_form:
        assert isinstance(network, CellDecoder)
        wanted: Literal["vae", "photo"] = "vae" if run.store.has_decodes else "photo"
        form = ChannelMap("3", scale=run.store.space.cell_px, target=wanted)  # of the pictures that will be trained on
        hold_skip(network, (lambda: form.fit(run.store, split=split).module_) if run.is_new else None)
    return network, adversary


def _sheets(run: Run, preset: Preset, scale: int) -> list[Callback]:
    """A sheet of samples now and then, where they are wished."""
    if not run.config.sample_images or preset.encodes:
        return []
    few = _few_crops(run.store, preset, scale)
    return [SampleSheet(run.folder / "samples", few["input"], few["target"], run.config.sample_images)]


def _few_crops(store: PairStore, preset: Preset, scale: int, most: int = 4) -> dict[str, Tensor]:
    """One crop of each of a few pictures, held out where there are any, photographs first."""
    large = [s for s in store.samples if min(s.size_cells) >= preset.crop_cells]
    shown = [s for s in large if s.is_test] or large
    by_picture = {s.sha256: s for s in sorted(shown, key=lambda s: s.kind != "photograph")}
    few = [CropSource(store, [s], preset.crop_cells, preset.target, scale) for s in list(by_picture.values())[:most]]
    crops = [source.batch([0]) for source in few]
    return {name: torch.cat([crop[name] for crop in crops]) for name in ("input", "target")}
