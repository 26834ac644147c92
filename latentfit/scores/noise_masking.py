"""Burial: how much noise, and so what strength of refining, covers a map's error in every frequency band."""

import math
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from latentfit.errors import DomainError
from latentfit.latents.space_facts import Schedule as Schedule  # noqa: PLC0414 - part of the face
from latentfit.latents.space_facts import facts_of
from latentfit.scores.spectrum import N_BANDS, band_middles, bands_of, cosine_transform

_TRAIN_STEPS, _BETA_START, _BETA_END = 1000, 0.00085, 0.012  # Stable Diffusion's "scaled linear" schedule


@dataclass
class ErrorBands:
    """Energy of latent errors by radial frequency, as sums: pooled in any order, in constant memory.

    A white noise of variance 1 has energy 1 in every band of every channel.
    """

    sums: Tensor = field(default_factory=lambda: torch.zeros(N_BANDS, dtype=torch.float64))
    counts: Tensor = field(default_factory=lambda: torch.zeros(N_BANDS, dtype=torch.float64))

    def add(self, made: Tensor, true: Tensor) -> "ErrorBands":
        """Add latents ``(N, C, h, w)``, model domain, and their truth, of equal shape."""
        if made.shape != true.shape:
            raise ValueError(
                f"errors: expected latents of equal shape, got {tuple(made.shape)} and {tuple(true.shape)}"
            )
        energy = cosine_transform((made - true).double()).square()
        bands = bands_of(made.shape[-2], made.shape[-1]).to(energy.device)
        per_place = energy.mean((0, 1)).flatten().cpu()
        self.sums.index_add_(0, bands.flatten().cpu(), per_place * made.shape[0])
        self.counts += torch.bincount(bands.flatten().cpu(), minlength=N_BANDS).double() * made.shape[0]
        return self

    @property
    def energy(self) -> Tensor:
        """Mean energy of each band that holds anything, ``(n,)``, low frequencies first."""
        held = self.counts > 0
        return self.sums[held] / self.counts[held]

    @property
    def frequencies(self) -> Tensor:
        """Middles of those bands, cycles a cell, up to the corner's 0.71."""
        return band_middles()[self.counts > 0]

    @property
    def sigma(self) -> float:
        """The least sigma, noise over signal, that leaves no band in which the error is stronger than the noise."""
        return math.sqrt(float(self.energy.max()))


def masking_strength(sigma: float, schedule: Schedule | None) -> float:
    """The smallest image-to-image strength at which a sampler's noise reaches `sigma` beside the signal; 1 at most.

    Parameters
    ----------
    sigma : float
        Noise over signal, such as `ErrorBands.sigma`.
    schedule : {"sd", "flow"}
        "sd": Stable Diffusion 1, 2 and XL (1000 steps, "scaled linear" betas), where strength s begins at step 1000 s.
        "flow": ``x = (1 - s) x0 + s n``, without a shift of the schedule.

    Examples
    --------
    >>> masking_strength(1.0, "flow")
    0.5

    Raises
    ------
    ValueError
        When sigma is below 0 or NaN.
    DomainError
        When the schedule is none of the two: a space of which none is known has None.
    """
    _check(schedule)
    if not sigma >= 0:
        raise ValueError(f"sigma: expected 0 or more, noise over signal, got {sigma}")
    if schedule == "flow":
        return sigma / (1 + sigma)
    reached = int(torch.searchsorted(_sd_sigmas(), torch.tensor(sigma, dtype=torch.float64)))
    return min(1.0, (reached + 1) / _TRAIN_STEPS)


def sigma_at(strength: float, schedule: Schedule | None) -> float:
    """Noise over signal where a sampler begins at an image-to-image strength: `masking_strength`, turned round.

    Raises
    ------
    ValueError
        When the strength is not above 0 and at most 1, or 1 of a flow, which has no signal left.
    DomainError
        When the schedule is none of the two.

    Examples
    --------
    >>> sigma_at(0.5, "flow")
    1.0
    """
    _check(schedule)
    if not 0 < strength <= 1 or (schedule == "flow" and strength == 1):
        raise ValueError(f"strength: expected more than 0 and at most 1 (less than 1 of a flow), got {strength}")
    if schedule == "flow":
        return strength / (1 - strength)
    return float(_sd_sigmas()[max(0, round(strength * _TRAIN_STEPS) - 1)])


def _sd_sigmas() -> Tensor:
    """Noise over signal of Stable Diffusion's steps, float64, rising."""
    steps = torch.linspace(_BETA_START**0.5, _BETA_END**0.5, _TRAIN_STEPS, dtype=torch.float64).square()
    kept = torch.cumprod(1 - steps, 0)
    return ((1 - kept) / kept).sqrt()


def schedule_of(space_name: str) -> Schedule | None:
    """The noise schedule of the samplers of a space's own model, as the registry of spaces has it.

    Returns
    -------
    {"sd", "flow"} or None
        None where it is neither of the two, as of Stable Cascade's and CogVideoX's models, or unknown: of every space
        that is not registered.
    """
    return facts_of(space_name).schedule


def _check(schedule: Schedule | None) -> None:
    if schedule not in get_args(Schedule):
        raise DomainError(
            "schedule",
            expected="one of " + ", ".join(map(repr, get_args(Schedule))),
            got="None, as of a space whose sampler's noise schedule the registry does not know"
            if schedule is None
            else f"{schedule!r}",
            remedy="name the one that your sampler has",
        )
