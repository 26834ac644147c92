"""Autofit: from an unregistered autoencoder to tables and a page; killed, it goes on; its plan keeps to the time."""

import ast
import base64
import html
import io
import json
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.autofit import (
    AutofitConfig,
    AutofitResult,
    autofit,
    fit_every_form,
    learning_curve,
    learning_in_words,
    page_pictures,
    write_page,
)
from latentfit.autofit import plan as ladder_plan
from latentfit.autofit import run as ladder_module
from latentfit.cli import main
from latentfit.errors import NoPicturesError, StoreError
from latentfit.formats import read
from latentfit.formats.programs import is_format
from latentfit.images import Picture, folder, is_test

SCALE, SHIFT = 0.7, 0.3


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers AutoencoderKL of 7 channels, random weights, with a scaling of its own: no registered space."""
    from diffusers import AutoencoderKL

    torch.manual_seed(3)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=7,
        scaling_factor=SCALE,
        shift_factor=SHIFT,
    )
    path = tmp_path_factory.mktemp("vae") / "odd <vae> & 7"
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth pictures, each second one grey, whose names would break a page that does not escape."""
    path = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(16):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small = small.convert("L").convert("RGB") if index % 2 else small
        small.resize((96, 80), Image.Resampling.BICUBIC).save(path / f"<i>{index:02}&.png")
    return path


@pytest.fixture(scope="module")
def made(vae_folder: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> AutofitResult:
    out = tmp_path_factory.mktemp("autofit") / "out"
    return autofit(AutofitConfig(vae=str(vae_folder), images=(str(photos),), out=out, size=64, crops=2, device="cpu"))


def test_an_unregistered_space_comes_from_the_autoencoder(made: AutofitResult) -> None:
    space = made.store.space
    assert (space.channels, space.cell_px) == (7, 4)
    assert (space.scale, space.shift) == ((SCALE,), (SHIFT,))
    assert len({sample.sha256 for sample in made.store.samples}) == 16
    assert max(sample.size_cells for sample in made.store.samples) == (16, 16)


def test_every_form_is_fitted_and_scored_on_pictures_that_none_was_fitted_on(made: AutofitResult) -> None:
    assert {"linear", "affine", "quadratic", "cubic", "3", "3,1", "decoder 1", "decoder 3"} <= set(made.maps)
    assert set(made.maps) == set(made.scores["approximation"])
    test = {sample.sha256 for sample in made.store.split("test")}
    assert made.scores.attrs["n_images"] == len(test)
    for approximation in made.maps.values():
        assert not test & set(approximation.card["train_hashes"])


def test_tables_on_disk_give_the_pixels_of_the_map(made: AutofitResult) -> None:
    latents = next(made.store.batches(made.store.split("test")[:1])).latents
    for label, path in made.exports.files["json"].items():
        torch.testing.assert_close(read(path, "json")(latents), made.maps[label](latents), atol=2e-4, rtol=0)
    saved = lf.load(made.exports.files["safetensors"]["3"])
    assert torch.equal(saved(latents), made.maps["3"](latents))
    assert saved.card["scores"]


def test_a_score_that_does_not_exist_is_null_in_the_table(made: AutofitResult) -> None:
    assert "greyscale" in {sample.kind for sample in made.store.split("test")}
    text = made.exports.files["json"]["affine"].read_text("utf-8")
    assert "NaN" not in text
    scores = json.loads(text)["card"]["scores"]
    grey = [row for row in scores if row["kind"] == "greyscale" and row["reference"] == "photo"]
    assert {row["saturation"] for row in grey} == {None}  # a grey photograph has no colours to compare with
    assert all(row["psnr"] > 0 for row in grey)


def test_each_program_gets_what_it_runs_and_nothing_else(made: AutofitResult) -> None:
    files = made.exports.files
    assert set(files["comfyui"]) == {"linear", "affine", "3", "5"} & set(made.maps)
    assert set(files["invokeai"]) == {"linear"}  # it drops the bias
    assert "a1111" not in files  # it shows 4 channels
    assert "7" in made.exports.refused["a1111"]["linear"]
    for name in ("comfyui", "diffusers", "sdnext", "invokeai"):
        for path in files[name].values():
            ast.parse(path.read_text("utf-8"))


def test_the_page_is_whole_and_escaped(made: AutofitResult) -> None:
    text = made.page.read_text("utf-8")
    assert set(re.findall(r'src="(.{11})', text)) == {"data:image/"}
    assert text.count("<script") == 1  # its own
    assert not re.search(r"https?://|<link|@import|url\(", text)
    assert "<i>" not in text  # the pictures' names
    assert "<vae>" not in text
    assert "&lt;i&gt;" in text
    held_out = made.store.split("test")
    assert text.count("the VAE&#x27;s decode</b>") == min(3, len({sample.sha256 for sample in held_out}))
    for word in ("3×3 affine", "Would more pictures help?", "prefers-color-scheme: dark", made.store.fingerprint):
        assert word in text


def links(page: Path) -> dict[str, str]:
    """Path beside the page -> the last link's text."""
    found = re.findall(r'<a href="\./([^"]*)">(.*?)</a>', page.read_text("utf-8"))
    return {urllib.parse.unquote(path): html.unescape(text) for path, text in found}


def test_the_page_leads_to_every_file_that_was_written(made: AutofitResult) -> None:
    folder = made.page.parent
    there = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()} - {"index.html"}
    assert set(links(made.page)) == {path for path in there if not path.startswith("store/")} | {"store"}
    for name, files in made.exports.files.items():
        for label, path in files.items():
            text = links(made.page)[path.relative_to(folder).as_posix()]
            assert text == {"3,1": "3×3 linear + 1×1 quadratic", "decoder 3": "3×3 affine, full size"}.get(label, text)
            assert name in made.exports.files
    words = re.sub(r"<(style|script|pre).*?</\1>", "", made.page.read_text("utf-8"), flags=re.DOTALL)
    assert "(3, 1)" not in words
    assert "(5, 3)" not in words


