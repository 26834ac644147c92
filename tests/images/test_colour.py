"""Colour against scikit-image, published digits, and its own inverses."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, lab2xyz, rgb2lab, rgb2xyz

from latentfit.images import (
    chroma,
    delta_e2000,
    delta_e2000_of_lab,
    linear_to_srgb,
    oklab_to_rgb,
    rgb_to_lab,
    rgb_to_oklab,
    srgb_to_linear,
)


def channels_last(channels: torch.Tensor) -> np.ndarray:
    return channels[0].permute(1, 2, 0).numpy()


@pytest.fixture
def pictures() -> torch.Tensor:
    """Two random pictures that share a strip and a grey strip, where hue is undefined."""
    first, second = torch.rand(2, 1, 3, 64, 64, dtype=torch.float64)
    second[..., :8] = first[..., :8]
    first[..., 8:12] = first[:, :1, :, 8:12]
    return torch.stack([first, second])


def test_lab_equals_scikit_image(pictures: torch.Tensor) -> None:
    np.testing.assert_allclose(channels_last(rgb_to_lab(pictures[0])), rgb2lab(channels_last(pictures[0])), atol=1e-10)
    assert np.allclose(lab2xyz(channels_last(rgb_to_lab(pictures[0]))), rgb2xyz(channels_last(pictures[0])))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-9), (torch.float32, 5e-3)])
def test_ciede2000_equals_scikit_image(pictures: torch.Tensor, dtype: torch.dtype, atol: float) -> None:
    first, second = pictures
    oracle = deltaE_ciede2000(rgb2lab(channels_last(first)), rgb2lab(channels_last(second)))
    np.testing.assert_allclose(delta_e2000(first.to(dtype), second.to(dtype))[0], oracle, atol=atol)


# Lab of both colours and CIEDE2000: the pairs of Sharma, Wu and Dalal's table 1 that try the formula's corners
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, -0.001, 2.49), (50.0, 0.0009, -2.49), 4.8045),
    ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (50.0, 3.2592, 0.335), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.441), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_ciede2000_of_the_published_pairs(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    one, other = (torch.tensor(lab, dtype=torch.float64)[None, :, None] for lab in (first, second))
    assert float(delta_e2000_of_lab(one, other)) == pytest.approx(expected, abs=6e-5)
    assert float(delta_e2000_of_lab(other, one)) == pytest.approx(expected, abs=6e-5)


def test_crossings_are_inverse() -> None:
    rgb = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(rgb)), rgb, atol=1e-6, rtol=0)
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(rgb)), rgb, atol=1e-5, rtol=0)


def test_oklab_of_white_and_red() -> None:
    rgb = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)[:, :, None, None]
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.62796, 0.22486, 0.12585]], dtype=torch.float64)
    torch.testing.assert_close(rgb_to_oklab(rgb)[:, :, 0, 0], expected, atol=1e-4, rtol=0)


def test_greys_have_no_chroma() -> None:
    grey = torch.linspace(0, 1, 11).expand(1, 3, 11)
    assert float(chroma(grey).max()) < 0.01
