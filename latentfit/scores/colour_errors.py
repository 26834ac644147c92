"""Colour errors as sums over pixels: pooled, in any order, in constant memory."""

import math
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from latentfit.images.colour import delta_e2000_of_lab
from latentfit.scores.similarity import PictureFeatures

_DELTA_BINS, _DELTA_TOP = 4000, 100.0
_LEAST_CHROMA = 0.5  # below this mean chroma a reference is grey, and a ratio to it says nothing


def _three() -> Tensor:
    return torch.zeros(3, dtype=torch.float64)


@dataclass
class ColourSums:
    """Sums over pixels from which pooled scores follow.

    PSNR is pooled: of the mean squared error over all pixels, not a mean of PSNRs, so that pictures may come in any
    order and in any chunks.

    Examples
    --------
    >>> grey = torch.full((1, 3, 8, 8), 0.5)
    >>> round(ColourSums().add(grey + 0.1, grey).scores()["psnr"], 3)
    20.0
    """

    n_pixels: int = 0
    n_outputs: int = 0
    n_clipped: int = 0
    squared: float = 0.0
    delta: float = 0.0
    chroma_predicted: float = 0.0
    chroma_reference: float = 0.0
    error: Tensor = field(default_factory=_three)
    reference: Tensor = field(default_factory=_three)
    reference_squared: Tensor = field(default_factory=_three)
    delta_histogram: Tensor = field(default_factory=lambda: torch.zeros(_DELTA_BINS, dtype=torch.float64))

    def add(
        self,
        predicted: Tensor | PictureFeatures,
        reference: Tensor | PictureFeatures,
        *,
        unclamped: Tensor | None = None,
    ) -> "ColourSums":
        """Add pictures and their references.

        Parameters
        ----------
        predicted : Tensor, (N, 3, H, W)
            Clamped here to [0, 1]; a `PictureFeatures` is in range already.
        reference : Tensor, (N, 3, H, W) in [0, 1]
        unclamped : Tensor or None, (N, 3, ...)
            The map's own output, where `predicted` is a resampling of it; what counts as clipped is seen there.
        """
        if unclamped is None:
            unclamped = predicted.rgb if isinstance(predicted, PictureFeatures) else predicted
        self.n_outputs += unclamped.numel()
        self.n_clipped += int(((unclamped < 0) | (unclamped > 1)).sum())
        first = predicted if isinstance(predicted, PictureFeatures) else PictureFeatures(predicted.clamp(0, 1))
        second = PictureFeatures.of(reference)
        truth = second.rgb.double()
        error = first.rgb.double() - truth
        self.n_pixels += error.shape[0] * error.shape[2] * error.shape[3]
        self.squared += float(error.square().sum())
        self.error += error.sum((0, 2, 3)).cpu()
        self.reference += truth.sum((0, 2, 3)).cpu()
        self.reference_squared += truth.square().sum((0, 2, 3)).cpu()
        self.chroma_predicted += float(first.chroma.sum(dtype=torch.float64))
        self.chroma_reference += float(second.chroma.sum(dtype=torch.float64))
        delta = delta_e2000_of_lab(first.lab, second.lab)
        self.delta += float(delta.sum(dtype=torch.float64))
        counts = torch.histc(delta.clamp(max=_DELTA_TOP), _DELTA_BINS, 0, _DELTA_TOP)
        self.delta_histogram += counts.cpu().double()
        return self

    def merge(self, other: "ColourSums") -> "ColourSums":
        """Add the sums of another."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    def scores(self) -> dict[str, float]:
        """Return the pooled scores.

        Returns
        -------
        dict
            ``psnr`` dB; ``rmse`` 8-bit levels; ``delta_e``, ``delta_e95`` mean and 95th percentile of CIEDE2000;
            ``bias`` mean signed error, 8-bit levels, and ``bias_r``, ``bias_g``, ``bias_b`` by channel; ``saturation``
            mean CIELAB chroma over the reference's (NaN where that is grey); ``clipped`` share of the map's own values
            outside [0, 1]; ``r2`` share of the reference's variance about its channels' means that is explained.
        """
        n_values = 3 * self.n_pixels
        mse = self.squared / n_values
        variance = float((self.reference_squared / self.n_pixels - (self.reference / self.n_pixels) ** 2).mean())
        cumulated = self.delta_histogram.cumsum(0)
        bin_95 = int(torch.searchsorted(cumulated, 0.95 * cumulated[-1]))
        by_channel = 255 * self.error / self.n_pixels
        coloured = self.chroma_reference >= _LEAST_CHROMA * self.n_pixels
        return {
            "psnr": -10 * math.log10(max(mse, 1e-12)),
            "rmse": 255 * math.sqrt(mse),
            "delta_e": self.delta / self.n_pixels,
            "delta_e95": (bin_95 + 0.5) * _DELTA_TOP / _DELTA_BINS,
            "bias": float(by_channel.mean()),
            **{f"bias_{letter}": float(value) for letter, value in zip("rgb", by_channel, strict=True)},
            "saturation": self.chroma_predicted / self.chroma_reference if coloured else math.nan,
            "clipped": self.n_clipped / self.n_outputs,
            "r2": 1 - mse / variance if variance > 1e-9 else math.nan,
        }


@dataclass
class FlickerSums:
    """Flicker: energy of the change of the error from step to step, over that of the reference's own change.

    Where a reference's pictures are r and a map's are p, each a step after the other, flicker is the sum over steps and
    pixels of ``((p - r) - (p_before - r_before))²`` over that of ``(r - r_before)²``. An error that stays as it is,
    such as a constant tint, does not flicker, however large it is.
    """

    of_error: float = 0.0
    of_reference: float = 0.0

    def add(self, before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> "FlickerSums":
        """Add one step: (predicted, reference) before it and after it, all of one shape."""
        moved = (now[1] - before[1]).double()
        self.of_error += float(((now[0] - before[0]).double() - moved).square().sum())
        self.of_reference += float(moved.square().sum())
        return self

    @property
    def ratio(self) -> float:
        """0: moves exactly as the reference; 1: as far off as a picture that stands still. NaN where nothing moved."""
        return self.of_error / self.of_reference if self.of_reference > 0 else math.nan