def test_the_page_stays_within_its_bytes(made: AutofitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_pictures, "MOST_MIB", 0.01)
    text = write_page(made, made.page.with_name("small.html")).read_text("utf-8")
    assert text.count("the VAE&#x27;s decode</b>") == 1
    assert "Another picture would have made the page larger than 0.01 MiB." in text
    monkeypatch.setattr(page_pictures, "MOST_SIDE_PX", 16)
    text = write_page(made, made.page.with_name("small.html")).read_text("utf-8")
    made.page.with_name("small.html").unlink()
    assert "the middle 16×16 of 64×64 px, scored as a whole" in text
    encoded = re.findall(r'src="data:image/webp;base64,([^"]+)"', text)
    assert {Image.open(io.BytesIO(base64.b64decode(one))).size for one in encoded} == {(16, 16)}


def test_a_program_whose_table_is_not_known_gets_the_best_that_it_runs(made: AutofitResult) -> None:
    assert {one.program for one in made.verdicts} == {name for name in made.exports.files if not is_format(name)}
    assert made.published is None
    assert not (made.page.parent / "published.csv").exists()
    pooled = made.scores.query("image == 'all' and kind == 'all' and place == 'seen' and reference == 'vae'")
    psnr = pooled.set_index("approximation")["psnr"]
    for one in made.verdicts:
        assert (one.outcome, one.ships, one.gain) == ("ships none", None, None)
        runs = made.exports.files[one.program]
        assert one.path == runs[one.label]
        assert one.psnr == psnr[one.label] >= max(psnr[label] for label in runs) - 0.1
    text = made.page.read_text("utf-8")
    assert "No table of its own for this space is known today." in text
    assert text.index('class="cards"') < text.index("What each form shows")


def test_the_same_command_goes_on_after_an_interruption(
    vae_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["autofit", "--vae", str(vae_folder), "--images", str(photos), "--out", str(tmp_path / "out")]
    command += ["--size", "32", "--device", "cpu", "--minutes", "1"]

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ladder_module, "fit_every_form", interrupted)
        assert main(command) == 130
    plan = (tmp_path / "out/plan.json").read_bytes()
    assert re.search(r"^16 new", capsys.readouterr().out, re.M) or json.loads(plan)["plan"]["crops"] > 1
    monkeypatch.setattr(ladder_plan, "_seconds", lambda *_: (100.0, 100.0))  # the plan is not made again
    assert main(command) == 0
    out = capsys.readouterr().out
    assert re.search(r"^0 new", out, re.M) or json.loads(plan)["plan"]["crops"] > 1
    assert "learning curve, affine" in out
    assert "ore pictures would" in out
    assert plan == (tmp_path / "out/plan.json").read_bytes()
    assert (tmp_path / "out/index.html").is_file()


