"""The choice against a prior: taken where it surely wins, and never much worse than the prior where it does not."""

import math

import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.calibration import FORMS
from tests.support.calibrating import SLOPES

USERS, HELD_OUT = 6, 12


def world(n: int, seed: int, slopes: Tensor, spread: float = 0.02, noise: float = 0.03) -> tuple[Tensor, Tensor]:
    """Pictures each of which departs a little, and in its own way, from one affine map."""
    generator = torch.Generator().manual_seed(seed)
    brightness = 0.5 * torch.randn(n, 4, 1, 1, generator=generator)
    latents = 0.7 * torch.randn(n, 4, 12, 12, generator=generator) + brightness
    own = slopes + spread * torch.randn(n, 4, 3, generator=generator)
    cells = torch.einsum("nchw,nco->nohw", latents, own) + 0.5
    return latents, (cells + noise * torch.randn(cells.shape, generator=generator)).clamp(0, 1)


def prior_of_many() -> lf.Approximation:
    return lf.ChannelMap("affine", censored=False).fit_arrays(*world(200, 99, SLOPES), space="sd1").approximation()


def psnr(one: lf.Approximation, latents: Tensor, cells: Tensor) -> float:
    return -10 * math.log10(float((one(latents) - cells).square().mean()))


def gains(slopes: Tensor, n: int) -> list[float]:
    """dB over the prior on held-out pictures, of users with n pictures each."""
    prior, held_out = prior_of_many(), world(HELD_OUT, 1234, slopes)
    found = []
    for user in range(USERS):
        calibration = lf.Calibration("sd1", prior=prior)
        calibration.observe(*world(n, user, slopes))
        found.append(psnr(calibration.approximation(), *held_out) - psnr(prior, *held_out))
    return found


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
def test_a_prior_that_is_right_is_never_left_for_much_worse(n: int) -> None:
    found = gains(SLOPES, n)
    assert sum(found) / USERS > -0.1
    assert min(found) > -0.6


def test_a_prior_that_is_wrong_is_left() -> None:
    found = {n: sum(gains(SLOPES.flip(1), n)) / USERS for n in (1, 4, 16)}
    assert found[1] > 0.5
    assert found[4] > found[1] + 1
    assert found[16] > 4


def test_one_odd_picture_does_not_choose_a_map_of_single_cells() -> None:
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(5, 4, 12, 12, generator=generator)
    around = torch.nn.functional.avg_pool2d(latents, 3, 1, 1, count_include_pad=False)
    cells = torch.einsum("nchw,co->nohw", 2 * around, SLOPES) + 0.5
    cells[0] = torch.rand(3, 1, 1, generator=generator) + 0.01 * latents[0, :3]
    calibration = lf.Calibration("sd1", prior=None)
    calibration.observe(latents, cells.clamp(0, 1))
    assert FORMS[calibration.solve()[1].form][0] >= 3


def test_it_says_which_form_won_and_by_how_much() -> None:
    calibration = lf.Calibration("sd1", prior=prior_of_many())
    calibration.observe(*world(16, 5, SLOPES.flip(1)))
    found, chosen = calibration.solve()
    assert found.card["psnr_left_out"] == {name: round(value, 2) for name, value in chosen.psnr.items()}
    assert max(chosen.psnr.values()) > chosen.psnr_prior + 3
    assert chosen.weight >= 0.75
    assert found.name == f"{chosen.form}, learned from 16 pictures"
