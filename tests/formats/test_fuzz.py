"""Files changed at random: read, or refused in one line by an error of this package, in bounded memory."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_bytes

import latentfit as lf
from latentfit import formats as dialects
from latentfit.errors import BadFileError, LatentfitError, TrainError
from latentfit.fit import PolynomialMap
from latentfit.formats import read_card
from latentfit.latents import LatentSpace
from latentfit.maps import as_scale
from latentfit.palettes import Palette
from latentfit.runtime import data_path, parse_json
from latentfit.train import load_state
from latentfit.vae import Vae
from tests.support.paths import ROOT, environment

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the bound on memory is Linux's")


@LINUX
def test_three_hundred_mutations_of_every_kind_of_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.fuzzing", "330", "7"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-6000:]
    found = re.search(r"(\d+) broke of 330", done.stdout)
    assert found is not None
    assert found[1] == "0"
    assert done.stdout.count(": refused'") == 11  # every kind was tried, and told apart what is broken


@pytest.fixture
def header() -> dict[str, Any]:
    return {
        "schema": "latentfit/1",
        "kind": "polynomial",
        "config": {"n_channels": 4, "kernels": [1]},
        "name": "affine",
        "scale": "1",
        "card": {"n_images": 3, "train_hashes": ["ab" * 32]},
        "space": lf.get_space("sd1").to_dict(),
    }


def written(path: Path, header: object, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    said = header if isinstance(header, str) else json.dumps(header)
    path.write_bytes(to_bytes(tensors or {"coefficients": torch.zeros(5, 3)}, {"latentfit": said}))
    return path


WRONG: list[tuple[str, Any, str]] = [
    ("name", ["a", "list"], "name: expected text, got ['a', 'list']"),
    ("name", 7, "name: expected text, got 7"),
    ("scale", "1e999999999", "scale: expected a positive number"),
    ("scale", "1/0", "scale: expected a positive number"),
    ("scale", 0, "scale: expected a factor from 1/64 to 64, got 0"),
    ("scale", 1e9, "scale: expected"),
    ("kind", ["cell"], "kind: expected one of"),
    ("config", [], "config: expected a mapping"),
    ("config.n_channels", "4", "config.n_channels: expected a whole number from 1 to 4096, got '4'"),
    ("config.n_channels", -4, "config.n_channels: expected a whole number from 1 to 4096, got -4"),
    ("config.n_channels", True, "config.n_channels: expected a whole number"),
    ("config.n_channels", 16, "its network takes 16 channels, its space 'sd1' has 4"),
    ("config.kernels", [101], "config.kernels[0]: expected an odd number from 1 to 31, got 101"),
    ("config.kernels", [31, 31, 31, 31], "coefficients are more than"),
    ("config.kernels", "3", "config.kernels: expected a list of 1 to 8"),
    ("config.scale", 10**9, "config.scale: expected a whole number from 1 to 64"),
    ("config.width", 3, "config: has an unknown field 'width'"),
    ("config.target", "rgbx", "config.target: expected one of 'rgb', 'latents'"),
    ("config.smoothing", [[1, 2], [3]], "config.smoothing: expected a list of 3"),
    ("card", None, "card: expected a mapping"),
    ("card.n_images", "three", "card.n_images: expected a whole number"),
    ("card.reference", {}, "card.reference: expected text"),
    ("card.train_hashes", "ab", "card.train_hashes: expected a list"),
    ("card.train_hashes", [3], "card.train_hashes[0]: expected hexadecimal digits"),
    ("card.kernels", [101], "card.kernels[0]: expected an odd number"),
    ("card.scores", [{"kind": "all", "psnr": "x"}], "card.scores[0].psnr: expected a number"),
    ("space.channels", -1, "space.channels: expected a whole number"),
    ("space.scale", [0.0], "space.scale[0]: expected a number"),
    ("space.scale", [1.0, 2.0], "space.scale: expected 1 or 4 numbers"),
    ("space.cell_px", 8.0, "space.cell_px: expected a whole number"),
    ("space.name", [], "space.name: expected text"),
    ("space.channels", 5, "takes 4 channels, its space 'sd1' has 5"),
    ("target", lf.get_space("flux1").to_dict(), "its network gives pictures, its header says otherwise"),
    ("any_factor", True, "is not of any factor"),
    ("domain", {"scale_in": [0.0]}, "domain.scale_in[0]: expected a number"),
]


@pytest.mark.parametrize(("where", "value", "said"), WRONG)
def test_a_wrong_field_is_named(where: str, value: Any, said: str, header: dict[str, Any], tmp_path: Path) -> None:
    holder = header
    *folders, last = where.split(".")
    for name in folders:
        holder = holder[name]
    holder[last] = value
    path = written(tmp_path / "x.safetensors", header)
    for read in (lf.load, read_card):
        with pytest.raises(BadFileError) as refused:
            read(path)
        assert said in str(refused.value)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9" * 400, "at most 18 digits, got one of 400"),
        ('{"a": NaN}', "NaN or Inf"),
        ("[1e999]", "NaN or Inf"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands there twice"),
        ("[" * 100_000 + "]" * 100_000, "nested deeper than 32 levels"),
        ("[" * 40 + "]" * 40, "nested deeper than 32 levels"),
        ("[" + "1," * 5_000_000 + "1]", "more than"),
        ("[" + "[]," * 2_000_000 + "[]]", "more than"),
        ("{", "expected JSON"),
        (b"\xff\xfe", "expected JSON in UTF-8"),
    ],
)
def test_strict_json(text: str | bytes, said: str) -> None:
    with pytest.raises(BadFileError, match=re.escape(said)):
        parse_json(text, "x.json")


def test_other_tensors_than_the_headers_are_named(header: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=re.escape("tensor 'coefficients': expected (5, 3), got (17, 3)")):
        lf.load(written(tmp_path / "x.safetensors", header, {"coefficients": torch.zeros(17, 3)}))


def test_a_network_larger_than_its_file_is_never_built(header: dict[str, Any], tmp_path: Path) -> None:
    for config in ({"width": 65536}, {"n_blocks": 10**6}, {"fine_width": 65536, "n_fine": 10}, {"cell_px": 64}):
        cell = {**header, "kind": "cell", "scale": "8", "config": {"n_channels": 4, **config}}
        with pytest.raises(BadFileError):
            lf.load(written(tmp_path / "x.safetensors", cell))


def test_tables_in_json_are_checked_alike(tmp_path: Path) -> None:
    module = PolynomialMap(4, (1,)).set_coefficients(torch.ones(5, 3))
    path = dialects.export(lf.Approximation(module, "sd1", name="a"), "json", tmp_path / "a.json")
    document = json.loads(path.read_text("utf-8"))
    changes: list[tuple[str, Any]] = [
        ("coefficients", []), ("coefficients", [[1, 2, 3], [1]]), ("coefficients", [["1"] * 3] * 5),
        ("coefficients", "x"), ("coefficients", [[10**17] * 3] * 4), ("coefficients", [[1e300] * 3] * 5), ("name", []),
        ("space", "sd1"), ("space", {}), ("config", {"n_channels": 4, "kernels": [101]}), ("config", None),
        ("card", {"scores": [3]}), ("terms", None), ("format", 3), ("outputs", {}),
    ]  # fmt: skip
    for key, value in changes:
        path.write_text(json.dumps({**document, key: value}), "utf-8")
        with pytest.raises(BadFileError):
            dialects.read(path, "json")
    for text in ("[]", "3", "null", "[" * 100_000, '{"format": "latentfit-table/1"}'):
        path.write_text(text, "utf-8")
        with pytest.raises(BadFileError):
            dialects.read(path, "json")


@pytest.mark.parametrize("to", ["csv", "numpy", "conv2d", "sdcpp", "apple", "comfyui", "sdnext", "diffusers"])
def test_other_exports_that_were_spoilt_are_refused(to: str, tmp_path: Path) -> None:
    module = PolynomialMap(4, (1,)).set_coefficients(torch.ones(5, 3))
    path = dialects.export(lf.Approximation(module, "sd1", name="a"), to, tmp_path / f"a.{to}")
    blob = path.read_bytes()
    spoilt = [
        b"",
        blob[: len(blob) // 2],
        b"\xff" * 50,
        b"weight = " + b"(" * 5000,
        b"weights = ((1,), (2, 3))",
        b"term,R",
    ]
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(LatentfitError):
            dialects.read(path, to, "sd1")


def test_a_space_and_a_palette_of_a_file() -> None:
    entry = lf.get_space("flux2").to_dict()
    assert LatentSpace.from_dict(json.loads(json.dumps(entry))) == lf.get_space("flux2")
    named = LatentSpace.from_dict({**entry, "name": "../a\nb/\u202ec"})
    assert named.name == "__a b_[U+202E]c"
    for key, value in (("packing", []), ("dims", 4), ("aliases", "x"), ("measured", "yes"), ("temporal", 0)):
        with pytest.raises(BadFileError, match=key):
            LatentSpace.from_dict({**entry, key: value})
    for colours in (None, "x", [], ["#000000"], [3, 4], ["#00000g", "#111111"], ["#000000"] * 300):
        with pytest.raises(LatentfitError):
            Palette.from_dict({"colours": colours})
    assert Palette.from_dict({"colours": ["#000000", "#ffffff"], "name": "a\n\x1b"}).name == "a [U+001B]"


def test_a_factor_of_a_billion_digits_is_refused_at_once() -> None:
    for scale in ("1e999999999", "-1", "9" * 5000, "1e400", "nan", "1/0", 10**13):
        with pytest.raises(LatentfitError, match="expected a positive number"):
            as_scale(scale)


def test_a_checkpoint_of_another_network_or_without_its_parts_is_refused(tmp_path: Path) -> None:
    identity = {"preset": "cell"}
    header = {"schema": "latentfit-run/1", "identity": identity, "rows": []}
    sound = {"header": json.dumps(header), "seen_images": 3, "tensors": {"model": {}}}
    path = tmp_path / "checkpoint.pt"
    torch.save(sound, path)
    assert load_state(path, identity) is not None
    spoilt: list[Any] = [
        {**sound, "header": json.dumps({**header, "identity": ["a"]})},
        {**sound, "header": json.dumps({**header, "rows": 3})},
        {**sound, "header": "[" * 100_000},
        {**sound, "seen_images": "many"},
        {**sound, "tensors": 7},
        [],
        "x",
    ]
    for one in spoilt:
        torch.save(one, path)
        with pytest.raises(TrainError, match="remove it to begin anew"):
            load_state(path, identity)


def test_a_vae_folder_whose_config_asks_for_memory_or_layers_is_refused(tmp_path: Path) -> None:
    source = data_path("vaes/mini-sd1")
    config = json.loads((source / "config.json").read_text("utf-8"))
    weights = (source / "diffusion_pytorch_model.safetensors").read_bytes()
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(weights)
    changes: list[tuple[str, Any]] = [
        ("num_decoder_blocks", [10**6, 3, 1, 0]), ("decoder_block_out_channels", [1 << 19] * 4),
        ("decoder_block_out_channels", "40"), ("scaling_factor", "x"), ("scaling_factor", 0), ("upsample_fn", 3),
        ("latent_channels", [4]), ("_class_name", "StableDiffusionPipeline"), ("_class_name", ["AutoencoderTiny"]),
        ("_class_name", "utils"),
    ]  # fmt: skip
    for key, value in changes:
        (tmp_path / "config.json").write_text(json.dumps({**config, key: value}), "utf-8")
        with pytest.raises(LatentfitError) as refused:
            Vae.load(str(tmp_path))
        assert "\n" not in str(refused.value)
    for text in (
        "[]",
        "3",
        "[" * 100_000,
        '{"_class_name": NaN}',
        '{"_class_name": "AutoencoderTiny", "_class_name": 1}',
    ):
        (tmp_path / "config.json").write_text(text, "utf-8")
        with pytest.raises(LatentfitError):
            Vae.load(str(tmp_path))
