"""Palettized decoders of pixel art: what is learned and scored are the indices of the art itself, not of its decode."""

from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit.errors import PaletteError, StoreError
from latentfit.nets import CellPalette
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.palettes import Palette, PaletteTargets, Palettizing
from latentfit.scores import evaluate_palettes
from latentfit.train import PalettePreset, TrainConfig, train_palette

PICO, CELLS = Palette.load("pico-8"), 10
OF_ART = Palettizing(PICO, "nearest", of="photo")
SMALL = PalettePreset("small", lambda space, palette: CellPalette(space.channels, palette.colours, 8, 1), 6, 1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[PairStore, torch.Tensor]:
    """Art of a palette's colours, one pixel a cell, whose decode is all of one grey; and its indices."""
    generator = torch.Generator().manual_seed(4)
    indices = torch.randint(0, 16, (12, CELLS, CELLS), generator=generator)
    art = (PICO.colours[indices].float() / 255).permute(0, 3, 1, 2)
    latents = torch.cat([4 * (art - 0.5), torch.zeros(12, 1, CELLS, CELLS)], 1)
    photo = art.repeat_interleave(8, 2).repeat_interleave(8, 3)
    columns = columns_of(latents, torch.full_like(photo, 0.5))
    columns["photo"] = photo.mul(255).round().to(torch.uint8)
    samples = []
    for index in range(12):
        sha256, box = f"{index * 7919 + 13:08x}" * 8, (0, 0, 80, 80)
        samples.append(Sample(sample_key(sha256, box), f"{index}.png", sha256, "pixel art", box, (CELLS, CELLS)))
    folder = tmp_path_factory.mktemp("drawn")
    write_shard(folder, Origin("fake", "a fake VAE", "f" * 64, lf.get_space("sd1"), 80), samples, columns)
    return PairStore(folder), indices


def test_targets_are_the_arts_own_indices(drawn: tuple[PairStore, torch.Tensor]) -> None:
    store, indices = drawn
    targets = PaletteTargets(store, OF_ART)
    for sample in store.samples:
        assert torch.equal(torch.from_numpy(targets[sample].astype("int64")), indices[sample.row])
    of_decode = PaletteTargets(store, Palettizing(PICO, "nearest"))
    assert len(set(of_decode[store.samples[0]].ravel().tolist())) == 1
    assert OF_ART.key == Palettizing(PICO, "nearest").key + "-photo"
    assert OF_ART.in_words == "pico-8, nearest, of the pictures themselves"
    with pytest.raises(PaletteError, match="'rgb' or 'photo'"):
        Palettizing(PICO, of="cells")  # type: ignore[arg-type]


def test_what_learned_them_is_scored_by_them(drawn: tuple[PairStore, torch.Tensor], tmp_path: Path) -> None:
    store, _ = drawn
    config = TrainConfig(n_images=800, batch_images=8, warmup_images=16, log_images=100, ema_images=8, lr=3e-2)
    made = train_palette(store, OF_ART, SMALL, tmp_path / "a", config=config, split="train", progress=False)
    assert made.card["targets"]["of"] == "photo"
    frame = evaluate_palettes([made], store, split="test")
    row = frame[(frame["image"] == "all") & (frame["kind"] == "all")].iloc[0]
    assert row["accuracy"] > 0.7  # a decode of one grey has no such classes
    again = evaluate_palettes([made], store, split="test", how=Palettizing(PICO, "nearest"))
    assert again[(again["image"] == "all") & (again["kind"] == "all")]["accuracy"].iloc[0] < 0.3


def test_a_store_without_pictures_is_refused(tmp_path: Path) -> None:
    latents, rgb = torch.zeros(1, 4, 4, 4), torch.zeros(1, 3, 32, 32)
    box = (0, 0, 32, 32)
    sample = Sample(sample_key("a" * 64, box), "a.png", "a" * 64, "pixel art", box, (4, 4))
    write_shard(tmp_path, Origin("f", "f", "f" * 64, lf.get_space("sd1"), 32), [sample], columns_of(latents, rgb))
    with pytest.raises(StoreError, match=r"keeps no photo to palettize.*photo"):
        PaletteTargets(PairStore(tmp_path), OF_ART)
