"""Held-out pictures decide nothing of a map: with other ones in their place it comes out the same, to the bit."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.images import is_test
from latentfit.maps import Approximation
from latentfit.nets import CellDecoder, CellPalette, Interposer, TinyEncoder
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.palettes import Palette, Palettizing
from latentfit.train import (
    PRESETS,
    PalettePreset,
    TrainConfig,
    preset_named,
    train_decoder,
    train_encoder,
    train_latent_map,
    train_palette,
)

CELLS, WIDTH = 10, 8
CONFIG = TrainConfig(n_images=16, batch_images=8, warmup_images=0, ema_images=8, lr=1e-2)
HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(24)]


def write_store(folder: Path, others: bool, of_target: bool = False) -> PairStore:
    """Pictures of noise; with `others` the held-out ones are different."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(len(HASHES), 4, CELLS, CELLS, generator=generator)
    for row, sha256 in enumerate(HASHES):
        if others and is_test(sha256):
            latents[row] = 3 * latents[row].flip(0) + 1
    mixed = torch.einsum("nchw,cr->nrhw", latents, torch.randn(4, 3, generator=generator)) * 0.1 + 0.5
    rgb = torch.nn.functional.interpolate(mixed, scale_factor=8.0, mode="bilinear").clamp(0, 1)
    columns = columns_of(latents.flip(1) * 0.7 + 0.2 * latents.abs() if of_target else latents, rgb)
    box = (0, 0, 8 * CELLS, 8 * CELLS)
    samples = [
        Sample(sample_key(sha256, box), f"{row:02}.png", sha256, "photograph", box, (CELLS, CELLS))
        for row, sha256 in enumerate(HASHES)
    ]
    origin = Origin("fake", "a fake VAE", ("e" if of_target else "f") * 64, lf.get_space("sd1"), 8 * CELLS)
    write_shard(folder, origin, samples, {**columns, "photo": columns["rgb"]})
    return PairStore(folder)


def decoder(store: PairStore, target: PairStore, out: Path, split: Any) -> Any:
    preset = replace(PRESETS["cell"], make=lambda space: CellDecoder(space.channels, WIDTH, 1), crop_cells=6)
    assert preset.closed_form
    return train_decoder(store, preset, out, config=CONFIG, split=split, progress=False).module


def encoder(store: PairStore, target: PairStore, out: Path, split: Any) -> Any:
    preset = replace(PRESETS["mini-encoder"], make=lambda space: TinyEncoder(space.channels, WIDTH), crop_cells=6)
    return train_encoder(store, preset, out, config=CONFIG, split=split, progress=False)


def palette(store: PairStore, target: PairStore, out: Path, split: Any) -> Any:
    preset = PalettePreset("small", lambda space, one: CellPalette(space.channels, one.colours, WIDTH, 1), 6, 1)
    how = Palettizing(Palette.load("pico-8"))
    return train_palette(store, how, preset, out, config=CONFIG, split=split, progress=False).module


def interposer(store: PairStore, target: PairStore, out: Path, split: Any) -> Any:
    """With its inverse, a closed form in both, and a last convolution that is solved behind a decoder's blocks."""
    make = lambda one, other, scale: Interposer(one.channels, other.channels, WIDTH, 1, 3, 0)  # noqa: E731
    preset = replace(
        preset_named("interposer", "interposer"), make=make, crop_cells=6, losses={"mse": 1.0, "round": 0.1},
        closed_form="3", both_ways=True,
    )  # fmt: skip
    assert preset.takes_trunk
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        trunk = Approximation(CellDecoder(4, WIDTH, 1), "sd1", 8)
    joined = store.join(target)
    train_latent_map(joined, preset, out, trunk=trunk, config=CONFIG, split=split, progress=False)
    back = lf.load(out.with_name(f"{out.stem}_back.safetensors"))
    return torch.nn.ModuleList([lf.load(out).module, back.module])


def table(store: PairStore, target: PairStore, out: Path, split: Any) -> Any:
    maps = (
        lf.ChannelMap("3").fit(store, split).module_,
        lf.ChannelMap("3").fit_joined(store.join(target), split).module_,
    )
    return torch.nn.ModuleList(maps)


MAKES = [decoder, encoder, palette, interposer, table]


@pytest.mark.parametrize("make", MAKES, ids=lambda one: one.__name__)
def test_with_other_pictures_held_out_the_map_is_the_same(make: Any, tmp_path: Path) -> None:
    def weights(split: str, others: bool) -> dict[str, Tensor]:
        folder = tmp_path / f"{split} {others}"
        stores = [write_store(folder / str(of_target), others, of_target) for of_target in (False, True)]
        return dict(make(*stores, folder / "map.safetensors", split).state_dict())

    assert 3 <= sum(map(is_test, HASHES)) <= 8
    one, other = (weights("train", others) for others in (False, True))
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    one, other = (weights("all", others) for others in (False, True))
    assert any(not torch.equal(tensor, other[name]) for name, tensor in one.items())  # there they do count


@pytest.mark.parametrize("make", MAKES, ids=lambda one: one.__name__)
def test_random_numbers_of_the_process_decide_nothing_either(make: Any, tmp_path: Path) -> None:
    stores = [write_store(tmp_path / str(of_target), False, of_target) for of_target in (False, True)]
    found: list[dict[str, Tensor]] = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(dict(make(*stores, tmp_path / f"{seed}.safetensors", "train").state_dict()))
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name]), name
