"""One rule decides what may be scored, whatever is scored."""

from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit.errors import StoreError
from latentfit.pairs import JoinedStores, PairStore
from latentfit.scores import any_held_out, pairs_to_score, samples_to_score
from tests.support.fake_vae import FakeVae


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> JoinedStores:
    folder = tmp_path_factory.mktemp("held out")
    sizes = [lf.collect(FakeVae(), "charts", folder / str(px), size=px, limit=8, keep="rgb", progress=False)
             for px in (32, 64)]  # fmt: skip
    return sizes[0].join(sizes[1])


def of(*hashes: str) -> lf.Approximation:
    return lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1", name="fitted", card={"train_hashes": list(hashes)})


def test_samples_and_pairs_are_left_out_alike(joined: JoinedStores) -> None:
    store: PairStore = joined.source
    first, second = store.samples[0], store.samples[1]
    samples = samples_to_score([of(first.sha256), of(second.sha256)], store, "all")
    between = lf.LatentMap(torch.nn.Identity(), "sd1", "sd1", card={"train_hashes": [first.sha256, second.sha256]})
    pairs = pairs_to_score([between], joined, "all")
    assert [pair.source.key for pair in pairs.samples] == [sample.key for sample in samples.samples]
    assert not {first.sha256, second.sha256} & {sample.sha256 for sample in samples.samples}
    assert samples[1:] == pairs[1:]
    assert samples.n_left_out == len({s.sha256 for s in store.samples}) - len({s.sha256 for s in samples.samples})


def test_exactly_what_is_given_is_scored(joined: JoinedStores) -> None:
    few = joined.source.samples[:2]
    fitted = of(*(sample.sha256 for sample in few))
    assert samples_to_score([fitted], joined.source, "all", few) == (few, 0, 0)
    assert pairs_to_score([], joined, "test", joined.pairs[:2]) == (joined.pairs[:2], 0, 0)


def test_nothing_left_is_an_error_everywhere(joined: JoinedStores) -> None:
    fitted = of(*(sample.sha256 for sample in joined.source.samples))
    between = lf.LatentMap(torch.nn.Identity(), "sd1", "sd1", card=fitted.card)
    assert not any_held_out([fitted], joined.source.samples)
    assert any_held_out([of(joined.source.samples[0].sha256)], joined.source.samples)
    with pytest.raises(StoreError, match="is left to score"):
        samples_to_score([fitted], joined.source, "all")
    with pytest.raises(StoreError, match="is left to score"):
        pairs_to_score([between], joined, "all")
    with pytest.raises(StoreError, match="is left to score"):
        lf.audit(joined.source, [fitted], with_oracles=False)
    with pytest.raises(StoreError, match="no picture is in the split"):
        samples_to_score([], joined.source, "all", [])


def test_the_audit_counts_what_the_rule_leaves_out(joined: JoinedStores, tmp_path: Path) -> None:
    fitted = of(joined.source.samples[0].sha256)
    frame = lf.audit(joined.source, [fitted], with_oracles=False)
    left = samples_to_score([fitted], joined.source, "all")
    assert (frame.attrs["n_left_out"], frame.attrs["n_copies"]) == (left.n_left_out, left.n_copies)
    assert frame.attrs["n_images"] == len({sample.sha256 for sample in left.samples})
