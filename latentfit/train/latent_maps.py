"""Recipes of maps between latents: a preset, run on two joined stores."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from latentfit.errors import Remedy, SpaceMismatchError, TrainError
from latentfit.fit import ChannelMap
from latentfit.formats.saved import save
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.maps.scales import AtScale
from latentfit.nets.interposer import Interposer
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.nets.shared_trunk import put_trunk_in
from latentfit.nets.upscaler import Upscaler
from latentfit.pairs.joined import JoinedStores
from latentfit.pairs.store import Split
from latentfit.runtime.devices import device_of
from latentfit.runtime.weights import fingerprint_of
from latentfit.train.callbacks import SampleSheet
from latentfit.train.config import TrainConfig
from latentfit.train.last_layer import solve_head
from latentfit.train.latent_map_crops import JoinedCrops
from latentfit.train.latent_map_objective import CYCLES, BothWays, LatentObjective
from latentfit.train.latent_map_presets import LatentPreset
from latentfit.train.loop import Callback
from latentfit.train.objective import ADVERSARIAL
from latentfit.train.presets import preset_named
from latentfit.train.run import Run, Task, WarmStart, hold_skip, named_preset, result_path


def train_latent_map(
    joined: JoinedStores | Sequence[JoinedStores],
    preset: str | LatentPreset,
    out: str | os.PathLike[str],
    *,
    decoder: Approximation | None = None,
    config: TrainConfig | None = None,
    split: Split = "train",
    begin: LatentMap | None = None,
    trunk: Approximation | None = None,
    device: str = "auto",
    progress: bool = True,
) -> LatentMap:
    """Train a map between latents on joined stores; the same call goes on where a killed one stopped.

    Parameters
    ----------
    joined : JoinedStores, or sequence of them
        Several scales, for a preset of any factor: the map that is made is of the largest; `LatentMap.at_scale` gives
        the others.
    preset : str or LatentPreset
        A name among `preset_names("interposer", "upscaler")`.
    out : path
        The map, .safetensors; where the preset's losses teach its inverse too, that lies beside it as
        ``NAME_back.safetensors``. ``NAME.run/`` holds checkpoint, metrics and config.
    decoder : Approximation or None
        Decoder of the target's space, frozen: what decoded losses look through, and sample sheets. Presets with such
        losses need one.
    config : TrainConfig, optional
        Instead of the preset's.
    split : {"train", "all"}
        "all": also the pictures that the stores hold out; score the result on others then.
    begin : LatentMap, optional
        What to begin from, of the same make; the pictures that it learned from count as this one's too. An inverse that
        is trained with it begins anew.
    trunk : Approximation, optional
        A cell decoder of the source's space whose blocks the network begins with, its last convolution solved by least
        squares; the pictures that it learned from count as the map's too. Not where `begin` brings all weights.
    device : str
    progress : bool

    Returns
    -------
    LatentMap
        The map as it was saved.

    Raises
    ------
    SpaceMismatchError
        When `decoder`, `begin` or `trunk` is of other spaces, or `begin` of another scale.
    TrainError
        When no pair is as large as a crop, or the run goes wrong.
    """
    name, chosen = named_preset(preset, lambda title: preset_named(title, "interposer", "upscaler"))
    every = [joined] if isinstance(joined, JoinedStores) else list(joined)
    joined = max(every, key=lambda one: one.scale)
    if len(every) > 1 and not chosen.any_factor:
        scales = ", ".join(str(one.scale) for one in every)
        raise TrainError(
            f"preset {name!r}: learns one factor, got stores of {scales}", remedy="choose one, or take upscaler-any"
        )
    losses = dict(chosen.losses_of(joined.source.space, joined.target.space))
    if not set(CYCLES) & set(losses):  # nothing would teach an inverse
        chosen = replace(chosen, both_ways=False)
    if chosen.goes_on and begin is None:
        raise TrainError(f"preset {name!r} goes on from a trained map", remedy=Remedy("name it with {}", begin=...))
    course, source, target = config or chosen.config, joined.source, joined.target
    if decoder is not None and not isinstance(decoder, Approximation):
        raise SpaceMismatchError(
            "decoder",
            expected="a map to pictures",
            got=f"{type(decoder).__name__}",
            remedy="give one, for decoded losses look through it",
        )
    if decoder is not None and decoder.space != target.space:
        raise SpaceMismatchError(
            f"decoder: {decoder.name!r} is of space {decoder.space.name!r}, the map leads to {target.space.name!r}",
            remedy="take a decoder of that space",
        )
    _check_trunk(trunk, begin, chosen, source.space)
    crops = JoinedCrops(
        every, split, chosen.crop_cells,
        border_cells=chosen.border_cells, weights=chosen.draw, seed=course.seed,
    )  # fmt: skip
    samples = [pair.source for pair in crops.pairs]
    run = Run(result_path(out), name, chosen.title, samples, split, course, _begin(begin, joined), store=source)
    model = _model(chosen, run, every, split, trunk)
    there = model.there if isinstance(model, BothWays) else model
    identity = {
        "source": source.fingerprint, "target": target.fingerprint, "spaces": [source.space.name, target.space.name],
        "scale": ", ".join(str(one.scale) for one in every), "losses": losses, "draw": dict(chosen.draw),
        "crop": [chosen.crop_cells, chosen.border_cells],
        "closed_form": chosen.closed_form, "both_ways": chosen.both_ways,
        "decoded_cells": chosen.decoded_cells,
        "network": [type(there).__name__, sum(p.numel() for p in model.parameters())],
        "decoder": None if decoder is None else fingerprint_of(decoder.module),
        "trunk": None if trunk is None else fingerprint_of(trunk.module),
    }  # fmt: skip
    judge = run.drawn(lambda: PatchDiscriminator(target.space.channels, sees_detail=False))
    adversary = judge if set(ADVERSARIAL) & set(losses) else None
    objective = LatentObjective(losses, decoder, chosen.decoded_cells, adversary, is_sized=chosen.any_factor)
    about = {
        "target_vae": target.vae_name, "target_fingerprint": target.fingerprint, "target_reference": target.reference,
        "losses": losses, "decoder": None if decoder is None else decoder.name,
    }  # fmt: skip

    def wrap(made: nn.Module, card: dict[str, Any]) -> LatentMap:
        card = _with_trunk(card, trunk)
        if isinstance(made, BothWays):
            inverse = LatentMap(
                made.back, target.space, source.space, 1 / joined.scale, name=f"{name}, back", card=card
            )
            save(inverse, run.path.with_name(f"{run.path.stem}_back.safetensors"))
        network = made.there if isinstance(made, BothWays) else made
        result = LatentMap(network, source.space, target.space, joined.scale, name=name, card=card)
        save(result, run.path)
        return result

    callbacks = _sheets(run, crops, decoder)
    return Task(run, crops, model, objective, identity, about, wrap, callbacks=callbacks).train(
        device, progress=progress
    )


def _sheets(run: Run, crops: JoinedCrops, decoder: Approximation | None, most: int = 4) -> list[Callback]:
    """A sheet of decoded crops now and then, where they are wished and there is something to look through."""
    if not run.config.sample_images or decoder is None:
        return []

    def picture(latents: Tensor) -> Tensor:
        return decoder(latents.to(device_of(decoder))).cpu()

    few, every = crops.batch(range(most)), run.config.sample_images
    sheet = SampleSheet(run.folder / "samples", few["input"], picture(few["target"]), every, picture)

    def there(model: nn.Module, rows: list[dict[str, float]], seen_images: int) -> None:
        sheet(model.there if isinstance(model, BothWays) else model, rows, seen_images)

    return [there]


def _begin(begin: LatentMap | None, joined: JoinedStores) -> WarmStart | None:
    """The network inside; it must lead where the stores lead."""
    if begin is None:
        return None
    source, target = joined.source.space, joined.target.space
    if begin.is_any_factor:
        begin = begin.at_scale(joined.scale)
    if (begin.source, begin.target, begin.scale) != (source, target, joined.scale):
        raise SpaceMismatchError(
            f"begin: {begin.name!r} leads from {begin.source.name!r} to {begin.target.name!r} at scale {begin.scale}, "
            f"the stores from {source.name!r} to {target.name!r} at {joined.scale}",
            remedy="begin from a map between the same",
        )
    return WarmStart(begin.module, begin.card)


def _check_trunk(
    trunk: Approximation | None, begin: LatentMap | None, preset: LatentPreset, space: LatentSpace
) -> None:
    """A trunk that could not be put in, or that something else would replace, is refused."""
    if trunk is None:
        return
    if not preset.takes_trunk or begin is not None:
        why = "what it begins from brings all weights" if begin is not None else "its network has other blocks"
        raise TrainError(f"preset {preset.title!r} takes no trunk: {why}", remedy="leave it out")
    if trunk.space != space:
        raise SpaceMismatchError(
            f"trunk: {trunk.name!r} is of space {trunk.space.name!r}, the map begins at {space.name!r}",
            expected="a cell decoder of that space",
        )


def _with_trunk(card: dict[str, Any], trunk: Approximation | None) -> dict[str, Any]:
    """The card, with where the blocks come from and what they had seen."""
    if trunk is None:
        return card
    hashes = sorted({*card["train_hashes"], *trunk.card.get("train_hashes", ())})
    told = {"name": trunk.name, "fingerprint": fingerprint_of(trunk.module)}
    looks = sorted({*card.get("train_looks", ()), *trunk.card.get("train_looks", ())})
    return {**card, "train_hashes": hashes, "train_looks": looks, "n_images": len(hashes), "trunk": told}


def _model(
    preset: LatentPreset, run: Run, every: Sequence[JoinedStores], split: Split, trunk: Approximation | None
) -> nn.Module:
    """The network, drawn from the seed, with its closed form put in; with its inverse where that is trained too."""
    joined = max(every, key=lambda one: one.scale)
    source, target, scale = joined.source.space, joined.target.space, joined.scale
    there, back = run.drawn(
        lambda: (
            preset.make(source, target, scale),
            preset.make(target, source, 1 / scale) if preset.both_ways else None,
        )
    )
    if trunk is not None:
        put_trunk_in(there, trunk.module)
    if preset.any_factor:
        there = AtScale(there, scale)
    run.begun(there)
    if preset.closed_form is not None:
        _put_closed_form_in(there, preset.closed_form, joined, split, run.is_new)
        if back is not None:
            turned = JoinedStores(joined.target, joined.source)
            _put_closed_form_in(back, preset.closed_form, turned, split, not run.resumes)
    if trunk is not None and run.is_new:
        solve_head(there, every, split, preset.draw)
    return there if back is None else BothWays(there, back)


def _put_closed_form_in(network: nn.Module, form: str, joined: JoinedStores, split: Split, fitted: bool) -> None:
    """Least squares' linear map as the network's skip; when a run goes on or begins from one, that brings it."""
    if not isinstance(network, Interposer | Upscaler):
        raise TrainError(f"{type(network).__name__} has no skip to put a closed form in", remedy="give the preset none")
    channel_map = ChannelMap(form, scale=joined.scale)
    hold_skip(network, (lambda: channel_map.fit_joined(joined, split).module_) if fitted else None)
