"""families: what a latent looks to be: which of the spaces of equal channels, raw or model domain, picture or video."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from latentfit.latents.spaces import LatentSpace, get_space, list_spaces
from latentfit.runtime.storage import data_path

Domain = Literal["model", "raw"]
"""Raw: as a VAE emits latents and ComfyUI stores them. Model: shifted and scaled, as a denoiser sees them."""
Hypothesis = tuple[LatentSpace, Domain]

BLOCK = 2
LIKELIER = 0.05  # nats a value: hardly a held-out picture of a space reached it, nearly every one of others exceeds it
NOISE = 0.03  # correlation of neighbouring cells: below, latents may be noise, which is of any space
AMPLITUDES = 0.15  # nats a value that an amplitude of e or 1 / e costs
LEAST_BLOCKS = 200
_MOST_OF_BATCH = 64  # latents of a batch that are looked at one by one
MOST_BLOCKS = 20_000
_FAR = 3.0  # a scale further from 1 than so many times shows in the spread alone, where no statistics are known
_NEAR_UNIT = (0.5, 2.0)  # standard deviation of a channel in the model domain, nearly always


@dataclass(frozen=True)
class Doubt:
    """What latents look to be, and were not taken for; as text, a sentence without advice.

    Attributes
    ----------
    kind : {"axes", "space", "domain"}
        "axes": five dimensions, in a space of pictures. "space": another space's, in whichever domain. "domain": of
        this space, in the other domain.
    taken : LatentSpace
        What they were read as,
    taken_domain : {"model", "raw"}
        and in which domain.
    spaces : tuple of LatentSpace
        What they may be of: the likelier one; for "axes" all registered ones of five dimensions and as many channels.
    domain : {"model", "raw"}
        The likelier domain.
    share : tuple of int or None
        Share of a batch whose parts disagree: how many of how many that were looked at. None: all of it together.
    """

    kind: Literal["axes", "space", "domain"]
    taken: LatentSpace
    taken_domain: Domain
    spaces: tuple[LatentSpace, ...]
    domain: Domain
    share: tuple[int, int] | None = None

    def __str__(self) -> str:
        said = self._of_one()
        return said if self.share is None else f"a mixed batch: {self.share[0]} of {self.share[1]} are {said}"

    def _of_one(self) -> str:
        if self.kind == "axes":
            return (
                f"of five dimensions, (N, C, T, h, w), but read as {self.taken.title} latents, which have four; spaces "
                f"of {self.taken.channels} channels with five: {', '.join(map(_with_aliases, self.spaces))}"
            )
        if self.kind == "domain":
            return (
                f"read as {_IN_WORDS[self.taken_domain]} of {self.taken.title}, but by their spread likelier "
                f"{_IN_WORDS[self.domain]}"
            )
        domain = "" if self.domain == self.taken_domain else f", {_IN_WORDS[self.domain]}"
        return (
            f"read as {self.taken.title} latents, but by their statistics likelier {self.spaces[0].title} latents"
            f"{domain}"
        )


@dataclass(frozen=True)
class Likelihood:
    """How well blocks of latents fit a family.

    Attributes
    ----------
    density : float
        Mean log-density, nats a value, without Gauss's constant.
    amplitude : float
        Log of the factor by which the family's covariance fits them best,
    spread : float
        and of that of the blocks about their own mean: minus infinity of constant latents.
    """

    density: float
    amplitude: float
    spread: float


@dataclass(frozen=True, eq=False)
class Family:
    """Latents of a space, model domain: each picture's blocks of 2×2 cells Gaussian, with an amplitude of its own.

    Plain pictures and busy ones differ in amplitude, spaces in the covariance's shape, raw and model domain in both.

    Attributes
    ----------
    mean : Tensor, (4 * C,) float64
        Ordered place, channel.
    covariance : Tensor, (4 * C, 4 * C) float64
    least, most : float
        `Likelihood.spread` that nearly every picture of the space exceeds (flatter latents tell nothing), and
        `Likelihood.amplitude` that nearly none exceeds.
    """

    mean: Tensor
    covariance: Tensor
    least: float = -math.inf
    most: float = math.inf

    def __call__(self, mean: Tensor, square: Tensor) -> Likelihood:
        """Of blocks with this mean and mean outer product."""
        precision, log_volume, n_values = *_inverse(self), len(self.mean)
        moved = square - torch.outer(mean, self.mean) - torch.outer(self.mean, mean) + torch.outer(self.mean, self.mean)
        about_own = square - torch.outer(mean, mean)
        amplitude, spread = (_log(float((precision * matrix).sum()) / n_values) for matrix in (moved, about_own))
        density = -0.5 * (1 + amplitude + log_volume / n_values) - AMPLITUDES * amplitude**2
        return Likelihood(density, amplitude, spread)


@lru_cache(maxsize=64)
def _inverse(family: Family) -> tuple[Tensor, float]:
    return torch.linalg.inv(family.covariance), float(torch.logdet(family.covariance))


def _log(value: float) -> float:
    return math.log(value) if value > 1e-9 else -math.inf


_IN_WORDS: dict[Domain, str] = {
    "raw": "raw latents",
    "model": "latents in the model domain (shifted and scaled, as a denoiser sees them)",
}


def doubt_of(latents: Tensor, declared: LatentSpace, domain: Domain = "raw") -> Doubt | None:
    """What speaks against what latents were taken for; None where nothing does, or nothing can be told.

    The one rule of every command, node and preview. Five dimensions speak against a space of pictures when there are
    spaces of five dimensions with as many channels. Statistics tell apart spaces of equal channels and the two domains
    where they are known (`data/spaces/families.json`), on 200 blocks of 2×2 cells or more; elsewhere a spread near 1 as
    stored and far from 1 as read speaks against "raw". Constant latents and noise tell nothing.

    Parameters
    ----------
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w)
        Model domain of `declared`, as they were read.
    declared : LatentSpace
    domain : {"model", "raw"}
        In which domain they were taken to be stored; latents that never were raw are "model".
    """
    if latents.ndim == 5 and declared.dims == 2:
        of_video = tuple(one for one in list_spaces() if one.dims == 3 and one.channels == declared.channels)
        if of_video:
            return Doubt("axes", declared, domain, of_video, domain)
    stored = latents if domain == "model" or declared.normalised_by_vae else declared.to_raw(latents)
    if declared.name in known_families() and get_space(declared.name) == declared:
        return _likelier(stored, declared, domain) or _doubt_of_some(stored, declared, domain)
    return _unlike_unit(stored, latents, declared) if domain == "raw" else None


def moments_of(latents: Tensor) -> tuple[Tensor, Tensor, int] | None:
    """Mean and mean outer product of overlapping blocks of 2×2 cells, and their number; None of narrower latents.

    Of very many blocks every n-th is taken.
    """
    frames = latents if latents.ndim == 4 else latents.movedim(2, 1).flatten(0, 1)
    if min(frames.shape[-2:]) < BLOCK:
        return None
    flat = frames[:: max(1, frames[:, 0].numel() // (8 * MOST_BLOCKS))].double()
    places = [flat[..., :-1, :-1], flat[..., :-1, 1:], flat[..., 1:, :-1], flat[..., 1:, 1:]]
    rows = torch.cat(places, 1).movedim(1, 0).flatten(1)
    n_blocks = rows.shape[1]
    rows = rows[:, :: max(1, n_blocks // MOST_BLOCKS)]
    return rows.mean(1), rows @ rows.T / rows.shape[1], n_blocks


def _likelier(stored: Tensor, declared: LatentSpace, domain: Domain) -> Doubt | None:
    moments = moments_of(stored)
    if moments is None or moments[2] < LEAST_BLOCKS:
        return None
    found = likeliest(*moments[:2], (declared, domain))
    if found is None:
        return None
    return Doubt("domain" if found[0] == declared else "space", declared, domain, (found[0],), found[1])


def _doubt_of_some(stored: Tensor, declared: LatentSpace, domain: Domain) -> Doubt | None:
    """Of a batch that passes as a whole: what speaks against some of it, such as files of both domains in one tensor.

    One in twenty at least, as one in a thousand is doubted wrongly; of very many every n-th is looked at.
    """
    if len(stored) == 1:
        return None
    some = stored[:: -(-len(stored) // _MOST_OF_BATCH)]
    doubts = [_likelier(one[None], declared, domain) for one in some]
    found = [doubt for doubt in doubts if doubt is not None]
    if not found or 20 * len(found) < len(some):
        return None
    return replace(found[0], share=(len(found), len(some)))


def likeliest(mean: Tensor, square: Tensor, declared: Hypothesis) -> Hypothesis | None:
    """Return the likeliest of all known spaces of as many channels, in both domains; None where none is by far.

    Parameters
    ----------
    mean : Tensor, (4 * C,) float64
        Mean of blocks of latents as they are stored; see `moments_of`.
    square : Tensor, (4 * C, 4 * C) float64
    declared : tuple of LatentSpace and {"model", "raw"}
        What they were taken for.
    """
    if abs(_neighbours_correlation(mean, square)) < NOISE:
        return None
    best: Hypothesis | None = None
    most = -math.inf
    limits = known_limits().get(label(*declared), {})
    for other in hypotheses(declared[0].channels):
        gain = gain_of(mean, square, declared, other)
        if other != declared and gain is not None and gain > max(most, limits.get(label(*other), LIKELIER)):
            best, most = other, gain
    return best


def _neighbours_correlation(mean: Tensor, square: Tensor) -> float:
    """Of cells side by side, over all channels."""
    covariance, n_channels = square - torch.outer(mean, mean), len(mean) // BLOCK**2
    variance = float(covariance.diagonal()[:n_channels].sum())
    return float(covariance.diagonal(n_channels)[:n_channels].sum()) / variance if variance > 0 else 0.0


def gain_of(mean: Tensor, square: Tensor, declared: Hypothesis, other: Hypothesis) -> float | None:
    """How much likelier latents are of `other`, nats a value; None where they are not typical of it."""
    family, found = known_families()[other[0].name], _likelihood(other, mean, square)
    if found.spread < family.least or found.amplitude > family.most or not math.isfinite(found.density):
        return None
    return found.density + _stretch(*other) - _likelihood(declared, mean, square).density - _stretch(*declared)


def hypotheses(n_channels: int) -> Iterator[Hypothesis]:
    """The known spaces of so many channels in each domain; one where raw and model domain are the same."""
    for name in known_families():
        space = get_space(name)
        if space.channels == n_channels:
            yield space, "raw"
            if not space.normalised_by_vae and (set(space.scale), set(space.shift)) != ({1.0}, {0.0}):
                yield space, "model"


def label(space: LatentSpace, domain: Domain) -> str:
    """A hypothesis' name in the file: "sd1 raw"."""
    return f"{space.name} {domain}"


