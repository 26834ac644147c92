"""The energy of fine detail against numpy's whole spectrum."""

import math

import numpy as np
import pytest
import torch

from latentfit.scores import fine_energy, high_frequency_ratio, mean_of_scores


def whole_spectrum(luma: np.ndarray) -> float:
    """The definition, without halving anything."""
    high, wide = luma.shape
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in (high, wide)]
    spectrum = np.fft.fft2((luma - luma.mean()) * np.outer(*hann))
    down, across = (np.abs(np.fft.fftfreq(n)) for n in (high, wide))
    return float((np.abs(spectrum) ** 2)[np.maximum(down[:, None], across[None]) > 0.25].sum())


@pytest.mark.parametrize("size", [(24, 32), (25, 31), (32, 9), (9, 32)])
def test_every_frequency_counts_once(size: tuple[int, int]) -> None:
    luma = np.random.default_rng(0).random(size)
    assert fine_energy(torch.from_numpy(luma)[None]) == pytest.approx(whole_spectrum(luma), rel=1e-9)


def test_stripes_at_nyquist_weigh_as_much_as_any_others() -> None:
    """A ratio between stripes of the last column and stripes beside it, which halving alone gets wrong by two."""
    across = np.arange(32)
    fine, finer = (np.tile(np.cos(np.pi * k / 16 * across), (32, 1)) * 0.2 + 0.5 for k in (12, 16))
    pictures = [torch.from_numpy(stripes).expand(1, 3, 32, 32) for stripes in (finer, fine)]
    ratio = whole_spectrum(finer) / whole_spectrum(fine)
    assert high_frequency_ratio(*pictures) == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_a_reference_without_detail_has_no_ratio(size: tuple[int, int]) -> None:
    """A smooth ramp rounded to 8 bits, and a flat picture: their finest waves are rounding alone."""
    ramp = torch.linspace(0.2, 0.7, size[1]).expand(2, 3, *size)
    rounded = (255 * ramp).round() / 255
    lively = (rounded + 0.02 * torch.randn(2, 3, *size)).clamp(0, 1)
    for smooth in (ramp, rounded, torch.full_like(ramp, 0.3)):
        assert math.isnan(high_frequency_ratio(lively, smooth))
    assert high_frequency_ratio(rounded, lively) < 0.01
    assert high_frequency_ratio(lively, lively) == 1


def test_the_mean_over_pictures_is_of_those_with_detail() -> None:
    assert mean_of_scores("high_frequency", [0.5, math.nan, 0.7]) == pytest.approx(0.6)
    assert math.isnan(mean_of_scores("high_frequency", [math.nan]))
    assert math.isnan(mean_of_scores("ms_ssim", [0.5, math.nan]))  # of pictures of one size none or all have it
