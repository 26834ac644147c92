"""What latents are read as, and what speaks against it: raw or model domain, one space or another, picture or video."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import DomainError, NoPicturesError, SpaceMismatchError
from latentfit.images import crop_to_cells, pictures, rgb_tensor
from latentfit.latents import (
    Doubt,
    Estimate,
    doubt_of,
    list_spaces,
    open_latents,
    read_latents,
    write_latent_png,
    write_latents,
)
from latentfit.runtime import data_path
from tests.support.paths import GOLDEN

SD1_MODEL, QWEN, SD3 = (GOLDEN / name for name in ("sd1_model_domain.pt", "qwen.latent", "sd3.latent"))
SD1_MAP = data_path("models") / "sd1-cell.safetensors"
FLUX_MAP = data_path("tables") / "flux1" / "affine.safetensors"


def of_photograph(vae: str, space: str, index: int = 0) -> Tensor:
    picture = pictures("photographs")[index].load()[0]
    return lf.Vae.load(vae, space=space, device="cpu").encode(rgb_tensor(crop_to_cells(picture, 192, 8)[0]))


def told(latents: Tensor, space: str, domain: str = "raw") -> Doubt | None:
    return doubt_of(latents, lf.get_space(space), domain)  # type: ignore[arg-type]


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.filterwarnings("default")
def test_decode_takes_the_domain_and_gives_the_picture_of_the_raw_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write_latents(tmp_path / "raw.latent", torch.load(SD1_MODEL, weights_only=True), lf.get_space("sd1"))
    command = ["decode", str(SD1_MAP), "--latents"]
    assert main([*command, str(raw), "--out", str(tmp_path / "raw.png")]) == 0
    assert main([*command, str(SD1_MODEL), "--domain", "model", "--out", str(tmp_path / "model.png")]) == 0
    assert capsys.readouterr().err == ""
    assert np.abs(pixels_of(tmp_path / "model.png") - pixels_of(tmp_path / "raw.png")).max() <= 1
    assert main([*command, str(SD1_MODEL), "--out", str(tmp_path / "grey.png")]) == 0
    said = capsys.readouterr().err
    assert "read as raw latents of SD1, but by their spread likelier latents in the model domain" in said
    assert said.rstrip().endswith("if so, pass --domain model")
    assert main([*command, str(raw), "--domain", "model", "--out", str(tmp_path / "wrong.png")]) == 0
    assert "likelier raw latents; if so, pass --domain raw" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_convert_and_upscale_take_the_domain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latents = torch.load(SD1_MODEL, weights_only=True)[..., :24, :24].contiguous()
    torch.save(latents.half(), tmp_path / "model.pt")
    write_latents(tmp_path / "raw.latent", latents, lf.get_space("sd1"))
    commands = {
        "convert": (["--map", str(data_path("models") / "sd1-to-sdxl.safetensors")], "sdxl"),
        "upscale": (["--space", "sd1"], "sd1"),
    }
    for name, (flags, space) in commands.items():
        made = {}
        for file, domain in (("raw.latent", []), ("model.pt", ["--domain", "model"])):
            out = tmp_path / f"{name}-{file}.latent"
            assert main([name, str(tmp_path / file), "--out", str(out), *flags, *domain]) == 0
            made[file] = open_latents(out, lf.get_space(space)).latents
        assert capsys.readouterr().err == ""
        torch.testing.assert_close(made["raw.latent"], made["model.pt"], atol=0.02, rtol=0)
        assert main([name, str(tmp_path / "model.pt"), "--out", str(tmp_path / "o.latent"), *flags]) == 0
        assert "pass --domain model" in capsys.readouterr().err


def test_reading_in_python_warns_and_takes_the_domain(tmp_path: Path) -> None:
    space = lf.get_space("sd1")
    stored = torch.load(SD1_MODEL, weights_only=True)
    with pytest.warns(UserWarning, match=r"likelier latents in the model domain .*; if so, pass domain='model'"):
        file = read_latents(SD1_MODEL, space)
    torch.testing.assert_close(file.latents, space.to_model(stored))
    assert torch.equal(read_latents(SD1_MODEL, space, "model").latents, stored)
    np.save(tmp_path / "batch.npy", torch.cat([stored, stored.flip(-1)]).numpy())
    assert open_latents(tmp_path / "batch.npy", space).doubt is not None
    assert read_latents(tmp_path / "batch.npy", space, "model").latents.shape[0] == 2
    torch.save(space.to_raw(stored), tmp_path / "raw.pt")
    with pytest.warns(UserWarning, match="likelier raw latents; if so, pass domain='raw'"):
        read_latents(tmp_path / "raw.pt", space, "model")


def test_files_that_say_their_domain(tmp_path: Path) -> None:
    space, latents = lf.get_space("sd1"), torch.load(SD1_MODEL, weights_only=True)
    png = write_latent_png(tmp_path / "x.png", latents)
    assert read_latents(png, space).doubt is None
    with pytest.raises(DomainError, match="holds latents in the model domain, never raw"):
        read_latents(png, space, "raw")
    wrong = write_latents(tmp_path / "x.latent", space.to_model(latents), space)  # a .latent of the model domain
    assert (doubt := open_latents(wrong, space).doubt) is not None
    assert (doubt.kind, doubt.domain) == ("domain", "model")
    estimate = Estimate("0" * 64, 0, 0, 4, 999.0, 14.6, "ve")
    recorded = write_latents(tmp_path / "e.latent", space.to_model(latents), space, estimate.to_metadata())
    assert open_latents(recorded, space).doubt is None


@pytest.mark.filterwarnings("default")
def test_five_dimensions_name_the_spaces_that_have_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(FLUX_MAP), "--latents", str(QWEN), "--out", str(tmp_path / "x.png")]) == 0
    said = capsys.readouterr().err
    assert "of five dimensions" in said
    assert "read as FLUX.1 latents, which have four" in said
    for space in list_spaces():
        named = f" {space.name}" in said
        assert named == (space.dims == 3 and space.channels == 16), space.name
    assert "Qwen-Image" in said
    assert told(torch.randn(1, 16, 3, 8, 8), "sd3") is not None
    assert told(torch.randn(1, 16, 1, 8, 8), "wan21") is None
    assert told(torch.randn(1, 4, 8, 8, 8), "sd1") is None  # AnimateDiff's: no space of video has four channels
    assert told(torch.randn(1, 32, 1, 8, 8), "sana_dcae").spaces[0].name == "hunyuan_video15"  # type: ignore[union-attr]


@pytest.mark.filterwarnings("default")
def test_a_latent_of_sd3_with_a_map_of_flux1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(FLUX_MAP), "--latents", str(SD3), "--out", str(tmp_path / "x.png")]) == 0
    said = capsys.readouterr().err
    assert "read as FLUX.1 latents, but by their statistics likelier SD3 latents; if so, take a map of sd3" in said
    assert open_latents(SD3, lf.get_space("sd3")).doubt is None
    stored = open_latents(SD3, lf.get_space("sd3")).latents
    np.save(tmp_path / "model.npy", stored.numpy().astype(np.float16))
    assert (
        main(["decode", str(FLUX_MAP), "--latents", str(tmp_path / "model.npy"), "--out", str(tmp_path / "y.png")]) == 0
    )
    said = capsys.readouterr().err
    assert "likelier SD3 latents, latents in the model domain" in said
    assert "take a map of sd3 and pass --domain model" in said


def test_nothing_is_said_of_what_nothing_can_be_told_of() -> None:
    generator = torch.Generator().manual_seed(0)
    for space in list_spaces():
        channels = (1, space.channels, 1, 1)
        constants = [torch.zeros(channels), torch.ones(channels), torch.randn(channels, generator=generator)]
        for constant in constants:
            for domain in ("raw", "model"):
                for times in (1.0, 0.18, 5.5):
                    latents = times * constant.expand(-1, -1, 32, 32)
                    assert told(latents, space.name, domain) is None, (space.name, domain, times)
        noise = torch.randn(1, space.channels, 32, 32, generator=generator)
        assert told(noise, space.name) is None, space.name
        assert told(noise[..., :4, :4], space.name) is None, space.name
    tiny = torch.load(SD1_MODEL, weights_only=True)[..., :12, :12]
    assert told(lf.get_space("sd1").to_model(tiny), "sd1") is None


@pytest.mark.parametrize("space", ["sd_x4", "ming_image", "eq_sdxl", "qwen_image21"])
def test_where_no_statistics_are_known_a_plain_spread_tells(space: str) -> None:
    known = lf.get_space(space)
    stored = torch.randn(1, known.channels, 24, 24, generator=torch.Generator().manual_seed(1))
    found = told(known.to_model(stored), space)
    assert found is not None
    assert (found.kind, found.domain) == ("domain", "model")
    assert told(stored, space) is None
    assert told(stored, space, "model") is None


def test_collect_leaves_out_what_would_poison_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vae, folder, space = lf.Vae.load("mini-sd1", device="cpu"), tmp_path / "latents", lf.get_space("sd1")
    folder.mkdir()
    good = torch.load(SD1_MODEL, weights_only=True)[..., :20, :20].contiguous()
    write_latents(folder / "good.latent", good, space)
    torch.save(good.flip(-1), folder / "model.pt")
    xl = of_photograph("mini-sdxl", "sdxl")[..., :20, :20].contiguous()
    write_latents(folder / "xl.latent", xl, lf.get_space("sdxl"))
    store = lf.collect(vae, folder, tmp_path / "a", keep="cells", progress=False)
    assert [sample.name for sample in store.samples] == ["good.latent"]
    said = capsys.readouterr().out
    assert "1 new, 0 already there, 0 duplicates, 2 skipped" in said
    assert "skipped model.pt: read as raw latents of SD1, but by their spread likelier latents in the model" in said
    assert "skipped xl.latent: read as SD1 latents, but by their statistics likelier SDXL" in said
    for name in ("good.latent", "xl.latent"):
        (folder / name).unlink()
    with pytest.raises(NoPicturesError):
        lf.collect(vae, folder, tmp_path / "b", keep="cells", progress=False)
    told_so = lf.collect(vae, folder, tmp_path / "b", keep="cells", domain="model", progress=False)
    torch.testing.assert_close(told_so.sample("model.pt").latents, good.flip(-1), atol=2e-3, rtol=0)
    capsys.readouterr()
    poisoned = lf.collect(vae, folder, tmp_path / "c", keep="cells", domain="raw", progress=False)
    assert len(poisoned) == 1
    said = capsys.readouterr().out
    assert "0 skipped, 1 noted" in said
    assert "noted model.pt: read as raw latents of SD1" in said


def test_packed_tokens_are_told_for_what_they_are(tmp_path: Path) -> None:
    torch.save(torch.randn(1, 64, 64), tmp_path / "tokens.pt")
    with pytest.raises(SpaceMismatchError, match=r"packed tokens .*_unpack_latents"):
        read_latents(tmp_path / "tokens.pt", lf.get_space("flux1"))


@pytest.mark.parametrize("name", ["flux2", "ltxv"])
def test_where_the_vae_normalises_raw_and_model_are_the_same(name: str, tmp_path: Path) -> None:
    space = lf.get_space(name)
    latents = torch.randn(1, space.channels, 6, 8)
    np.save(tmp_path / "x.npy", latents.numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read_latents(tmp_path / "x.npy", space, "raw").latents, latents)
        assert torch.equal(read_latents(tmp_path / "x.npy", space, "model").latents, latents)
