"""`data/spaces/families.json`: statistics that tell latent spaces of equal channels, and raw from model domain, apart.

    python -m recipes.space_statistics [FOLDER]

Encodes crops of pictures with every encoder of weights/taesd, of the folder that LATENTFIT_ASSETS names, into FOLDER
(runs/families); a killed run goes on there. images/cc0 and every other picture of images/free and images/drawings make
the statistics; images/eval and the other drawings test them, photographs and drawings apart: which share of true
latents is doubted, and which of those given as another space's, or in the other domain. Ten minutes of CPU.
"""

import json
import math
import os
import random
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentfit import latents as families
from latentfit.formats import encoder_in
from latentfit.images import Picture, crop_to_cells, pictures, rgb_tensor
from latentfit.latents import Domain, Family, LatentSpace, get_space
from latentfit.runtime import load_plainly, torch_threads, write_atomic

OUT = Path(__file__).parents[1] / "data" / "spaces" / "families.json"
ENCODERS = {
    "sd1": ("TAESD", "taesd_encoder.safetensors"),
    "sdxl": ("TAESDXL", "taesdxl_encoder.safetensors"),
    "sd3": ("TAESD3", "taesd3_encoder.safetensors"),
    "flux1": ("TAEF1", "taef1_encoder.safetensors"),
    "flux2": ("TAEF2", "taef2_encoder.pth"),
    "sana_dcae": ("TAESana", "taesana_encoder.pth"),
}
SIDE_PX, CROP_PX, CROP_CELLS = 512, 160, 16
SANA_EVERY = 3  # its crops are ten times as large
MARGIN = 0.045
N_TURNS, FLATTEST = 8, 0.05
HOW = (
    "mean and covariance (lower triangle) of blocks of 2x2 cells (place, channel), model domain, over crops of "
    "photographs, paintings and drawings, each weighted by the inverse of its amplitude; least, most: bounds of log "
    "amplitudes; limits: how much likelier another space or domain must be, where more than 0.05. Made by "
    "recipes/space_statistics.py."
)
Moments = tuple[Tensor, Tensor]
Known = dict[str, dict[str, Moments]]  # space -> picture -> its moments
Hypothesis = tuple[LatentSpace, Domain]


@torch_threads(1)
def main(arguments: Sequence[str]) -> None:
    """Encode, measure, write the file, and say how well it tells them apart."""
    cache = Path(arguments[0] if arguments else "runs/families")
    fitted, drawings, photographs = (_moments(cache, part) for part in ("fit", "drawings", "photographs"))
    entries = {name: _measured(name, list(every.values())) for name, every in fitted.items()}
    _write(entries, {})
    _write(entries, _limits(fitted))
    for kind, known in (("photographs", photographs), ("drawings", drawings)):
        for line in _told_apart(known):
            print(f"{kind}: {line}")


