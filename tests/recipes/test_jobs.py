"""A slice of each kind of run trains, saves, is scored on development pictures, and the next one goes on from it."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.images import Picture
from latentfit.nets import CellDecoder
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.palettes import Palette
from recipes import jobs, models, stores
from recipes.scheduling import gain_of_an_hour, table_of

KINDS = ("photograph", "painting", "drawing", "pixel art")


def store_of(folder: Path, space: str, cells: int, part: str, colours: torch.Tensor | None = None) -> PairStore:
    """Pictures of each kind that are a linear function of their latents; the same pictures in every space."""
    generator, there = torch.Generator().manual_seed(cells), lf.get_space(space)
    cell_colours = torch.rand(8, 3, cells, cells, generator=generator)
    if colours is not None:
        drawn = torch.randint(0, len(colours), (8, cells, cells), generator=generator)
        cell_colours = colours[drawn].permute(0, 3, 1, 2).float() / 255
    name = hashlib.sha256(space.encode()).hexdigest()
    mix = torch.randn(3, there.channels, generator=torch.Generator().manual_seed(int(name[:8], 16)))
    latents = torch.einsum("nrhw,rc->nchw", cell_colours - 0.5, mix)
    photo = cell_colours.repeat_interleave(8, 2).repeat_interleave(8, 3)
    columns = columns_of(latents, photo)
    samples = []
    for index in range(8):
        sha256, box = hashlib.sha256(f"{part} {index}".encode()).hexdigest(), (0, 0, 256, 256)
        kind = KINDS[index % 4]
        samples.append(Sample(sample_key(sha256, box), f"{index}.png", sha256, kind, box, (cells, cells)))
    origin = Origin("fake", "a fake VAE", name, there, 8 * cells)
    write_shard(folder, origin, samples, {**columns, "photo": columns["rgb"].clone()})
    return PairStore(folder)


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stores in place of those that are collected, and runs in a folder of their own."""
    pico = Palette.load("pico-8").colours
    made: dict[tuple[Any, ...], PairStore] = {}

    def store(space: str, cells: int, part: str, colours: torch.Tensor | None = None) -> PairStore:
        key = (space, cells, part, colours is None)
        if key not in made:
            made[key] = store_of(tmp_path / "-".join(map(str, key)), space, cells, part, colours)
        return made[key]

    monkeypatch.setattr(jobs, "RUNS", tmp_path)
    monkeypatch.setattr(stores, "training_store", lambda space, assets: store(space, 32, "training"))
    monkeypatch.setattr(stores, "development_store", lambda space, assets: store(space, 32, "development"))
    monkeypatch.setattr(stores, "sprites_store", lambda space, palette, assets, part: store(space, 32, part, pico))
    monkeypatch.setattr(jobs, "smaller", lambda space, share, assets: store(space, int(32 * share), "training"))
    monkeypatch.setattr(jobs, "smaller_development", lambda space, assets: store(space, 16, "development"))
    jobs.best_of.cache_clear()
    return tmp_path


BUILT = {
    "cell": lambda assets: jobs.decoder("sd1", "cell", assets),
    "mini-encoder": lambda assets: jobs.mini("sd1", "mini-encoder-48", assets),
    "palette": lambda assets: jobs.palette("pico-8", "cell-palette", assets),
    "interposer": lambda assets: jobs.interposer("sd1", "sdxl", assets),
    "upscaler": lambda assets: jobs.upscaler("sd1", "upscaler", assets),
    "upscaler-any": lambda assets: jobs.upscaler("sd1", "upscaler-any", assets),
}


