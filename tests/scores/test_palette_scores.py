"""Scores of palettized approximations: exact on made pictures, beside the closed form's, on held-out pictures alone."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import PaletteError, SpaceMismatchError, StoreError
from latentfit.fit import PolynomialMap
from latentfit.nets import NearestColour
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.palettes import Palette, Palettizing, nearest_of, palettized
from latentfit.scores import evaluate_palettes, palette_summary, palettizing_of, usage_table

PICO = Palette.load("pico-8")
N_CELLS = 8


@pytest.fixture
def store(tmp_path: Path) -> PairStore:
    """Flat cells of PICO-8's colours; the first three channels of the latents are their signed rgb."""
    generator = torch.Generator().manual_seed(1)
    classes = torch.randint(0, 16, (5, N_CELLS, N_CELLS), generator=generator)
    cells = PICO.picture(classes)
    latents = torch.cat([2 * cells - 1, torch.zeros(5, 1, N_CELLS, N_CELLS)], 1)
    rgb, samples = cells.repeat_interleave(8, 2).repeat_interleave(8, 3), []
    for index in range(5):
        sha256, box = f"{index:x}" * 64, (0, 0, 64, 64)
        kind = "chart" if index == 4 else "photograph"
        samples.append(Sample(sample_key(sha256, box), f"{index}.png", sha256, kind, box, (N_CELLS, N_CELLS)))
    write_shard(tmp_path / "pairs", Origin("fake", "a fake VAE", "f" * 64, lf.get_space("sd1"), 64), samples,
                columns_of(latents, rgb))  # fmt: skip
    return PairStore(tmp_path / "pairs")


def table(gain: float = 1.0, hashes: tuple[str, ...] = ()) -> lf.Approximation:
    """The map that gives these colours back, or duller ones."""
    numbers = torch.zeros(5, 3)
    numbers[1:4] = gain * torch.eye(3)
    module = PolynomialMap(4, (1,)).set_coefficients(numbers)
    return lf.Approximation(module, "sd1", name=f"table {gain:g}", card={"train_hashes": list(hashes)})


class _OneClass(nn.Module):
    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(latents), 16, *latents.shape[-2:])
        logits[:, self.index] = 1
        return logits


