"""families: which latent space a latent looks to be of, where statistics of spaces of equal channels give it away."""

import json
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from latentfit.resources import data_path
from latentfit.spaces import LatentSpace, get_space

BLOCK = 2
LIKELIER = 0.05  # nats a value: no held-out picture of a space reached it, nearly every one of the other exceeds it
LEAST_BLOCKS = 200


@dataclass(frozen=True)
class Family:
    """Latents of a space, as one Gaussian over blocks of 2×2 cells, model domain.

    Attributes
    ----------
    mean : Tensor, (4 * C,) float64
        Ordered place, channel.
    covariance : Tensor, (4 * C, 4 * C) float64
    least : float
        Mean log-density a value that nearly every picture of the space reaches.
    """

    mean: Tensor
    covariance: Tensor
    least: float

    def log_density(self, mean: Tensor, square: Tensor) -> float:
        """Of blocks with this mean and mean outer product: nats a value, without Gauss's constant."""
        moved = square - torch.outer(mean, self.mean) - torch.outer(self.mean, mean) + torch.outer(self.mean, self.mean)
        apart = float(torch.linalg.solve(self.covariance, moved).trace())
        return -0.5 * (apart + float(torch.logdet(self.covariance))) / len(self.mean)


def likelier_space(latents: Tensor, declared: LatentSpace) -> LatentSpace | None:
    """The space that a file's latents are likelier of than of the one they were read as; None when none is.

    A file holds raw latents: they are read again as the other space's. Told apart are spaces of equal channels whose
    statistics are known (`data/spaces/families.json`), on 200 blocks of 2×2 cells or more.

    Parameters
    ----------
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w)
        Model domain of `declared`.
    declared : LatentSpace
    """
    families = _families()
    others = [get_space(name) for name in families if name != declared.name]
    others = [other for other in others if other.channels == declared.channels and not other.normalised_by_vae]
    if declared.name not in families or declared.normalised_by_vae or not others:
        return None
    raw = declared.to_raw(latents)
    found = _log_density(families[declared.name], declared, raw)
    if found is None:
        return None
    for other in others:
        density = _log_density(families[other.name], other, raw)
        assert density is not None  # the blocks are the same
        gain = density + _stretch(other) - found - _stretch(declared)
        if gain > LIKELIER and density >= families[other.name].least:
            return other
    return None


def moments_of(latents: Tensor) -> tuple[Tensor, Tensor, int] | None:
    """Mean and mean outer product of overlapping blocks of 2×2 cells, and their number; None of narrower latents."""
    flat = latents.double() if latents.ndim == 4 else latents.double().movedim(2, 1).flatten(0, 1)
    if min(flat.shape[-2:]) < BLOCK:
        return None
    places = [flat[..., :-1, :-1], flat[..., :-1, 1:], flat[..., 1:, :-1], flat[..., 1:, 1:]]
    rows = torch.cat(places, 1).movedim(1, 0).flatten(1)
    return rows.mean(1), rows @ rows.T / rows.shape[1], rows.shape[1]


def _log_density(family: Family, space: LatentSpace, raw: Tensor) -> float | None:
    moments = moments_of(space.to_model(raw))
    if moments is None or moments[2] < LEAST_BLOCKS:
        return None
    return family.log_density(*moments[:2])


def _stretch(space: LatentSpace) -> float:
    """Mean log of the scale: densities of model-domain latents as densities of raw ones, nats a value."""
    return sum(math.log(scale) for scale in space.scale) / len(space.scale)


@cache
def _families() -> dict[str, Family]:
    entries = json.loads(data_path("spaces/families.json").read_text("utf-8"))["families"]
    found = {}
    for name, entry in entries.items():
        mean, covariance = (torch.tensor(entry[key], dtype=torch.float64) for key in ("mean", "covariance"))
        found[name] = Family(mean, covariance, entry["least"])
    return found
