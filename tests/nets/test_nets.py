"""Small networks: shapes, receptive fields, public key names and parameter counts, and what a wrong file is told."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import latentfit as lf
from latentfit.errors import BadFileError, SpaceMismatchError
from latentfit.fit import ChannelMap, PolynomialMap
from latentfit.nets import (
    ApproxCnn,
    CellDecoder,
    CellPalette,
    NearestColour,
    Palettized,
    PatchDiscriminator,
    PixelMlp,
    PixelVae,
    TinyDecoder,
    TinyEncoder,
)
from latentfit.palettes import Palette

PALETTE = Palette.load("pico-8")
DECODERS = {
    "cell": (lambda: CellDecoder(4, 16, 2), 8),
    "cell of 4 px": (lambda: CellDecoder(16, 8, 1, cell_px=4), 4),
    "pixel mlp": (lambda: PixelMlp(4), 1),
    "deep pixel mlp": (lambda: PixelMlp(16, 20, 3), 1),
    "approx cnn": (lambda: ApproxCnn(4), 2),
    "tiny": (lambda: TinyDecoder(4, 16), 8),
    "palettized pixelvae": (lambda: Palettized(PixelVae(4, 16, 8), PALETTE.to_dict()), 1),
    "palettized cell": (lambda: Palettized(CellPalette(16, PALETTE.colours, 8, 1), PALETTE.to_dict()), 1),
    "nearest of a palette": (lambda: Palettized(NearestColour(table(), PALETTE.colours), PALETTE.to_dict()), 1),
}


def table() -> PolynomialMap:
    """A 3×3 table of no VAE."""
    numbers = torch.randn(37, 3, generator=torch.Generator().manual_seed(5))
    return PolynomialMap(4, (3,)).set_coefficients(0.3 * numbers)


def shaken(module: nn.Module) -> nn.Module:
    """Also what is zero at the start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    return module.eval()


