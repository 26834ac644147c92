"""Spectrum of a store's latents, and the Wiener filter that follows from it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from latentfit.errors import StoreError
from latentfit.pairs.store import PairStore, Sample

N_BANDS = 24


@dataclass(frozen=True)
class Spectrum:
    """Mean and covariance of latents, by radial spatial frequency.

    Frequencies are those of the orthonormal cosine transform (DCT-II): a mirrored continuation, so borders do not leak
    into high frequencies as the Fourier transform's periodic one does.

    Attributes
    ----------
    mean : Tensor, (C,) float64
        Mean of each channel.
    covariance : Tensor, (N_BANDS, C, C) float64
        Between channels, of the mean-free coefficients of each band. Bands are rings, narrow at low frequencies, where
        photographs change fast, and reach from 0 to the corner of the plane.
    """

    mean: Tensor
    covariance: Tensor

    def wiener(self, latents: Tensor, noise: float) -> Tensor:
        """Best linear estimate of x0 from ``x0 + noise * n`` with n white of unit variance.

        Parameters
        ----------
        latents : Tensor, (N, C, h, w)
            Noised.
        noise : float
            0 gives the latents back.
        """
        if noise == 0:
            return latents
        filters = self._filters(noise)
        mean = self.mean[:, None, None]
        coefficients = cosine_transform(latents.double() - mean).flatten(2)
        bands = bands_of(latents.shape[-2], latents.shape[-1]).flatten()
        filtered = torch.zeros_like(coefficients)
        for band in sorted(set(bands.tolist())):
            inside = bands == band
            filtered[..., inside] = filters[band] @ coefficients[..., inside]
        estimate = cosine_transform(filtered.reshape(latents.shape), inverse=True) + mean
        return estimate.to(latents.dtype)

    def expected_mse(self, noise: float, size_cells: tuple[int, int]) -> float:
        """Mean squared error of `wiener` by its own formula, on latents of this very spectrum."""
        if noise == 0:
            return 0.0
        rest = self.covariance - self._filters(noise) @ self.covariance
        by_band = rest.diagonal(dim1=1, dim2=2).mean(1)
        return float(by_band[bands_of(*size_cells)].mean())

    def _filters(self, noise: float) -> Tensor:
        """``S (S + noise² 1)⁻¹`` of each band."""
        white = noise**2 * torch.eye(len(self.mean), dtype=torch.float64)
        filters: Tensor = torch.linalg.solve(self.covariance + white, self.covariance, left=False)
        return filters


def spectrum_of(store: PairStore, samples: Sequence[Sample] | None = None) -> Spectrum:
    """Measure a spectrum; memory does not grow with the store, which is read twice.

    With few pictures a band's covariance is drawn towards its diagonal: channels that only happened to move together
    are not taken for one.

    Raises
    ------
    StoreError
        When there are no samples.
    """
    found = spectrum_of_latents(
        lambda: (batch.latents for batch in store.batches(samples, ("latents",))), store.space.channels
    )
    if found is None:
        raise StoreError("no samples to measure a spectrum on", place=store.path, expected="at least one")
    return found


def spectrum_of_latents(latents: Callable[[], Iterable[Tensor]], n_channels: int) -> Spectrum | None:
    """Measure as `spectrum_of` does, of latents ``(n, C, h, w)`` that are read twice; None where there are none."""
    total, n_cells = torch.zeros(n_channels, dtype=torch.float64), 0
    for batch in latents():
        total += batch.double().sum((0, 2, 3))
        n_cells += batch[:, 0].numel()
    if not n_cells:
        return None
    mean = total / n_cells
    sums = torch.zeros(N_BANDS, n_channels, n_channels, dtype=torch.float64)
    counts = torch.zeros(N_BANDS, dtype=torch.float64)
    for batch in latents():
        coefficients = cosine_transform(batch.double() - mean[:, None, None]).flatten(2)
        bands = bands_of(batch.shape[-2], batch.shape[-1]).flatten()
        for band in sorted(set(bands.tolist())):
            members = coefficients[..., bands == band].movedim(1, 0).flatten(1)
            sums[band] += members @ members.T
            counts[band] += members.shape[1]
    return Spectrum(mean, _covariances(sums, counts))


def cosine_transform(latents: Tensor, *, inverse: bool = False) -> Tensor:
    """Orthonormal DCT-II over the last two dimensions, or its inverse."""
    rows, columns = (_cosines(n).to(latents) for n in latents.shape[-2:])
    if inverse:
        rows, columns = rows.mT, columns.mT
    transformed: Tensor = rows @ latents @ columns.mT
    return transformed


@lru_cache(maxsize=32)
def bands_of(high: int, wide: int) -> Tensor:
    """Band of each cosine coefficient, ``(high, wide)`` integers."""
    radius = torch.hypot(torch.arange(high)[:, None] / (2 * high), torch.arange(wide) / (2 * wide))
    return (N_BANDS * (radius / math.sqrt(0.5)).sqrt()).long().clamp(max=N_BANDS - 1)


@lru_cache(maxsize=1)
def band_middles() -> Tensor:
    """Middle of each band, ``(N_BANDS,)`` float64, cycles a cell: up to nearly the corner's 0.71."""
    edges = (torch.arange(N_BANDS + 1, dtype=torch.float64) / N_BANDS).square() * math.sqrt(0.5)
    return (edges[1:] + edges[:-1]) / 2


def explained_by_band(made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each channel's variance is explained, by radial spatial frequency.

    Parameters
    ----------
    made, true : Tensor, (N, C, h, w)
        Latents of one space; variance is about the true channels' means.

    Returns
    -------
    frequencies, r2 : Tensor, (n,) and (C, n) float64
        Middles of the bands that hold anything, cycles a cell, low ones first. R² is 1 where made is true, 0 where
        nothing is known but the mean, and below where it is worse.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    if made.shape != true.shape or true.ndim != 4:
        raise ValueError(
            f"explained_by_band: expected two tensors (N, C, h, w) of equal shape, got {tuple(made.shape)} and "
            f"{tuple(true.shape)}"
        )
    bands = bands_of(*true.shape[-2:]).flatten()
    centred = true.double() - true.double().mean((0, 2, 3), keepdim=True)
    sums = []
    for values in ((made - true).double(), centred):
        energy = cosine_transform(values).square().sum(0).flatten(1).cpu()
        sums.append(energy.new_zeros(len(energy), N_BANDS).index_add_(1, bands, energy))
    held = torch.bincount(bands, minlength=N_BANDS) > 0
    return band_middles()[held], (1 - sums[0] / sums[1].clamp(min=1e-12))[:, held]


def _covariances(sums: Tensor, counts: Tensor) -> Tensor:
    """Mean of each band, drawn to its diagonal where coefficients are few; a band without any takes a neighbour's."""
    n_channels = sums.shape[1]
    covariance = sums / counts.clamp(min=1)[:, None, None]
    diagonal = torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
    trust = (counts / (counts + n_channels))[:, None, None]
    covariance = trust * covariance + (1 - trust) * diagonal
    filled = counts.nonzero().flatten()
    nearest = (torch.arange(N_BANDS)[:, None] - filled).abs().argmin(1)
    return covariance[filled[nearest]]


@lru_cache(maxsize=32)
def _cosines(n: int) -> Tensor:
    """The orthonormal DCT-II as a matrix, ``(n, n)`` float64."""
    places = torch.arange(n, dtype=torch.float64)
    matrix = math.sqrt(2 / n) * torch.cos(math.pi / (2 * n) * (2 * places + 1) * places[:, None])
    matrix[0] /= math.sqrt(2)
    return matrix
