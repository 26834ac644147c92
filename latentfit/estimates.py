"""What a preview sees on the way: simulated x0 estimates of noised latents, and how maps do on them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from latentfit.approx import Approximation
from latentfit.errors import StoreError
from latentfit.metrics import ColourSums
from latentfit.pairs import PairStore, Sample

if TYPE_CHECKING:
    import pandas as pd

N_BANDS = 24


class Decoder(Protocol):
    """Anything that decodes latents at full size: a `Vae`, or an `Approximation` of one."""

    def decode(self, latents: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Spectrum:
    """Mean and radial covariance spectrum of a store's latents.

    Attributes
    ----------
    mean : Tensor, (C,) float64
    covariance : Tensor, (N_BANDS, C, C) float64
        Mean of ``X X^H / (h w)`` over the frequencies of each radial band, from 0 to the corner of the plane; real,
        because bands are symmetric.
    """

    mean: Tensor
    covariance: Tensor

    def wiener(self, latents: Tensor, sigma: float) -> Tensor:
        """Best linear estimate of x0 ``(N, C, h, w)`` from ``x0 + sigma * n`` with unit white noise."""
        mean = self.mean.to(latents.dtype)[:, None, None]
        n_channels = latents.shape[1]
        noise = sigma**2 * torch.eye(n_channels, dtype=torch.float64)
        filters = torch.linalg.solve(self.covariance + noise, self.covariance, left=False)
        bands = _bands(latents.shape[-2], latents.shape[-1])
        coefficients = torch.fft.fft2((latents - mean).double())
        estimate = torch.einsum("hwdc,nchw->ndhw", filters[bands].to(coefficients.dtype), coefficients)
        smooth: Tensor = torch.fft.ifft2(estimate).real.to(latents.dtype)
        return smooth + mean


@dataclass(frozen=True)
class Estimates:
    """Simulated x0 estimates of a store's samples at one noise level.

    Attributes
    ----------
    label : str
        Says that they are simulated, and how.
    samples : list of Sample
    latents : list of Tensor, each (1, C, h, w) float32
        Model domain.
    sigma, gain : float
    """

    label: str
    samples: list[Sample]
    latents: list[Tensor]
    sigma: float
    gain: float


def spectrum_of(store: PairStore, samples: Sequence[Sample] | None = None) -> Spectrum:
    """Measure a store's spectrum; constant memory."""
    n_channels = store.space.channels
    total, n_cells = torch.zeros(n_channels, dtype=torch.float64), 0
    for batch in store.batches(samples):
        total += batch.latents.double().sum((0, 2, 3))
        n_cells += batch.latents[:, 0].numel()
    if not n_cells:
        raise StoreError(f"{store.path}: no samples to measure a spectrum on")
    mean = total / n_cells
    sums = torch.zeros(N_BANDS, n_channels, n_channels, dtype=torch.float64)
    counts = torch.zeros(N_BANDS, dtype=torch.float64)
    for batch in store.batches(samples):
        high, wide = batch.latents.shape[-2:]
        waves = torch.fft.fft2(batch.latents.double() - mean[:, None, None]) / math.sqrt(high * wide)
        bands = _bands(high, wide)
        flat = waves.flatten(2)
        for band in range(N_BANDS):
            chosen = flat[:, :, (bands == band).flatten()].movedim(1, 0).flatten(1)
            sums[band] += (chosen @ chosen.mH).real
            counts[band] += chosen.shape[1]
    covariance = sums / counts.clamp(min=1)[:, None, None]
    for band in range(1, N_BANDS):  # a band that small pictures never reach takes its neighbour's
        if counts[band] == 0:
            covariance[band] = covariance[band - 1]
    return Spectrum(mean, covariance)


