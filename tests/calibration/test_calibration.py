"""Calibration: what enters, what is refused, and that neither order nor processes change the answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.calibration import FORMS
from latentfit.errors import CalibrationError, LatentfitError, SpaceMismatchError
from latentfit.formats import NAMES, bundled_tables
from tests.support.calibrating import SLOPES, pairs


def coefficients(calibration: lf.Calibration) -> Tensor:
    module = calibration.approximation().module
    return module.coefficients.double()  # type: ignore[union-attr, operator]


def test_it_solves_what_a_channel_map_solves() -> None:
    latents, rgb = pairs(5)
    calibration = lf.Calibration("sd1", "3", prior=None)
    assert calibration.observe(latents, rgb).n_new == calibration.n_pictures == 5
    found, chosen = calibration.solve()
    cells = torch.nn.functional.interpolate(rgb, (8, 8), mode="area")
    assert not ((cells < 0.06) | (cells > 0.94)).any()  # else targets are moved, and the fits are not the same
    same = lf.ChannelMap("3", censored=False, ridge=chosen.ridge).fit_arrays(latents, cells, space="sd1")
    theirs = same.approximation().module.coefficients  # type: ignore[union-attr]
    assert torch.allclose(found.module.coefficients, theirs, atol=1e-6)  # type: ignore[union-attr, arg-type]


def test_it_finds_the_map_that_made_the_pairs() -> None:
    calibration = lf.Calibration("sd1", "affine", prior=None)
    calibration.observe(*pairs(12, noise=0.0))
    latents, rgb = pairs(1, seed=9, noise=0.0)
    shown = calibration.approximation()(latents)
    expected = torch.nn.functional.interpolate(rgb, (8, 8), mode="area")
    assert torch.allclose(shown, expected, atol=1e-4)
    assert torch.allclose(coefficients(calibration)[1:], 2 * SLOPES.double(), atol=1e-4)


def test_order_and_batches_do_not_change_the_answer() -> None:
    latents, rgb = pairs(9)
    whole, single = lf.Calibration("sd1", prior=None), lf.Calibration("sd1", prior=None)
    whole.observe(latents, rgb)
    for index in torch.randperm(9).tolist():
        single.observe(latents[index : index + 1], rgb[index : index + 1])
    assert whole.solve()[1].form == single.solve()[1].form
    assert torch.allclose(coefficients(whole), coefficients(single), atol=1e-9)


def test_duplicates_count_once() -> None:
    latents, rgb = pairs(3)
    calibration = lf.Calibration("sd1", prior=None)
    assert calibration.observe(torch.cat([latents, latents[:1]]), torch.cat([rgb, rgb[:1]])).refused == {
        "seen before": 1
    }
    before = coefficients(calibration)
    again = calibration.observe(latents, rgb)
    assert (again.n_new, again.refused) == (0, {"seen before": 3})
    assert calibration.refused == {"seen before": 4}
    assert torch.equal(coefficients(calibration), before)


def test_what_an_inpainting_kept_counts_once() -> None:
    latents, rgb = pairs(1, side=16)
    other, painted = pairs(1, seed=1, side=16)
    latents[:, :, 12:], rgb[:, :, 48:] = latents[:, :, :4], rgb[:, :, :16]  # repeats within a picture, too
    other[:, :, :8], painted[:, :, :32] = latents[:, :, :8], rgb[:, :, :32]
    calibration = lf.Calibration("sd1", prior=None)
    calibration.observe(latents, rgb)
    cells = [row[2] for row in calibration._file.pictures()]
    calibration.observe(other, painted)
    cells += [row[2] for row in calibration._file.pictures()[1:]]
    assert cells == [12 * 16, 8 * 16]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_and_counted(value: float) -> None:
    latents, rgb = pairs(3)
    latents[0, 1, 2, 3] = value
    rgb[1, 0, 0, 0] = value
    calibration = lf.Calibration("sd1", prior=None)
    observed = calibration.observe(latents, rgb)
    assert observed.n_new == 1
    assert observed.refused == {"latents that are not finite": 1, "a picture that is not finite": 1}


def test_black_pictures_and_empty_latents_are_refused_and_counted() -> None:
    latents, rgb = pairs(3)
    rgb[0] = 0
    latents[1] = 0.5
    calibration = lf.Calibration("sd1", prior=None)
    assert calibration.observe(latents, rgb).refused == {"a picture of one colour": 1, "latents of one value": 1}
    assert calibration.n_pictures == 1


def test_another_space_vae_or_shape_is_refused() -> None:
    latents, rgb = pairs(2)
    calibration = lf.Calibration("sd1", prior=None, fingerprint="a" * 64, vae="mine")
    calibration.observe(latents[:1], rgb[:1])
    assert (calibration.fingerprint, calibration.vae) == ("a" * 64, "mine")
    with pytest.raises(CalibrationError, match=r"pairs of one VAE.*bbbbbbbb"):
        calibration.observe(latents[1:], rgb[1:], fingerprint="b" * 64, vae="another")
    with pytest.raises(SpaceMismatchError):
        calibration.observe(torch.randn(1, 16, 8, 8), rgb[:1])
    with pytest.raises(CalibrationError, match="uncropped"):
        calibration.observe(latents[1:], rgb[1:, :, 4:])
    with pytest.raises(CalibrationError, match="one by one"):
        calibration.observe(latents[1:, :, None], rgb[1:])
    assert calibration.n_pictures == 1


def test_a_vae_that_is_named_later_binds_the_file(tmp_path: Path) -> None:
    latents, rgb = pairs(2)
    path = tmp_path / "one"
    lf.Calibration("sd1", path=path).observe(latents[:1], rgb[:1])
    named = lf.Calibration("sd1", path=path, fingerprint="a" * 64)
    named.observe(latents[1:], rgb[1:])
    with pytest.raises(CalibrationError, match="one VAE"):
        lf.Calibration("sd1", path=path, fingerprint="b" * 64)
    with pytest.raises(CalibrationError, match="one space"):
        lf.Calibration("sdxl", path=path)


def test_merge_forget_save_and_open(tmp_path: Path) -> None:
    latents, rgb = pairs(9)
    first, second, whole = (lf.Calibration("sd1", prior=None) for _ in range(3))
    first.observe(latents[:5], rgb[:5])
    second.observe(latents[5:], rgb[5:])
    whole.observe(latents, rgb)
    assert first.merge(second) == 0
    assert first.n_pictures == 9
    assert torch.allclose(coefficients(first), coefficients(whole), atol=1e-9)
    assert first.merge(second) == 4  # nothing new: nothing enters
    assert torch.allclose(coefficients(first), coefficients(whole), atol=1e-9)
    path = first.save(tmp_path / "saved")
    opened = lf.Calibration.open(path)
    assert (opened.n_pictures, opened.path) == (9, path)
    assert np.array_equal(opened._file.sums(), first._file.sums())
    opened.forget()
    assert (opened.n_pictures, first.n_pictures) == (0, 9)
    assert not opened._file.sums().any()
    with pytest.raises(CalibrationError, match="one space"):
        first.merge(lf.Calibration("sdxl"))


def test_memory_and_file_stay_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from latentfit.calibration import moment_file

    monkeypatch.setattr(moment_file, "MOST_BLOCKS", 64)
    monkeypatch.setattr(moment_file, "MOST_PICTURES", 20)
    path = tmp_path / "growing"
    calibration = lf.Calibration("sd1", path=path, prior=None)
    sizes = []
    for seed in range(12):
        calibration.observe(*pairs(8, seed))
        sizes.append(path.stat().st_size)
    assert sizes[-1] == sizes[3]  # all eight folds are there by then
    assert calibration.n_pictures == 96
    assert len(calibration._file.pictures()) == 20
    assert len(calibration._file.known_blocks()) <= 64


def test_nothing_known_and_nothing_seen_is_an_error() -> None:
    with pytest.raises(CalibrationError, match="observe a pair first"):
        lf.Calibration("sd1", prior=None).approximation()
    with pytest.raises(CalibrationError, match="'3,1'"):
        lf.Calibration("sd1", "7")


def test_before_the_first_picture_it_is_what_is_bundled() -> None:
    found = lf.Calibration("sd1").approximation()
    best = lf.load(next(path for path in bundled_tables("sd1") if path.stem == "5_1"))
    latents = pairs(2)[0]
    assert torch.allclose(found(latents), best(latents), atol=1e-5)


@pytest.mark.parametrize("form", ["affine", "3", "3,1", "5", "5,1"])
def test_a_form_that_was_asked_for_is_taken(form: str) -> None:
    calibration = lf.Calibration("sd1", form, prior=None)
    calibration.observe(*pairs(6))
    assert FORMS[calibration.solve()[1].form] == (tuple(map(int, form.split(","))) if form != "affine" else (1,))


@pytest.mark.parametrize("to", NAMES)
def test_it_exports_to_every_program_as_any_affine_map_does(to: str, tmp_path: Path) -> None:
    latents, rgb = pairs(6)
    calibration = lf.Calibration("sd1", "affine", prior=None)
    calibration.observe(latents, rgb)
    plain = lf.ChannelMap("affine", censored=False).fit_arrays(latents, rgb[..., ::4, ::4], space="sd1").approximation()

    def outcome(one: lf.Approximation) -> str:
        try:
            lf.export(one, to, tmp_path / f"{to}.txt")
        except LatentfitError as error:
            return type(error).__name__
        return "written"

    assert outcome(calibration.approximation()) == outcome(plain)


def test_its_card_is_saved_and_loaded(tmp_path: Path) -> None:
    calibration = lf.Calibration("sd1", fingerprint="c" * 64, vae="mine")
    calibration.observe(*pairs(6))
    made = calibration.approximation()
    loaded = lf.load(lf.save(made, tmp_path / "learned.safetensors"))
    assert loaded.card == made.card
    assert (loaded.card["n_images"], loaded.card["vae"], loaded.name) == (6, "mine", made.name)
    assert torch.equal(loaded(pairs(1)[0]), made(pairs(1)[0]))


def test_gain_over_a_table_is_that_of_pictures_left_out() -> None:
    calibration = lf.Calibration("sd1", "affine", prior=None)
    calibration.observe(*pairs(8))
    black = lf.ChannelMap("affine", censored=False).fit_arrays(pairs(1)[0], torch.full((1, 3, 8, 8), 0.5), space="sd1")
    latents, rgb = pairs(8)
    cells = torch.nn.functional.interpolate(rgb, (8, 8), mode="area")
    theirs = -10 * torch.log10((cells - 0.5).square().mean())
    ours = -10 * torch.log10((calibration.approximation()(latents) - cells).square().mean())
    assert calibration.gain_over(black.approximation()) == pytest.approx(float(ours - theirs), abs=0.3)


def test_what_is_clipped_is_a_bound_and_not_a_target() -> None:
    generator = torch.Generator().manual_seed(1)
    latents = 6 * torch.randn(12, 4, 8, 8, generator=generator)  # nearly half of the cells is black or white
    true = torch.einsum("nchw,co->nohw", latents, SLOPES) + 0.5
    rgb = true.clamp(0, 1)
    assert ((rgb < 0.06) | (rgb > 0.94)).float().mean() > 0.3
    plain = lf.ChannelMap("affine", censored=False).fit_arrays(latents, rgb, space="sd1").approximation()
    calibration = lf.Calibration("sd1", "affine", prior=None)
    calibration.observe(latents, rgb)
    informed = lf.Calibration("sd1", "affine", prior=plain)
    informed.observe(latents, rgb)

    def error(one: lf.Approximation) -> float:
        return float((one(latents) - rgb).square().mean())

    assert error(calibration.approximation()) < 0.85 * error(plain)
    assert error(informed.approximation()) < 0.85 * error(plain)