def _likelihood(hypothesis: Hypothesis, mean: Tensor, square: Tensor) -> Likelihood:
    """Of stored latents with these moments, were they of this space in this domain; density of the model domain."""
    space, domain = hypothesis
    if domain == "raw" and not space.normalised_by_vae:
        n_values = len(mean)
        shift, scale = (
            torch.tensor(values, dtype=torch.float64).expand(space.channels).repeat(n_values // space.channels)
            for values in (space.shift, space.scale)
        )
        square = square - torch.outer(mean, shift) - torch.outer(shift, mean) + torch.outer(shift, shift)
        mean, square = (mean - shift) * scale, square * torch.outer(scale, scale)
    return known_families()[space.name](mean, square)


def _stretch(space: LatentSpace, domain: Domain) -> float:
    """Mean log of the scale: densities of model-domain latents as densities of stored ones, nats a value."""
    if domain == "model" or space.normalised_by_vae:
        return 0.0
    return sum(math.log(scale) for scale in space.scale) / len(space.scale)


def _unlike_unit(stored: Tensor, latents: Tensor, declared: LatentSpace) -> Doubt | None:
    """Of spaces without known statistics: stored as if in the model domain already, and read far from it."""
    before, after = (one.double().movedim(1, 0).flatten(1) for one in (stored, latents))
    deviation, offset = float(before.std(1, correction=0).mean()), float(before.mean(1).square().mean().sqrt())
    shown = float(after.std(1, correction=0).mean())
    is_unit = _NEAR_UNIT[0] <= deviation <= _NEAR_UNIT[1] and offset < 1
    if before.shape[1] < LEAST_BLOCKS or not is_unit or 1 / _FAR <= shown <= _FAR:
        return None
    return Doubt("domain", declared, "raw", (declared,), "model")


def _with_aliases(space: LatentSpace) -> str:
    return f"{space.name} ({', '.join(space.aliases[:3])})" if space.aliases else space.name


@cache
def known_families() -> dict[str, Family]:
    """Return the statistics of each space for which they are known, by its name."""
    entries = _file()["families"]
    found = {}
    for name, entry in entries.items():
        mean = torch.tensor(entry["mean"], dtype=torch.float64)
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
        rows, columns = torch.tril_indices(len(mean), len(mean))
        covariance[rows, columns] = torch.tensor(entry["covariance"], dtype=torch.float64)
        found[name] = Family(mean, covariance + covariance.tril(-1).T, entry["least"], entry["most"])
    return found


@cache
def known_limits() -> dict[str, dict[str, float]]:
    """Declared -> other -> how much likelier the other must be, where `LIKELIER` is too little."""
    limits: dict[str, dict[str, float]] = _file()["limits"]
    return limits


def _file() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(data_path("spaces/families.json").read_text("utf-8"))
    return entries
