"""The same crops at several sizes: aligned, resampled from the original once, resumed, refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import ScaleError, StoreError
from latentfit.pairs import ScaledStores, collect_scales, name_of
from tests.support.fake_vae import FakeVae


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        rows, columns = np.mgrid[0:300, 0:420]
        waves = [np.sin(rows / (7 + channel) + columns / (9 + index)) for channel in range(3)]
        pixels = np.stack(waves, -1) * 100 + 128
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return folder


def collected(photos: Path, out: Path, *scales: float | str, **how: object) -> ScaledStores:
    settings = {"size": 64, "keep": "photo", "progress": False, **how}
    return collect_scales(FakeVae(), photos, out, scales, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("crops", [1, 3])
def test_stores_hold_the_same_crops(photos: Path, tmp_path: Path, crops: int) -> None:
    stores = collected(photos, tmp_path / "s", 1, "1.5", 2, crops=crops)
    assert list(stores.stores) == [1, Fraction(3, 2), 2]
    assert stores.factors == [Fraction(3, 2), 2]
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"x1", "x1.5", "x2", "cut_for.json"}
    for joined in stores.joined():
        assert len(joined) == 4 * crops
        assert joined.n_source_only == joined.n_target_only == 0
        for pair in joined.pairs:
            assert pair.source.box == pair.target.box
            assert all(n % 2 == 0 for n in (*pair.source.size_cells, *pair.target.size_cells))
    small, large = next(stores.join(2).batches(columns=("photo",), source_columns=("photo",)))
    shrunk = torch.nn.functional.interpolate(large.photo, scale_factor=0.5, mode="bicubic", antialias=True)
    assert float((shrunk - small.photo).abs().mean()) < 0.01  # a shift of half a pixel gives 0.05


def test_crops_are_those_of_a_store_of_the_largest_scale_alone(photos: Path, tmp_path: Path) -> None:
    lf.collect(FakeVae(), photos, tmp_path / "whole", size=128, crops=4, progress=False)
    for scale in ("1/2", "3/4"):
        small = tmp_path / scale.replace("/", "-")
        lf.collect(FakeVae(), photos, small, size=128, crops=4, scale=scale, scales=(1, "1/2", "3/4"), progress=False)
        joined = lf.PairStore(small).join(lf.PairStore(tmp_path / "whole"))
        assert len(joined) == 16
        assert joined.scale == 1 / Fraction(scale)


def test_the_same_call_again_adds_nothing(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collected(photos, tmp_path / "s", 1, 2)
    capsys.readouterr()
    collected(photos, tmp_path / "s", 1, 2)
    assert capsys.readouterr().out.count("0 new, 4 already there") == 2


def test_random_scales_are_eighths_and_the_same_each_time(photos: Path, tmp_path: Path) -> None:
    first, second = (collected(photos, tmp_path / name, 1, 2, n_random=3, size=128) for name in "ab")
    assert list(first.stores) == list(second.stores)
    assert len(first.stores) == 5
    assert all((8 * scale).denominator == 1 for scale in first.stores)


def test_names_are_read_back() -> None:
    assert [name_of(Fraction(scale)) for scale in ("1", "3/2", "5/4", "4/3", "8/7")] == [
        "x1", "x1.5", "x1.25", "x4-3", "x8-7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scales", "n_random", "said"),
    [
        ((1,), 0, "two or more"),
        ((1, "1"), 0, "two or more"),
        ((1, 0), 0, "positive"),
        ((1, -2), 0, "positive"),
        ((1, "x"), 0, "positive"),
        ((1, 1.37), 0, "in sixteenths"),
        ((1, 1e9), 0, "from 1/16 to 16"),
        ((1, 1.0625), 0, "17/16 times the least, 1: no ratio of small whole numbers"),
        ((1.375, 1.5), 0, "12/11 times the least"),
        ((1, 2), 8, "expected 0 to 7, the eighths between 1 and 2"),
        ((1, 2), -1, "expected 0 to 7"),
    ],
)
def test_scales_that_cannot_be_are_refused(
    photos: Path, tmp_path: Path, scales: tuple[float, ...], n_random: int, said: str
) -> None:
    with pytest.raises(ScaleError, match=said):
        collected(photos, tmp_path / "s", *scales, n_random=n_random)
    assert not (tmp_path / "s").exists()


def test_crops_too_small_for_the_scales_are_told_by_their_size(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ScaleError, match="multiples of 128 px, got 64; give size=128 or more"):
        collected(photos, tmp_path / "s", 1, 1.125, 2)
    assert not (tmp_path / "s").exists()
    with pytest.warns(UserWarning, match="short sides have 80 px at scale 1"):
        stores = collected(photos, tmp_path / "s", 1, 2, size=90)
    assert all(min(sample.size_cells) == 10 for sample in stores.stores[Fraction(1)].samples)


def test_a_scale_that_would_cut_other_crops_is_refused(photos: Path, tmp_path: Path) -> None:
    collected(photos, tmp_path / "s", 1, 2)
    with pytest.raises(StoreError, match=r"cut for other scales.*another out"):
        collected(photos, tmp_path / "s", 1, 1.25, 2)
    with pytest.raises(StoreError, match="cut for other scales"):
        collected(photos, tmp_path / "s", 1, 3)
    assert list(ScaledStores(tmp_path / "s").stores) == [1, 2]


def test_what_has_one_size_is_refused(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "latents"
    folder.mkdir()
    save_file(
        {"latent_tensor": torch.zeros(1, 4, 8, 8), "latent_format_version_0": torch.zeros(1)}, folder / "a.latent"
    )
    with pytest.raises(StoreError, match="have one size"):
        collected(folder, tmp_path / "s", 1, 2, keep="cells")
    with pytest.raises(StoreError, match="two scales or more"):
        ScaledStores(photos)
    stores = collected(photos, tmp_path / "s", 1, 2)
    for factor in (1, 3):
        with pytest.raises(ScaleError, match="expected a factor of 2, got"):
            stores.join(factor)
    lf.collect(FakeVae(2.0), photos, tmp_path / "s" / "x3", size=64, progress=False)
    with pytest.raises(StoreError, match="one VAE at several sizes"):
        ScaledStores(tmp_path / "s")


def test_from_the_command_line(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["collect", "--vae", "mini-sd1", "--images", str(photos), "--size", "128", "--out", str(tmp_path / "s")]
    assert main([*command, "--scales", "1", "2", "--random-scales", "1", "--crops", "2"]) == 0
    said = capsys.readouterr().out
    assert "ScaledStores('s': x1, x" in said
    assert "latentfit train upscaler --store" in said
    assert main([*command, "--random-scales", "1"]) == 2
    assert "--scales" in capsys.readouterr().err