@pytest.mark.parametrize("kind", BUILT)
def test_a_slice_trains_is_scored_and_goes_on(kind: str, assets: Path) -> None:
    job = BUILT[kind](assets)
    assert not job.is_done()
    seen = []
    for _ in range(2):
        assert job.slice(1e-6) is False  # a step in any case
        seen.append(job.curve.rows()[-1]["seen_images"])
    assert seen[1] == 2 * seen[0] > 0
    row = job.curve.rows()[-1]
    scores = {name: value for name, value in row.items() if name not in job.beside}
    assert set(scores) == ({"pixel art"} if kind == "palette" else set(KINDS))
    assert dict(job.score()) == pytest.approx(scores, rel=1e-4)
    assert all(value == value for value in scores.values())
    assert gain_of_an_hour(job.points()) is not None
    assert f"| {job.name} |" in table_of([job])


def test_the_autoencoders_run_is_a_job_too(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)).save(buffer, "PNG")
    monkeypatch.setattr(jobs, "CACHE", assets / "decoded")
    pictures = {"photographs": [Picture("a.png", "photograph", buffer.getvalue)]}
    monkeypatch.setattr(jobs, "training", lambda assets: pictures)
    monkeypatch.setattr(jobs, "squares", lambda assets: {"photographs": [torch.rand(1, 3, 64, 64)]})
    job = jobs.mini_kl(assets)
    assert job.slice(1e-6) is False
    row = job.curve.rows()[0]
    assert (row["seen_images"], set(row)) == (8, {"hours", "seen_images", "photographs", "deviation"})
    assert [score for _, score in job.points()] == [pytest.approx(row["photographs"])]


def test_every_job_has_a_name_of_its_own_and_needs_that_are_there() -> None:
    every = jobs.jobs(Path("nowhere"))
    names = [job.name for job in every]
    assert len(set(names)) == len(names) == 46
    assert all(set(job.needs) <= set(names) for job in every)
    assert names[0] == "mini-kl"
    assert {f"{space}:{preset}" for space in ("sd3", "flux2") for preset in ("cell", "cell-large")} <= set(names)


def test_a_large_decoder_gets_a_filter_that_leaves_flat_areas_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The floor comes from squares whose left half is of one grey, which a decoder gives with a faint noise."""
    monkeypatch.setattr(models, "RUNS", tmp_path)
    monkeypatch.setattr(models, "SHARPENED_ON", 1)
    torch.manual_seed(3)
    decoder = CellDecoder(4, 8, 1).eval()
    torch.nn.init.normal_(decoder.body[-2].weight, std=0.003)
    torch.nn.init.normal_(decoder.skip.weight, std=0.05)
    torch.nn.init.constant_(decoder.skip.bias, 0.5)
    latents = torch.randn(4, 4, 16, 16)
    with torch.no_grad():
        made = decoder(latents)
    photo = made + 0.1 * torch.randn_like(made)
    photo[..., :64] = 0.5
    latents[..., :10] = 0
    box = (0, 0, 128, 128)
    samples = []
    for index in range(4):
        sha256 = hashlib.sha256(f"sharp {index}".encode()).hexdigest()
        samples.append(Sample(sample_key(sha256, box), f"{index}.png", sha256, "photograph", box, (16, 16)))
    columns = columns_of(latents, made.clamp(0, 1))
    columns["photo"] = photo.clamp(0, 1).mul(255).round().to(torch.uint8)
    write_shard(tmp_path / "store", Origin("f", "f", "f" * 64, lf.get_space("sd1"), 128), samples, columns)
    lf.save(lf.Approximation(decoder, "sd1", 8, name="soft"), models.path_of("sd1", models.LARGE))
    models.sharpened("sd1", PairStore(tmp_path / "store"))
    sharp = lf.load(models.path_of("sd1", models.SHARP))
    told = sharp.card["sharpened"]
    assert sharp.module.sharp_floor == pytest.approx(told["floor"], abs=1e-6)
    assert told["floor"] > 0
    flat = torch.zeros(1, 4, 16, 16)
    flat[..., 12:] = torch.randn(1, 4, 16, 4)
    soft, filtered = (one.unclamped(flat) for one in (lf.load(models.path_of("sd1", models.LARGE)), sharp))
    assert torch.equal(soft[..., 16:48], filtered[..., 16:48])
    assert not torch.allclose(soft[..., 100:], filtered[..., 100:], atol=1e-3)
