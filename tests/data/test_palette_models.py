"""The palettized decoders that ship: small, with their palette, better than the nearest colour of bundled tables."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open

import latentfit as lf
from latentfit.maps import indices_in_tiles
from latentfit.palettes import Palette, palette_of
from latentfit.runtime import data_path
from latentfit.scores import palettizing_of
from tests.support.unseen import decoded, encoded, evaluated, unseen

MODELS = data_path("models")
SHIPPED = {"sd1-ega16": "ega16", "sd1-nes55": "nes"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_decoder_is_small_and_holds_its_palette(name: str) -> None:
    path = MODELS / f"{name}.safetensors"
    assert path.stat().st_size <= 300_000
    with safe_open(path, framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    decoder = lf.load(path)
    assert decoder.space.name == "sd1"
    assert palette_of(decoder).hex == Palette.load(SHIPPED[name]).hex
    assert decoder.card["targets"]["method"] == "k-centroid"
    assert "crops" in decoder.card["trained"]
    latents = torch.randn(2, 4, 70, 33)
    indices = decoder.indices(latents)
    assert indices.shape == (2, 70, 33)
    assert torch.equal(indices_in_tiles(decoder, latents, 40), indices)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_better_than_every_closed_form_beside_it(name: str) -> None:
    table = pd.read_csv(MODELS / "palettes.csv")
    rows = table[table["palette"] == SHIPPED[name]].set_index("approximation")
    closed = rows[rows.index.str.startswith("table ")]
    assert len(closed) >= 3
    assert rows.accuracy[name] > closed.accuracy.max() + 0.02
    assert rows.oklab[name] < closed.oklab.min()
    assert rows.recall[name] > closed.recall.max()
    assert rows.usage_distance[name] < closed.usage_distance.min()
    card = (MODELS / "PALETTES.md").read_text("utf-8")
    assert f"| {name} | {rows.accuracy[name]:.3f} | {rows.recall[name]:.3f} | {rows.oklab[name]:.4f}" in card


@pytest.mark.parametrize("shipped", SHIPPED)
def test_it_scores_what_its_card_says(shipped: str, assets: Path) -> None:
    decoder = lf.load(MODELS / f"{shipped}.safetensors")
    hashes, how = evaluated(assets), palettizing_of(decoder)
    assert not set(hashes.values()) & set(decoder.card["train_hashes"])
    assert set(decoder.card["pictures"]) == set(hashes)
    for name, latents, truth in zip(unseen(assets), encoded("sd1", assets), decoded("sd1", assets), strict=True):
        found = (decoder.indices(latents) == how(truth, 8)).float().mean()
        assert float(found) == pytest.approx(decoder.card["pictures"][name], abs=0.01)
