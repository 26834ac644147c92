"""The verdict: ours beside what each program ships, on the same held-out pictures, with an interval, and no more."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.autofit import Exports, Verdict, score_published, standing_tables, verdicts
from latentfit.fit import PolynomialMap
from latentfit.maps import Approximation
from latentfit.scores import paired_bootstrap, table
from tests.support.fake_vae import FakeVae


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> lf.PairStore:
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(1)
    (folder / "photos").mkdir()
    for index in range(6):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((96, 64), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index}.png")
    return lf.collect(FakeVae(), folder / "photos", folder / "store", size=64, keep="photo", progress=False)


def as_published(identifier: str, shift: float = 0.0) -> Approximation:
    """A map of ours with the numbers of a published table, and a shift."""
    one = table(identifier)
    module = PolynomialMap(4, (1,), intercept=True)
    bias = torch.tensor(one.bias or (0.0, 0.0, 0.0)) + shift
    module.set_coefficients(torch.cat([bias[None], torch.tensor(one.weights)]))
    return Approximation(module, "sd1", name="affine")


def judged(store: lf.PairStore, ours: dict[str, Approximation], program: str, folder: Path) -> Verdict:
    """The verdict on our maps for one program."""
    files = {}
    for label in ours:
        (folder / label).write_text("the numbers\n", "utf-8")
        files[label] = folder / label
    exports = Exports({program: files})
    scores = lf.evaluate(ours, store, samples=store.samples)
    published = score_published(ours, exports, scores, store, until=lambda: False)
    (found,) = verdicts(exports, scores, published)
    return found


def test_tables_in_use_today_are_ranked_and_others_are_not(store: lf.PairStore) -> None:
    ids = {one.id for one in standing_tables(store.space)}
    assert {"comfyui/SD15", "sdcpp/sd", "a1111/SD1"} <= ids
    assert not {one for one in ids if "@" in one or "placeholder" in one or "dubious" in one}


def test_a_gain_is_the_mean_over_pictures_with_its_interval(store: lf.PairStore, tmp_path: Path) -> None:
    ours = lf.ChannelMap("affine").fit(store, samples=store.samples).approximation("affine")
    found = judged(store, {"affine": ours}, "comfyui", tmp_path)
    theirs = table("comfyui/SD15").approximation()
    rows = lf.evaluate({"ours": ours, "theirs": theirs}, store, samples=store.samples).query(
        "reference == 'vae' and place == 'seen' and image != 'all'"
    )
    wide = rows.pivot(index="image", columns="approximation", values="psnr")
    assert found.gain == paired_bootstrap(wide["ours"].tolist(), wide["theirs"].tolist())
    assert (found.outcome, found.ships, found.label) == ("better", "comfyui/SD15", "affine")
    assert found.gain is not None
    assert found.gain.n == 6
    assert found.ships_psnr is not None
    assert found.psnr > found.ships_psnr


def test_the_same_numbers_are_a_tie_and_worse_ones_are_worse(store: lf.PairStore, tmp_path: Path) -> None:
    same = judged(store, {"affine": as_published("sdcpp/sd")}, "sdcpp", tmp_path)
    assert same.outcome == "tie"
    assert same.gain is not None
    assert same.gain.mean == pytest.approx(0, abs=1e-4)
    worse = judged(store, {"affine": as_published("sdcpp/sd", shift=2.0)}, "sdcpp", tmp_path)
    assert worse.outcome == "worse"


def test_ours_is_judged_as_the_program_runs_it(store: lf.PairStore, tmp_path: Path) -> None:
    """SD.Next casts without a clamp: what is a little over white turns black, in our table too."""
    bright = as_published("sdnext/SD1", shift=1.2)
    found = judged(store, {"affine": bright}, "sdnext", tmp_path)
    assert found.clamped_psnr is not None
    pooled = lf.evaluate({"affine": bright}, store, samples=store.samples).query(
        "reference == 'vae' and place == 'seen' and image == 'all' and kind == 'all'"
    )
    assert found.clamped_psnr == pytest.approx(float(pooled["psnr"].iloc[0]))
    latents = store.sample(store.samples[0].name).latents
    wrapped = table("sdnext/SD1").run_on(bright).unclamped(latents)
    expected = (255 * bright.unclamped(latents)).trunc().remainder(256) / 255
    torch.testing.assert_close(wrapped, expected, atol=1 / 255 + 1e-6, rtol=0)
    assert found.psnr != found.clamped_psnr


def test_of_two_that_are_about_as_good_the_smaller_is_advised(store: lf.PairStore, tmp_path: Path) -> None:
    small = lf.ChannelMap("affine").fit(store, samples=store.samples).approximation("affine")
    module = PolynomialMap(4, (3,), intercept=True)
    numbers = torch.zeros(37, 3)
    numbers[0], numbers[5::9] = small.module.coefficients[0], small.module.coefficients[1:]
    module.set_coefficients(numbers)
    large = Approximation(module, "sd1", name="3")
    assert judged(store, {"3": large, "affine": small}, "comfyui", tmp_path).label == "affine"
    numbers[0] += 0.5
    module.set_coefficients(numbers)
    assert judged(store, {"affine": Approximation(module, "sd1"), "3": small}, "comfyui", tmp_path).label == "3"


def test_published_tables_stop_with_the_clock_and_are_compared_on_what_both_have(
    store: lf.PairStore, tmp_path: Path
) -> None:
    ours = {"affine": lf.ChannelMap("affine").fit(store, samples=store.samples).approximation("affine")}
    scores = lf.evaluate(ours, store, samples=store.samples)
    asked = iter([False, False, True])
    exports = Exports({"comfyui": {"affine": tmp_path}})
    published = score_published(ours, exports, scores, store, until=lambda: next(asked))
    assert published is not None
    assert list(dict.fromkeys(published["sample"].dropna())) == list(dict.fromkeys(scores["sample"].dropna()))[:3]
    (found,) = verdicts(exports, scores, published)
    assert found.gain is not None
    assert found.gain.n == 3


def test_on_one_picture_there_is_a_difference_but_no_interval(store: lf.PairStore, tmp_path: Path) -> None:
    ours = {"affine": lf.ChannelMap("affine").fit(store, samples=store.samples).approximation("affine")}
    scores = lf.evaluate(ours, store, samples=store.samples[:1])
    exports = Exports({"comfyui": {"affine": tmp_path}, "diffusers": {"affine": tmp_path}})
    found = verdicts(exports, scores, score_published(ours, exports, scores, store, until=lambda: False))
    assert [(one.program, one.outcome) for one in found] == [("comfyui", "one picture"), ("diffusers", "ships none")]
    assert found[0].ships_psnr is not None
    assert found[0].psnr > found[0].ships_psnr
