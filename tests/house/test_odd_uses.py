"""What is said beside a file that the file contradicts, sizes past all use, and whole numbers in place of weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import BadFileError, ImageError, LatentfitError, NoPicturesError, SpaceMismatchError, StoreError
from latentfit.formats import read
from latentfit.images import pictures, save_png
from latentfit.latents import read_latents, write_latents
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.palettes import Palette
from latentfit.runtime import data_path
from tests.support.fake_vae import FakeVae

AFFINE = data_path("tables") / "sd1" / "affine.safetensors"
ACROSS = data_path("models") / "sd1-to-sdxl.safetensors"
CLASSES = data_path("models") / "sd1-ega16.safetensors"


@pytest.fixture
def latent(tmp_path: Path) -> Path:
    return write_latents(tmp_path / "x.latent", torch.randn(1, 4, 4, 6), lf.get_space("sd1"))


def refused(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    """The one line that a command says, which fails."""
    assert main(list(map(str, command))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("command", ["decode", "export", "info"])
@pytest.mark.parametrize(("said", "why"), [("sdxl", "is of 'sd1'; leave that flag out"), ("nope", "registered name")])
def test_a_space_that_a_file_contradicts_is_refused(
    command: str, said: str, why: str, latent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = {
        "decode": ["--latents", latent, "--out", tmp_path / "o.png"],
        "export": ["--to", "csv", "--out", tmp_path / "o.csv"],
        "info": [],
    }[command]
    assert why in refused(capsys, command, AFFINE, *rest, "--space", said)
    assert not list(tmp_path.glob("o.*"))
    assert main([command, str(AFFINE), *map(str, rest), "--space", "sd15"]) == 0


def test_info_refuses_what_a_file_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert "gives pictures, not latents of another space; leave --target out" in refused(
        capsys, "info", AFFINE, "--target", "sdxl"
    )
    assert "leave --palette out" in refused(capsys, "info", AFFINE, "--palette", "ega16")
    assert "is of 'sdxl'; leave that flag out" in refused(capsys, "info", ACROSS, "--target", "flux1")
    assert main(["info", str(ACROSS), "--space", "sd1", "--target", "sdxl"]) == 0


def test_export_refuses_a_palette_that_would_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "export", AFFINE, "--to", "csv", "--out", tmp_path / "o.csv", "--palette", "ega16")
    assert "gives colours, not classes of a palette" in line


@pytest.mark.parametrize("file", [AFFINE, CLASSES])
@pytest.mark.parametrize("times", [20_000, 10**20])
def test_a_picture_is_not_enlarged_past_what_a_viewer_opens(
    file: Path, times: int, latent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "decode", file, "--latents", latent, "--out", tmp_path / "o.png", "--enlarge", times)
    assert "a picture of 6×4 pixels: expected to enlarge it at most 3344 times, to 2^28 pixels" in line
    with pytest.raises(ImageError):
        save_png(torch.zeros(3, 2, 2), tmp_path / "o.png", 10**6)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bool, torch.float8_e8m0fnu])
def test_whole_numbers_are_no_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    pair = TinyEncoder(4, 8, n_blocks=(1, 0, 0, 1)), TinyDecoder(4, 8, n_blocks=(1, 0, 0, 1))
    for half, one in zip(("encoder", "decoder"), pair, strict=True):
        weights = {key: (tensor.abs() + 0.5).to(dtype) for key, tensor in one.state_dict().items()}
        save_file(weights, tmp_path / f"x_{half}.safetensors")
    with pytest.raises(BadFileError, match=r"expected (plain )?floating"):
        lf.load(tmp_path / "x_decoder.safetensors", "sd1")
    with pytest.raises(LatentfitError, match=r"expected (plain )?floating"):
        lf.Vae.load(str(tmp_path / "x"), space="sd1", device="cpu")


def test_whole_numbers_are_no_coefficients(tmp_path: Path) -> None:
    with safe_open(AFFINE, "pt") as file:
        metadata = file.metadata()
    whole = {key: tensor.mul(100).long() for key, tensor in load_file(AFFINE).items()}
    save_file(whole, tmp_path / "x.safetensors", metadata)
    with pytest.raises(BadFileError, match=r"'coefficients': expected floating numbers, got torch.int64"):
        lf.load(tmp_path / "x.safetensors")


def test_a_refused_pickle_is_told_without_advice_to_load_it_all_the_same(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(BadFileError, match="is no torch file of plain tensors") as caught:
        lf.load(tmp_path / "x.pt", "sd1")
    said = str(caught.value)
    assert "\x1b" not in said
    assert "can still be loaded" not in said
    assert "weights_only" not in said


def test_a_picture_with_a_line_break_in_its_name_is_skipped_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "x\n9 new, 0 skipped.png").write_bytes(b"none")
    Image.fromarray(np.full((32, 32, 3), 99, np.uint8)).save(folder / "good.png")
    lf.collect(FakeVae(), folder, tmp_path / "store", size=32, progress=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 new, 0 already there, 0 duplicates, 1 skipped"
    assert lines[1].startswith("  skipped x 9 new, 0 skipped.png: not a picture")
    assert len(lines) == 2


@pytest.mark.parametrize("how", [{"size": 10**20}, {"size": 1 << 16}, {"crops": 10**9}])
def test_sizes_past_all_use_are_refused_before_anything_is_collected(how: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"expected size <= 32768 and crops <= 4096"):
        lf.collect(FakeVae(), "charts", tmp_path / "store", progress=False, **how)  # type: ignore[arg-type]
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("flag", ["--size=99999999999999999999", "--crops=99999999999999999999", "--minutes=nan"])
def test_a_ladder_of_no_size_is_refused(flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "autofit", "--vae", tmp_path, "--out", tmp_path / "out", flag)
    assert "autofit: expected minutes > 0, crops >= 1 and size >= 1, at most" in line


def test_an_empty_name_is_not_the_folder_one_stands_in() -> None:
    with pytest.raises(NoPicturesError, match=r"got an empty one; name it, or '\.'"):
        pictures("")


def test_latents_with_channels_last_are_told_for_what_they_are(tmp_path: Path) -> None:
    torch.save(torch.zeros(1, 6, 8, 4), tmp_path / "x.pt")
    with pytest.raises(SpaceMismatchError, match=r"channels last.* Save them as \(N, C, h, w\)"):
        read_latents(tmp_path / "x.pt", lf.get_space("sd1"))


@pytest.mark.parametrize("text", ["[", "{}", "[" * 1000])
def test_an_error_of_a_table_names_its_file_once(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadFileError, match=r"write|anew") as caught:
        read(path, "json")
    assert str(caught.value).count(str(path)) == 1


def test_an_error_of_a_config_names_its_file_once(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("[" * 1000)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(LatentfitError, match="nested deeper than 32 levels") as caught:
        lf.Vae.load(str(tmp_path), device="cpu")
    assert str(caught.value).count(str(path)) == 1


GIMP = "GIMP Palette\nName: x\n#\n29 43 83 navy\n255 241 232\n"
JASC = "JASC-PAL\n0100\n{}\n29 43 83\n255 241 232\n"


@pytest.mark.parametrize("ending", ["gpl", "txt", "hex", "pal"])
@pytest.mark.parametrize("text", [GIMP, "\ufeff" + GIMP, JASC.format(2), JASC.format(6) + "0 0 0\n" * 4])
def test_a_palette_in_text_is_told_by_its_first_line(text: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_text(text, encoding="utf-8")
    assert Palette.load(path).hex == ["#1d2b53", "#fff1e8"]


def test_a_filled_up_palette_of_riff_has_its_colours(tmp_path: Path) -> None:
    entries = bytes([29, 43, 83, 0, 255, 241, 232, 0]) + bytes(4 * 14)
    body = b"PAL data" + (4 + len(entries)).to_bytes(4, "little") + b"\0\3" + (16).to_bytes(2, "little") + entries
    (tmp_path / "x.pal").write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert Palette.load(tmp_path / "x.pal").hex == ["#1d2b53", "#fff1e8"]


@pytest.mark.parametrize("command", ["decode", "convert", "upscale"])
def test_help_names_every_ending_of_latents_that_is_read(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    assert all(ending in said for ending in (".latent", ".pt", ".npy", ".npz", ".safetensors", ".bin", ".png"))