def _moments(cache: Path, part: str) -> Known:
    assets = Path(os.environ["LATENTFIT_ASSETS"])
    encoders = {name: encoder_in(assets / "weights" / "taesd" / file) for name, (_, file) in ENCODERS.items()}
    known: Known = {name: {} for name in ENCODERS}
    for index, (folder, picture) in enumerate(_pictures(assets / "images", part)):
        path = cache / f"{folder}-{Path(picture.name).stem}.pt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            latents = _encoded(encoders, picture, with_sana=index % SANA_EVERY == 0)
            torch.save(latents, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        for name, latents in load_plainly(path).items():
            found = families.moments_of(latents.float())
            assert found is not None
            known[name][path.stem] = found[:2]
    return known


def _pictures(images: Path, part: str) -> Iterator[tuple[str, Picture]]:
    """Every other photograph of images/free and drawing is for fitting, the other drawings for testing."""
    folders = {"fit": ("cc0", "free", "drawings"), "drawings": ("drawings",), "photographs": ("eval",)}[part]
    for folder in folders:
        for index, picture in enumerate(pictures([str(images / folder)])):
            if folder in ("cc0", "eval") or (index % 2 == 0) == (part == "fit"):
                yield folder, picture


@torch.no_grad()
def _encoded(encoders: dict[str, Any], picture: Picture, with_sana: bool) -> dict[str, Tensor]:
    """Latents of a random crop of the picture at `SIDE_PX`; of Sana's large cells a larger one."""
    rgb = rgb_tensor(crop_to_cells(picture.load()[0], SIDE_PX, 64)[0])
    chance = random.Random(zlib.crc32(picture.name.encode()))
    encoded = {}
    for name, encoder in encoders.items():
        px = max(CROP_PX, CROP_CELLS * get_space(name).cell_px)
        if name == "sana_dcae" and (not with_sana or min(rgb.shape[-2:]) < px):
            continue
        high, wide = (min(px, side) for side in rgb.shape[-2:])
        y, x = (
            chance.randrange(0, side - crop + 1, 8) for side, crop in zip(rgb.shape[-2:], (high, wide), strict=True)
        )
        encoded[name] = encoder.eval()(rgb[..., y : y + high, x : x + wide]).half()
    return encoded


def _measured(name: str, every: list[Moments]) -> dict[str, Any]:
    """The likeliest shape when each picture has an amplitude of its own, by alternating between the two."""
    mean, square = (torch.stack(parts).mean(0) for parts in zip(*every, strict=True))
    covariance = square - torch.outer(mean, mean)
    for _ in range(N_TURNS):
        family = Family(mean, covariance)
        weights = torch.tensor([1 / (math.exp(family(*one).amplitude) + FLATTEST) for one in every]).double()
        mean = sum(weight * one for weight, (one, _) in zip(weights, every, strict=True)) / weights.sum()
        moved = [square - torch.outer(one, mean) - torch.outer(mean, one) for one, square in every]
        covariance = sum(
            weight * (one + torch.outer(mean, mean)) for weight, one in zip(weights, moved, strict=True)
        ) / len(every)
    found = [Family(mean, covariance)(*one) for one in every]
    rows, columns = torch.tril_indices(len(mean), len(mean))
    return {
        "reference": f"{ENCODERS[name][0]}, standing in for {get_space(name).kl_name}",
        "n_samples": len(every),
        "least": round(float(np.quantile([one.spread for one in found], 0.01)), 3),
        "most": round(max(one.amplitude for one in found) + 0.1, 3),
        "mean": [round(value, 4) for value in mean.tolist()],
        "covariance": [round(value, 4) for value in covariance[rows, columns].tolist()],
    }


def _limits(fitted: Known) -> dict[str, dict[str, float]]:
    """What another hypothesis gains at most on pictures of the true one, and a margin."""
    limits: dict[str, dict[str, float]] = {}
    for declared, other, gains in _gains(fitted):
        if declared != other and gains and max(gains) + MARGIN > families.LIKELIER:
            limits.setdefault(families.label(*declared), {})[families.label(*other)] = round(max(gains) + MARGIN, 3)
    return limits


def _gains(known: Known) -> Iterator[tuple[Hypothesis, Hypothesis, list[float]]]:
    """How much likelier true latents are, of each hypothesis, under each other; only where they are typical of that."""
    for name, every in known.items():
        space = get_space(name)
        for true in families.hypotheses(space.channels):
            if true[0] != space:
                continue
            for other in families.hypotheses(space.channels):
                gains = [families.gain_of(*_stored(one, true), true, other) for one in every.values()]
                yield true, other, [gain for gain in gains if gain is not None]


def _stored(moments: Moments, true: Hypothesis) -> Moments:
    """Moments of latents in the model domain -> of the same as they are stored."""
    (space, domain), (mean, square) = true, moments
    if domain == "model" or space.normalised_by_vae:
        return moments
    shift, scale = space.shift[0], space.scale[0]
    cross = (mean[:, None] + mean[None]) * shift / scale
    return mean / scale + shift, square / scale**2 + cross + shift**2


def _told_apart(known: Known) -> Iterator[str]:
    for name, every in known.items():
        space = get_space(name)
        for true in families.hypotheses(space.channels):
            if true[0] != space:
                continue
            for declared in families.hypotheses(space.channels):
                found = [families.likeliest(*_stored(one, true), declared) for one in every.values()]
                n_noticed, n_right = sum(one is not None for one in found), sum(one == true for one in found)
                said = (
                    f"{families.label(*true)} read as {families.label(*declared)}: {n_noticed} of {len(found)} doubted"
                )
                yield said if true == declared else f"{said}, {n_right} rightly named"


def _write(entries: dict[str, dict[str, Any]], limits: dict[str, dict[str, float]]) -> None:
    text = json.dumps({"how": HOW, "limits": limits, "families": entries}, separators=(",", ":"))
    write_atomic(OUT, text + "\n")
    families.known_families.cache_clear()
    families.known_limits.cache_clear()


if __name__ == "__main__":
    main(sys.argv[1:])
