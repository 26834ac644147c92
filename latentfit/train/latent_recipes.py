"""Recipes of maps between latents: a preset, run on two joined stores."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentfit.approx import Approximation, LatentMap
from latentfit.errors import SpaceMismatchError, TrainError
from latentfit.files import save
from latentfit.fit import ChannelMap
from latentfit.joined import JoinedStores
from latentfit.nets.interposer import Interposer
from latentfit.pairs import Split
from latentfit.resources import write_atomic
from latentfit.train.callbacks import MetricsCsv, TensorBoard
from latentfit.train.config import TrainConfig
from latentfit.train.latent_crops import JoinedCrops
from latentfit.train.latent_objective import BothWays, LatentObjective
from latentfit.train.latent_presets import LatentPreset, city96_losses, latent_preset_named
from latentfit.train.loop import train
from latentfit.vae_opening import fingerprint_of


def train_latent_map(
    joined: JoinedStores,
    preset: str | LatentPreset,
    out: str | os.PathLike[str],
    *,
    decoder: Approximation | None = None,
    config: TrainConfig | None = None,
    split: Split = "train",
    device: str = "auto",
    progress: bool = True,
) -> LatentMap:
    """Train a map between latents on joined stores; the same call goes on where a killed one stopped.

    Parameters
    ----------
    joined : JoinedStores
    preset : str or LatentPreset
        A name of `LATENT_PRESETS`.
    out : path
        The map, .safetensors; where the preset trains its inverse too, that lies beside it as
        ``NAME_back.safetensors``. ``NAME.run/`` holds checkpoint, metrics and config.
    decoder : Approximation or None
        Of the target's space, frozen: what decoded losses look through. Presets with such losses need one.
    config : TrainConfig, optional
        Instead of the preset's.
    split : {"train", "all"}
        "all": also the pictures that the stores hold out; score the result on others then.
    device : str
    progress : bool

    Returns
    -------
    LatentMap
        As it was saved.
    """
    name, chosen = (preset, latent_preset_named(preset)) if isinstance(preset, str) else (preset.title, preset)
    if name == "interposer-v4":
        chosen = replace(chosen, losses=city96_losses(joined.source.space, joined.target.space))
    config = config or chosen.config
    source, target = joined.source, joined.target
    if decoder is not None and decoder.space != target.space:
        raise SpaceMismatchError(
            f"decoder: {decoder.name!r} is of space {decoder.space.name!r}, the map leads to {target.space.name!r}"
        )
    path = Path(out)
    path = path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")
    run = path.with_suffix(".run")
    pairs = joined.split(split)
    crops = JoinedCrops(
        joined, pairs, chosen.crop_cells, border_cells=chosen.border_cells, weights=chosen.draw, seed=config.seed
    )
    resumes = (run / "checkpoint.pt").is_file()
    model = _model(chosen, joined, split, config.seed, fitted=not resumes)
    keys = "".join(sorted(pair.source.key for pair in crops.pairs))
    identity: dict[str, Any] = {
        "preset": name, "source": source.fingerprint, "target": target.fingerprint, "split": split,
        "spaces": [source.space.name, target.space.name], "scale": str(joined.scale),
        "losses": dict(chosen.losses), "n_samples": len(crops.pairs), "draw": dict(chosen.draw),
        "samples": hashlib.sha256(keys.encode()).hexdigest(), "crop": [chosen.crop_cells, chosen.border_cells],
        "closed_form": chosen.closed_form, "both_ways": chosen.both_ways,
        "decoded_cells": chosen.decoded_cells,
        "network": [type(_plain(model)).__name__, sum(p.numel() for p in model.parameters())],
        "decoder": None if decoder is None else fingerprint_of(decoder.module),
    }  # fmt: skip
    if not resumes:
        write_atomic(run / "config.json", json.dumps({**identity, **config.to_dict()}, indent=1) + "\n")
    trained = train(
        model, LatentObjective(chosen.losses, decoder, chosen.decoded_cells), crops, config, run / "checkpoint.pt", identity=identity,
        callbacks=[MetricsCsv(run / "metrics.csv"), TensorBoard(run / "tensorboard")], device=device, progress=progress,
    )  # fmt: skip
    hashes = sorted({pair.sha256 for pair in crops.pairs})
    card = {
        "form": name, "title": chosen.title, "vae": source.vae_name, "fingerprint": source.fingerprint,
        "reference": source.reference, "target_vae": target.vae_name, "target_fingerprint": target.fingerprint,
        "target_reference": target.reference, "losses": dict(chosen.losses), "seen_images": trained.seen_images,
        "decoder": None if decoder is None else decoder.name, "config": config.to_dict(),
        "n_images": len(hashes), "n_samples": len(crops.pairs), "train_hashes": hashes,
    }  # fmt: skip
    made = trained.model.cpu()
    there, back = (made.there, made.back) if isinstance(made, BothWays) else (made, None)
    if back is not None:
        inverse = LatentMap(back, target.space, source.space, 1 / joined.scale, name=f"{name}, back", card=card)
        save(inverse, path.with_name(f"{path.stem}_back.safetensors"))
    result = LatentMap(there, source.space, target.space, joined.scale, name=name, card=card)
    save(result, path)
    return result


def _model(preset: LatentPreset, joined: JoinedStores, split: Split, seed: int, *, fitted: bool) -> nn.Module:
    """The network, drawn from the seed, with its closed form put in; with its inverse where that is trained too."""
    source, target, scale = joined.source.space, joined.target.space, joined.scale
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        there = preset.make(source, target, scale)
        back = preset.make(target, source, 1 / scale) if preset.both_ways else None
    if preset.closed_form is not None:
        _put_closed_form_in(there, preset.closed_form, joined, split, fitted)
        if back is not None:
            _put_closed_form_in(back, preset.closed_form, JoinedStores(joined.target, joined.source), split, fitted)
    return there if back is None else BothWays(there, back)


def _put_closed_form_in(network: nn.Module, form: str, joined: JoinedStores, split: Split, fitted: bool) -> None:
    """Least squares' linear map as the network's skip; when a run goes on, the checkpoint brings it."""
    if not isinstance(network, Interposer):
        raise TrainError(f"{type(network).__name__} has no skip to put a closed form in; give the preset none")
    if fitted:
        values = ChannelMap(form, scale=joined.scale).fit_joined(joined, split).module_.coefficients
        network.set_skip(values[1:].T.reshape(network.skip.weight.shape), values[0])
    network.skip.requires_grad_(False)


def _plain(model: nn.Module) -> nn.Module:
    return model.there if isinstance(model, BothWays) else model
