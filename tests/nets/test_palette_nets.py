"""Palettized decoders: pixelvae's own numbers, the closed form, what a file carries, and what a wrong one is told."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import BadFileError, PaletteError, SpaceMismatchError
from latentfit.fit import ChannelMap
from latentfit.formats import encoder_in, load_approximation, read_card
from latentfit.latents import write_latents
from latentfit.maps import decode_in_tiles, indices_in_tiles
from latentfit.nets import CellPalette, NearestColour, Palettized, PixelVae
from latentfit.palettes import Palette, bayer, nearest_of, palette_of, palettized
from latentfit.runtime import data_path
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

GOLDEN = json.loads((GOLDEN_FOLDER / "pixelvae.json").read_text("utf-8"))
EGA, NES = Palette.load("ega16"), Palette.load("nes")


def wave(shape: torch.Size, step: float, size: float) -> torch.Tensor:
    """As the golden file says."""
    angles = step * torch.arange(1, shape.numel() + 1, dtype=torch.float64)
    return (size * angles.sin()).float().reshape(shape)


RAW = wave(torch.Size((2, 4, 6, 5)), 0.41, 6.0)


def filled(network: nn.Module) -> nn.Module:
    state = {}
    for index, (key, tensor) in enumerate(network.state_dict().items()):
        n_row = tensor[0].numel() if tensor.ndim > 1 else 64
        state[key] = wave(tensor.shape, 0.7 + 0.11 * index, 2.5 / n_row**0.5)
    network.load_state_dict(state)
    return network.eval()


def small(palette: Palette = EGA, dither: str = "none") -> lf.Approximation:
    network = PixelVae(4, len(palette), 8)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return palettized(network.eval(), palette, "sd1", dither=dither, name="small")


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['n_classes']} classes")
def test_pixelvaes_network_gives_pixelvaes_numbers(case: dict) -> None:
    with torch.no_grad():
        logits = filled(PixelVae(4, case["n_classes"]))(RAW)
    few = logits[:, :4, ::3, ::2].flatten()
    torch.testing.assert_close(few, torch.tensor(case["logits"]), atol=2e-4, rtol=1e-4)
    assert logits.argmax(1).flatten().tolist() == case["indices"]


def test_the_released_checkpoint_gives_pixelvaes_indices(assets: Path) -> None:
    path = assets / "weights" / "pixelvae" / GOLDEN["released"]["file"]
    loaded = lf.load(path, space="sd1", palette="ega16")
    assert loaded.indices(RAW).flatten().tolist() == GOLDEN["released"]["indices"]
    few = loaded.module.logits(RAW)[:, :4, ::3, ::2].flatten()
    torch.testing.assert_close(few, torch.tensor(GOLDEN["released"]["logits"]), atol=2e-3, rtol=1e-3)
    assert palette_of(loaded).hex[6] == "#aa5500"  # EGA's brown
    assert loaded.n_parameters == 122_384


def test_sizes() -> None:
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(PixelVae(4, 16)) == 122_384
    assert count(PixelVae(4, 55)) == 144_887
    for palette in (EGA, NES):
        ours = CellPalette(4, palette.colours)
        assert 2 * count(ours) < 290_000
        assert ours.receptive_cells > PixelVae(4, len(palette)).receptive_cells


def test_a_cell_network_begins_as_the_closed_form() -> None:
    latents, rgb = torch.randn(6, 4, 9, 9), torch.rand(6, 3, 9, 9)
    fitted = ChannelMap("3", censored=False).fit_arrays(latents, rgb, space="sd1")
    values = fitted.module_.coefficients
    network = CellPalette(4, NES.colours, 8, 1)
    network.set_skip(values[1:].T.reshape(-1, 4, 3, 3) / 2, values[0] / 2 + 0.5)
    ours, closed = palettized(network, NES, "sd1"), nearest_of(fitted.approximation(), NES)
    assert (ours.indices(latents) == closed.indices(latents)).float().mean() > 0.999
    assert closed.indices(latents).unique().numel() > 4


def test_the_closed_form_is_the_nearest_colour_in_oklab() -> None:
    fitted = ChannelMap("affine").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1")
    table, latents = fitted.approximation(), torch.randn(2, 4, 12, 7)
    closed = nearest_of(table, NES)
    assert torch.equal(closed.indices(latents), NES.nearest(table(latents)))
    assert torch.equal(closed(latents), NES.picture(closed.indices(latents)))
    assert closed.n_parameters == table.n_parameters
    with pytest.raises(PaletteError, match="expected a map to one colour a cell, got classes"):
        nearest_of(closed, EGA)
    with pytest.raises(PaletteError, match="got 8 pixels a cell"):
        nearest_of(lf.Approximation(nn.Identity(), "sd1", 8), EGA)


def test_indices_have_the_calls_promise() -> None:
    one = small()
    video = torch.randn(2, 4, 3, 5, 7)
    indices = one.indices(video)
    assert indices.shape == (2, 3, 5, 7)
    assert indices.dtype == torch.int64
    assert torch.equal(indices[:, 1], one.indices(video[:, :, 1]))
    assert torch.equal(EGA.picture(indices).movedim(2, 1), one(video))
    with pytest.raises(SpaceMismatchError, match="expected"):
        one.indices(torch.zeros(1, 16, 4, 4))
    with pytest.raises(PaletteError, match="gives colours, not classes"):
        lf.Approximation(nn.Conv2d(4, 3, 1), "sd1").indices(torch.zeros(1, 4, 4, 4))
    with pytest.raises(PaletteError, match="has no palette"):
        palette_of(lf.Approximation(nn.Conv2d(4, 3, 1), "sd1"))


def test_half_precision_gives_colours_of_the_palette() -> None:
    half = small()
    half.module.half()
    rgb = half(torch.randn(1, 4, 6, 6).half())
    assert rgb.dtype == torch.float16
    assert set(map(tuple, (rgb.float() * 255).round()[0].flatten(1).T.tolist())) <= set(
        map(tuple, EGA.colours.float().tolist())
    )


def test_a_file_carries_its_palette(tmp_path: Path) -> None:
    one = small(NES, dither="bayer-4")
    path = lf.save(one, tmp_path / "a.safetensors", dtype=torch.float16)
    again = load_approximation(path, palette="pico-8")  # ours hold theirs: it stays
    assert palette_of(again).to_dict() == NES.to_dict()
    assert read_card(path)["config"]["palette"]["colours"][:2] == ["#000000", "#fcfcfc"]
    latents = torch.randn(1, 4, 9, 8)
    assert (again.indices(latents) == one.indices(latents)).float().mean() > 0.9
    assert again.module.dither == "bayer-4"


def test_a_map_of_no_known_kind_is_not_saved_beside_a_palette(tmp_path: Path) -> None:
    for network in (nn.Conv2d(4, 16, 1), NearestColour(nn.Conv2d(4, 3, 1), EGA.colours)):
        with pytest.raises(BadFileError, match="save: expected a palettized"):
            lf.save(palettized(network, EGA, "sd1"), tmp_path / "a.safetensors")


@pytest.mark.parametrize("n_blocks", [1, 2])
def test_pixelvaes_files_are_recognised_and_ask_for_a_palette(n_blocks: int, tmp_path: Path) -> None:
    network, path = filled(PixelVae(4, 16, 12, n_blocks)), tmp_path / "decoder_rd.any.pt"
    torch.save(network.state_dict(), path)
    loaded = load_approximation(path, "sd1", EGA)
    assert torch.equal(loaded.module.logits(RAW), network(RAW))
    assert encoder_in(path) is None
    with pytest.raises(
        PaletteError, match=r"of 16 classes, .* name it with palette; bundled ones of 16 colours: .*ega16.*pico-8"
    ):
        lf.load(path, space="sd1")
    with pytest.raises(PaletteError, match="has 16 classes, palette 'nes' has 55 colours"):
        lf.load(path, space="sd1", palette="nes")
    with pytest.raises(BadFileError, match="does not say which latent space"):
        lf.load(path, palette="ega16")
    with pytest.raises(SpaceMismatchError, match="takes 4 channels, space 'flux1' has 16"):
        lf.load(path, space="flux1", palette="ega16")
    whole = network.state_dict()
    for broken, said in (
        ({key: tensor for key, tensor in whole.items() if key != "2.conv.2.bias"}, "differ at 2.conv.2.bias"),
        ({**whole, "0.weight": torch.zeros(3)}, "expected .* tensors by its keys"),
        ({**whole, f"{2 + n_blocks}.weight": torch.zeros(())}, f"differ at {2 + n_blocks}.weight"),
        ({**whole, "0.bias": torch.full((12,), float("nan"))}, "holds NaN"),
    ):
        torch.save(broken, path)
        with pytest.raises(BadFileError, match=said):
            lf.load(path, space="sd1", palette="ega16")


def test_weights_that_learned_raw_latents(tmp_path: Path) -> None:
    network, path = filled(PixelVae(4, 16, 8)), tmp_path / "own.pt"
    torch.save(network.state_dict(), path)
    model, raw = (lf.load(path, space="sd1", palette="ega16", domain=domain) for domain in ("model", "raw"))
    space, latents = lf.get_space("sd1"), torch.randn(1, 4, 5, 6)
    torch.testing.assert_close(raw.module.logits(latents), model.module.logits(space.to_raw(latents)))
    again = lf.load(lf.save(raw, tmp_path / "own.safetensors"))
    assert torch.equal(again.indices(latents), raw.indices(latents))
    with pytest.raises(BadFileError, match="expected domain 'model' or 'raw', got 'latent'"):
        lf.load(path, space="sd1", palette="ega16", domain="latent")


def test_dithering_gives_the_second_class_its_share_of_the_cells() -> None:
    class Shares(nn.Module):
        """Class 3 with 70 %, class 9 with 30 % everywhere."""

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            logits = torch.full((len(latents), 16, *latents.shape[-2:]), -20.0)
            logits[:, 3], logits[:, 9] = float(np.log(0.7)), float(np.log(0.3))
            return logits

    module = Palettized(Shares(), EGA.to_dict(), "bayer-4", bayer(4))
    indices = module.indices(torch.zeros(1, 4, 16, 20))
    assert set(indices.unique().tolist()) == {3, 9}
    assert (indices == 9).float().mean() == pytest.approx(5 / 16)  # 4.8 of 16 thresholds
    assert torch.equal(indices[:, :8], indices[:, 8:])


@pytest.mark.parametrize("dither", ["none", "bayer-8"])
def test_tiles_give_what_the_whole_gives(dither: str) -> None:
    one, latents = small(dither=dither), torch.randn(1, 4, 50, 41)
    assert torch.equal(indices_in_tiles(one, latents, 20), one.indices(latents))
    assert torch.equal(decode_in_tiles(one, latents, 20), one(latents))


def test_decode_writes_an_indexed_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = small(NES)
    path, latents = lf.save(one, tmp_path / "a.safetensors"), torch.randn(2, 4, 6, 5)
    write_latents(tmp_path / "x.latent", latents, one.space)
    arguments = ["decode", str(path), "--latents", str(tmp_path / "x.latent"), "--out", str(tmp_path / "y.png")]
    assert main([*arguments, "--enlarge", "3"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "y.png"), str(tmp_path / "y_1.png")]
    for name, wanted in zip(("y.png", "y_1.png"), one.indices(latents), strict=True):
        image = Image.open(io.BytesIO((tmp_path / name).read_bytes()))
        assert (image.mode, image.size) == ("P", (15, 18))
        assert np.array_equal(np.asarray(image)[1::3, 1::3], wanted.numpy())
        assert image.getpalette()[: 3 * 55] == NES.colours.flatten().tolist()


def test_decode_refuses_a_palette_that_would_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lf.save(small(NES), tmp_path / "a.safetensors")
    write_latents(tmp_path / "x.latent", torch.randn(1, 4, 6, 5), lf.get_space("sd1"))
    flags = ["--latents", str(tmp_path / "x.latent"), "--out", str(tmp_path / "y.png"), "--palette"]
    assert main(["decode", str(path), *flags, "ega16"]) == 2
    assert "holds its own palette, 'nes' of 55 colours" in capsys.readouterr().err
    assert main(["decode", str(data_path("models/sd1-cell.safetensors")), *flags, "ega16"]) == 2
    assert "gives colours, not classes of a palette" in capsys.readouterr().err
    assert not (tmp_path / "y.png").exists()
    assert main(["decode", str(path), *flags, "nes"]) == 0


def test_a_palettized_decoder_becomes_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = CellPalette(4, EGA.colours, 8, 1)
    nn.init.normal_(network.body[-1].weight)
    one, latents = palettized(network.eval(), EGA, "sd1"), torch.randn(2, 4, 9, 13)
    session = onnxruntime.InferenceSession(lf.export(one, "onnx", tmp_path / "a.onnx"))
    theirs = torch.from_numpy(session.run(None, {"latents": latents.numpy()})[0])
    assert ((theirs - one(latents)).abs() < 1e-6).all(1).float().mean() > 0.99
