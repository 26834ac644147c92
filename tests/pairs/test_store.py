"""Pair stores: what is written comes back; what was cut, edited or mixed is named before it can reach a fit."""

import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import latentfit as lf
from latentfit.errors import LatentfitError, StoreError
from latentfit.pairs import COLUMNS, Origin, PairStore, Sample, columns_of, read_shard, sample_key, write_shard

ORIGIN = Origin("fake", "a fake VAE", "f" * 64, lf.get_space("sd1"), 48)


def samples_of(n: int, size: tuple[int, int] = (4, 6), first: int = 0) -> list[Sample]:
    made = []
    for index in range(first, first + n):
        sha256, box = hashlib.sha256(bytes([index])).hexdigest(), (0, 0, size[1] * 8, size[0] * 8)
        made.append(Sample(sample_key(sha256, box), f"{index:02d}.png", sha256, "photograph", box, size))
    return made


def values_of(samples: list[Sample], seed: int = 0) -> dict[str, torch.Tensor]:
    high, wide = samples[0].size_cells
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(len(samples), 4, high, wide, generator=generator)
    rgb = torch.rand(len(samples), 3, high * 8, wide * 8, generator=generator).mul(1.2).sub(0.1).clamp(0, 1)
    columns = columns_of(latents, rgb)
    return {**columns, "photo": columns["rgb"].flip(-1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards: five pictures of 4 x 6 cells, three of 5 x 5."""
    for size, n, first in (((4, 6), 5, 0), ((5, 5), 3, 5)):
        samples = samples_of(n, size, first)
        write_shard(tmp_path / "store", ORIGIN, samples, values_of(samples))
    return tmp_path / "store"


def shard_of(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def edit_header(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite a shard with its own header edited, and all else as it was."""
    blob = path.read_bytes()
    length = struct.unpack("<Q", blob[:8])[0]
    outer = json.loads(blob[8 : 8 + length])
    inner = json.loads(outer["__metadata__"]["latentfit_pairs"])
    edit(inner)
    outer["__metadata__"]["latentfit_pairs"] = json.dumps(inner)
    text = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob[8 + length :])


def test_what_is_written_comes_back(folder: Path) -> None:
    store = PairStore(folder)
    assert len(store) == 8
    assert store.columns == COLUMNS
    assert (store.vae_name, store.reference, store.fingerprint) == ("fake", "a fake VAE", "f" * 64)
    assert store.origin == ORIGIN
    assert [replace(sample, shard="", row=-1) for sample in store.samples] == [
        *samples_of(5),
        *samples_of(3, (5, 5), 5),
    ]
    assert store.verify() == 2
    written = values_of(samples_of(5))
    for row, sample in enumerate(store.samples[:5]):
        batch = store.sample(sample.key)
        torch.testing.assert_close(batch.latents[0], written["latents"][row].float(), rtol=0, atol=0)
        torch.testing.assert_close(batch.cells[0], written["cells"][row].float(), rtol=0, atol=0)
        for column in ("clipped", "rgb", "photo"):
            torch.testing.assert_close(getattr(batch, column)[0], written[column][row] / 255, rtol=0, atol=0)


def test_a_store_is_shown_without_its_machines_path(folder: Path) -> None:
    assert repr(PairStore(folder)) == "PairStore('store': 8 samples of sd1, a fake VAE)"


def test_columns_are_computed_from_the_decode() -> None:
    rgb = torch.zeros(1, 3, 16, 16)
    rgb[0, 0, :8, :8] = 1  # red is at its top in one cell of four, at its bottom in the others
    rgb[0, 1] = 0.25
    columns = columns_of(torch.zeros(1, 4, 2, 2), rgb)
    torch.testing.assert_close(columns["cells"][0, 0].float(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(columns["cells"][0, 1].float(), torch.full((2, 2), 0.25))
    at_bottom, at_top = columns["clipped"][0, :3], columns["clipped"][0, 3:]
    assert at_bottom[0].tolist() == [[0, 255], [255, 255]]
    assert at_top[0].tolist() == [[255, 0], [0, 0]]
    assert int(at_bottom[1].max()) == int(at_top[1].max()) == 0


def test_batches_are_of_one_size_and_bounded(folder: Path) -> None:
    store = PairStore(folder)
    batches = list(store.batches(n_cells=48))
    assert sorted(len(batch.samples) for batch in batches) == [1, 1, 1, 1, 2, 2]
    assert sorted(sample.key for batch in batches for sample in batch.samples) == sorted(s.key for s in store.samples)
    everything = list(store.batches())
    assert [len(batch.samples) for batch in everything] == [5, 3]
    some = [store.samples[i] for i in (4, 0, 2)]  # not in the shard's order
    (batch,) = store.batches(some, columns=("rgb",))
    for row, sample in enumerate(some):
        torch.testing.assert_close(batch.latents[row], store.sample(sample.key).latents[0])
        torch.testing.assert_close(batch.rgb[row], store.sample(sample.key).rgb[0])


def test_targets_are_area_means(folder: Path) -> None:
    batch = PairStore(folder).sample("00.png")
    assert batch.rgb is not None
    torch.testing.assert_close(batch.target(), batch.cells)
    torch.testing.assert_close(batch.target(8), batch.rgb)
    torch.testing.assert_close(batch.target(1), torch.nn.functional.avg_pool2d(batch.rgb, 8), atol=1e-3, rtol=0)
    torch.testing.assert_close(batch.target(Fraction(4)), torch.nn.functional.avg_pool2d(batch.rgb, 2))
    torch.testing.assert_close(batch.target(Fraction(1, 2)), torch.nn.functional.avg_pool2d(batch.rgb, 16))
    assert batch.target(Fraction(3, 2)).shape == (1, 3, 6, 9)
    torch.testing.assert_close(batch.photo_target(8), batch.rgb.flip(-1))
    torch.testing.assert_close(batch.photo_cells(), batch.cells.flip(-1), atol=3e-3, rtol=0)


def test_splits_follow_the_pictures_hash(folder: Path) -> None:
    store = PairStore(folder)
    train, test = store.split("train"), store.split("test")
    assert {s.key for s in train} | {s.key for s in test} == {s.key for s in store.split("all")}
    assert not {s.sha256 for s in train} & {s.sha256 for s in test}
    assert all(int(s.sha256[:8], 16) % 5 == 0 for s in test)
    with pytest.raises(StoreError, match="expected 'train', 'test' or 'all', got 'val'"):
        store.split("val")  # type: ignore[arg-type]


def test_samples_are_found_by_name_or_the_start_of_the_key(folder: Path) -> None:
    store = PairStore(folder)
    assert store.sample(store.samples[3].key[:10]).samples[0].name == "03.png"
    with pytest.raises(StoreError, match=r"no sample 'zebra': expected a key or a name such as '00\.png'"):
        store.sample("zebra")


def test_copied_shards_count_once(folder: Path) -> None:
    shard = shard_of(folder)
    (folder / f"again-{shard.name}").write_bytes(shard.read_bytes())
    store = PairStore(folder)
    assert len(store) == 8
    assert sum(len(batch.samples) for batch in store.batches()) == 8


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (replace(ORIGIN, fingerprint="e" * 64), "differ in fingerprint e{16}… and f{16}…;"),
        (replace(ORIGIN, size=64), "differ in size 64 and 48;"),
        (replace(ORIGIN, space=replace(ORIGIN.space, scale=(0.2,))), r"differ in the space's scale \(0.2,\) and"),
        (replace(ORIGIN, space=lf.get_space("sdxl")), "differ in the space's name sdxl and sd1,"),
        (replace(ORIGIN, filter="box"), "differ in filter box and lanczos;"),
    ],
)
def test_two_kinds_in_one_folder_are_refused(folder: Path, other: Origin, told: str) -> None:
    samples = samples_of(2, first=20)
    write_shard(folder, other, samples, values_of(samples, seed=-1), "-0")
    with pytest.raises(StoreError, match=rf"shards of two kinds.*{told}.*move one of them"):
        PairStore(folder)


def test_another_name_of_the_same_vae_is_the_same_kind(folder: Path) -> None:
    samples = samples_of(2, first=20)
    write_shard(folder, replace(ORIGIN, vae="a copy elsewhere"), samples, values_of(samples))
    assert len(PairStore(folder)) == 10


def test_columns_that_not_all_shards_have_are_not_offered(folder: Path) -> None:
    samples = samples_of(2, first=20)
    values = values_of(samples)
    write_shard(folder, ORIGIN, samples, {name: values[name] for name in ("latents", "cells")})
    store = PairStore(folder)
    assert store.columns == ("latents", "cells")
    with pytest.raises(StoreError, match="lacks rgb; collect it with keep='rgb'"):
        next(store.batches(columns=("rgb",)))
    with pytest.raises(StoreError, match="keeps no photographs"):
        store.sample("20.png").photo_cells()
    with pytest.raises(StoreError, match="expected scale 1, got 8"):
        store.sample("20.png").target(8)


def test_a_value_that_was_edited_never_reaches_a_fit(folder: Path) -> None:
    shard = shard_of(folder)
    blob = bytearray(shard.read_bytes())
    blob[-1] ^= 1
    shard.write_bytes(bytes(blob))
    store = PairStore(folder)
    with pytest.raises(StoreError, match=f"{shard.name}: was edited or damaged; delete it"):
        lf.ChannelMap("affine").fit(store, "all")
    with pytest.raises(StoreError, match="edited"):
        store.verify()
    with pytest.raises(StoreError, match="edited"):
        store.sample(store.samples[0].key)


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another picture's hash": lambda header: header["samples"][0].update(sha256="0" * 64),
    "another box": lambda header: header["samples"][0].update(box=[0, 0, 8, 8]),
    "a box of three": lambda header: header["samples"][0].update(box=[0, 0, 8]),
    "another size": lambda header: header["samples"][0].update(size_cells=[9, 9]),
    "a sample too few": lambda header: header["samples"].pop(),
    "a sample twice": lambda header: header["samples"].append(header["samples"][0]),
    "no samples": lambda header: header["samples"].clear(),
    "a sample without name": lambda header: header["samples"][1].pop("name"),
    "samples that are none": lambda header: header.update(samples=["x"]),
    "a column that is not there": lambda header: header["columns"].append("normals"),
    "no latents": lambda header: header["columns"].remove("latents"),
    "no checksum": lambda header: header.pop("checksum"),
    "no space": lambda header: header["origin"].pop("space"),
    "an origin that is a word": lambda header: header.update(origin="here"),
    "a word more in the origin": lambda header: header["origin"].update(colour="red"),
    "a space that is a number": lambda header: header["origin"].update(space=4),
}


