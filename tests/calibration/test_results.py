"""What docs/calibration.md says is what was measured, and what was measured keeps the promises."""

import pandas as pd
import pytest
import torch

import latentfit as lf
from latentfit.pairs import PairStore
from recipes.calibration import RESULTS, psnr_at_cells
from recipes.cards.calibration import PAGE, RICHER, page
from tests.support.fake_vae import FakeVae
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    frame = pd.read_csv(RESULTS, keep_default_na=False)
    return frame[~frame["name"].isin(RICHER)]


def test_the_page_says_what_was_measured(results: pd.DataFrame) -> None:
    assert PAGE.read_text("utf-8") == page(results)


def test_what_ships_is_never_left_for_much_worse_and_left_for_better_on_drawings(results: pd.DataFrame) -> None:
    for (_, kind), mine in results.groupby(["space", "kind"]):
        if "ships" not in set(mine["source"]):
            continue
        ships = mine[mine["source"] == "ships"].set_index("name")["psnr"]["(5, 1)"]
        learned = mine[mine["source"] == "with what is known"].set_index("pictures")["psnr"]
        assert learned.min() > ships - 0.3
        assert learned[16] > ships - 0.2
        if kind == "drawings":
            assert learned[16] >= ships


def test_from_nothing_every_published_table_is_passed(results: pd.DataFrame) -> None:
    for _, mine in results.groupby(["space", "kind"]):
        published = mine[mine["source"] == "published"]["psnr"].max()
        learned = mine[mine["source"] == "from nothing"].set_index("pictures")["psnr"]
        assert learned[16] > published


def test_decibels_are_those_of_evaluate(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    store: PairStore = lf.collect(FakeVae(), ["charts"], folder, size=64, limit=3, progress=False)  # type: ignore[arg-type]
    torch.manual_seed(0)
    table = lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1", name="table")
    frame = lf.evaluate({"table": table}, store, split="all")
    is_mine = (frame["image"] == "all") & (frame["place"] == "cells") & (frame["reference"] == "vae")
    assert psnr_at_cells({"table": table}, store)["table"] == pytest.approx(
        float(frame[is_mine]["psnr"].iloc[0]), abs=1e-3
    )


def test_the_figures_are_there() -> None:
    for name in ("calibration.png", "calibration_previews.png"):
        assert (ROOT / "figures" / name).stat().st_size > 10_000