@pytest.mark.parametrize("name", DECODERS)
def test_shapes_of_any_size(name: str) -> None:
    make, scale = DECODERS[name]
    module = shaken(make())
    latents = torch.randn(2, module.config()["n_channels"], 5, 7)
    assert module(latents).shape == (2, 3, 5 * scale, 7 * scale)
    torch.testing.assert_close(module(latents)[1:], module(latents[1:]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_saved_and_loaded_decoders_are_equal(name: str, tmp_path: Path) -> None:
    make, scale = DECODERS[name]
    module = shaken(make())
    space = "sd1" if module.config()["n_channels"] == 4 else "flux1"
    one = lf.Approximation(module, space, scale, name=name, card={"form": name})
    again = lf.load(lf.save(one, tmp_path / "a.safetensors"))
    latents = torch.randn(1, one.space.channels, 6, 5)
    torch.testing.assert_close(again(latents), one(latents), atol=0, rtol=0)
    assert (again.name, again.space, again.card) == (one.name, one.space, one.card)


@pytest.mark.parametrize("name", DECODERS)
def test_the_receptive_field_is_what_is_stated(name: str) -> None:
    module = shaken(DECODERS[name][0]()).double()
    n, scale = 61, DECODERS[name][1]
    latents = torch.randn(1, module.config()["n_channels"], n, 1 + 2 * 3, dtype=torch.double, requires_grad=True)
    middle = n // 2
    soft = module.logits if isinstance(module, Palettized) else module  # classes have no slope
    soft(latents)[0, :, middle * scale : (middle + 1) * scale].abs().sum().backward()
    touched = latents.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
    reach = max(middle - int(touched.min()), int(touched.max()) - middle)
    assert reach <= module.receptive_cells
    assert reach >= module.receptive_cells - 1


def test_published_parameter_counts() -> None:
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(PixelMlp(4)) == 255
    assert count(PixelMlp(4, encodes=True)) == 256
    assert count(ApproxCnn(4)) == 52_395
    assert count(TinyDecoder(4)) == 1_222_531
    assert count(TinyEncoder(4)) == 1_222_532


def test_a_cell_decoder_begins_as_its_closed_form() -> None:
    latents = torch.randn(4, 4, 9, 9)
    rgb = torch.rand(4, 3, 72, 72)
    fitted = ChannelMap("3", scale=8, censored=False).fit_arrays(latents, rgb, space="sd1")
    values = fitted.module_.coefficients
    network = CellDecoder(4, 16, 2).set_skip(values[1:].T.reshape(-1, 4, 3, 3) / 2, values[0] / 2 + 0.5)
    torch.testing.assert_close(network(latents), fitted.approximation().unclamped(latents), atol=1e-5, rtol=0)


def test_a_cell_decoder_wants_an_even_number_of_pixels() -> None:
    with pytest.raises(ValueError, match="expected an even number, got 5"):
        CellDecoder(4, 8, 1, cell_px=5)


def test_the_adversary_judges_texture_alone() -> None:
    judge = PatchDiscriminator(3, 8).eval()
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(judge(picture + 0.2), judge(picture), atol=1e-4, rtol=0)
        blurred = torch.nn.functional.avg_pool2d(picture, 5, 1, 2)
        assert (judge(blurred) - judge(picture)).abs().max() > 0.01


def test_a_pixel_mlp_has_layers_of_its_own() -> None:
    layers = PixelMlp(4, n_hidden=3).hidden_layers
    assert len({id(layer.weight) for layer in layers}) == 3


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize(
    "make", [lambda: PixelMlp(4), lambda: ApproxCnn(4), lambda: TinyDecoder(4), lambda: TinyDecoder(16, 16)]
)
def test_public_checkpoints_are_recognised_by_their_keys(make, ending: str, tmp_path: Path) -> None:
    module = shaken(make())
    path = tmp_path / f"anything{ending}"
    weights = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
    save_file(weights, path) if ending == ".safetensors" else torch.save(weights, path)
    space = "sd1" if module.config()["n_channels"] == 4 else "flux1"
    loaded = lf.load(path, space=space)
    latents = torch.randn(1, loaded.space.channels, 4, 6)
    torch.testing.assert_close(loaded.unclamped(latents), module(latents), atol=1e-6, rtol=0)
    with pytest.raises(BadFileError, match=r"does not say which .*; name (it|them) with space"):
        lf.load(path)
    with pytest.raises(SpaceMismatchError, match="channels"):
        lf.load(path, space="wan22")


def test_files_of_other_things_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for weights, said in (
        ({"conv9.weight": torch.zeros(3)}, "expected the keys of"),
        (TinyEncoder(4, 16).state_dict(), "encoder"),
        (PixelMlp(4, encodes=True).state_dict(), "an encoder"),
        ({**ApproxCnn(4).state_dict(), "more": torch.zeros(1)}, "differ at more"),
        ({k: v for k, v in ApproxCnn(4).state_dict().items() if k != "conv3.bias"}, "differ at conv3.bias"),
        ({**PixelMlp(4).state_dict(), "out_proj.bias": torch.full((3,), float("nan"))}, "NaN"),
    ):
        torch.save(dict(weights), path)
        with pytest.raises(BadFileError, match=said):
            lf.load(path, space="sd1")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadFileError):
        lf.load(path, space="sd1")


def test_public_files_of_the_assets(assets: Path) -> None:
    for name, scale, n_parameters in (
        ("birch-san/birch_decoder_sd1.5.pt", 1, 255),
        ("vae-approx/model.pt", 2, 52_395),
        ("taesd/taesd_decoder.safetensors", 8, 1_222_531),
    ):
        loaded = lf.load(assets / "weights" / name, space="sd1")
        assert (int(loaded.scale), sum(p.numel() for p in loaded.module.parameters())) == (scale, n_parameters)
        assert loaded(torch.zeros(1, 4, 6, 6)).isfinite().all()


def test_a_discriminator_judges_patches() -> None:
    judge = PatchDiscriminator(3, 8).train()
    features = judge.features(torch.rand(2, 3, 64, 48))
    assert features[-1].shape[1] == 1
    assert judge(torch.rand(2, 3, 64, 48)).shape == features[-1].shape
