"""Published tables: numbers with sources, run as their consumers run them."""

import pytest
import torch

from latentfit.errors import SpaceMismatchError
from latentfit.fit import PolynomialMap
from latentfit.maps import Approximation
from latentfit.scores import table, tables


@pytest.fixture
def latents() -> torch.Tensor:
    return 2 * torch.randn(2, 4, 9, 7, generator=torch.Generator().manual_seed(3))


def test_every_table_says_where_it_comes_from() -> None:
    found = tables()
    assert len(found) > 100
    assert len({one.id for one in found}) == len(found)
    assert all(one.source and one.status and len(one.weights[0]) in (1, 3) for one in found)


def test_every_table_that_can_be_run_gives_pictures() -> None:
    for one in tables():
        if one.obstacle:
            with pytest.raises(SpaceMismatchError, match="cannot be run here"):
                one.approximation()
            continue
        rgb = one.approximation()(torch.randn(1, one.space.channels, 4, 6))
        assert rgb.shape[1] == 3
        assert rgb.min() >= 0
        assert rgb.max() <= 1


def test_comfyui_maps_to_signed_range_and_clamps(latents: torch.Tensor) -> None:
    one = table("comfyui/SDXL")
    weights, bias = torch.tensor(one.weights), torch.tensor(one.bias)
    signed = torch.nn.functional.linear(latents.movedim(1, -1), weights.T, bias).movedim(-1, 1)
    torch.testing.assert_close(one.approximation()(latents), ((signed + 1) / 2).clamp(0, 1))


def test_sdnext_wraps_around_as_its_cast_does(latents: torch.Tensor) -> None:
    one = table("sdnext/SDXL")
    weights, bias = torch.tensor(one.weights), torch.tensor(one.bias)
    kernel = weights.T.reshape(3, 4, 1, 1)
    sample = torch.nn.functional.conv2d(latents, kernel, bias) * 0.5 + 0.5
    assert ((sample < 0) | (sample > 1)).float().mean() > 0.05
    theirs = (255.0 * sample).to(torch.uint8)
    ours = (255 * one.approximation()(latents)).round().to(torch.uint8)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(one.clamped().approximation()(latents), sample.clamp(0, 1))


def test_invokeai_smooths_sdxl(latents: torch.Tensor) -> None:
    one = table("invokeai/SDXL")
    assert one.smoothing is not None
    impulse = torch.zeros(1, 4, 5, 5)
    impulse[:, :, 2, 2] = 0.1
    spread = one.approximation().unclamped(impulse) - 0.5
    assert (spread.abs().sum(1) > 0).sum() == 9


def test_an_unknown_table_is_named_with_what_there_is() -> None:
    with pytest.raises(SpaceMismatchError, match=r"expected one of.*comfyui/SDXL"):
        table("comfyui/SDXL9")


def test_a_map_of_ours_is_smoothed_in_invokeai_as_its_own_table_is(latents: torch.Tensor) -> None:
    one = table("invokeai/SDXL")
    assert one.smoothing is not None
    module = PolynomialMap(4, (1,), 1, intercept=False)
    module.set_coefficients(torch.cat([torch.zeros(1, 3), torch.tensor(one.weights)]))
    ours = Approximation(module, "sdxl", name="linear")
    torch.testing.assert_close(one.run_on(ours)(latents), one.approximation()(latents))
    assert table("comfyui/SDXL").run_on(ours) is ours
    assert one.run_on(ours).n_parameters == 12
