"""Latents through a picture."""

import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit.errors import StoreError
from latentfit.joined import JoinedStores
from latentfit.pairs import PairStore
from latentfit.through import collect_through

sys.path.insert(0, str(Path(__file__).parent))
from fake_vae import FakeVae


def other_vae() -> FakeVae:
    """Another space, other latents."""
    vae = FakeVae(2.0)
    vae.space = lf.get_space("sdxl")
    return vae


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    folder = tmp_path_factory.mktemp("through") / "pairs"
    return lf.collect(FakeVae(), "charts", folder, size=64, limit=5, progress=False)


def test_through_is_what_the_other_vae_makes_of_the_decodes(source: PairStore, tmp_path: Path) -> None:
    other = other_vae()
    made = collect_through(source, other, tmp_path / "through", progress=False)
    joined = JoinedStores(source, made)
    assert (len(joined), joined.scale) == (len(source.samples), 1)
    assert made.space == lf.get_space("sdxl")
    assert [sample.is_test for sample in made.samples] == [sample.is_test for sample in source.samples]
    for here, there in joined.batches(source_columns=("latents", "rgb"), n_cells=1):
        torch.testing.assert_close(there.latents, other.encode(here.rgb).half().float())


def test_through_at_another_size(source: PairStore, tmp_path: Path) -> None:
    made = collect_through(source, FakeVae(), tmp_path / "half", ratio=0.5, progress=False)
    assert JoinedStores(source, made).scale == Fraction(1, 2)
    assert made.samples[0].size_cells == tuple(side // 2 for side in source.samples[0].size_cells)


def test_through_goes_on_where_it_stopped(source: PairStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = other_vae()
    whole = collect_through(source, other, tmp_path / "whole", progress=False)
    first, *others = sorted((tmp_path / "whole").glob("*.safetensors"))
    for path in others:
        path.unlink()
    kept = first.stat().st_mtime_ns
    again = collect_through(source, other, tmp_path / "whole", progress=False)
    assert first.stat().st_mtime_ns == kept
    assert {sample.key for sample in again.samples} == {sample.key for sample in whole.samples}


def test_through_refuses_what_it_cannot_use(source: PairStore, tmp_path: Path) -> None:
    bare = lf.collect(FakeVae(), "charts", tmp_path / "bare", size=64, limit=1, keep="cells", progress=False)
    with pytest.raises(StoreError, match="keeps no rgb to encode; collect it with --keep rgb"):
        collect_through(bare, other_vae(), tmp_path / "x", progress=False)
    with pytest.raises(StoreError, match="holds other latents"):
        collect_through(source, other_vae(), tmp_path / "bare", progress=False)
