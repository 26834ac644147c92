"""Stores joined by key, and closed forms between the latents of two of them."""

import hashlib
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.errors import FitError, StoreError
from latentfit.pairs import JoinedStores, Origin, PairStore, Sample, columns_of, sample_key, write_shard


def write_store(
    folder: Path, space: str, latents: dict[str, Tensor], *, vae: str = "a", box: int = 64, px: int = 8
) -> PairStore:
    """A store of pictures by name, all of one size."""
    samples = []
    for name, one in latents.items():
        sha256, corners = hashlib.sha256(name.encode()).hexdigest(), (0, 0, box, box)
        size = (one.shape[-2], one.shape[-1])
        samples.append(Sample(sample_key(sha256, corners), name, sha256, "photograph", corners, size))
    stacked = torch.stack(list(latents.values()))
    rgb = torch.rand(len(samples), 3, stacked.shape[-2] * px, stacked.shape[-1] * px)
    origin = Origin(vae, f"the VAE {vae}", hashlib.sha256(vae.encode()).hexdigest(), lf.get_space(space), 64)
    write_shard(folder, origin, samples, columns_of(stacked, rgb))
    return PairStore(folder)


def drawn(names: str, channels: int, side: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(channels, side, side, generator=generator).half().float() for name in names}


def test_only_what_both_hold_is_joined_in_equal_order(tmp_path: Path) -> None:
    first = drawn("abcdef", 4, 6)
    second = {name: first[name] + 1 for name in reversed("bcdefg") if name in first} | drawn("g", 4, 6, 1)
    joined = JoinedStores(
        write_store(tmp_path / "a", "sd1", first), write_store(tmp_path / "b", "sdxl", second, vae="b")
    )
    assert [pair.source.name for pair in joined.pairs] == list("bcdef")
    assert (joined.n_source_only, joined.n_target_only, joined.scale) == (1, 1, 1)
    seen = []
    for here, there in joined.batches(n_cells=72):
        assert [sample.key for sample in here.samples] == [sample.key for sample in there.samples]
        assert len(here.samples) <= 2
        torch.testing.assert_close(there.latents, here.latents + 1, atol=2e-3, rtol=0)
        seen += [sample.name for sample in here.samples]
    assert sorted(seen) == list("bcdef")


def test_splits_are_the_sources(tmp_path: Path) -> None:
    first = drawn("abcdefghijkl", 4, 4)
    joined = JoinedStores(
        write_store(tmp_path / "a", "sd1", first), write_store(tmp_path / "b", "sdxl", first, vae="b")
    )
    train, test = joined.split("train"), joined.split("test")
    assert {pair.sha256 for pair in train}.isdisjoint(pair.sha256 for pair in test)
    assert len(train) + len(test) == len(joined) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": "xyz"}, "no picture is in both"),
        ({"box": 48}, "cropped differently"),
        ({"vae": "a"}, "one VAE at one size"),
    ],
)
def test_stores_that_do_not_go_together_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    source = write_store(tmp_path / "a", "sd1", drawn("abc", 4, 6))
    names, box, vae = change.get("names", "abc"), change.get("box", 64), change.get("vae", "b")
    target = write_store(tmp_path / "b", "sd1", drawn(str(names), 4, 6), box=int(str(box)), vae=str(vae))
    with pytest.raises(StoreError, match=message):
        JoinedStores(source, target)


def test_one_store_twice_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a", "sd1", drawn("abc", 4, 6))
    with pytest.raises(StoreError, match="given as source and as target"):
        JoinedStores(store, PairStore(tmp_path / "a"))


def test_pictures_that_were_cropped_differently_are_told(tmp_path: Path) -> None:
    source = write_store(tmp_path / "a", "sd1", drawn("abc", 4, 6))
    write_store(tmp_path / "b", "sdxl", drawn("ab", 4, 6), vae="b")
    target = write_store(tmp_path / "b", "sdxl", drawn("c", 4, 6), vae="b", box=48)
    with pytest.warns(UserWarning, match="1 of 3 pictures that both hold were cropped differently and are left out"):
        joined = source.join(target)
    assert [pair.source.name for pair in joined.pairs] == ["a", "b"]


