"""Metrics against numpy, scikit-image, scikit-learn and ꟻLIP's authors, and their plain properties."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from skimage.metrics import structural_similarity
from sklearn.metrics import r2_score
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from latentfit.images import chroma, delta_e2000
from latentfit.scores import (
    ColourSums,
    FlickerSums,
    PictureFeatures,
    correlated,
    flip,
    gmsd,
    high_frequency_ratio,
    ms_ssim,
    ssim,
    structure,
)
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

GOLDEN = json.loads((GOLDEN_FOLDER / "flip.json").read_text("utf-8"))


def channels_last(rgb: torch.Tensor) -> np.ndarray:
    return rgb[0].permute(1, 2, 0).numpy()


def test_ms_ssim_equals_torchmetrics() -> None:
    small = torch.rand(1, 3, 24, 30)
    reference = torch.nn.functional.interpolate(small, size=(192, 240), mode="bilinear")
    for noise in (0.02, 0.2):
        predicted = (reference + noise * torch.randn_like(reference)).clamp(0, 1)
        theirs = multiscale_structural_similarity_index_measure(predicted, reference, data_range=1.0)
        assert ms_ssim(predicted, reference) == pytest.approx(float(theirs), abs=2e-4)  # borders differ
    assert math.isnan(ms_ssim(small, small))


def test_pooled_scores_equal_numpy() -> None:
    predicted, reference = torch.rand(2, 3, 16, 16) * 1.4 - 0.2, torch.rand(2, 3, 16, 16)
    scores = ColourSums().add(predicted, reference).scores()
    p, r = predicted.clamp(0, 1).double().numpy(), reference.double().numpy()
    mse = np.mean((p - r) ** 2)
    assert scores["psnr"] == pytest.approx(-10 * np.log10(mse), abs=1e-6)
    assert scores["rmse"] == pytest.approx(255 * np.sqrt(mse), rel=1e-6)
    assert scores["bias"] == pytest.approx(255 * np.mean(p - r), abs=1e-4)
    assert [scores[f"bias_{c}"] for c in "rgb"] == pytest.approx(255 * np.mean(p - r, (0, 2, 3)), abs=1e-4)
    rows = (np.moveaxis(x, 1, -1).reshape(-1, 3) for x in (r, p))
    assert scores["r2"] == pytest.approx(r2_score(*rows, multioutput="variance_weighted"), abs=1e-6)
    assert scores["clipped"] == pytest.approx(float(((predicted < 0) | (predicted > 1)).float().mean()))
    ratio = chroma(predicted.clamp(0, 1)).mean() / chroma(reference).mean()
    assert scores["saturation"] == pytest.approx(float(ratio), rel=1e-5)
    delta = delta_e2000(predicted.clamp(0, 1), reference)
    assert scores["delta_e"] == pytest.approx(float(delta.mean()), rel=1e-5)
    assert scores["delta_e95"] == pytest.approx(float(delta.quantile(0.95)), abs=0.05)


def test_pooling_is_the_same_in_any_chunks() -> None:
    predicted, reference = torch.rand(5, 3, 8, 8), torch.rand(5, 3, 8, 8)
    whole, apart = ColourSums().add(predicted, reference), ColourSums()
    for index in (3, 0, 4, 1, 2):
        apart.merge(ColourSums().add(predicted[index : index + 1], reference[index : index + 1]))
    assert apart.scores() == pytest.approx(whole.scores(), rel=1e-6)


def test_pooled_psnr_is_not_the_mean_of_psnrs() -> None:
    reference = torch.zeros(2, 3, 8, 8)
    predicted = torch.cat([reference[:1] + 0.1, reference[1:] + 0.001])
    assert ColourSums().add(predicted, reference).scores()["psnr"] == pytest.approx(23.01, abs=0.01)


def test_clipping_is_counted_where_the_map_gave_its_output() -> None:
    output = torch.tensor([[-0.5, 0.5], [0.5, 1.5]]).expand(1, 3, 2, 2)
    enlarged = torch.nn.functional.interpolate(output.clamp(0, 1), 8, mode="bilinear")
    assert ColourSums().add(enlarged, enlarged, unclamped=output).scores()["clipped"] == 0.5


def test_a_grey_reference_has_no_saturation_to_compare_with() -> None:
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    assert np.isnan(ColourSums().add(torch.rand(1, 3, 8, 8), grey).scores()["saturation"])


def test_flicker_is_none_for_a_constant_error_and_one_for_a_picture_that_stands_still() -> None:
    before, now = torch.rand(2, 1, 3, 4, 4)
    assert FlickerSums().add((before + 0.1, before), (now + 0.1, now)).ratio == pytest.approx(0, abs=1e-9)
    assert FlickerSums().add((before, before), (before, now)).ratio == pytest.approx(1)
    assert np.isnan(FlickerSums().add((before, now), (now, now)).ratio)


def test_ssim_equals_scikit_image_inside() -> None:
    first, second = torch.rand(2, 1, 3, 40, 48, dtype=torch.float64)
    _, oracle = structural_similarity(
        channels_last(first), channels_last(second), channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert ssim(first, second) == pytest.approx(oracle[5:-5, 5:-5].mean(), abs=1e-9)


def test_gmsd_equals_its_formula_in_scipy() -> None:
    pictures = torch.rand(2, 1, 3, 24, 30, dtype=torch.float64)

    def gradient(rgb: np.ndarray) -> np.ndarray:
        luma = 255 * rgb @ [0.299, 0.587, 0.114]
        half = luma.reshape(12, 2, 15, 2).mean((1, 3))
        prewitt = np.array([[1, 0, -1]] * 3) / 3
        return np.hypot(correlate(half, prewitt, mode="nearest"), correlate(half, prewitt.T, mode="nearest"))

    x, y = (gradient(channels_last(picture)) for picture in pictures)
    oracle = ((2 * x * y + 170) / (x**2 + y**2 + 170)).std()
    assert gmsd(*pictures) == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"seed{case['seed']}-noise{case['noise']}")
def test_flip_equals_its_authors(case: dict[str, Any]) -> None:
    random = np.random.RandomState(case["seed"])
    reference = np.kron(random.rand(3, case["rows"], case["columns"]), np.ones((1, case["cell"], case["cell"])))
    predicted = np.clip(case["gain"] * reference + case["noise"] * random.randn(*reference.shape), 0, 1)
    first, second = (torch.from_numpy(picture)[None].float() for picture in (predicted, reference))
    assert flip(first, second) == pytest.approx(case["mean_flip"], abs=2e-6)


def test_flip_of_the_largest_difference_is_near_one() -> None:
    green, blue = torch.zeros(2, 1, 3, 64, 64)
    green[:, 1], blue[:, 2] = 1, 1
    assert flip(green, blue) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("metric", [gmsd, flip])
def test_equal_pictures_differ_by_nothing_and_worse_ones_by_more(metric: Any) -> None:
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), 64, mode="bicubic").clamp(0, 1)
    noise = torch.randn_like(picture)
    near, far = ((picture + level * noise).clamp(0, 1) for level in (0.02, 0.2))
    assert metric(picture, picture) == pytest.approx(0, abs=1e-5)
    assert 0 < metric(near, picture) < metric(far, picture) < 1


def test_blur_lowers_high_frequency_and_noise_raises_it() -> None:
    picture = torch.rand(1, 3, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert high_frequency_ratio(picture, picture) == pytest.approx(1)
    assert high_frequency_ratio(blurred, picture) < 0.3
    assert high_frequency_ratio(picture, blurred) > 3


def test_a_ramp_has_no_fine_detail_at_its_borders() -> None:
    ramp = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    assert high_frequency_ratio(ramp, torch.rand(1, 3, 128, 128)) < 1e-6


def test_a_look_is_taken_once_and_gives_the_same_scores() -> None:
    first, second = torch.rand(2, 1, 3, 32, 40)
    look = PictureFeatures(second)
    assert PictureFeatures.of(look) is look
    assert structure(first, look) == structure(first, second)
    assert look.lab is look.lab


@pytest.mark.parametrize("size", [(8, 8), (5, 40)])
def test_structure_of_small_pictures_is_finite(size: tuple[int, int]) -> None:
    first, second = torch.rand(2, 1, 3, *size)
    found = structure(first, second)
    assert math.isnan(found.pop("ms_ssim"))
    assert all(np.isfinite(score) for score in found.values())


def test_correlated_is_numpys() -> None:
    values, taps = torch.rand(3, 20, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    oracle = np.stack([np.correlate(row, taps.numpy(), "valid") for row in values.numpy()])
    np.testing.assert_allclose(correlated(values, taps, -1), oracle)
