"""One opener of weights: every file of tensors goes through it, and what is damaged is told in one way."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import latentfit as lf
from latentfit.errors import BadFileError, LatentfitError, StoreError
from latentfit.formats import read
from latentfit.latents import read_latents
from latentfit.runtime import TensorFile, load_plainly
from tests.support.paths import ROOT

OPENS = re.compile(r"\b(safe_open|load_file|torch\.load)\(")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "one.safetensors"
    save_file({"a": torch.arange(6.0).reshape(2, 3).half(), "b": torch.ones(1, dtype=torch.uint8)}, file, {"by": "us"})
    return file


def test_it_reads_header_whole_tensors_and_parts(path: Path) -> None:
    with TensorFile(path) as file:
        assert sorted(file.names) == ["a", "b"]
        assert file.metadata == {"by": "us"}
        assert (file.shape("a"), file.dtype("a"), file.dtype("b")) == ((2, 3), "F16", "U8")
        assert file.tensor("a").dtype == torch.float16
        assert file.part("a", (slice(1, 2), slice(0, 2))).tolist() == [[3.0, 4.0]]
    with TensorFile(path, framework="np") as file:
        np.testing.assert_array_equal(file.tensor("a"), np.arange(6, dtype=np.float16).reshape(2, 3))


@pytest.mark.parametrize("share", [0, 0.2, 0.99])
def test_damage_is_told_as_the_caller_says(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(StoreError, match=r"one\.safetensors: not a whole shard \(.+\); collect it anew$") as caught:
        TensorFile(path, "shard", "collect it anew", StoreError)
    assert (caught.value.place, caught.value.remedy) == (str(path), "collect it anew")


def test_a_tensor_that_is_not_there_and_a_file_that_is_gone_are_told_so(path: Path) -> None:
    with TensorFile(path) as file, pytest.raises(BadFileError, match=r"not a whole safetensors file \(tensor 'c': "):
        file.tensor("c")
    with pytest.raises(BadFileError, match=r"none\.safetensors: not a whole safetensors file"):
        TensorFile(path.with_name("none.safetensors"))


def test_all_readers_tell_a_cut_file_in_the_same_fields(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])
    said = set()
    for reader in (
        lf.load,
        lambda one: read(one, "conv2d", "sd1"),
        lambda one: read_latents(one, lf.get_space("sd1")),
    ):
        with pytest.raises(LatentfitError) as caught:
            reader(path)
        assert str(caught.value.place) == str(path)
        assert caught.value.remedy is not None
        said |= set(re.findall(r"not a whole [a-z ]+ \((.*?)\)", caught.value.what))
    assert len(said) == 1


def test_numbers_that_are_not_mapped_outlive_their_file(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "a.pt")
    held = load_plainly(tmp_path / "a.pt", is_mapped=False)["a"]
    (tmp_path / "a.pt").write_bytes(bytes(8192))
    assert bool((held == 1).all())


def test_nothing_else_opens_weights() -> None:
    opening = {
        path.relative_to(ROOT).as_posix()
        for folder in ("latentfit", "recipes", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if OPENS.search(path.read_text("utf-8"))
    }
    assert opening == {"latentfit/runtime/weights.py"}