@pytest.mark.parametrize("what", EDITS)
def test_headers_that_lie_are_refused_when_the_store_is_opened(folder: Path, what: str) -> None:
    edit_header(shard_of(folder), EDITS[what])
    with pytest.raises(StoreError, match=f"{shard_of(folder).name}: was edited or damaged"):
        PairStore(folder)


def test_another_schema_is_told_from_damage(folder: Path) -> None:
    edit_header(shard_of(folder), lambda header: header.update(schema="latentfit-pairs/9"))
    with pytest.raises(StoreError, match=r"expected schema 'latentfit-pairs/1', got 'latentfit-pairs/9'; collect it"):
        PairStore(folder)


def test_other_safetensors_files_do_not_belong_there(folder: Path) -> None:
    save_file({"weight": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(StoreError, match=r"model\.safetensors: not a shard of a pair store; move it"):
        PairStore(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_shard_cut_short_is_named(folder: Path, share: float) -> None:
    shard = shard_of(folder)
    shard.write_bytes(shard.read_bytes()[: int(shard.stat().st_size * share)])
    with pytest.raises(StoreError, match=f"{shard.name}: not a whole shard .* delete it and run collect again"):
        PairStore(folder)


def test_a_shard_that_went_away_is_named(folder: Path) -> None:
    store = PairStore(folder)
    shard_of(folder).unlink()
    with pytest.raises(StoreError, match="not a whole shard"):
        list(store.batches())


def test_a_folder_without_shards_is_no_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match="no pair store there"):
            PairStore(path)


def test_a_shard_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    samples = samples_of(2)
    with pytest.raises(StoreError, match=r"No space left on device.*nothing half-written remains"):
        write_shard(tmp_path, ORIGIN, samples, values_of(samples))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_edited_shards_are_errors_of_ours_or_the_same_values(folder: Path, data: st.DataObject) -> None:
    shard, whole = _pristine(folder)
    blob = bytearray(whole)
    header_end = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in range(data.draw(st.integers(1, 4))):
        last = data.draw(st.sampled_from([header_end - 1, len(blob) - 1]))
        blob[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    shard.write_bytes(bytes(blob[: data.draw(st.one_of(st.just(len(blob)), st.integers(0, len(blob))))]))
    try:
        store = PairStore(folder)
        store.verify()
    except LatentfitError as error:
        if shard.name not in str(error):
            raise AssertionError("the message does not name the shard") from error
        return
    mine = {s.key: s for s in read_shard(shard).samples}
    assert set(mine) == {s.key for s in samples_of(5)}
    written = values_of(samples_of(5))
    for batch in store.batches(list(mine.values())):
        torch.testing.assert_close(batch.latents, written["latents"].float(), rtol=0, atol=0)


def _pristine(folder: Path) -> tuple[Path, bytes]:
    """The first shard and its bytes before any example edited it."""
    shard, kept = shard_of(folder), folder.with_name("kept.bin")
    if not kept.exists():
        kept.write_bytes(shard.read_bytes())
    return shard, kept.read_bytes()
