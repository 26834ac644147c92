"""The command line between latent spaces: maps fitted, trained, told about, used and scored, and errors of one line."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import latentfit as lf
from latentfit.cli import main
from latentfit.images import save_png
from latentfit.latents import read_latents, write_latents
from latentfit.nets import Interposer, InterposerV4, ModelDomain

Capture = pytest.CaptureFixture[str]


def refused(arguments: list[str], capsys: Capture) -> str:
    """The one line that a command that cannot be done leaves on stderr."""
    capsys.readouterr()
    assert main(arguments) == 2
    lines = [line for line in re.split(r"[\r\n]", capsys.readouterr().err) if line and "%|" not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("latentfit: ")
    return lines[0]


@pytest.fixture(scope="module")
def across(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map from SD1 to SDXL, its numbers drawn."""
    torch.manual_seed(0)
    network = Interposer(4, 4, 8, 1, 3).eval()
    nn.init.normal_(network.body[-1].weight, std=0.1)
    card = {"form": "drawn", "train_hashes": ["a" * 64, "b" * 64]}
    path = tmp_path_factory.mktemp("maps") / "across.safetensors"
    return lf.save(lf.LatentMap(network, "sd1", "sdxl", name="across", card=card), path)


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(2, 4, 7, 9, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def latent_file(latents: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_latents(tmp_path_factory.mktemp("latents") / "x.latent", latents, lf.get_space("sd1"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("theirs") / "unnamed.safetensors"
    save_file(InterposerV4(width=8, n_blocks=1).state_dict(), path)
    return path


def test_convert_gives_the_map_s_latents(
    across: Path, latents: Tensor, latent_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "y.latent"
    assert main(["convert", str(latent_file), "--map", str(across), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == f"{out}: SDXL latents (2, 4, 7, 9)"
    made = read_latents(out, lf.get_space("sdxl")).latents
    torch.testing.assert_close(made, lf.load(across)(latents), atol=1e-5, rtol=1e-5)


def test_convert_with_another_projects_map(
    theirs: Path, latents: Tensor, latent_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "y.latent"
    command = ["convert", str(latent_file), "--map", str(theirs), "--out", str(out)]
    assert "name them with --source and --target" in refused(command, capsys)
    assert "gives 4 channels, space 'flux1' has 16" in refused(
        [*command, "--source", "sd1", "--target", "flux1"], capsys
    )
    assert main([*command, "--source", "sd1", "--target", "sdxl"]) == 0
    made = read_latents(out, lf.get_space("sdxl")).latents
    torch.testing.assert_close(made, lf.load(theirs, "sd1", target="sdxl")(latents), atol=1e-5, rtol=1e-5)


def test_what_cannot_be_converted(across: Path, latents: Tensor, tmp_path: Path, capsys: Capture) -> None:
    decoder = lf.save(lf.Approximation(_table(), "sd1", name="table"), tmp_path / "table.safetensors")
    good = write_latents(tmp_path / "x.latent", latents, lf.get_space("sd1"))
    wide = write_latents(tmp_path / "wide.latent", torch.randn(1, 16, 4, 4), lf.get_space("flux1"))
    broken = write_latents(tmp_path / "nan.latent", latents * float("nan"), lf.get_space("sd1"))
    huge = write_latents(tmp_path / "huge.latent", latents * 1e36, lf.get_space("sd1"))
    network = Interposer(4, 4, 8, 1, 1).set_skip(torch.full((4, 4, 1, 1), 1e4), torch.zeros(4))
    loud = lf.save(lf.LatentMap(network, "sd1", "sdxl"), tmp_path / "loud.safetensors")
    out = str(tmp_path / "y.latent")
    for given, one, said in (
        (good, decoder, "expected a map between latents, got one from SD1 latents to pictures"),
        (good, tmp_path / "none.safetensors", "no such file"),
        (tmp_path / "none.latent", across, "no such file"),
        (wide, across, "expected (N, 4, h, w)"),
        (broken, across, "holds NaN or Inf"),
        (huge, loud, "what it makes overflows"),
    ):
        assert said in refused(["convert", str(given), "--map", str(one), "--out", out], capsys)
    assert ".latent" in refused(["convert", str(good), "--map", str(across), "--out", str(tmp_path / "y.png")], capsys)
    assert not Path(out).exists()


@pytest.mark.parametrize("flags", [["--source", "sdxl"], ["--target", "sd1"], ["--source", "sdxl", "--target", "sd1"]])
def test_convert_believes_no_flag_against_the_file(
    flags: list[str], across: Path, latent_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "y.latent"
    command = ["convert", str(latent_file), "--map", str(across), "--out", str(out), *flags]
    assert f"{flags[0]} {flags[1]}: {across} leads from 'sd1' to 'sdxl'; leave that flag out" in refused(
        command, capsys
    )
    assert not out.exists()


def test_convert_writes_no_empty_latents(tmp_path: Path, capsys: Capture) -> None:
    halved = lf.save(
        lf.LatentMap(ModelDomain(InterposerV4(width=8, n_blocks=1, scale=0.5)), "sd1", "sd1", "1/2"),
        tmp_path / "halved.safetensors",
    )
    narrow = write_latents(tmp_path / "narrow.latent", torch.randn(1, 4, 1, 6), lf.get_space("sd1"))
    out = tmp_path / "y.latent"
    said = refused(["convert", str(narrow), "--map", str(halved), "--out", str(out)], capsys)
    assert "1x6 cells at scale 1/2 are less than one; give larger latents" in said
    assert not out.exists()


def test_a_map_between_latents_is_no_decoder(across: Path, latent_file: Path, tmp_path: Path, capsys: Capture) -> None:
    for command in (
        ["decode", str(across), "--latents", str(latent_file), "--out", str(tmp_path / "y.png")],
        ["export", str(across), "--to", "json", "--out", str(tmp_path / "y.json")],
    ):
        line = refused(command, capsys)
        assert "got one from SD1 latents to SDXL latents; carry latents over with it and decode those" in line
    assert not list(tmp_path.iterdir())


def test_a_report_says_why_a_map_between_latents_is_not_in_it(across: Path, tmp_path: Path, capsys: Capture) -> None:
    store, table = _store(tmp_path / "store", "mini-sd1"), tmp_path / "table.safetensors"
    lf.save(lf.ChannelMap("affine").fit(lf.PairStore(store)).approximation(), table)
    command = ["report", "--store", str(store), "--out", str(tmp_path / "r.html"), "--pictures", "1"]
    assert main([*command, str(table), str(across)]) == 0
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "across.safetensors" in page
    assert "carry latents over with" in page
    assert "none of 1 maps can be scored there" in refused([*command, str(across)], capsys)


def test_info_of_a_map_between_latents(across: Path, theirs: Path, capsys: Capture) -> None:
    assert main(["info", str(across)]) == 0
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert first.startswith("across: SD1 latents -> SDXL latents, scale 1, ")
    told = json.loads(rest)
    assert (told["space"]["name"], told["target"]["name"], told["kind"]) == ("sd1", "sdxl", "interposer")
    assert told["card"] == {"form": "drawn", "train_hashes": "2 pictures"}
    assert "name them with --space and --target" in refused(["info", str(theirs), "--space", "sd1"], capsys)
    assert main(["info", str(theirs), "--space", "sd1", "--target", "sdxl"]) == 0
    assert "unnamed: SD1 latents -> SDXL latents, scale 1, " in capsys.readouterr().out


def test_same_space_from_the_command_line(tmp_path: Path, capsys: Capture) -> None:
    _pictures(tmp_path / "in", 3)
    flags = ["--images", str(tmp_path / "in"), "--size", "64"]
    assert main(["same-space", "mini-sd1", "mini-sd1", *flags]) == 0
    said = capsys.readouterr().out
    assert ", 3 pictures, 192 cells" in said
    assert "One space: latents of either go into the other as they are." in said
    assert main(["same-space", "mini-sd1", "mini-flux1", *flags, "--limit", "2"]) == 0
    assert "Not one space: other numbers of channels" in capsys.readouterr().out
    assert "nothing of that name" in refused(["same-space", "mini-sd1", str(tmp_path / "x.safetensors")], capsys)
    (tmp_path / "empty").mkdir()
    line = refused(["same-space", "mini-sd1", "mini-sd1", "--images", str(tmp_path / "empty")], capsys)
    assert "holds no picture" in line


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The same pictures by two VAEs, 32 cells each way: what the presets' crops need."""
    folder = tmp_path_factory.mktemp("pairs")
    return str(_store(folder / "sd1", "mini-sd1", px=256)), str(_store(folder / "sdxl", "mini-sdxl", px=256))


VAES = ["--source-vae", "mini-sd1", "--target-vae", "mini-sdxl"]


def test_a_closed_form_between_latents_is_fitted_and_scored(
    stores: tuple[str, str], tmp_path: Path, capsys: Capture
) -> None:
    out, csv = str(tmp_path / "affine.safetensors"), str(tmp_path / "s.csv")
    between = ["--source", stores[0], "--target", stores[1]]
    assert main(["fit", *between, "--kernels", "affine", "--out", out]) == 0
    said = capsys.readouterr().out
    assert "affine.safetensors: affine, SD1 latents -> SDXL latents, scale 1, 20 numbers" in said
    assert re.search(r"\d+ pictures, \d+ cells, ridge ", said)
    assert main(["evaluate", out, *between, *VAES, "--csv", csv, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    n_test = len(lf.PairStore(stores[0]).split("test"))
    assert f"{n_test} pictures scored, {12 - n_test} left out" in said
    rows = [line.split()[0] for line in said.splitlines() if line.strip().startswith(("decode", "affine", "identity"))]
    assert rows[0] == "decode"
    assert set(rows) == {"decode", "affine", "identity"}
    frame = pd.read_csv(csv)
    pooled = frame[frame["image"] == "all"].set_index("map")
    assert pooled.loc["affine", "psnr"] > pooled.loc["identity", "psnr"]
    assert pooled.loc["decode → encode", "r2"] > 0.5
    line = refused(["evaluate", out, "--source", stores[1], "--target", stores[0], *VAES], capsys)
    assert "leads from sd1 to sdxl" in line or "for 'mini-sd1': expected 'sd1'" in line


def test_what_cannot_be_fitted_or_scored_between_latents(
    stores: tuple[str, str], across: Path, tmp_path: Path, capsys: Capture
) -> None:
    first, second = stores
    between = ["--source", first, "--target", second]
    out = ["--kernels", "affine", "--out", str(tmp_path / "x.safetensors")]
    one = ["evaluate", str(across)]
    for command, said in (
        (["fit", *out], "expected one pair store, or --source STORE --target STORE"),
        (["fit", first, *between, *out], "got both"),
        (["fit", "--source", first, *out], "expected --source and --target together"),
        (["fit", "--source", first, "--target", first, *out], "given as source and as target"),
        (["fit", *between, *out, "--scale", "2"], "between latents the stores decide"),
        (["fit", *between, *out, "--smoothing", "invokeai"], "between latents the stores decide"),
        (one, "expected one pair store, or --source STORE --target STORE"),
        ([*one, *between], "name the VAEs of the stores with --source-vae and --target-vae"),
        ([*one, *between, "--source-vae", "mini-sd1"], "name the VAEs of the stores"),
        ([*one, *between, "--source-vae", "mini-sd1", "--target-vae", "mini-sd1"], "for 'mini-sd1': expected 'sd1'"),
        ([*one, "--source", second, "--target", first, *reversed_vaes()], "leads from sd1 to sdxl at scale 1"),
        ([*one, *between, *VAES, "--csv", str(tmp_path / "x.txt")], ".csv"),
    ):
        assert said in refused(command, capsys), command
    assert not list(tmp_path.iterdir())


def reversed_vaes() -> list[str]:
    return ["--source-vae", "mini-sdxl", "--target-vae", "mini-sd1"]


def test_an_interposer_from_the_command_line(stores: tuple[str, str], tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "one.safetensors")
    train = ["train", "interposer", "--source", stores[0], "--target", stores[1], "--preset", "interposer-round"]
    quick = ["--images", "4", "--batch", "2", "--samples", "2", "--out", out]
    assert main([*train, *quick]) == 0
    said = capsys.readouterr().out
    assert "decoded losses look through sdxl-cell.safetensors, the bundled decoder" in said
    assert "one.safetensors: interposer-round, SD1 latents -> SDXL latents, " in said
    n_train = len(lf.PairStore(stores[0]).split("train"))  # the others are held out
    assert f"4 crops seen of {n_train} pairs" in said
    assert 0 < n_train < 12
    assert f"its inverse: {tmp_path / 'one_back.safetensors'}" in said
    assert f"use it: latentfit convert X.latent --map {out} --out Y.latent" in said
    assert {path.name for path in (tmp_path / "one.run" / "samples").iterdir()} == {"000000004.png"}
    evaluate = re.search(r"score it: latentfit (evaluate .*)", said)
    assert evaluate is not None
    command = evaluate[1].replace("--source-vae REF --target-vae REF", " ".join(VAES)).split()
    assert main(command) == 0
    table = capsys.readouterr().out
    assert re.search(r"map +r2 +l1 +psnr .*round", table)
    begun = ["--begin", out, "--out", str(tmp_path / "two"), "--images", "2", "--batch", "2"]
    assert main([*train, *begun, "--decoder", str(_models() / "sdxl-cell.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "decoded losses look through sdxl-cell.safetensors\n" in said
    assert lf.load(tmp_path / "two.safetensors").card["begun_from"]["form"] == "interposer-round"


def test_interposers_that_cannot_be_trained(
    stores: tuple[str, str], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "x.safetensors")
    base = ["train", "interposer", "--out", out]
    train = [*base, "--source", stores[0], "--target", stores[1]]
    decoder = str(_models() / "sd1-cell.safetensors")
    for command, said in (
        (
            [*train, "--preset", "interposer-fine"],
            "preset 'interposer-fine' goes on from a trained map; name it with --begin",
        ),
        (
            [*train, "--preset", "cell"],
            "preset 'cell': expected one of an interposer, got one of a decoder; train that",
        ),
        ([*train, "--preset", "interposer", "--decoder", decoder], "is of space 'sd1', the map leads to 'sdxl'"),
        ([*train, "--preset", "interposer-v4", "--decoder", decoder], "looks at no decoded pictures"),
        ([*train, "--preset", "interposer-v4", "--samples", "8"], "looks at no decoded pictures"),
        ([*train, "--preset", "interposer", "--begin", decoder], "expected a map between latents"),
        ([*train, "--preset", "interposer", "--begin", out], "no such file"),
        ([*base, "--source", stores[0], "--target", stores[0], "--preset", "interposer"], "given as source and as"),
        ([*base, "--source", stores[0], "--target", str(tmp_path), "--preset", "interposer"], "no pair store"),
    ):
        assert said in refused(command, capsys).replace("decoded losses look through", ""), command
    monkeypatch.setattr("latentfit.formats.bundled.data_path", lambda part: tmp_path / part)
    line = refused([*train, "--preset", "interposer"], capsys)
    assert "expected a decoder of SDXL, of which none is bundled; train one with" in line
    assert not list(tmp_path.glob("x.*"))


def _models() -> Path:
    from latentfit.runtime import data_path

    return data_path("models")


def _table() -> nn.Module:
    from latentfit.fit import PolynomialMap

    return PolynomialMap(4).set_coefficients(torch.zeros(5, 3))


def _pictures(folder: Path, n: int, px: int = 64) -> Path:
    """Blurred noise, drawn."""
    generator = torch.Generator().manual_seed(2)
    for index in range(n):
        small = torch.rand(1, 3, 6, 6, generator=generator)
        save_png(nn.functional.interpolate(small, (px, px), mode="bicubic")[0].clamp(0, 1), folder / f"{index:02}.png")
    return folder


def _store(folder: Path, vae: str, n: int = 12, px: int = 64) -> Path:
    source = folder.with_name("pictures")
    if not source.is_dir():
        _pictures(source, n, px)
    lf.collect(lf.Vae.load(vae, device="cpu"), source, folder, size=px, keep="rgb", progress=False)
    return folder
