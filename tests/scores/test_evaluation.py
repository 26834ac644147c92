"""evaluate() against numpy on a store whose answer is known: places, references, kinds, held-out pictures, costs."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.errors import SpaceMismatchError, StoreError
from latentfit.maps import as_scale
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.scores import ColourSums, as_seen, at_cells, costs, peak_mib, score_summary

KINDS = ("photograph", "photograph", "chart", "drawing", "greyscale", "photograph")
PX = 8


def table(gain: float = 0.1, name: str = "", bias: float = 0.5) -> lf.Approximation:
    """Latents -> rgb, one pixel a cell."""
    conv = torch.nn.Conv2d(4, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(gain * torch.eye(3, 4)[:, :, None, None])
        conv.bias.fill_(bias)
    return lf.Approximation(conv, "sd1", name=name or f"gain {gain}")


class Patches(torch.nn.Module):
    """A full-size decoder: the table's colours with a fixed pattern of mean 0 in each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.table = table().module
        self.register_buffer("pattern", 0.05 * torch.tensor([1.0, -1.0] * (PX // 2)))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        flat = self.table(latents).repeat_interleave(PX, 2).repeat_interleave(PX, 3)
        return flat + self.pattern.repeat(latents.shape[-1])


def decoder() -> lf.Approximation:
    return lf.Approximation(Patches(), "sd1", PX, name="decoder")


def make_store(folder: Path, keep: tuple[str, ...] = ("rgb", "photo"), sizes: tuple[int, ...] = (6, 7)) -> PairStore:
    """Pictures decoded by `Patches`, of two sizes; photographs are the decode, darkened."""
    generator = torch.Generator().manual_seed(3)
    origin = Origin("fake", "a fake VAE", "0" * 64, lf.get_space("sd1"), 64)
    for size in sizes:
        latents = torch.randn(3, 4, 6, size, generator=generator).clamp(-4, 4)
        samples = []
        for row in range(3):
            index = row + 3 * sizes.index(size)
            box = (0, 0, size * PX, 6 * PX)
            sha256 = f"{index + 1:02x}" * 32
            samples.append(Sample(sample_key(sha256, box), f"picture {index}", sha256, KINDS[index], box, (6, size)))
        rgb = decoder()(latents)
        columns = columns_of(latents, rgb)
        columns["photo"] = (0.8 * rgb).mul(255).round().to(torch.uint8)
        kept = ("latents", "cells", "clipped", *keep)
        write_shard(folder, origin, samples, {name: columns[name] for name in kept})
    return PairStore(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def frame(store: PairStore) -> pd.DataFrame:
    return lf.evaluate({"weak": table(0.05), "right": table(), "decoder": decoder()}, store)


def row(frame: pd.DataFrame, name: str, **where: str) -> pd.Series:
    wanted = {"approximation": name, "reference": "vae", "place": "cells", "kind": "all", "image": "all"} | where
    found = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(found) == 1, wanted
    return found.iloc[0]


def test_pooled_scores_are_numpys_over_all_pixels(store: PairStore, frame: pd.DataFrame) -> None:
    errors = [(table(0.05)(batch.latents) - batch.cells).double().numpy().ravel() for batch in store.batches(n_cells=1)]
    mse = np.mean(np.concatenate(errors) ** 2)
    assert row(frame, "weak")["psnr"] == pytest.approx(-10 * np.log10(mse), abs=1e-6)
    assert row(frame, "weak")["rmse"] == pytest.approx(255 * np.sqrt(mse), rel=1e-6)
    by_hand = -10 * np.log10(np.mean(errors[0] ** 2))
    first = next(store.batches(n_cells=1)).samples[0]
    assert row(frame, "weak", kind=first.kind, image=first.name)["psnr"] == pytest.approx(by_hand, abs=1e-6)


def test_seen_is_a_bilinear_enlargement(store: PairStore, frame: pd.DataFrame) -> None:
    sums = ColourSums()
    for batch in store.batches(columns=("rgb",), n_cells=1):
        enlarged = torch.nn.functional.interpolate(table(0.05)(batch.latents), batch.rgb.shape[-2:], mode="bilinear")
        sums.add(enlarged, batch.rgb)
    found = row(frame, "weak", place="seen")
    assert found["psnr"] == pytest.approx(sums.scores()["psnr"], abs=1e-6)
    assert found["delta_e"] == pytest.approx(sums.scores()["delta_e"], rel=1e-5)
    assert all(np.isfinite(found[score]) for score in ("ssim", "gmsd", "flip", "high_frequency"))
    assert math.isnan(row(frame, "weak")["ssim"])


def test_a_full_size_decoder_is_seen_as_it_is_and_averaged_at_the_cells(frame: pd.DataFrame) -> None:
    assert row(frame, "decoder", place="seen")["psnr"] > 50
    assert row(frame, "decoder")["psnr"] > 50
    assert row(frame, "decoder", place="seen")["high_frequency"] == pytest.approx(1, abs=0.02)
    assert row(frame, "right")["psnr"] > 50
    assert row(frame, "right", place="seen")["high_frequency"] < 0.5
    assert row(frame, "right", place="seen")["psnr"] < 40


def test_references_are_never_mixed(frame: pd.DataFrame) -> None:
    assert row(frame, "decoder", reference="photo")["psnr"] < 25
    assert row(frame, "decoder", reference="photo")["bias"] > 10
    assert set(frame["reference"]) == {"vae", "photo"}
    assert frame.attrs["reference"] == "a fake VAE"


def test_saturation_and_clipping_tell_a_loud_table(store: PairStore) -> None:
    loud = lf.evaluate([table(0.2), table(0.05)], store, with_structure=False)
    for place in ("cells", "seen"):
        assert row(loud, "gain 0.2", place=place, kind="photograph")["saturation"] > 1.2
        assert row(loud, "gain 0.05", place=place, kind="photograph")["saturation"] < 0.7
        outside = [(table(0.2).unclamped(b.latents) - 0.5).abs() > 0.5 for b in store.batches(n_cells=1)]
        share = torch.cat([each.flatten() for each in outside]).double().mean()
        assert row(loud, "gain 0.2", place=place)["clipped"] == pytest.approx(float(share))
        assert row(loud, "gain 0.05", place=place)["clipped"] == 0


def test_kinds_stand_apart_and_count_pictures(frame: pd.DataFrame) -> None:
    counts = {kind: row(frame, "right", kind=kind)["n_images"] for kind in {*KINDS, "all"}}
    assert counts == {"photograph": 3, "chart": 1, "drawing": 1, "greyscale": 1, "all": 6}
    assert len(frame) == 3 * 2 * 2 * (6 + 5)


def test_fitted_pictures_are_left_out_of_every_row(store: PairStore) -> None:
    fitted = table(name="fitted")
    fitted.card["train_hashes"] = [store.samples[0].sha256, store.samples[4].sha256]
    frame = lf.evaluate([fitted, table(0.05)], store, places=["cells"])
    assert frame.attrs["n_images"] == 4
    assert frame.attrs["n_left_out"] == 2
    assert store.samples[0].name not in set(frame["image"])
    assert "4 pictures scored, 2 left out" in score_summary(frame)
    again = lf.evaluate([fitted], store, samples=store.samples, places=["cells"])
    assert again.attrs["n_images"] == 6
    fitted.card["train_hashes"] = [sample.sha256 for sample in store.samples]
    with pytest.raises(StoreError, match="none of 6 pictures"):
        lf.evaluate([fitted, table(0.05)], store)


def test_another_space_is_refused_by_name(store: PairStore) -> None:
    other = lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sdxl", name="stranger")
    with pytest.raises(SpaceMismatchError, match="stranger"):
        lf.evaluate([table(), other], store)
    with pytest.raises(StoreError, match="at least one"):
        lf.evaluate([], store)


def test_equal_names_are_told_apart(store: PairStore) -> None:
    frame = lf.evaluate([table(name="a"), table(0.05, name="a")], store, places=["cells"])
    assert set(frame["approximation"]) == {"a", "a #2"}


def test_a_store_of_cells_says_what_it_lacks(tmp_path: Path) -> None:
    cells_only = make_store(tmp_path, keep=(), sizes=(6,))
    frame = lf.evaluate([table(), decoder()], cells_only)
    assert set(frame["place"]) == {"cells"}
    assert row(frame, "decoder")["psnr"] > 50
    with pytest.raises(StoreError, match="keep='rgb'"):
        lf.evaluate([table()], cells_only, places=["seen"])
    with pytest.raises(StoreError, match="keep='photo'"):
        lf.evaluate([table()], cells_only, references=["photo"])


@pytest.mark.parametrize("wrong", [{"places": ["pixels"]}, {"references": ["truth"]}, {"places": []}])
def test_unknown_places_and_references(store: PairStore, wrong: dict[str, list[str]]) -> None:
    with pytest.raises(StoreError, match="expected"):
        lf.evaluate([table()], store, **wrong)  # type: ignore[arg-type]


def test_costs_come_from_the_same_run(frame: pd.DataFrame) -> None:
    assert row(frame, "right")["parameters"] == 15
    assert row(frame, "right")["ms"] > 0
    assert row(frame, "decoder")["extra_mib"] > row(frame, "right")["extra_mib"] > 0


def test_extra_memory_is_the_most_that_is_alive_at_once() -> None:
    def run() -> None:
        total = torch.zeros(1 << 18)  # 1 MiB
        for _ in range(5):
            total += torch.ones(1 << 18)  # one more at a time

    assert peak_mib(run) == pytest.approx(2, abs=0.01)


def test_costs_take_turns_and_count_fitted_numbers() -> None:
    spent = costs({"a": table(), "b": decoder()}, torch.randn(1, 4, 16, 16))
    assert spent["a"]["parameters"] == 15
    assert spent["b"]["ms"] > 0


def test_seen_equals_pillows_bilinear_of_a_server() -> None:
    small = torch.rand(1, 3, 6, 9)
    seen = as_seen(small, (48, 72))[0]
    for channel in range(3):
        image = Image.fromarray(small[0, channel].numpy()).resize((72, 48), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(seen[channel], np.asarray(image), atol=1e-6)


@pytest.mark.parametrize("factor", ["1/2", "1", "2", "3/2", "8"])
def test_any_scale_is_brought_to_the_cells(factor: str) -> None:
    scale = as_scale(factor)
    ramp = torch.linspace(0.2, 0.8, int(24 * scale)).expand(1, 3, int(12 * scale), -1)
    cells = at_cells(ramp, (12, 24))
    assert cells.shape == (1, 3, 12, 24)
    assert float(cells.mean()) == pytest.approx(0.5, abs=1e-5)
    assert torch.equal(at_cells(ramp + 1, (12, 24)), torch.ones(1, 3, 12, 24))
