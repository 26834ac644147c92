"""Tiles of big latents are the whole call; a TAESD pair and its diffusers folder are one network."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

import latentfit as lf
from latentfit.errors import SpaceMismatchError, VaeError
from latentfit.maps import decode_in_tiles, map_latents_in_tiles
from latentfit.nets import (
    ApproxCnn,
    CellDecoder,
    Interposer,
    InterposerV1,
    InterposerV3,
    InterposerV4,
    ModelDomain,
    PixelMlp,
    TinyDecoder,
    TinyEncoder,
)
from latentfit.vae import save_tiny_folder

MODULES = {
    "cell": (lambda: CellDecoder(4, 8, 2), 8),
    "cell, sharpened": (lambda: CellDecoder(4, 8, 2, sharp_side=5), 8),
    "mlp": (lambda: PixelMlp(4), 1),
    "cnn": (lambda: ApproxCnn(4), 2),
    "tiny": (lambda: TinyDecoder(4, 8), 8),
    "tiny, other blocks": (lambda: TinyDecoder(4, 8, n_blocks=(2, 1, 0, 1)), 8),
}


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    for parameter in module.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape))
    return module.eval()


@pytest.mark.parametrize("name", MODULES)
def test_tiles_are_the_whole(name: str) -> None:
    make, scale = MODULES[name]
    one = lf.Approximation(shaken(make()), "sd1", scale)
    latents = torch.randn(2, 4, 71, 90)
    torch.testing.assert_close(decode_in_tiles(one, latents, 48), one(latents), atol=2e-5, rtol=0)


@pytest.mark.parametrize("kernels", ["cubic", "5,3", "linear"])
def test_closed_forms_too(kernels: str) -> None:
    latents = torch.randn(4, 4, 40, 33)
    smoothing = ((0.1, 0.1, 0.1), (0.1, 0.2, 0.1), (0.1, 0.1, 0.1)) if kernels == "linear" else None
    fitted = lf.ChannelMap(kernels, smoothing=smoothing).fit_arrays(latents, torch.rand(4, 3, 40, 33), space="sd1")
    one = fitted.approximation()
    torch.testing.assert_close(decode_in_tiles(one, latents, 12), one(latents), atol=2e-5, rtol=0)


def latent_map(name: str) -> lf.LatentMap:
    """Maps of every kind, their numbers drawn."""
    raw = lf.get_space("sd1"), lf.get_space("sdxl")
    if name in ("3/2", "1/2", "2", "1/4", "1"):
        scale, side = Fraction(name), 48
        rows = {"1/4": 12, "1/2": 24, "1": 48, "3/2": 72, "2": 96}[name]
        given, wanted = torch.randn(2, 4, side, side), torch.randn(2, 4, rows, rows)
        fitted = lf.ChannelMap("3", scale=scale).fit_arrays(given, wanted, space=raw[0], target_space=raw[1])
        return fitted.latent_map()
    network: torch.nn.Module = {
        "interposer": lambda: Interposer(4, 4, 8, 3, 5),
        "v1": InterposerV1,
        "v3": lambda: InterposerV3(4, 8),
        "v4": lambda: InterposerV4(4, 4, 8, 2),
        "v4, halved": lambda: InterposerV4(4, 4, 8, 2, scale=0.5),
        "v4, doubled": lambda: InterposerV4(4, 4, 8, 2, scale=2.0),
    }[name]()
    if name != "interposer":
        network = ModelDomain(network, raw[0].shift, raw[0].scale, raw[1].shift, raw[1].scale)
    scale = {"v4, halved": Fraction(1, 2), "v4, doubled": Fraction(2)}.get(name, Fraction(1))
    return lf.LatentMap(shaken(network), *raw, scale)


LATENT_MAPS = ("1", "1/2", "1/4", "3/2", "2", "interposer", "v1", "v3", "v4", "v4, halved", "v4, doubled")


@pytest.mark.parametrize("name", LATENT_MAPS)
def test_tiles_of_maps_between_latents_are_the_whole(name: str) -> None:
    one, latents = latent_map(name), torch.randn(1, 4, 71, 101)
    whole = one(latents)
    sides: list[int] = []
    tiled = map_latents_in_tiles(watched(one, sides), latents, 60)
    torch.testing.assert_close(tiled, whole, atol=1e-4 * float(whole.abs().max()), rtol=0)
    assert 1 < len(sides) < 80
    assert max(sides) <= 60


def watched(one: lf.LatentMap, sides: list[int]) -> lf.LatentMap:
    """The same map, noting the sides of what it is given."""

    def note(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        sides.append(max(given[0].shape[-2:]))

    one.module.register_forward_pre_hook(note)
    return one


def test_video_and_small_latents_of_maps_between_latents() -> None:
    one = latent_map("interposer")
    video = torch.randn(1, 4, 2, 50, 70)
    torch.testing.assert_close(map_latents_in_tiles(one, video, 48), one(video), atol=1e-4, rtol=1e-4)
    small = torch.randn(1, 4, 9, 11)
    assert torch.equal(map_latents_in_tiles(one, small, 48), one(small))
    with pytest.raises(SpaceMismatchError, match="more than 20 cells"):
        map_latents_in_tiles(one, torch.randn(1, 4, 60, 60), 16)
    with pytest.raises(SpaceMismatchError, match="expected"):
        map_latents_in_tiles(one, torch.randn(1, 16, 60, 60), 48)


def test_what_sees_the_whole_picture_says_so() -> None:
    one = lf.Approximation(shaken(TinyDecoder(32, 8, pool=True)), "flux2", 8)
    with pytest.warns(UserWarning, match="looks at the whole picture"):
        decode_in_tiles(one, torch.randn(1, 32, 20, 30), 16)
    with pytest.raises(SpaceMismatchError, match="more than 38 cells"):
        decode_in_tiles(lf.Approximation(TinyDecoder(4, 8), "sd1", 8), torch.randn(1, 4, 60, 60), 32)
    with pytest.raises(SpaceMismatchError, match="whole number of pixels a cell"):
        decode_in_tiles(lf.Approximation(PixelMlp(4), "sd1", "1/2"), torch.randn(1, 4, 60, 60), 32)


@pytest.mark.parametrize(
    ("n_channels", "width", "down", "up"), [(4, 64, (1, 3, 3, 3), (3, 3, 3, 1)), (16, 20, (0, 1, 2, 4), (5, 3, 1, 0))]
)
def test_a_diffusers_folder_holds_the_same_network(
    n_channels: int, width: int, down: tuple[int, ...], up: tuple[int, ...], tmp_path: Path
) -> None:
    encoder = TinyEncoder(n_channels, width, n_blocks=down).eval()
    decoder = TinyDecoder(n_channels, width, n_blocks=up).eval()
    folder = save_tiny_folder(encoder, decoder, tmp_path / "tiny", dtype=torch.float32, card="# A card\n")
    rgb, latents = torch.rand(1, 3, 48, 32), 2 * torch.randn(1, n_channels, 6, 4)
    theirs = AutoencoderTiny.from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(rgb * 2 - 1).latents, encoder(rgb), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(theirs.decode(latents).sample / 2 + 0.5, decoder(latents), atol=1e-5, rtol=1e-4)
    vae = lf.Vae.load(str(folder), space="sd1" if n_channels == 4 else "flux1", device="cpu")
    torch.testing.assert_close(vae.encode(rgb), encoder(rgb).detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vae.decode_unclamped(latents), decoder(latents).detach(), atol=1e-5, rtol=1e-4)
    theirs.save_pretrained(tmp_path / "again")
    again = lf.Vae.load(str(tmp_path / "again"), space="sd1" if n_channels == 4 else "flux1", device="cpu")
    torch.testing.assert_close(again.encode(rgb), vae.encode(rgb))
    assert (folder / "README.md").read_text() == "# A card\n"


def test_what_a_diffusers_folder_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(VaeError, match="of equal channels and width"):
        save_tiny_folder(TinyEncoder(4, 8), TinyDecoder(4, 16), tmp_path / "a")
    with pytest.raises(VaeError, match="without pooling"):
        save_tiny_folder(TinyEncoder(32, 8, pool=True), TinyDecoder(32, 8, pool=True), tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_latents_go_through_float32_weights_in_tiles(dtype: torch.dtype) -> None:
    one, latents = latent_map("interposer"), torch.randn(1, 4, 60, 71).to(dtype)
    tiled = map_latents_in_tiles(one, latents, 40)
    assert tiled.dtype == dtype
    torch.testing.assert_close(tiled, one(latents), atol=1e-2, rtol=1e-2)
