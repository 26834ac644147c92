"""Indices of art are counted against the art itself, whatever the way back to them."""

import hashlib
from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.palettes import Palette, palettized
from recipes import pixel_art
from recipes.pixel_art import scores_of, table_of

PICO = Palette.load("pico-8")


class Nearest(torch.nn.Module):
    """Latents that are colours -> scores of the palette's classes, as the distance says."""

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        colours = PICO.colours.float() / 255
        rgb = latents[:, :3].movedim(1, -1) + 0.5
        return -torch.cdist(rgb.flatten(1, 2), colours[None]).movedim(1, -1).unflatten(2, latents.shape[2:])


@pytest.fixture
def store(tmp_path: Path) -> tuple[PairStore, torch.Tensor]:
    """Art whose decode shows half of the columns in another of the palette's colours."""
    drawn = torch.randint(1, 16, (3, 8, 8), generator=torch.Generator().manual_seed(2))
    art = (PICO.colours[drawn].float() / 255).permute(0, 3, 1, 2)
    wrong = drawn.clone()
    wrong[..., ::2] = 0
    shown = (PICO.colours[wrong].float() / 255).permute(0, 3, 1, 2)
    latents = torch.cat([art - 0.5, torch.zeros(3, 1, 8, 8)], 1)
    photo, rgb = (one.repeat_interleave(8, 2).repeat_interleave(8, 3) for one in (art, shown))
    box, samples = (0, 0, 64, 64), []
    for index in range(3):
        sha256 = hashlib.sha256(f"art {index}".encode()).hexdigest()
        samples.append(Sample(sample_key(sha256, box), f"{index}.png", sha256, "pixel art", box, (8, 8)))
    columns = columns_of(latents, rgb)
    columns["photo"] = photo.mul(255).round().to(torch.uint8)
    write_shard(tmp_path, Origin("f", "f", "f" * 64, lf.get_space("sd1"), 64), samples, columns)
    return PairStore(tmp_path), drawn


def test_every_way_is_held_against_the_art(store: tuple[PairStore, torch.Tensor]) -> None:
    maps = {"ours": palettized(Nearest(), PICO, "sd1", name="ours")}
    frame = scores_of(PICO, store[0], maps)
    found = frame.set_index("map")
    assert found.loc["ours", "accuracy"] == 1
    assert found.loc["ours", "oklab"] == pytest.approx(0, abs=1e-6)
    for way in pixel_art.LONG_WAYS:
        assert found.loc[way, "accuracy"] == 0.5
        assert found.loc[way, "oklab"] > 0.1
    assert set(frame["n_images"]) == {3}
    assert table_of(frame).splitlines()[2] == "| ours | pico-8 | 100.0% | 0.0000 |"
