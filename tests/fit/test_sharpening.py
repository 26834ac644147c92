"""The sharpening filter reaches its energy, at less error than other filters that do, and decoders carry it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.fit import sharpening_floor, sharpening_kernel
from latentfit.nets import CellDecoder, above_floor
from latentfit.scores import high_frequency_ratio


def pictures(n: int = 6, side: int = 96) -> tuple[Tensor, Tensor]:
    """Spectra that fall as photographs' do, and what is left of them when most of the detail is lost."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(n, 3, side, side, generator=generator)
    radius = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.fftfreq(side)).clamp(min=1 / side)
    spectrum = torch.fft.fft2(noise) / radius
    real = torch.fft.ifft2(spectrum).real
    real = 0.5 + 0.15 * real / real.std()
    soft = torch.fft.ifft2(torch.fft.fft2(real) * (-((radius / 0.18) ** 2)).exp()).real
    return soft, real


def filtered(soft: Tensor, kernel: Tensor) -> Tensor:
    side = len(kernel)
    padded = torch.nn.functional.pad(soft, (side // 2,) * 4, mode="replicate")
    return torch.nn.functional.conv2d(padded, torch.eye(3)[..., None, None] * kernel)


def error_of(made: Tensor, real: Tensor) -> float:
    return float((made - real)[..., 8:-8, 8:-8].square().mean())


@pytest.mark.parametrize("energy", [0.7, 0.9, 1.0])
def test_the_energy_is_reached_and_flat_areas_stay(energy: float) -> None:
    soft, real = pictures()
    kernel = sharpening_kernel([(soft[:3], real[:3]), (soft[3:], real[3:])], energy)
    assert high_frequency_ratio(filtered(soft, kernel), real) == pytest.approx(energy, rel=0.1)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-3)
    for turned in (kernel.flip(0), kernel.flip(1), kernel.T):
        torch.testing.assert_close(turned, kernel)


def test_no_mask_on_what_is_unsharp_does_as_well() -> None:
    soft, real = pictures()
    kernel = sharpening_kernel([(soft, real)], 0.8)
    found = filtered(soft, kernel)
    at = torch.arange(7) - 3.0
    for sigma in (0.6, 0.8, 1.0, 1.5):
        bell = torch.exp(-(at[:, None] ** 2 + at**2) / (2 * sigma**2))
        unsharp = -bell / bell.sum()
        unsharp[3, 3] += 1
        low, high = 0.0, 60.0
        for _ in range(40):
            amount = (low + high) / 2
            mask = amount * unsharp
            mask[3, 3] += 1
            low, high = (amount, high) if high_frequency_ratio(filtered(soft, mask), real) < 0.8 else (low, amount)
        assert error_of(found, real) < error_of(filtered(soft, mask), real)


def half_flat() -> tuple[Tensor, Tensor]:
    """Pictures whose left half should be flat, decoded with a faint noise all over."""
    soft, real = pictures()
    real[..., :48] = soft[..., :48] = 0.5
    noise = torch.randn(soft.shape, generator=torch.Generator().manual_seed(9))
    return soft + 0.002 * noise, real


def test_flat_areas_are_left_alone_and_texture_is_not() -> None:
    soft, real = half_flat()
    kernel = sharpening_kernel([(soft, real)], 0.7)
    floor = sharpening_floor([(soft[:3], real[:3]), (soft[3:], real[3:])], kernel)
    plain = filtered(soft, kernel)
    gated = above_floor(soft, plain, len(kernel), floor)
    flat, texture = (slice(None), slice(None), slice(8, -8), slice(8, 40)), (..., slice(8, -8), slice(60, 88))
    noise = 0.002
    assert float(plain[flat].std()) > 2 * noise  # the filter alone makes the decoder's noise twice as strong
    assert float(gated[flat].std()) == pytest.approx(noise, rel=0.05)
    assert float((gated[flat] == soft[flat]).float().mean()) > 0.85  # to the last bit
    assert float((gated - soft)[texture].std()) > 0.9 * float((plain - soft)[texture].std())
    assert torch.equal(above_floor(soft, plain, len(kernel), 0.0), soft + (plain - soft))


def test_the_floor_is_a_quantile_of_what_is_added_where_it_is_flat() -> None:
    real = torch.full((1, 3, 63, 63), 0.5)
    made = real.clone()
    made[..., 31, 31] += 0.1
    kernel = torch.zeros(3, 3)
    kernel[1, 1], kernel[0, 1] = 2.0, -1.0
    # 400 whole windows of 3 px; the dot changes by 0.1, and the one below it by as much the other way
    one_window = 0.1 * (1 / 9) ** 0.5
    assert sharpening_floor([(made, real)], kernel, 1.0) == pytest.approx(2**0.5 * one_window, rel=1e-3)
    assert sharpening_floor([(made, real)], kernel, 0.9) == pytest.approx(0, abs=1e-6)
    assert sharpening_floor([(made, torch.rand(1, 3, 63, 63))], kernel) == 0.0
    assert sharpening_floor([], kernel) == 0.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number"):
        sharpening_kernel([pictures(1)], 0.6, 6)
    with pytest.raises(ValueError, match="got none"):
        sharpening_kernel([], 0.6)


def test_a_decoder_carries_it(tmp_path: Path) -> None:
    plain = CellDecoder(4, 8, 1).eval()
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    soft, real = pictures()
    kernel = sharpening_kernel([(soft, real)], 0.6)
    sharp = plain.sharpened(kernel)
    latents = torch.randn(1, 4, 12, 10)
    torch.testing.assert_close(sharp(latents), filtered(plain(latents), kernel))
    assert sharp.receptive_cells == plain.receptive_cells + 1
    loaded = lf.load(lf.save(lf.Approximation(sharp, "sd1", 8), tmp_path / "a.safetensors"))
    assert isinstance(loaded, lf.Approximation)
    torch.testing.assert_close(loaded.unclamped(latents), sharp(latents))
    gated = plain.sharpened(kernel, 30.0)
    wanted = above_floor(plain(latents), filtered(plain(latents), kernel), 7, 30.0)
    torch.testing.assert_close(gated(latents), wanted)
    assert not torch.allclose(gated(latents), sharp(latents), atol=1e-4)
    loaded = lf.load(lf.save(lf.Approximation(gated, "sd1", 8), tmp_path / "b.safetensors"))
    torch.testing.assert_close(loaded.unclamped(latents), gated(latents))
    assert "sharp_floor" not in sharp.config()
    again = sharp.sharpened(kernel)
    torch.testing.assert_close(again(latents), sharp(latents))
