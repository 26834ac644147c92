"""--split of every command: what it says is what is fitted, trained on and scored, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import StoreError, TrainError
from latentfit.fit import PolynomialMap
from latentfit.nets import NearestColour
from latentfit.pairs import PairStore, collect_scales
from latentfit.palettes import Palette, palettized
from tests.support.fake_vae import FakeVae


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for index in range(12):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((72, 64), Image.Resampling.BICUBIC).save(path / f"{index:02}.png")
    return path


@pytest.fixture(scope="module")
def store(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    made = lf.collect(FakeVae(), photos, tmp_path_factory.mktemp("a") / "store", size=32, keep="photo", progress=False)
    assert 0 < len(made.split("test")) < len(made.split("train")) < 12
    return made


@pytest.fixture(scope="module")
def target(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    """The same pictures, of another VAE."""
    return lf.collect(FakeVae(2.0), photos, tmp_path_factory.mktemp("b") / "store", size=32, progress=False)


@pytest.fixture(scope="module")
def scaled(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("c") / "stores"
    collect_scales(FakeVae(), photos, out, (1, 2), size=16, limit=4, progress=False)
    return out


def hashes(store: PairStore, split: Any) -> set[str]:
    return {sample.sha256 for sample in store.split(split)}


def names(store: PairStore, split: Any) -> set[str]:
    return {sample.name for sample in store.split(split)}


def unfitted() -> lf.Approximation:
    """A palettized map that was fitted on nothing: no picture is left out for its sake."""
    pico, module = Palette.load("pico-8"), PolynomialMap(4, (1,))
    module.set_coefficients(torch.linspace(-1, 1, 15).reshape(5, 3))
    return palettized(NearestColour(module, pico.colours), pico, "sd1", name="own")


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_evaluate_scores_just_that_split(store: PairStore, tmp_path: Path, split: str) -> None:
    path, csv = lf.save(unfitted(), tmp_path / "own.safetensors"), tmp_path / "scores.csv"
    command = ["evaluate", str(path), "--store", str(store.path), "--csv", str(csv), "--split", split]
    assert main(command) == 0
    for table in (csv, tmp_path / "scores.palettes.csv"):
        scored = set(pd.read_csv(table)["image"]) - {"all"}
        assert scored == names(store, split), table
        assert len(scored) == len(hashes(store, split))


def test_a_map_is_not_scored_on_its_own_training_pictures(
    store: PairStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(tmp_path / "own.safetensors")
    assert main(["fit", str(store.path), "--kernels", "affine", "--out", own]) == 0
    assert main(["evaluate", own, "--store", str(store.path), "--split", "train"]) == 2
    n_train = len(hashes(store, "train"))
    assert f"none of {n_train} pictures is left to score" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_evaluate_between_latents_scores_just_that_split(
    store: PairStore, target: PairStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    asked = stands_in(monkeypatch, "latentfit.scores.latent_maps.evaluate_latent_maps", StoreError)
    monkeypatch.setattr("latentfit.cli.scores._vae_of", lambda reference, store, device: None)
    made = lf.ChannelMap("affine").fit_joined(store.join(target)).latent_map()
    path = lf.save(made, tmp_path / "map.safetensors")
    places = ["--source", str(store.path), "--target", str(target.path), "--source-vae", "a", "--target-vae", "b"]
    assert main(["evaluate", str(path), *places, "--split", split]) == 2
    assert asked == [split]


def test_a_store_of_another_vae_is_refused(
    store: PairStore, target: PairStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked = stands_in(monkeypatch, "latentfit.scores.latent_maps.evaluate_latent_maps", StoreError)
    vaes = {"here": FakeVae(), "there": FakeVae(2.0), "elsewhere": FakeVae(3.0)}
    monkeypatch.setattr("latentfit.vae.Vae.load", lambda reference, **named: vaes[reference])
    made = lf.ChannelMap("affine").fit_joined(store.join(target)).latent_map()
    command = ["evaluate", str(lf.save(made, tmp_path / "map.safetensors")), "--source", str(store.path)]
    command += ["--target", str(target.path), "--source-vae", "here", "--target-vae"]
    assert main([*command, "elsewhere"]) == 2
    assert f"elsewhere: not the VAE of {target.path}" in capsys.readouterr().err
    assert not asked
    assert main([*command, "there"]) == 2
    assert asked == ["all"]


@pytest.mark.parametrize("split", ["train", "all"])
def test_fit_takes_just_that_split(store: PairStore, target: PairStore, tmp_path: Path, split: str) -> None:
    out = str(tmp_path / "map.safetensors")
    assert main(["fit", str(store.path), "--kernels", "affine", "--out", out, "--split", split]) == 0
    assert set(lf.load(out).card["train_hashes"]) == hashes(store, split)
    places = ["--source", str(store.path), "--target", str(target.path)]
    assert main(["fit", *places, "--kernels", "affine", "--out", out, "--split", split]) == 0
    assert set(lf.load(out).card["train_hashes"]) == hashes(store, split)


def stands_in(monkeypatch: pytest.MonkeyPatch, name: str, refusal: type[Exception]) -> list[str]:
    """In place of a long work: notes the split that it is given, and refuses."""
    asked: list[str] = []

    def work(*arguments: Any, split: str = "left out", **named: Any) -> None:
        asked.append(split)
        raise refusal("enough")

    monkeypatch.setattr(name, work)
    return asked


KINDS: dict[str, tuple[str, str, Callable[[PairStore, PairStore, Path], list[str]]]] = {
    "decoder": ("train_decoder", "cell-small", lambda here, there, scaled: ["--store", str(here.path)]),
    "encoder": ("train_encoder", "mini-encoder", lambda here, there, scaled: ["--store", str(here.path)]),
    "palette": (
        "train_palette", "cell-palette", lambda here, there, scaled: ["--store", str(here.path), "--palette", "pico-8"],
    ),
    "interposer": (
        "latent_maps.train_latent_map", "interposer-v1",
        lambda here, there, scaled: ["--source", str(here.path), "--target", str(there.path)],
    ),
    "upscaler": (
        "latent_maps.train_latent_map", "city96-v1", lambda here, there, scaled: ["--store", str(scaled)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("told", [["--split", "train"], ["--split", "all"], []], ids=" ".join)
@pytest.mark.parametrize("kind", KINDS)
def test_train_learns_from_just_that_split(
    kind: str, told: list[str], store: PairStore, target: PairStore, scaled: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    name, preset, places = KINDS[kind]
    asked = stands_in(monkeypatch, f"latentfit.train.{name}", TrainError)
    out = ["--preset", preset, "--out", str(tmp_path / "x.safetensors")]
    assert main(["train", kind, *places(store, target, scaled), *out, *told]) == 2
    assert asked == [told[-1] if told else "train"]
