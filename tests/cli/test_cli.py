"""The command line as scripts use it: exact flags, files, exit codes, and errors of one line that say what to do."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.cli import COMMANDS, main
from latentfit.formats import NAMES, bundled_tables
from latentfit.latents import write_latents
from latentfit.nets import PixelMlp
from tests.support.fake_vae import FakeVae

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for index in range(20):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((96, 80), Image.Resampling.BICUBIC).save(path / f"{index:02}.png")
    return path


@pytest.fixture(scope="module")
def store(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pairs") / "store"
    lf.collect(FakeVae(), photos, out, size=64, keep="photo", progress=False)
    return out


@pytest.fixture(scope="module")
def cells_only(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cells") / "store"
    lf.collect(FakeVae(), photos, out, size=64, keep="cells", progress=False)
    return out


@pytest.fixture(scope="module")
def fitted(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maps") / "affine.safetensors"
    assert main(["fit", str(store), "--kernels", "affine", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny diffusers AutoencoderKL of 5 channels: a space of its own."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vae") / "mine"
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    AutoencoderKL(block_out_channels=(4, 4), norm_num_groups=2, latent_channels=5, **blocks).save_pretrained(path)
    return path


def refused(arguments: list[str], capsys: Capture) -> str:
    """The one line that a command that cannot be done leaves on stderr."""
    assert main(arguments) == 2
    lines = [line for line in re.split(r"[\r\n]", capsys.readouterr().err) if line and "it/s" not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("latentfit: ")
    return lines[0]


def test_collect_writes_a_store_and_says_what_it_did(
    vae_folder: Path, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "store"
    command = ["collect", "--vae", str(vae_folder), "--images", str(photos), "--out", str(out), "--size", "32"]
    command += ["--keep", "photo", "--crops", "2", "--limit", "6", "--device", "cpu", "--dtype", "float32"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "12 new" in captured.out
    assert "12 samples of mine" in captured.out
    assert re.search(r"collect: 100%.*picture/s|collect: 100%.*s/picture", captured.err)  # rate and time left
    made = lf.PairStore(out)
    assert made.space.channels == 5
    assert {"latents", "cells", "rgb", "photo"} <= set(made.columns)
    assert main(command) == 0
    assert "0 new, 12 already there" in capsys.readouterr().out


def test_collect_by_module_in_a_process_of_its_own(vae_folder: Path, photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "latentfit", "collect", "--vae", str(vae_folder), "--images", str(photos)]
    command += ["--out", str(tmp_path / "store"), "--size", "32", "--keep", "cells", "--limit", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "3 new" in done.stdout
    assert set(lf.PairStore(tmp_path / "store").columns) == {"latents", "cells", "clipped"}


@pytest.mark.parametrize(
    ("form", "kernels", "intercept"),
    [
        ("linear", [1], False),
        ("affine", [1], True),
        ("quadratic", [1, 1], True),
        ("cubic", [1, 1, 1], True),
        ("3", [3], True),
        ("3,1", [3, 1], True),
    ],
)
def test_fit_takes_every_form(
    form: str, kernels: list[int], intercept: bool, store: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "map.safetensors"
    assert main(["fit", str(store), "--kernels", form, "--out", str(out)]) == 0
    card = lf.load(out).card
    assert (card["kernels"], card["intercept"], card["split"]) == (kernels, intercept, "train")
    assert re.search(r"\d+ pictures, \d+ cells, ridge .*condition .*residual", capsys.readouterr().out)


def test_fit_takes_scale_no_intercept_and_all_pictures(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "decoder"
    command = ["fit", str(store), "--kernels", "1", "--scale", "8", "--no-intercept", "--split", "all"]
    assert main([*command, "--no-censored", "--ridge", "0.5", "--out", str(out)]) == 0
    fitted = lf.load(out.with_suffix(".safetensors"))
    assert fitted.scale == 8
    assert (fitted.card["intercept"], fitted.card["censored"], fitted.card["ridge"]) == (False, False, 0.5)
    assert fitted.card["n_images"] == 20


def test_evaluate_scores_what_no_file_was_fitted_on(fitted: Path, store: Path, tmp_path: Path, capsys: Capture) -> None:
    other, table, scores = tmp_path / "3.safetensors", tmp_path / "affine.json", tmp_path / "scores.csv"
    assert main(["fit", str(store), "--kernels", "3", "--out", str(other)]) == 0
    assert main(["export", str(fitted), "--to", "json", "--out", str(table)]) == 0
    capsys.readouterr()
    files = [str(fitted), str(other), str(table)]
    assert main(["evaluate", *files, "--store", str(store), "--csv", str(scores)]) == 0
    captured = capsys.readouterr()
    n_test = len(lf.PairStore(store).split("test"))
    assert f"{n_test} pictures scored, {20 - n_test} left out" in captured.out
    assert "a fake VAE, standing in for nothing" in captured.out
    assert f"score {n_test}: 100%" in captured.err
    frame = pd.read_csv(scores)
    assert set(frame["approximation"]) == {
        "affine (affine.safetensors)",
        "3×3 affine",
        "affine (affine.json)",
    }
    assert {"vae", "photo"} == set(frame["reference"])
    pooled = frame.query("image == 'all' and kind == 'all' and reference == 'vae' and place == 'cells'")
    assert pooled.set_index("approximation")["psnr"].min() > 30  # the fake's decode is affine in its latents


def test_none_left_to_score_is_an_error(store: Path, tmp_path: Path, capsys: Capture) -> None:
    everything = str(tmp_path / "all.safetensors")
    assert main(["fit", str(store), "--kernels", "affine", "--split", "all", "--out", everything]) == 0
    capsys.readouterr()
    for command in (["evaluate", everything, "--store"], ["audit", everything, "--store"]):
        line = refused([*command, str(store)], capsys)
        assert "none of 20 pictures is left to score" in line


def test_audit_ranks_published_tables_with_ours(
    fitted: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    scores = tmp_path / "audit.csv"
    assert main(["audit", str(fitted), "--store", str(store), "--csv", str(scores)]) == 0
    captured = capsys.readouterr()
    n_test = len(lf.PairStore(store).split("test"))
    assert f"{n_test} pictures scored, {20 - n_test} left out" in captured.out
    assert f"score {n_test}: 100%" in captured.err
    frame = pd.read_csv(scores)
    assert {"published", "ours", "oracle"} == set(frame["origin"])
    assert {"comfyui/SD15", "ours: affine", "oracle: affine"} <= set(frame["approximation"])
    assert "no table is called unsuited or wrong on so few pictures" in captured.out
    assert frame["verdict"].isna().all()
    again = tmp_path / "again.safetensors"
    again.write_bytes(fitted.read_bytes())
    assert main(["audit", str(fitted), str(again), "--store", str(store), "--csv", str(scores)]) == 0
    told = {f"ours: affine ({path.name})" for path in (fitted, again)}
    assert told <= set(pd.read_csv(scores)["approximation"])
    linear = next(path for path in bundled_tables("sd1") if path.stem == "linear")
    at = "latentfit.formats.bundled.bundled_tables"
    monkeypatch.setattr(at, lambda space: [linear] if space == "sd1" else [])  # all take seconds
    assert main(["audit", "--store", str(store)]) == 0
    assert "ours: linear" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_export_to_every_name(name: str, store: Path, tmp_path: Path, capsys: Capture) -> None:
    source, out = str(tmp_path / "linear.safetensors"), tmp_path / "exported"
    assert main(["fit", str(store), "--kernels", "linear", "--out", source]) == 0
    out = out.with_suffix(".safetensors") if name == "safetensors" else out
    assert main(["export", source, "--to", name, "--out", str(out)]) == 0
    assert out.stat().st_size > 100
    assert capsys.readouterr().out.strip().endswith(str(out))


def test_export_where_the_bias_is_dropped(fitted: Path, store: Path, tmp_path: Path, capsys: Capture) -> None:
    out, linear = tmp_path / "a1111.py", tmp_path / "linear.safetensors"
    assert "drops the bias" in refused(["export", str(fitted), "--to", "a1111", "--out", str(out)], capsys)
    assert not out.exists()
    assert main(["fit", str(store), "--kernels", "linear", "--out", str(linear)]) == 0
    command = ["export", str(fitted), "--to", "a1111", "--out", str(out), "--bias-free", str(linear)]
    assert main(command) == 0
    assert out.is_file()


def test_decode_gives_the_map_s_pixels(fitted: Path, tmp_path: Path, capsys: Capture) -> None:
    approximation = lf.load(fitted)
    latents = torch.randn(2, 4, 6, 5)
    source = write_latents(tmp_path / "two.latent", latents, lf.get_space("sd1"))
    command = ["decode", str(fitted), "--latents", str(source), "--out", str(tmp_path / "y.png")]
    assert main(command) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "y.png"), str(tmp_path / "y_1.png")]
    for index, name in enumerate(("y.png", "y_1.png")):
        with Image.open(tmp_path / name) as picture:
            shown = np.asarray(picture).astype(float)
        expected = approximation(latents)[index].permute(1, 2, 0).numpy() * 255
        assert shown.shape == (6, 5, 3)
        assert np.abs(shown - expected).max() <= 0.51
    assert main([*command, "--enlarge", "4"]) == 0
    with Image.open(tmp_path / "y.png") as picture:
        assert picture.size == (20, 24)


def test_info_of_a_map_a_table_and_a_store(fitted: Path, store: Path, tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "table.json"
    assert main(["export", str(fitted), "--to", "json", "--out", str(table)]) == 0
    capsys.readouterr()
    for path in (fitted, table):
        assert main(["info", str(path)]) == 0
        first, _, rest = capsys.readouterr().out.partition("\n")
        assert first == "affine: SD1 latents -> rgb, scale 1, 15 numbers"
        assert json.loads(rest)["card"]["train_hashes"].endswith("pictures")
    assert main(["info", str(store)]) == 0
    out = capsys.readouterr().out
    assert "sd1 (4 channels, 8 px a cell)" in out
    assert "20 of 20 pictures at 64 px" in out


BAD_MAPS = {
    "missing.safetensors": None,
    "short.safetensors": b"\x10\x00",
    "other.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
    "corrupt.json": b'{"format": "latentfit-ta',
    "list.json": b"[1, 2]",
    "binary.json": b"\xff\xfe\x00\x81",
    "map.pt": b"PK\x03\x04",
    "no_ending": b"x",
}


@pytest.mark.parametrize("name", BAD_MAPS)
@pytest.mark.parametrize("command", ["evaluate", "audit", "export", "decode", "info"])
def test_a_bad_map_is_one_line_that_names_it(
    command: str, name: str, store: Path, tmp_path: Path, capsys: Capture
) -> None:
    content, path = BAD_MAPS[name], tmp_path / name
    if content is not None:
        path.write_bytes(content)
    rest = {
        "evaluate": ["--store", str(store)],
        "audit": ["--store", str(store)],
        "export": ["--to", "json", "--out", str(tmp_path / "out")],
        "decode": ["--latents", str(tmp_path / "x.latent"), "--out", str(tmp_path / "out.png")],
        "info": [],
    }
    assert name in refused([command, str(path), *rest[command]], capsys)


def test_a_table_whose_numbers_do_not_fit(fitted: Path, tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "table.json"
    assert main(["export", str(fitted), "--to", "json", "--out", str(table)]) == 0
    good = json.loads(table.read_text("utf-8"))
    for change in (
        {"coefficients": [[1, 2], [3]]},
        {"coefficients": [[1, 2, 3]]},
        {"coefficients": "many"},
        {"config": {}},
        {"config": {**good["config"], "n_channels": 9}},
        {"space": {"name": "sd1"}},
    ):
        table.write_text(json.dumps({**good, **change}), "utf-8")
        assert "table.json" in refused(["info", str(table)], capsys), change


def test_folders_and_files_where_the_other_belongs(fitted: Path, store: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "got a folder" in refused(["evaluate", str(store), "--store", str(store)], capsys)
    assert "no pair store" in refused(["evaluate", str(fitted), "--store", str(fitted)], capsys)
    assert "no pair store" in refused(["fit", str(tmp_path), "--kernels", "3", "--out", str(tmp_path / "x")], capsys)
    assert "no pair store" in refused(["info", str(tmp_path)], capsys)
    collect = ["collect", "--vae", "x", "--out", str(fitted)]
    assert "expected a folder" in refused(collect, capsys)
    assert "expected a folder" in refused(["autofit", "--vae", "x", "--out", str(fitted)], capsys)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    fitted: Path, store: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("in the way")
    below, folder = str(tmp_path / "file/map.safetensors"), str(tmp_path)
    fit = ["fit", str(store), "--kernels", "cubic", "--out"]
    export = ["export", str(fitted), "--to", "csv", "--out"]
    for command in (fit, export, ["evaluate", str(fitted), "--store", str(store), "--csv"]):
        assert "cannot be written" in refused([*command, below], capsys)
        assert "got a folder" in refused([*command, folder], capsys)
    assert "--out" in refused(["collect", "--vae", "x", "--out", str(tmp_path / "file")], capsys)
    assert ".safetensors" in refused([*fit, str(tmp_path / "map.json")], capsys)
    decode = ["decode", str(fitted), "--latents", "x.latent", "--out", str(tmp_path / "y.jpg")]
    assert ".png" in refused(decode, capsys)
    assert not list(tmp_path.glob("map*"))


def test_latents_that_do_not_fit(fitted: Path, tmp_path: Path, capsys: Capture) -> None:
    wrong = write_latents(tmp_path / "wrong.latent", torch.zeros(1, 16, 4, 4), lf.get_space("flux1"))
    command = ["decode", str(fitted), "--out", str(tmp_path / "y.png"), "--latents"]
    assert "expected (N, 4, h, w)" in refused([*command, str(wrong)], capsys)
    assert "no such file" in refused([*command, str(tmp_path / "none.latent")], capsys)
    assert "expected 1 or more" in refused([*command, str(wrong), "--enlarge", "0"], capsys)
    assert not (tmp_path / "y.png").exists()


def test_forms_names_and_stores_that_do_not_fit(
    fitted: Path, store: Path, cells_only: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = str(tmp_path / "map.safetensors")
    assert "cubic" in refused(["fit", str(store), "--kernels", "quartic", "--out", out], capsys)
    assert "odd sides" in refused(["fit", str(store), "--kernels", "4", "--out", out], capsys)
    line = refused(["export", str(fitted), "--to", "comfi", "--out", str(tmp_path / "x")], capsys)
    assert all(name in line for name in NAMES)
    assert "--keep rgb" in refused(["fit", str(cells_only), "--kernels", "1", "--scale", "8", "--out", out], capsys)


def test_images_and_vaes_that_are_not_there(vae_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "store")
    collect = ["collect", "--vae", str(vae_folder), "--out", out, "--images"]
    assert "no such folder" in refused([*collect, str(tmp_path / "none")], capsys)
    (tmp_path / "empty").mkdir()
    assert "holds no picture" in refused([*collect, str(tmp_path / "empty")], capsys)
    for command in ("collect", "autofit"):
        nowhere = str(tmp_path / "nothing.safetensors")
        assert "nothing of that name" in refused([command, "--vae", nowhere, "--out", out], capsys)


def test_a_single_file_of_several_spaces_asks_for_space(tmp_path: Path, capsys: Capture) -> None:
    """SD1's and SDXL's VAEs have the same keys and shapes; zeros of half precision stand in for them."""
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file

    with torch.device("meta"):
        model = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
    weights = {key: torch.zeros(value.shape, dtype=torch.float8_e4m3fn) for key, value in model.state_dict().items()}
    save_file(weights, tmp_path / "unnamed.safetensors")
    vae, out = str(tmp_path / "unnamed.safetensors"), str(tmp_path / "out")
    line = refused(["autofit", "--vae", vae, "--out", out], capsys)
    assert "--space sd" in line
    assert "sdxl" in line


KINDS = ("decoder", "encoder", "palette", "interposer", "vae")


@pytest.mark.parametrize("command", ["", *COMMANDS, *(f"train {kind}" for kind in KINDS)])
def test_help_is_for_people(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "{None}" not in text
    assert "--config" not in text
    if not command:
        assert all(name in text for name in COMMANDS)
    if command == "export":
        assert all(name in text for name in NAMES)
    flags = {
        "autofit": "--vae REF --out DIR --images --space --size --minutes --crops --device --dtype",
        "collect": "--vae REF --out STORE --images --space --size --keep --crops --limit --device --dtype",
        "fit": "STORE --kernels FORM --out FILE --source --target --scale --no-intercept --split",
        "evaluate": "FILE... --store STORE --source --target --source-vae --target-vae --csv",
        "train": " ".join(KINDS),
        "train decoder": "--store STORE --preset NAME --out FILE --images --batch --begin --device",
        "train encoder": "--store STORE --preset NAME --out FILE --images --batch --begin --device",
        "train palette": "--store --palette NAME --preset NAME --out FILE --method --dither --images --begin",
        "train interposer": "--source STORE --target STORE --preset NAME --out FILE --decoder --images --begin",
        "train vae": "--pictures DIR... --preset NAME --out FILE --images --batch --begin --split",
        "convert": "LATENT --map FILE --out FILE --source --target",
        "same-space": "VAE_A VAE_B --images --size",
        "audit": "--store STORE --csv",
        "export": "FILE --to NAME --out",
        "decode": "FILE --latents --out",
        "info": "FILE",
        "calibrations": "NAME --to --out list,export,merge,delete",
    }
    assert all(flag in text for flag in flags.get(command, "").split())
    others = {"train decoder": "--palette --source --folder", "train interposer": "--store --palette --vae"}
    assert not any(flag in text for flag in others.get(command, "").split())


@pytest.mark.parametrize(
    "arguments", [[], ["fit"], ["evaluate", "--stor", "x"], ["nonsense"], ["collect", "--keep", "all", "--vae", "x"]]
)
def test_flags_that_do_not_exist_are_exit_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_is_quick_and_a_closed_pipe_is_no_error(fitted: Path) -> None:
    code = "import sys, latentfit.cli.commands; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    command = f'"{sys.executable}" -m latentfit info "{fitted}" | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_json_table_that_means_something_else_is_refused(fitted: Path, tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "affine.json"
    assert main(["export", str(fitted), "--to", "json", "--out", str(table)]) == 0
    document = json.loads(table.read_text("utf-8"))
    changes: list[tuple[str, object, str]] = [
        ("terms", document["terms"][::-1], "terms: expected"),
        ("outputs", ["B", "G", "R"], "outputs: expected"),
        ("domain", "raw", 'domain: expected "model", got "raw"'),
        ("output_range", [0, 1], "output_range: expected [-1, 1], got [0, 1]"),
        ("borders", "zeros", "borders: expected"),
        ("coefficients", [[float("nan")] * 3, *document["coefficients"][1:]], "NaN or Inf"),
    ]
    for key, value, said in changes:
        table.write_text(json.dumps({**document, key: value}))
        assert said in refused(["info", str(table)], capsys)


def test_small_refusals(store: Path, vae_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "x.safetensors")
    for scale in ("0", "16"):
        line = refused(["fit", str(store), "--kernels", "3", "--scale", scale, "--out", out], capsys)
        assert f"scale: expected 1 to 8 pixels a cell, which the store's pictures have, got {scale}" in line
    collect = ["collect", "--vae", str(vae_folder), "--out", str(tmp_path / "s"), "--images", "charts", "--device"]
    if not torch.accelerator.is_available():
        assert "expected one of auto, cpu" in refused([*collect, "cuda"], capsys)
        assert "expected one of auto, cpu" in refused([*collect, "mps"], capsys)
    assert main(["fit", str(store), "--kernels", "cubic", "--out", out]) == 0
    capsys.readouterr()
    latents = write_latents(tmp_path / "big.latent", torch.randn(1, 4, 4, 4) * 1e30, lf.get_space("sd1"))
    assert "its colours overflow" in refused(
        ["decode", out, "--latents", str(latents), "--out", str(tmp_path / "y.png")], capsys
    )
    assert not (tmp_path / "y.png").exists()


def test_another_projects_decoder_needs_its_space(tmp_path: Path, capsys: Capture) -> None:
    torch.save(PixelMlp(4).state_dict(), tmp_path / "mlp.pt")
    assert "name it with --space" in refused(["info", str(tmp_path / "mlp.pt")], capsys)
    assert main(["info", str(tmp_path / "mlp.pt"), "--space", "sd1"]) == 0
    assert "255 numbers" in capsys.readouterr().out
