"""The wrappers' promise: shape, range, batch independence, odd sizes, video, clear errors."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from latentfit import Approximation, LatentMap, chain
from latentfit.errors import ScaleError, SpaceMismatchError


def decoder(scale: int) -> Approximation:
    return Approximation(nn.Sequential(nn.Conv2d(4, 3 * scale * scale, 1), nn.PixelShuffle(scale)), "sd1", scale)


@pytest.mark.parametrize("scale", [1, 8])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8)])
def test_shape_and_range(scale: int, size: tuple[int, int]) -> None:
    rgb = decoder(scale)(10 * torch.randn(2, 4, *size))
    assert rgb.shape == (2, 3, size[0] * scale, size[1] * scale)
    assert rgb.min() >= 0
    assert rgb.max() <= 1


def test_a_batch_gives_what_its_parts_give() -> None:
    approximation, latents = decoder(8), torch.randn(3, 4, 5, 6)
    apart = torch.cat([approximation(latents[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(approximation(latents), apart)


def test_video_latents_fold_time_into_the_batch() -> None:
    approximation, latents = decoder(8), torch.randn(2, 4, 3, 5, 6)
    rgb = approximation(latents)
    assert rgb.shape == (2, 3, 3, 40, 48)
    torch.testing.assert_close(rgb[:, :, 1], approximation(latents[:, :, 1]))


def test_unclamped_is_not_clamped_and_the_call_leaves_it_whole() -> None:
    approximation, latents = decoder(1), 50 * torch.randn(1, 4, 8, 8)
    raw = approximation.unclamped(latents)
    assert raw.min() < 0 or raw.max() > 1
    torch.testing.assert_close(approximation(latents), raw.clamp(0, 1))


@pytest.mark.parametrize(
    "bad", [torch.zeros(4, 8, 8), torch.zeros(1, 16, 8, 8), torch.zeros(1, 4, 8, 8, dtype=torch.int64)]
)
def test_bad_latents_are_refused(bad: torch.Tensor) -> None:
    with pytest.raises(SpaceMismatchError, match="expected"):
        decoder(1)(bad)


def test_a_module_that_breaks_its_scale_is_named() -> None:
    with pytest.raises(SpaceMismatchError, match="its module gave"):
        Approximation(nn.Conv2d(4, 3, 1), "sd1", 8)(torch.zeros(1, 4, 8, 8))


class _Halve(nn.Module):
    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(latents, 2)


def test_fractional_scale_takes_odd_sizes() -> None:
    halve = LatentMap(_Halve(), "sd1", "sdxl", Fraction(1, 2))
    assert halve(torch.randn(1, 4, 7, 10)).shape == (1, 4, 3, 5)
    with pytest.raises(ScaleError, match="1x10 cells at scale 1/2 are less than one"):
        halve(torch.randn(1, 4, 1, 10))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_latents_of_another_dtype_than_the_weights_keep_it(dtype: torch.dtype) -> None:
    there, latents = LatentMap(nn.Conv2d(4, 16, 1), "sd1", "flux1"), torch.randn(1, 4, 5, 5).to(dtype)
    assert there(latents).dtype == decoder(8)(latents).dtype == dtype
    torch.testing.assert_close(there(latents).float(), there(latents.float()), atol=0.02, rtol=0.02)


def test_size_at_the_call() -> None:
    same = LatentMap(nn.Identity(), "sd1", "sd1")
    assert same(torch.randn(1, 4, 8, 8), size=(12, 10)).shape == (1, 4, 12, 10)


def test_chain_multiplies_scales_and_checks_spaces() -> None:
    there = LatentMap(nn.Conv2d(16, 4, 1), "flux1", "sd1", name="f2s")
    previews = chain(there, decoder(8))
    assert previews.space.name == "flux1"
    assert previews(torch.randn(1, 16, 4, 4)).shape == (1, 3, 32, 32)
    with pytest.raises(SpaceMismatchError, match="put a map"):
        chain(LatentMap(nn.Conv2d(16, 4, 1), "flux1", "sdxl"), decoder(8))
    with pytest.raises(SpaceMismatchError, match="put a decoder or table last"):
        chain(there)


def test_parameters_are_counted() -> None:
    assert Approximation(nn.Conv2d(4, 3, 1), "sd1").n_parameters == 15
