"""Crops of maps between latents: decided by the seed and the image's number, and by nothing else."""

from pathlib import Path

import pytest
import torch

from latentfit.pairs import JoinedStores
from latentfit.train import JoinedCrops
from tests.pairs.test_joined import drawn, write_store


@pytest.fixture
def joined(tmp_path: Path) -> JoinedStores:
    first = drawn("abcdef", 4, 12)
    second = {name: 2 * one for name, one in first.items()}
    return JoinedStores(write_store(tmp_path / "a", "sd1", first), write_store(tmp_path / "b", "sdxl", second, vae="b"))


def test_a_crop_is_a_function_of_the_seed_and_its_number(joined: JoinedStores) -> None:
    one, other = JoinedCrops(joined, "all", 6, seed=4), JoinedCrops(joined, "all", 6, seed=5)
    whole = one.batch(range(16))["input"]
    torch.manual_seed(9)
    again = JoinedCrops(joined, "all", 6, seed=4)
    parts = torch.cat([again.batch(range(8, 16))["input"], again.batch(range(8))["input"]])
    assert torch.equal(whole, torch.cat([parts[8:], parts[:8]]))
    assert len({tuple(crop.flatten().tolist()) for crop in whole}) > 12  # nearly all are different crops
    elsewhere = other.batch(range(16))["input"]
    assert sum(torch.equal(a, b) for a, b in zip(whole, elsewhere, strict=True)) < 4


def test_both_crops_are_of_one_place(joined: JoinedStores) -> None:
    batch = JoinedCrops(joined, "all", 6, seed=4).batch(range(16))
    torch.testing.assert_close(batch["target"], 2 * batch["input"])
