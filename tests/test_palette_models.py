"""The palettized decoders that ship: small, with their palette, better than the nearest colour of bundled tables."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open

import latentfit as lf
from latentfit.images import pictures
from latentfit.palette import Palette
from latentfit.palette_scores import palettizing_of
from latentfit.palettized import palette_of
from latentfit.pixels import crop_to_cells, rgb_tensor
from latentfit.resources import data_path
from latentfit.tiled import indices_in_tiles

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


@pytest.mark.parametrize("name", SHIPPED)
def test_it_scores_what_its_card_says(name: str, assets: Path) -> None:
    decoder = lf.load(MODELS / f"{name}.safetensors")
    teacher = lf.Vae.load(str(assets / "weights" / "taesd" / "taesd"), space="sd1")
    evaluated, how = pictures([str(assets / "images" / "eval")]), palettizing_of(decoder)
    assert not {picture.load()[1] for picture in evaluated} & set(decoder.card["train_hashes"])
    assert len(decoder.card["pictures"]) == len(evaluated)
    for picture in evaluated[::10]:
        latents = teacher.encode(rgb_tensor(crop_to_cells(picture.load()[0], 320, 16)[0]))
        target = how(teacher.decode(latents), 8)
        found = (decoder.indices(latents) == target).float().mean()
        assert float(found) == pytest.approx(decoder.card["pictures"][picture.name], abs=0.01)