def test_a_slow_autoencoder_loses_one_turn_when_it_is_stopped(
    vae_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for picture in folder(photos)[:12]:
        (mixed / picture.name).write_bytes(picture.read())
    (mixed / "broken.png").write_bytes(b"\x89PNG")
    vae = lf.Vae.load(vae_folder, device="cpu")
    config = AutofitConfig(vae="", images=(str(mixed),), out=tmp_path / "out", size=32, minutes=60)
    monkeypatch.setattr(ladder_plan, "_seconds", lambda *_: (8.0, 1.0))  # two pictures a turn
    monkeypatch.setattr(ladder_plan, "MOST_CROPS", 1)
    really, turns = ladder_plan.collect, iter([0, 1])

    def stopped_in_the_third_turn(*args: Any, **kwargs: Any) -> lf.PairStore:
        if next(turns, None) is None:
            raise KeyboardInterrupt
        return really(*args, **kwargs)

    monkeypatch.setattr(ladder_plan, "collect", stopped_in_the_third_turn)
    with pytest.raises(KeyboardInterrupt):
        ladder_plan.collected(vae, config)
    monkeypatch.setattr(ladder_plan, "collect", really)
    assert len(lf.PairStore(tmp_path / "out/store")) == 4
    store, _ = ladder_plan.collected(vae, config)
    assert len(store) == 12 == len({sample.sha256 for sample in store.samples})
    captured = capsys.readouterr()
    assert "broken.png" in captured.out
    assert "collect: 100%" in captured.err
    assert "13/13" in captured.err


def test_collecting_stops_when_the_time_is_up_and_goes_on_with_the_next_run(
    vae_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vae = lf.Vae.load(vae_folder, device="cpu")
    config = AutofitConfig(vae="", images=(str(photos),), out=tmp_path / "out", size=32, minutes=1e-4)
    monkeypatch.setattr(ladder_plan, "_seconds", lambda *_: (8.0, 1.0))
    first, _ = ladder_plan.collected(vae, config)
    assert "time is up after" in capsys.readouterr().out
    assert first.split("test")
    assert first.split("train")
    sizes = [len(first), *(len(ladder_plan.collected(vae, config)[0]) for _ in range(5))]
    assert sizes == sorted(sizes)
    assert sizes[0] < 10


def test_a_store_of_another_autoencoder_is_not_mixed_in(made: AutofitResult, photos: Path, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    AutoencoderKL(block_out_channels=(4,), norm_num_groups=1).save_pretrained(tmp_path / "other")
    out = made.page.parent
    with pytest.raises(StoreError, match="choose another out"):
        autofit(AutofitConfig(vae=str(tmp_path / "other"), images=(str(photos),), out=out, size=64, crops=1))


def test_the_plan_keeps_to_the_minutes(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = AutofitConfig(vae="", out=tmp_path, images=(str(photos),), minutes=5)
    vae: lf.Vae = None  # type: ignore[assignment]  # only its speed is asked for

    def planned(seconds: float, n_found: int) -> tuple[int, int]:
        monkeypatch.setattr(ladder_plan, "_seconds", lambda *_: (seconds / 2, seconds / 2))
        plan = ladder_plan._plan(vae, config, n_found)
        assert plan.n_pictures * plan.crops * seconds <= 0.7 * 300 or plan.n_pictures == 10
        return plan.n_pictures, plan.crops

    assert planned(0.01, 16) == (16, 8)
    assert planned(5, 16) == (16, 2)
    assert planned(5, 1000) == (42, 1)
    assert planned(1000, 1000) == (10, 1)
    with pytest.raises(NoPicturesError, match="name a folder with images"):
        planned(1, 0)


def _counted(index: int, read: list[int]) -> Callable[[], bytes]:
    def give() -> bytes:
        read.append(index)
        return str(index).encode()

    return give


def test_pictures_are_chosen_from_all_of_the_source_with_a_fifth_held_out() -> None:
    import hashlib

    read: list[int] = []
    found = [Picture(str(index), "photograph", _counted(index, read)) for index in range(2000)]
    chosen = ladder_plan.choose(found, 50)
    assert len(read) <= ladder_plan.LOOKED_AT
    assert len(chosen) == 50 == len({picture.name for picture in chosen})
    assert sum(is_test(hashlib.sha256(picture.read()).hexdigest()) for picture in chosen) == 10
    numbers = [int(picture.name) for picture in chosen]
    assert numbers == sorted(numbers)
    assert np.histogram(numbers, 4, (0, 2000))[0].min() >= 8
    assert ladder_plan.choose(found[:7], 50) == found[:7]


def test_too_few_pictures_to_hold_some_out(vae_folder: Path, photos: Path, tmp_path: Path) -> None:
    only = next(picture for picture in folder(photos) if not is_test(picture.load()[1]))
    (tmp_path / "few").mkdir()
    (tmp_path / "few/one.png").write_bytes(only.read())
    with pytest.raises(StoreError, match="none is held out") as error:
        autofit(AutofitConfig(vae=str(vae_folder), images=(str(tmp_path / "few"),), out=tmp_path / "out", size=32))
    assert "bundled" in str(error.value)


def test_forms_that_take_too_long_are_left_out_by_name(made: AutofitResult) -> None:
    maps, left_out = fit_every_form(made.store, seconds=0)
    assert list(maps) == ["linear"]  # the cheapest is fitted in any case
    assert "allow more minutes" in left_out["affine"]
    assert "cells to be more than noise" in left_out["5,3"]
    assert set(maps) | set(left_out) == set(made.maps) | set(made.left_out)


def test_the_learning_curve_ends_at_the_fit_of_all_pictures(made: AutofitResult) -> None:
    curve = learning_curve(made.store, forms=("affine",), orders=2)
    n_train = len({sample.sha256 for sample in made.store.split("train")})
    assert list(curve["n_pictures"]) == [1, 2, 4, 8, n_train]
    pooled = made.scores.query("image == 'all' and kind == 'all' and place == 'cells' and reference == 'vae'")
    expected = pooled.set_index("approximation")["psnr"]["affine"]
    assert curve["psnr"].iloc[-1] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("last", "said"), [(22.0, "More pictures would help:"), (20.2, "help a little"), (20.05, "hardly help")]
)
def test_what_the_curve_says(last: float, said: str) -> None:
    curve = pd.DataFrame({"n_pictures": [8, 16], "form": ["3", "3"], "psnr": [20.0, last]})
    words = learning_in_words(curve)
    assert said in words
    assert f"{last - 20:+.2f} dB for 3×3 affine" in words
    assert "collect more" in learning_in_words(curve[:1])


@pytest.mark.parametrize("flags", [["--minutes", "0"], ["--crops", "0"], ["--size", "0"]])
def test_flags_that_cannot_be(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["autofit", "--vae", "x", "--out", str(tmp_path / "out"), *flags]) == 2
    assert "minutes > 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class SlowMachine:
    """A clock that only work moves: each piece of it takes so many seconds, whatever this machine needs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
        from latentfit.scores import evaluation as scores

        self.time, self.seconds = 0.0, seconds
        self.counts = dict.fromkeys(seconds, 0)
        monkeypatch.setattr(ladder_plan, "_seconds", lambda *_: (0.05, 0.05))  # measured while nothing else ran
        monkeypatch.setattr(ladder_plan, "collect", self.slow("picture", ladder_plan.collect, lambda a: len(a[1])))
        monkeypatch.setattr(lf.ChannelMap, "fit", self.slow("fit", lf.ChannelMap.fit))
        monkeypatch.setattr(scores, "_scored", self.slow("score", scores._scored))
        monkeypatch.setattr(ladder_module, "export_all", self.slow("export", ladder_module.export_all))

    def __call__(self) -> float:
        return self.time

    def slow(self, name: str, work: Callable[..., Any], n_times: Callable[[tuple[Any, ...]], int] = lambda _: 1) -> Any:
        def worked(*args: Any, **kwargs: Any) -> Any:
            self.time += n_times(args) * self.seconds[name]
            self.counts[name] += n_times(args)
            return work(*args, **kwargs)

        return worked


def test_on_a_machine_that_became_busy_it_ends_in_time_and_says_what_it_left_out(
    vae_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = AutofitConfig(
        vae=str(vae_folder), images=(str(photos),), out=tmp_path / "out", size=64, crops=4, device="cpu"
    )
    monkeypatch.setattr(ladder_plan, "TURN_SECONDS", 1)
    machine = SlowMachine(monkeypatch, picture=25.0, fit=4.0, score=10.0, export=10.0)
    result = autofit(config, now=machine)
    assert 150 < machine.time <= 300
    assert 2 <= machine.counts["picture"] < 16
    n_pictures = len({sample.sha256 for sample in result.store.samples})
    assert n_pictures == machine.counts["picture"]
    assert set(result.maps) < {"linear", "affine", "quadratic", "cubic", "3", "3,1", "5", "decoder 1", "decoder 3"}
    n_scored = result.scores["sample"].nunique()
    assert n_scored == machine.counts["score"] < len(result.store.split("test"))
    told = capsys.readouterr().out
    for words in (
        f"collect: time is up after {n_pictures} of 16 pictures",
        f"scores: {n_scored} of {len(result.store.split('test'))} held-out crops",
        "learning curve: no time for",
    ):
        assert any(words in line for line in result.no_time_for), (words, result.no_time_for)
        assert re.search(f"left out to keep to the time: .*{words}", told)
    assert any("allow more minutes" in reason for reason in result.left_out.values())
    page = result.page.read_text("utf-8")
    assert "some was left out" in page
    assert f"scored on {result.scores.attrs['n_images']} others" in page


def test_published_tables_are_scored_within_the_minutes_too(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = AutofitConfig(vae="mini-sd1", images=(str(photos),), out=tmp_path / "out", size=64, crops=1, device="cpu")
    machine = SlowMachine(monkeypatch, picture=12.0, fit=2.0, score=6.0, export=5.0)
    result = autofit(config, now=machine)
    assert machine.time <= 300
    assert result.published is not None
    n_scored, n_published = (frame["sample"].nunique() for frame in (result.scores, result.published))
    assert 1 <= n_published < n_scored
    assert machine.counts["score"] == n_scored + n_published
    assert any(f"published tables: scored on {n_published} of {n_scored}" in said for said in result.no_time_for)
    assert (tmp_path / "out/published.csv").is_file()
    shipped = {one.program: one.ships for one in result.verdicts}
    assert (shipped["comfyui"], shipped["a1111"], shipped["diffusers"]) == ("comfyui/SD15", "a1111/SD1", None)
    page = result.page.read_text("utf-8")
    assert "over what it ships today (SD15: " in page or "what it ships today (SD15: " in page
    assert "A1111’s SD1" in page
    assert "the best in use today" in page


def test_on_an_idle_machine_nothing_is_left_out(
    vae_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = AutofitConfig(
        vae=str(vae_folder), images=(str(photos),), out=tmp_path / "out", size=64, crops=1, device="cpu"
    )
    machine = SlowMachine(monkeypatch, picture=0.1, fit=0.2, score=0.3, export=2.0)
    result = autofit(config, now=machine)
    assert result.no_time_for == []
    assert not any("allow more minutes" in reason for reason in result.left_out.values())
    assert machine.time < 60


def test_scores_that_end_early_have_seen_each_picture_once_first(made: AutofitResult) -> None:
    held_out = ladder_module._first_crops_first(made.store.split("test"))
    n_pictures = len({sample.sha256 for sample in held_out})
    assert len({sample.sha256 for sample in held_out[:n_pictures]}) == n_pictures < len(held_out)
    asked = iter([False, True])
    few = lf.evaluate({"affine": made.maps["affine"]}, made.store, samples=held_out, until=lambda: next(asked))
    assert few.attrs["n_images"] == few["sample"].nunique() == 2
    of_those = lf.evaluate({"affine": made.maps["affine"]}, made.store, samples=held_out[:2])
    pooled = [frame[frame["image"] == "all"]["psnr"].tolist() for frame in (few, of_those)]
    assert pooled[0] == pooled[1]


def test_a_learning_curve_without_time_keeps_its_end(made: AutofitResult) -> None:
    ticks = iter(range(10_000))
    curve = learning_curve(made.store, forms=("affine",), orders=1, seconds=5, now=lambda: float(next(ticks)))
    whole = learning_curve(made.store, forms=("affine",), orders=1)
    n_rows = len(curve)
    assert 0 < n_rows < len(whole)
    assert curve["n_pictures"].tolist() == whole["n_pictures"].tolist()[-n_rows:]
    assert curve["psnr"].tolist() == whole["psnr"].tolist()[-n_rows:]
    assert curve.attrs["n_left_out"] >= len(whole) - n_rows
    none = learning_curve(made.store, forms=("affine",), seconds=0)
    assert len(none) == 0
    assert "too little time" in learning_in_words(none)