@pytest.mark.parametrize("side", [13, 16])
def test_a_quarter_of_the_size(tmp_path: Path, side: int) -> None:
    """Sides that are no whole quarters are refused in stores, and completed in a call."""
    source = write_store(tmp_path / "a", "sd1", drawn("abcdefgh", 4, side))
    target = _store_of(tmp_path / "b", lf.LatentSpace("five", 5, 32), drawn("abcdefgh", 5, side // 4))
    if side % 4:
        with pytest.raises(StoreError, match="with sides that are whole cells of both"):
            source.join(target)
        return
    joined = source.join(target)
    assert joined.scale == Fraction(1, 4)
    one = lf.ChannelMap("affine", scale="1/4").fit_joined(joined, "all").latent_map()
    whole, odd = torch.randn(1, 4, 16, 16), (14, 13)
    cut = whole[..., : odd[0], : odd[1]]
    assert one(cut).shape == (1, 5, 3, 3)
    torch.testing.assert_close(one(cut), one(whole)[..., :3, :3], atol=1e-5, rtol=1e-5)


def test_a_closed_form_of_nan_is_refused(tmp_path: Path) -> None:
    first = drawn("abcdefgh", 4, 6)
    broken = {**first, "a": first["a"] * float("nan")}
    joined = write_store(tmp_path / "a", "sd1", broken).join(write_store(tmp_path / "b", "sdxl", first, vae="b"))
    with pytest.raises(FitError, match="NaN"):
        lf.ChannelMap("affine").fit_joined(joined, "all")


def test_pictures_of_two_ratios_are_refused(tmp_path: Path) -> None:
    source = write_store(tmp_path / "a", "sd1", drawn("ab", 4, 6))
    write_store(tmp_path / "b", "sd1", drawn("a", 4, 12), vae="b")
    target = write_store(tmp_path / "b", "sd1", drawn("b", 4, 9), vae="b")
    with pytest.raises(StoreError, match="expected one ratio of small whole numbers for every picture"):
        JoinedStores(source, target)


@pytest.mark.parametrize("scale", ["1", "2", "3/2", "1/2"])
def test_a_map_that_is_linear_in_blocks_is_found_exactly(tmp_path: Path, scale: str) -> None:
    """A known map of that scale, drawn at random, is what least squares must give back."""
    ratio = Fraction(scale)
    up, down = ratio.numerator, ratio.denominator
    names = "abcdefgh"
    truth = torch.randn(5 * up**2, 4 * down**2, generator=torch.Generator().manual_seed(3)) / (4 * down**2) ** 0.5
    generator = torch.Generator().manual_seed(4)
    made = {}
    sources = {name: torch.randn(4, 12, 12, generator=generator).half().float() for name in names}
    for name, latents in sources.items():
        blocks = torch.nn.functional.pixel_unshuffle(latents[None], down)
        mapped = torch.einsum("oc,nchw->nohw", truth, blocks) + 0.25
        made[name] = torch.nn.functional.pixel_shuffle(mapped, up)[0]
    source = write_store(tmp_path / "a", "sd1", sources)
    cells = 4 if scale == "1/2" else 8
    space = lf.LatentSpace("five", 5, cells)
    joined = JoinedStores(source, _store_of(tmp_path / "b", space, made))
    assert joined.scale == ratio
    fitted = lf.ChannelMap("affine", scale=scale, ridge=0.0).fit_joined(joined, "all")
    one = fitted.latent_map()
    latents = torch.randn(2, 4, 12, 8)
    blocks = torch.nn.functional.pixel_unshuffle(latents, down)
    expected = torch.nn.functional.pixel_shuffle(torch.einsum("oc,nchw->nohw", truth, blocks) + 0.25, up)
    torch.testing.assert_close(one(latents), expected, atol=3e-3, rtol=0)
    assert one.card["target_vae"] == "b"
    path = lf.save(one, tmp_path / "map.safetensors")
    again = lf.load(path)
    assert isinstance(again, lf.LatentMap)
    assert again.scale == ratio
    torch.testing.assert_close(again(latents), one(latents))


def _store_of(folder: Path, space: lf.LatentSpace, latents: dict[str, Tensor]) -> PairStore:
    samples = []
    for name, one in latents.items():
        sha256, corners = hashlib.sha256(name.encode()).hexdigest(), (0, 0, 64, 64)
        size = (one.shape[-2], one.shape[-1])
        samples.append(Sample(sample_key(sha256, corners), name, sha256, "photograph", corners, size))
    stacked = torch.stack(list(latents.values()))
    rgb = torch.rand(len(samples), 3, *(side * space.cell_px for side in stacked.shape[-2:]))
    write_shard(folder, Origin("b", "the VAE b", "b" * 64, space, 64), samples, columns_of(stacked, rgb))
    return PairStore(folder)


def test_a_map_of_another_scale_is_refused(tmp_path: Path) -> None:
    first = drawn("abc", 4, 6)
    joined = JoinedStores(
        write_store(tmp_path / "a", "sd1", first), write_store(tmp_path / "b", "sdxl", first, vae="b")
    )
    with pytest.raises(FitError, match="expected a map of scale 1, got 2"):
        lf.ChannelMap("affine", scale=2).fit_joined(joined)


def test_a_joined_fit_is_what_arrays_give(tmp_path: Path) -> None:
    first, second = drawn("abcdef", 4, 8), drawn("abcdef", 4, 8, 9)
    joined = JoinedStores(
        write_store(tmp_path / "a", "sd1", first), write_store(tmp_path / "b", "sdxl", second, vae="b")
    )
    of_stores = lf.ChannelMap("3", ridge=0.1).fit_joined(joined, "all")
    of_arrays = lf.ChannelMap("3", ridge=0.1).fit_arrays(
        torch.stack(list(first.values())), torch.stack(list(second.values())), space="sd1", target_space="sdxl"
    )
    torch.testing.assert_close(of_stores.module_.coefficients, of_arrays.module_.coefficients, atol=1e-4, rtol=1e-3)