def simulate_x0(
    store: PairStore,
    sigma: float,
    *,
    gain: float = 1.0,
    seed: int = 0,
    samples: Sequence[Sample] | None = None,
    spectrum: Spectrum | None = None,
) -> Estimates:
    """Wiener estimates of noised latents, from the store's own spectrum: what a denoiser could know at `sigma`.

    Noise model: ``x = x0 + sigma * n`` in the model domain, n white with unit variance, the same for every sigma, so
    that neighbouring levels are neighbouring steps. A flow-matching time t is ``sigma = t / (1 - t)``. A real denoiser
    knows more than a spectrum; these are labelled simulated.

    Parameters
    ----------
    store : PairStore
    sigma : float
        0 or more.
    gain : float
        Multiplies the estimates, as strong guidance does.
    seed : int
    samples : sequence of Sample or None
        None: the test split, or all where that is empty.
    spectrum : Spectrum or None
        Measured on the training split when None.

    Returns
    -------
    Estimates
    """
    if not sigma >= 0 or not math.isfinite(sigma):
        raise StoreError(f"simulate_x0: expected a finite sigma of 0 or more, got {sigma}")
    chosen = list(samples or store.split("test") or store.samples)
    known = spectrum or spectrum_of(store, store.split("train") or None)
    latents = []
    for batch in store.batches(chosen, n_cells=1):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + int(batch.samples[0].key[:12], 16))
        noise = torch.randn(batch.latents.shape, generator=generator)
        clean = batch.latents
        estimate = known.wiener(clean + sigma * noise, sigma) if sigma else clean
        latents.append(gain * estimate)
    ordered = [sample for batch in store.batches(chosen, n_cells=1) for sample in batch.samples]
    label = f"simulated x0 (Wiener estimate from {store.path.name}'s spectrum), sigma {sigma:g}, gain {gain:g}"
    return Estimates(label, ordered, latents, sigma, gain)


def scores_over_sigma(
    approximations: Mapping[str, Approximation],
    decoder: Decoder,
    store: PairStore,
    sigmas: Sequence[float] = (0.0, 0.25, 0.5, 1.0, 2.0),
    gains: Sequence[float] = (1.0,),
    *,
    samples: Sequence[Sample] | None = None,
    seed: int = 0,
) -> "pd.DataFrame":
    """Scores at the cells against the decoder's decode of the *same* estimates.

    Returns
    -------
    DataFrame
        Columns approximation, sigma, gain, psnr, delta_e, saturation, flicker: the energy of the step-to-step change
        of the error, over the energy of the reference's own change, against the previous sigma (NaN for the first).
    """
    import pandas as pd

    spectrum = spectrum_of(store, store.split("train") or None)
    rows = []
    for gain in gains:
        before: dict[str, list[Tensor]] = {}
        for sigma in sigmas:
            estimates = simulate_x0(store, sigma, gain=gain, seed=seed, samples=samples, spectrum=spectrum)
            targets = [_cells(decoder.decode(latents).clamp(0, 1), latents) for latents in estimates.latents]
            now = {"": targets}
            for name, approximation in approximations.items():
                sums = ColourSums()
                now[name] = [_cells(approximation(latents), latents) for latents in estimates.latents]
                for predicted, target in zip(now[name], targets, strict=True):
                    sums.add(predicted, target)
                scores = {
                    key: value for key, value in sums.scores().items() if key in ("psnr", "delta_e", "saturation")
                }
                shaken = flicker(before[name], now[name], before[""], targets) if before else float("nan")
                rows.append({"approximation": name, "sigma": sigma, "gain": gain, **scores, "flicker": shaken})
            before = now
    frame = pd.DataFrame(rows)
    frame.attrs["label"] = f"simulated x0 from {store.path.name}'s spectrum, against {store.reference}"
    return frame


def flicker(
    predicted_before: Sequence[Tensor],
    predicted_now: Sequence[Tensor],
    reference_before: Sequence[Tensor],
    reference_now: Sequence[Tensor],
) -> float:
    """Energy of the change of the error between two steps, over the energy of the reference's own change."""
    error, change = 0.0, 0.0
    parts = zip(predicted_before, predicted_now, reference_before, reference_now, strict=True)
    for old, new, reference_old, reference_new in parts:
        moved = (reference_new - reference_old).double()
        error += float(((new - old).double() - moved).square().sum())
        change += float(moved.square().sum())
    return error / change if change else float("nan")


def _cells(rgb: Tensor, latents: Tensor) -> Tensor:
    window = rgb.shape[-1] // latents.shape[-1]
    return torch.nn.functional.avg_pool2d(rgb, window) if window > 1 else rgb


def _bands(high: int, wide: int) -> Tensor:
    """Band of each frequency ``(h, w)``."""
    radius = torch.hypot(torch.fft.fftfreq(high)[:, None], torch.fft.fftfreq(wide))
    return (radius / (0.5 * math.sqrt(2)) * N_BANDS).long().clamp(max=N_BANDS - 1)