def pooled(frame: pd.DataFrame, name: str, kind: str = "all") -> pd.Series:
    rows = frame[(frame["image"] == "all") & (frame["kind"] == kind) & (frame["approximation"] == name)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_targets_own_classes_score_best(store: PairStore) -> None:
    frame = evaluate_palettes([nearest_of(table(), PICO)], store)
    row = pooled(frame, "table 1, nearest of pico-8")
    assert (row["accuracy"], row["recall"], row["oklab"], row["usage_distance"]) == (1, 1, 0, 0)
    assert row["delta_e"] == row["target_delta_e"] < 0.1  # cells are kept in float16
    assert len(frame) == 5 + 3


def test_one_class_for_all_scores_what_it_must(store: PairStore) -> None:
    frame = evaluate_palettes({"seven": palettized(_OneClass(7), PICO, "sd1")}, store)
    row = pooled(frame, "seven")
    classes = torch.cat([PICO.nearest(batch.cells).flatten() for batch in store.batches()])
    share = float((classes == 7).float().mean())
    assert row["accuracy"] == pytest.approx(share)
    assert row["recall"] == pytest.approx(1 / 16)
    assert row["usage_distance"] == pytest.approx(1 - share)
    far = (PICO.oklab[classes] - PICO.oklab[7]).norm(dim=1).mean()
    assert row["oklab"] == pytest.approx(float(far), abs=1e-5)
    assert row["delta_e"] > 20


def test_how_often_classes_are_there(store: PairStore) -> None:
    frame = evaluate_palettes({"seven": palettized(_OneClass(7), PICO, "sd1")}, store)
    usage = usage_table(frame)
    assert len(usage) == 16
    assert usage["share"].tolist() == [float(index == 7) for index in range(16)]
    assert usage["target_share"].sum() == pytest.approx(1)
    assert usage["colour"].tolist() == PICO.hex
    half = abs(usage["share"] - usage["target_share"]).sum() / 2
    assert pooled(frame, "seven")["usage_distance"] == pytest.approx(half)


def test_maps_stand_beside_it_as_the_nearest_colour(store: PairStore) -> None:
    made = palettized(_OneClass(7), PICO, "sd1", name="seven")
    full = lf.Approximation(nn.Sequential(nn.Conv2d(4, 192, 1), nn.PixelShuffle(8)), "sd1", 8, name="full size")
    frame = evaluate_palettes([made, table(0.4), full], store)
    assert set(frame["approximation"]) == {"seven", "table 0.4, nearest"}
    dull = pooled(frame, "table 0.4, nearest")
    assert 0 < dull["accuracy"] < 1
    text = palette_summary(frame)
    assert "pico-8, against a fake VAE, palettized:" in text
    assert text.index("table 0.4") < text.index("seven")  # the better first


def test_targets_are_each_ones_own_unless_they_are_given(store: PairStore) -> None:
    card = {"targets": {"method": "vote", "dither": "none", "strength": 1.0}}
    made = palettized(_OneClass(7), PICO, "sd1", name="voted", card=card)
    other = palettized(_OneClass(1), Palette.load("ega16"), "sd1", name="ega")
    assert palettizing_of(made).method == "vote"
    frame = evaluate_palettes([made, other, table()], store)
    names = {"voted", "ega", "table 1, nearest of pico-8, vote", "table 1, nearest of ega16"}
    assert set(frame["approximation"]) == names
    assert set(frame["palette"]) == {"pico-8", "ega16"}
    with pytest.raises(PaletteError, match="'ega' has palette 'ega16', the targets 'pico-8'"):
        evaluate_palettes([other], store, how=Palettizing(PICO))
    alone = evaluate_palettes([table()], store, how=Palettizing(PICO))
    assert pooled(alone, "table 1, nearest")["accuracy"] == 1


def test_pictures_that_were_learned_from_are_left_out(store: PairStore) -> None:
    learned = [sample.sha256 for sample in store.samples[:2]]
    made = nearest_of(table(1.0, tuple(learned)), PICO)
    frame = evaluate_palettes([made], store)
    assert (frame.attrs["n_images"], frame.attrs["n_left_out"]) == (3, 2)
    beside = evaluate_palettes([palettized(_OneClass(7), PICO, "sd1"), table(0.5, tuple(learned))], store)
    assert beside.attrs["n_left_out"] == 2
    every = evaluate_palettes([made], store, samples=store.samples)
    assert every.attrs["n_images"] == 5
    with pytest.raises(StoreError, match="none of 5 pictures is left"):
        evaluate_palettes([nearest_of(table(1.0, tuple(s.sha256 for s in store.samples)), PICO)], store)


def test_what_cannot_be_scored_is_named(store: PairStore) -> None:
    with pytest.raises(StoreError, match="no palettized approximation was given"):
        evaluate_palettes([table()], store)
    with pytest.raises(SpaceMismatchError, match="is of space 'sdxl'"):
        evaluate_palettes([palettized(_OneClass(7), PICO, "sdxl", name="other")], store)


def test_evaluate_prints_both_tables(store: PairStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exact = palettized(NearestColour(table().module, PICO.colours), PICO, "sd1", name="exact")
    path, csv = lf.save(exact, tmp_path / "exact.safetensors"), tmp_path / "scores.csv"
    assert main(["evaluate", str(path), "--store", str(store.path), "--csv", str(csv)]) == 0
    said = capsys.readouterr().out
    assert "psnr" in said
    assert "pico-8, against a fake VAE, palettized:" in said
    assert "bundled 3×3 table, nearest" in said
    frame = pd.read_csv(tmp_path / "scores.palettes.csv")
    used = pd.read_csv(tmp_path / "scores.usage.csv")
    sums = used.groupby("approximation")[["share", "target_share"]].sum().to_numpy()
    assert sums.ravel() == pytest.approx(1)
    assert pooled(frame, "exact")["accuracy"] == 1
    assert {"psnr", "delta_e"} <= set(pd.read_csv(csv).columns)


def test_evaluate_says_why_the_bundled_table_is_left_out(
    store: PairStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lf.save(nearest_of(table(), PICO), tmp_path / "own.safetensors")
    learned = lf.save(table(1.0, tuple(one.sha256 for one in store.samples)), tmp_path / "3.safetensors")
    monkeypatch.setattr("latentfit.formats.bundled.bundled_tables", lambda space: [learned])
    assert main(["evaluate", str(path), "--store", str(store.path)]) == 0
    said = capsys.readouterr().out
    assert "bundled 3×3 table is left out: it was fitted on every one of these pictures" in said
    assert "table, nearest" not in said
