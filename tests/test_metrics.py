"""Metrics against scikit-image and numpy, and their plain properties."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from latentfit.colour import delta_e2000, linear_to_srgb, oklab_to_rgb, rgb_to_lab, rgb_to_oklab, srgb_to_linear
from latentfit.metrics import ColourSums
from latentfit.similarity import flip, gmsd, high_frequency_ratio, ssim


def channels_last(rgb: torch.Tensor) -> np.ndarray:
    return rgb[0].permute(1, 2, 0).numpy()


def test_lab_and_ciede2000_equal_scikit_image() -> None:
    first, second = torch.rand(2, 1, 3, 64, 64, dtype=torch.float64)
    second[..., :8] = first[..., :8]
    first[..., 8:12] = first[:, :1, :, 8:12]  # greys: hue is undefined there
    np.testing.assert_allclose(rgb_to_lab(first)[0].permute(1, 2, 0), rgb2lab(channels_last(first)), atol=2e-3)
    oracle = deltaE_ciede2000(rgb2lab(channels_last(first)), rgb2lab(channels_last(second)))
    np.testing.assert_allclose(delta_e2000(first, second)[0], oracle, atol=5e-3)


def test_crossings_of_colour_are_inverse() -> None:
    rgb = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(rgb)), rgb, atol=1e-6, rtol=0)
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(rgb)), rgb, atol=1e-5, rtol=0)


def test_oklab_of_white_and_red() -> None:
    rgb = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)[:, :, None, None]
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.62796, 0.22486, 0.12585]], dtype=torch.float64)
    torch.testing.assert_close(rgb_to_oklab(rgb)[:, :, 0, 0], expected, atol=1e-4, rtol=0)


def test_pooled_scores_equal_numpy() -> None:
    predicted, reference = torch.rand(2, 3, 16, 16) * 1.4 - 0.2, torch.rand(2, 3, 16, 16)
    scores = ColourSums().add(predicted, reference).scores()
    p, r = predicted.clamp(0, 1).double().numpy(), reference.double().numpy()
    mse = np.mean((p - r) ** 2)
    assert scores["psnr"] == pytest.approx(-10 * np.log10(mse), abs=1e-6)
    assert scores["rmse"] == pytest.approx(255 * np.sqrt(mse), rel=1e-6)
    assert scores["bias"] == pytest.approx(255 * np.mean(p - r), abs=1e-4)
    assert scores["r2"] == pytest.approx(1 - mse / r.var((0, 2, 3)).mean(), abs=1e-6)
    assert scores["clipped"] == pytest.approx(float(((predicted < 0) | (predicted > 1)).float().mean()))
    delta = delta_e2000(predicted.clamp(0, 1), reference)
    assert scores["delta_e"] == pytest.approx(float(delta.mean()), rel=1e-5)
    assert scores["delta_e95"] == pytest.approx(float(delta.quantile(0.95)), abs=0.05)


def test_pooling_is_the_same_in_any_chunks() -> None:
    predicted, reference = torch.rand(5, 3, 8, 8), torch.rand(5, 3, 8, 8)
    whole, apart = ColourSums().add(predicted, reference), ColourSums()
    for index in (3, 0, 4, 1, 2):
        apart.merge(ColourSums().add(predicted[index : index + 1], reference[index : index + 1]))
    assert apart.scores() == pytest.approx(whole.scores(), rel=1e-6)


def test_ssim_equals_scikit_image_inside() -> None:
    first, second = torch.rand(2, 1, 3, 40, 48, dtype=torch.float64)
    _, oracle = structural_similarity(
        channels_last(first), channels_last(second), channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert ssim(first, second) == pytest.approx(oracle[5:-5, 5:-5].mean(), abs=1e-6)


@pytest.mark.parametrize("metric", [gmsd, flip])
def test_equal_pictures_differ_by_nothing_and_worse_ones_by_more(metric) -> None:
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), 64, mode="bicubic").clamp(0, 1)
    noise = torch.randn_like(picture)
    near, far = ((picture + level * noise).clamp(0, 1) for level in (0.02, 0.2))
    assert metric(picture, picture) == pytest.approx(0, abs=1e-5)
    assert 0 < metric(near, picture) < metric(far, picture) < 1


def test_flip_of_the_largest_difference_is_near_one() -> None:
    green, blue = torch.zeros(2, 1, 3, 64, 64)
    green[:, 1], blue[:, 2] = 1, 1
    assert flip(green, blue) == pytest.approx(1.0, abs=0.02)


def test_blur_lowers_high_frequency_and_noise_raises_it() -> None:
    picture = torch.rand(1, 3, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert high_frequency_ratio(picture, picture) == pytest.approx(1)
    assert high_frequency_ratio(blurred, picture) < 0.3
    assert high_frequency_ratio(picture, blurred) > 3
