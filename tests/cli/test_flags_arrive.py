"""What a command is told, and what it then does: every flag arrives where the work is done."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import LatentfitError
from latentfit.train import preset_named
from tests.support.fake_vae import FakeVae


class Work:
    """In place of a long work: notes what it is given, and refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        module, _, function = name.rpartition(".")
        monkeypatch.setattr(import_module(module), function, self)

    def __call__(self, *arguments: Any, **named: Any) -> None:
        self.given.append((arguments, named))
        raise LatentfitError("enough")

    def only(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        (one,) = self.given
        return one


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for index in range(8):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((72, 64), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    out = tmp_path_factory.mktemp("pairs") / "store"
    lf.collect(FakeVae(), folder, out, size=32, progress=False)
    return out


@pytest.fixture
def vae(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What VAEs were asked for; a fake one comes."""
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def load(*arguments: Any, **named: Any) -> FakeVae:
        asked.append((arguments, named))
        return FakeVae()

    monkeypatch.setattr("latentfit.vae.vae.Vae.load", load)
    return asked


LOOKS = ["--vae", "ref", "--images", "one", "two", "--out", "store", "--space", "sd1", "--size", "96", "--keep",
         "photo", "--crops", "3", "--limit", "7", "--device", "cpu", "--dtype", "bfloat16"]  # fmt: skip


def test_collect(vae: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    work = Work(monkeypatch, "latentfit.pairs.collector.collect")
    assert main(["collect", *LOOKS, "--domain", "model"]) == 2
    assert vae == [(("ref",), {"space": "sd1", "device": "cpu", "dtype": "bfloat16"})]
    (_, images, out), named = work.only()
    assert (images, out) == (["one", "two"], Path("store"))
    assert named == {"size": 96, "keep": "photo", "crops": 3, "limit": 7, "domain": "model"}


def test_collect_at_several_scales(vae: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    work = Work(monkeypatch, "latentfit.pairs.scaled.collect_scales")
    assert main(["collect", *LOOKS, "--scales", "1", "3/2", "--random-scales", "2"]) == 2
    (_, images, out, scales), named = work.only()
    assert (images, out, tuple(scales)) == (["one", "two"], Path("store"), ("1", "3/2"))
    assert named == {"n_random": 2, "size": 96, "keep": "photo", "crops": 3, "limit": 7}


def test_same_space(vae: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch, "latentfit.scores.space_comparison.same_space")
    flags = ["--images", "one", "two", "--size", "96", "--limit", "5", "--device", "cpu"]
    assert main(["same-space", "here", "there", *flags]) == 2
    assert [(arguments, named) for arguments, named in vae] == [
        (("here",), {"device": "cpu"}), (("there",), {"device": "cpu"}),
    ]  # fmt: skip
    (_, _, images), named = work.only()
    assert images == ["one", "two"]
    assert named == {"size": 96, "limit": 5}


def test_train(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work, out = Work(monkeypatch, "latentfit.train.train_decoder"), tmp_path / "x.safetensors"
    flags = ["--images", "48", "--batch", "3", "--lr", "0.125", "--seed", "9", "--samples", "16", "--precision", "bf16",
             "--split", "all", "--device", "cpu"]  # fmt: skip
    assert main(["train", "decoder", "--store", str(store), "--preset", "cell-small", "--out", str(out), *flags]) == 2
    (opened, preset, path), named = work.only()
    assert (opened.path, preset, path) == (store, "cell-small", out)
    config = replace(
        preset_named("cell-small").config, n_images=48, batch_images=3, lr=0.125, seed=9, sample_images=16,
        precision="bf16",
    )  # fmt: skip
    assert named == {"config": config, "split": "all", "begin": None, "device": "cpu"}


def test_train_palette(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work, out = Work(monkeypatch, "latentfit.train.train_palette"), tmp_path / "x.safetensors"
    flags = [
        "--palette",
        "pico-8",
        "--method",
        "nearest",
        "--dither",
        "bayer-4",
        "--balance",
        "0.25",
        "--oklab",
        "0.75",
    ]
    command = ["train", "palette", "--store", str(store), "--preset", "cell-palette", "--out", str(out), *flags]
    assert main([*command, "--seed", "9"]) == 2
    (opened, how, preset, path), named = work.only()
    assert (opened.path, preset, path) == (store, "cell-palette", out)
    assert (how.palette.name, how.method, how.dither) == ("pico-8", "nearest", "bayer-4")
    assert (named["balance"], named["oklab"], named["config"].seed) == (0.25, 0.75, 9)


@pytest.mark.parametrize("told", [True, False], ids=["told", "left out"])
def test_fit(store: Path, tmp_path: Path, told: bool) -> None:
    flags = ["--scale", "8", "--no-intercept", "--no-censored", "--ridge", "0.5", "--split", "all"]
    out = tmp_path / "x.safetensors"
    command = ["fit", str(store), "--kernels", "affine", "--out", str(out)]
    assert main([*command, *(flags if told else [])]) == 0
    made = lf.load(out)
    found = {name: made.card[name] for name in ("kernels", "intercept", "censored", "split")}
    right = {"kernels": [1], "intercept": not told, "censored": not told, "split": "all" if told else "train"}
    assert found == right
    assert made.scale == (8 if told else 1)
    assert (made.card["ridge"] == 0.5) is told


def test_report(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work, out = Work(monkeypatch, "latentfit.compare.reports.builder.report"), tmp_path / "x.html"
    command = ["report", "a.safetensors", "b.json", "--store", str(store), "--out", str(out)]
    assert main([*command, "--pictures", "2", "--split", "test"]) == 2
    arguments, named = work.only()
    assert arguments == (store, (Path("a.safetensors"), Path("b.json")), out)
    assert named == {"n_pictures": 2, "split": "test", "progress": True}


def test_ladder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from latentfit.autofit import AutofitConfig

    work = Work(monkeypatch, "latentfit.autofit.run.autofit")
    flags = ["--images", "one", "two", "--out", str(tmp_path), "--space", "sdxl", "--minutes", "2.5", "--size", "96"]
    assert main(["autofit", "--vae", "ref", *flags, "--crops", "3", "--device", "cpu", "--dtype", "float16"]) == 2
    (config,), _ = work.only()
    assert config == AutofitConfig(
        vae="ref", images=("one", "two"), out=tmp_path, space="sdxl", minutes=2.5, size=96, crops=3, device="cpu",
        dtype="float16",
    )  # fmt: skip
