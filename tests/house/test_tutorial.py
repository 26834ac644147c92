"""What the notebooks share: tables that are read at once, pictures that no fit has seen, details at their pixels."""

from pathlib import Path

import pandas as pd
import pytest
import torch

import latentfit as lf
from latentfit.images import always_held_out
from latentfit.tutorial import TRUTH, as_table, fit_forms, open_shown, short_name, side_by_side, zoomed
from tests.support.fake_vae import FakeVae


def lines(frame: pd.DataFrame, columns: dict[str, str]) -> list[str]:
    return str(as_table(frame, columns, row="map").data).splitlines()


def test_a_table_has_units_and_its_best_in_bold_and_no_more_digits_than_are_read() -> None:
    frame = pd.DataFrame(
        {"psnr": [21.31234, 24.98, float("nan")], "delta": [5.4444, 9.8, 6.1], "n": [15, 111, 1262531]},
        index=["affine", "(3, 1)", "TAESD"],
    )
    assert lines(frame, {"psnr": "PSNR, dB ↑", "delta": "ΔE ↓", "n": "numbers"}) == [
        "| map | PSNR, dB ↑ | ΔE ↓ | numbers |",
        "|---|--:|--:|--:|",
        "| affine | 21.3 | **5.44** | 15 |",
        "| 3×3 linear + 1×1 quadratic | **25.0** | 9.80 | 111 |",
        "| TAESD | – | 6.10 | 1,262,531 |",
    ]


def test_numbers_that_span_much_are_each_written_as_people_write_them() -> None:
    frame = pd.DataFrame({"ms": [0.1406, 36.688, 1120.4], "gain": [-0.25, 0.5, 1.0]}, index=["a", "b", "c"])
    texts = [line.split(" | ")[1:] for line in lines(frame, {"ms": "ms", "gain": "dB"})[2:]]
    assert texts == [["0.141", "−0.250 |"], ["36.7", "0.500 |"], ["1,120", "1.000 |"]]


def test_a_detail_is_cut_where_it_was_asked_for_at_the_size_of_the_truth() -> None:
    truth = torch.arange(64.0).reshape(1, 8, 8).expand(3, 8, 8) / 64
    small = torch.full((3, 2, 2), 0.5)
    (row,) = zoomed({"a": {"truth": truth, "table": small}}, {"a": (2, 3)}, 4).values()
    assert torch.equal(row["truth"], truth[:, 2:6, 3:7])
    assert row["table"].shape == (3, 4, 4)
    (middle,) = zoomed({"b": {"truth": truth}}, {}, 4).values()
    assert torch.equal(middle["truth"], truth[:, 2:6, 2:6])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> lf.PairStore:
    return open_shown(None, "sd1", "bundled", tmp_path_factory.mktemp("out"))


def test_what_is_shown_is_what_no_store_fits(shown: lf.PairStore) -> None:
    assert {sample.sha256 for sample in shown.samples} == always_held_out()
    assert not shown.split("train")
    assert [short_name(sample.name) for sample in shown.samples] == ["astronaut", "chelsea", "coffee"]
    sides = [max(8 * side for side in sample.size_cells) for sample in shown.samples]
    assert max(sides) >= 512
    assert min(sides) > 400


def test_the_truth_comes_first_beside_what_maps_make_of_it(shown: lf.PairStore) -> None:
    table = lf.ChannelMap("affine").fit(shown, samples=shown.samples[:1]).approximation()
    rows = side_by_side(shown, {"ours": table}, names=("coffee", "astronaut"))
    assert {name: list(row) for name, row in rows.items()} == {
        "astronaut": [TRUTH, "ours"],
        "coffee": [TRUTH, "ours"],
    }
    sample = next(one for one in shown.samples if "coffee" in one.name)
    batch = next(shown.batches([sample], ["rgb", "photo"], n_cells=1))
    assert torch.equal(rows["coffee"][TRUTH], batch.rgb[0])
    assert torch.equal(rows["coffee"]["ours"], table(batch.latents)[0])
    assert list(side_by_side(shown, {}, names=("none of these",), with_photograph=True)) == ["astronaut"]
    everything = side_by_side(shown, {}, with_photograph=True)
    assert [list(row) for row in everything.values()] == [["photograph", TRUTH]] * 3


def test_forms_are_fitted_under_their_names_in_words(tmp_path: Path) -> None:
    store = lf.collect(FakeVae(), "charts", tmp_path / "pairs", size=32, limit=6, progress=False)
    fitted = fit_forms(store, ["affine", "3,1"])
    assert list(fitted) == ["affine", "3×3 linear + 1×1 quadratic"]
    latents = torch.randn(1, store.space.channels, 4, 4)
    same = lf.ChannelMap("3,1").fit(store).approximation()
    assert torch.equal(fitted["3×3 linear + 1×1 quadratic"](latents), same(latents))
