"""Spaces: crossings are exact inverses, names resolve, and what has no numbers says so."""

import pytest
import torch

from latentfit import get_space, list_spaces
from latentfit.errors import DomainError, SpaceMismatchError
from latentfit.latents import LatentSpace, pack_flux2, rgb_to_signed, signed_to_rgb, unpack_flux2


@pytest.mark.parametrize("space", list_spaces(), ids=lambda space: space.name)
def test_to_raw_undoes_to_model(space: LatentSpace) -> None:
    raw = torch.randn(2, space.channels, 3, 5, dtype=torch.float64)
    if space.normalised_by_vae:
        with pytest.raises(DomainError, match=r"Vae\.load"):
            space.to_model(raw)
        return
    torch.testing.assert_close(space.to_raw(space.to_model(raw)), raw)


@pytest.mark.parametrize(
    ("name", "raw", "model"),
    [("sd1", 1.0, 0.18215), ("sd3", 1.0, (1 - 0.0609) * 1.5305), ("flux1", 1.0, (1 - 0.1159) * 0.3611)],
)
def test_published_numbers(name: str, raw: float, model: float) -> None:
    space = get_space(name)
    crossed = space.to_model(torch.full((1, space.channels, 1, 1), raw, dtype=torch.float64))
    torch.testing.assert_close(crossed, torch.full_like(crossed, model))


def test_per_channel_statistics_of_wan21() -> None:
    space = get_space("qwen-image")
    assert space.name == "wan21"
    raw = torch.tensor(space.shift, dtype=torch.float64).reshape(1, 16, 1, 1)
    torch.testing.assert_close(space.to_model(raw), torch.zeros_like(raw))


@pytest.mark.parametrize(
    ("alias", "name"),
    [("z-image", "flux1"), ("pixart-sigma", "sdxl"), ("SD3.5", "sd3"), ("hunyuan-video", "hunyuan_video")],
)
def test_aliases(alias: str, name: str) -> None:
    assert get_space(alias).name == name


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(SpaceMismatchError, match="sdxl"):
        get_space("sdxll")


def test_flux2_packing_order_is_channel_row_column() -> None:
    packed = torch.arange(128.0).reshape(1, 128, 1, 1)
    unpacked = unpack_flux2(packed)
    for channel, row, column in ((0, 0, 0), (5, 1, 0), (31, 0, 1), (7, 1, 1)):
        assert unpacked[0, channel, row, column] == channel * 4 + row * 2 + column
    assert torch.equal(pack_flux2(unpacked), packed)


def test_comfy_crossing_of_flux2_unpacks() -> None:
    space = get_space("flux2")
    packed = torch.randn(1, 128, 4, 6)
    latents = space.comfy_to_model(packed)
    assert latents.shape == (1, 32, 8, 12)
    assert torch.equal(space.model_to_comfy(latents), packed)


def test_comfy_crossing_of_sd1_is_raw() -> None:
    space = get_space("sd1")
    latents = torch.randn(1, 4, 4, 4)
    torch.testing.assert_close(space.model_to_comfy(latents), latents / 0.18215)


def test_wrong_channels_name_the_candidates() -> None:
    with pytest.raises(SpaceMismatchError, match=r"expected \(N, 4, h, w\).*spaces of 16 channels.*flux1"):
        get_space("sd1").check(torch.zeros(1, 16, 4, 4))


def test_signed_and_unit_range_are_inverse() -> None:
    rgb = torch.rand(1, 3, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(signed_to_rgb(rgb_to_signed(rgb)), rgb)


def test_dict_round_trip_keeps_equality() -> None:
    for space in list_spaces():
        assert LatentSpace.from_dict(space.to_dict()) == space


def test_statistics_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(DomainError, match="expected 1 or 4"):
        LatentSpace("x", 4, 8, shift=(0.0, 1.0))
