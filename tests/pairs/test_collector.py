"""Collecting: every picture exactly once, whatever happens; bad pictures are counted, damaged shards are named."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import latentfit as lf
from latentfit.errors import NoPicturesError, StoreError
from latentfit.images import is_test
from latentfit.pairs import PairStore, write_shard
from tests.support.fake_vae import FakeVae
from tests.support.paths import TESTS

FAKE = TESTS / "support" / "fake_vae.py"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for index in range(14):
        size = (64, 48) if index % 3 else (48, 96)
        pixels = np.random.default_rng(index).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("below" if index % 2 else "") / f"{index:02d}.png")
    return folder


def collected(photos: Path, out: Path, **settings: object) -> PairStore:
    return lf.collect(FakeVae(), photos, out, size=48, progress=False, **settings)  # type: ignore[arg-type]


def test_pairs_are_what_the_vae_gives(photos: Path, tmp_path: Path) -> None:
    store = collected(photos, tmp_path / "store", keep="photo")
    assert len(store) == 14
    assert store.verify() >= 2
    for batch in store.batches(columns=("rgb", "photo", "clipped")):
        latents = FakeVae().encode(batch.photo)
        torch.testing.assert_close(batch.latents, latents, atol=2e-3, rtol=0)
        decoded = FakeVae().decode(batch.latents).clamp(0, 1)
        torch.testing.assert_close(batch.rgb, decoded, atol=0.5 / 255 + 1e-6, rtol=0)
        torch.testing.assert_close(batch.cells, torch.nn.functional.avg_pool2d(decoded, 8), atol=1e-3, rtol=0)
        torch.testing.assert_close(batch.target(8), batch.rgb)
        torch.testing.assert_close(batch.target(2), torch.nn.functional.avg_pool2d(batch.rgb, 4))
        assert all(sample.is_test == is_test(sample.sha256) for sample in batch.samples)
    assert len(store.split("train")) + len(store.split("test")) == 14


def test_the_same_command_again_adds_nothing(photos: Path, tmp_path: Path) -> None:
    store = collected(photos, tmp_path / "store")
    before = {path.name: path.stat().st_mtime_ns for path in store.path.iterdir()}
    assert len(collected(photos, tmp_path / "store")) == 14
    assert {path.name: path.stat().st_mtime_ns for path in store.path.iterdir()} == before


def test_limit_then_all_completes(photos: Path, tmp_path: Path) -> None:
    assert len(collected(photos, tmp_path / "store", limit=5)) == 5
    assert len(collected(photos, tmp_path / "store")) == 14


def test_crops_are_square_and_stay_on_their_pictures_side(photos: Path, tmp_path: Path) -> None:
    store = lf.collect(FakeVae(), photos, tmp_path / "store", size=32, crops=3, progress=False)
    assert len(store) > 14
    assert {sample.size_cells for sample in store.samples} == {(4, 4)}
    assert len({sample.key for sample in store.samples}) == len(store)


def test_bad_pictures_are_skipped_named_and_counted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (photos / "00.png").read_bytes()
    (photos / "a_empty.png").write_bytes(b"")
    (photos / "b_cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "c_text.jpg").write_text("not a picture")
    Image.new("RGB", (1, 1)).save(photos / "d_tiny.png")
    (photos / "e_copy.png").write_bytes(whole)
    assert len(collected(photos, tmp_path / "store")) == 14
    printed = capsys.readouterr().out
    assert "14 new, 0 already there, 1 duplicates, 4 skipped" in printed
    for name, reason in (
        ("a_empty.png", "an empty file"),
        ("b_cut.png", "a damaged picture"),
        ("c_text.jpg", "not a picture"),
        ("d_tiny.png", "a picture of 1x1 px"),
    ):
        assert f"  skipped {name}: {reason}" in printed


def test_nothing_to_collect(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoPicturesError, match="holds no picture"):
        collected(tmp_path / "empty", tmp_path / "store")
    with pytest.raises(NoPicturesError, match="no such folder"):
        collected(tmp_path / "nowhere", tmp_path / "store")
    (tmp_path / "empty" / "x.png").write_bytes(b"x")
    with pytest.raises(NoPicturesError, match=r"none of 1 pictures.*x\.png"):
        collected(tmp_path / "empty", tmp_path / "store")


def test_another_vae_size_or_columns_are_refused(photos: Path, tmp_path: Path) -> None:
    collected(photos, tmp_path / "store")
    with pytest.raises(StoreError, match="choose another out"):
        lf.collect(FakeVae(gain=2.0), photos, tmp_path / "store", size=48, progress=False)
    with pytest.raises(StoreError, match="choose another out"):
        lf.collect(FakeVae(), photos, tmp_path / "store", size=32, progress=False)
    with pytest.raises(StoreError, match=r"columns latents\+cells\+clipped.* and .*photo.*; choose another out"):
        collected(photos, tmp_path / "store", keep="photo")


def test_a_folder_that_cannot_be_written_is_found_before_the_vae_works(photos: Path, tmp_path: Path) -> None:
    class Idle(FakeVae):
        def encode(self, rgb: torch.Tensor) -> torch.Tensor:
            raise AssertionError("worked before its folder was looked at")

    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot be made .*choose another out"):
        lf.collect(Idle(), photos, tmp_path / "file" / "store", size=48, progress=False)
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(StoreError, match=r"cannot be written to; choose another out"):
            lf.collect(Idle(), photos, tmp_path / "locked", size=48, progress=False)


def test_a_link_to_a_picture_that_is_gone_is_counted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(collected(photos, tmp_path / "store")) == 14
    assert "gone.png: cannot be read" in capsys.readouterr().out


def test_mixed_stores_are_refused_and_equal_ones_merge(photos: Path, tmp_path: Path) -> None:
    first, second = collected(photos / "below", tmp_path / "a"), collected(photos, tmp_path / "b")
    for path in first.path.iterdir():
        (second.path / f"copied-{path.name}").write_bytes(path.read_bytes())
    assert len(PairStore(second.path)) == 14
    other = lf.collect(FakeVae(gain=2.0), photos, tmp_path / "c", size=48, progress=False)
    for path in other.path.iterdir():
        (second.path / f"other-{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(StoreError, match="shards of two kinds"):
        PairStore(second.path)


def test_damaged_shards_are_named(photos: Path, tmp_path: Path) -> None:
    store = collected(photos, tmp_path / "store")
    shard = sorted(store.path.iterdir())[0]
    whole = shard.read_bytes()
    edited = bytearray(whole)
    edited[-1] ^= 1
    shard.write_bytes(bytes(edited))
    with pytest.raises(StoreError, match=f"{shard.name}.*edited"):
        PairStore(store.path).verify()
    shard.write_bytes(whole[:-7])
    with pytest.raises(StoreError, match=f"{shard.name}.*not a whole shard"):
        PairStore(store.path)
    with pytest.raises(StoreError, match="no pair store"):
        PairStore(tmp_path / "nowhere")


def test_a_full_disk_leaves_nothing_half_written(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(StoreError, match=r"No space left.*goes on where it stopped"):
            collected(photos, tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())
    assert len(collected(photos, tmp_path / "store")) == 14


def test_no_space_in_the_middle_of_a_shard_keeps_the_others(photos: Path, tmp_path: Path) -> None:
    """A real write that stops after 15 KiB: the third picture, a tall one, does not fit, the two before it do."""
    (photos / "00.png").unlink()
    out = tmp_path / "store"
    command = [sys.executable, str(FAKE), str(photos), str(out), "0.06"]  # slow enough for a shard a picture
    limited = ["bash", "-c", 'ulimit -f 15; exec "$@"', "bash", *command]
    failed = subprocess.run(limited, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "nothing half-written remains. Free some space and run the same again" in failed.stderr
    assert not list(out.glob(".*.part"))
    whole = PairStore(out)
    assert [sample.name for sample in whole.samples] == ["02.png", "04.png"]
    assert whole.verify() == 2
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert len(PairStore(out)) == 13


def test_what_was_done_is_kept_when_the_run_is_stopped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = FakeVae.decode

    def stops(self: FakeVae, latents: torch.Tensor) -> torch.Tensor:
        if decoded:
            raise KeyboardInterrupt
        decoded.append(len(latents))
        return decode(self, latents)

    with monkeypatch.context() as patch:
        patch.setattr(FakeVae, "decode", stops)
        with pytest.raises(KeyboardInterrupt):
            collected(photos, tmp_path / "store")
    assert len(PairStore(tmp_path / "store")) == sum(decoded) > 0
    assert len(collected(photos, tmp_path / "store")) == 14


def test_a_shard_cut_short_or_edited_stops_the_next_run(photos: Path, tmp_path: Path) -> None:
    store = collected(photos, tmp_path / "store")
    shard = sorted(store.path.iterdir())[0]
    whole = shard.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole.replace(b'"box', b'"bax')):
        shard.write_bytes(damaged)
        with pytest.raises(StoreError, match=f"{shard.name}: .*delete it and run collect again"):
            collected(photos, tmp_path / "store")
    shard.unlink()
    assert len(collected(photos, tmp_path / "store")) == 14


def test_a_vae_that_gives_nan_is_an_error_that_names_float32(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeVae, "encode", lambda self, rgb: torch.full((len(rgb), 4, 6, 6), float("nan")))
    with pytest.raises(StoreError, match=r"overflow float16 or are NaN.*dtype='float32'"):
        collected(photos, tmp_path / "store")


@pytest.mark.parametrize("wrong", [{"size": 4}, {"crops": 0}, {"limit": 0}])
def test_settings_that_make_no_sense(photos: Path, tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(StoreError, match="expected size >= 8, crops >= 1 and limit >= 1"):
        lf.collect(FakeVae(), photos, tmp_path / "store", progress=False, **({"size": 48} | wrong))  # type: ignore[arg-type]


def test_more_crops_later_adds_the_new_ones_only(photos: Path, tmp_path: Path) -> None:
    two = lf.collect(FakeVae(), photos, tmp_path / "store", size=32, crops=2, progress=False)
    first = {sample.key for sample in two.samples}
    four = lf.collect(FakeVae(), photos, tmp_path / "store", size=32, crops=4, progress=False)
    assert first < {sample.key for sample in four.samples}
    fresh = lf.collect(FakeVae(), photos, tmp_path / "fresh", size=32, crops=4, progress=False)
    assert [sample.key for sample in four.samples] == [sample.key for sample in fresh.samples]


def test_cells_only_stores_say_so(photos: Path, tmp_path: Path) -> None:
    store = collected(photos, tmp_path / "store", keep="cells")
    with pytest.raises(StoreError, match="keep='rgb'"):
        next(store.batches()).target(8)
    with pytest.raises(StoreError, match="keep='photo'"):
        next(store.batches(columns=("photo",)))


def test_rows_must_match(tmp_path: Path, photos: Path) -> None:
    store = collected(photos, tmp_path / "store")
    tensors = load_file(sorted(store.path.iterdir())[0])
    with pytest.raises(StoreError, match="rows in each column"):
        write_shard(tmp_path, store.origin, store.samples[:1], {k: v[:2] for k, v in tensors.items()})


def test_killed_again_and_again_it_completes_with_every_picture_once(photos: Path, tmp_path: Path) -> None:
    out, rng = tmp_path / "store", random.Random(0)
    command = [sys.executable, str(FAKE), str(photos), str(out), "0.2"]
    kills = 0
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()  # it is up; 14 pictures of 0.2 s outlast three kills
        if kills < 3:
            time.sleep(rng.uniform(0.1, 0.5))
            process.send_signal(signal.SIGKILL)
            kills += 1
        code = process.wait()
        process.stdout.close()
        if code == 0:
            break
    assert (kills, code) == (3, 0)
    store = PairStore(out)
    assert len(store) == 14
    rows = [key for path in out.glob("*.safetensors") for key in _keys(path)]
    assert len(rows) == len(set(rows)) == 14
    assert not list(out.glob(".*.part"))


def test_two_processes_give_what_one_gives(photos: Path, tmp_path: Path) -> None:
    one = collected(photos, tmp_path / "one")
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--local_addr",
        "127.0.0.1",  # or it asks for the machine's own name, which may not resolve
        "--master_addr",
        "127.0.0.1",
        "--master_port",
        str(_free_port()),
    ]
    command = [*run, str(FAKE), str(photos), str(tmp_path / "two"), "0", str(tmp_path / "map.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("world 2") == 2
    two = PairStore(tmp_path / "two")
    ranks = {name.rsplit("-", 1)[-1] for name in {sample.shard for sample in two.samples}}
    assert ranks == {"rank0.safetensors", "rank1.safetensors"}
    assert [sample.key for sample in two.samples] == [sample.key for sample in one.samples]
    for sample in one.samples:
        first, second = one.sample(sample.key), two.sample(sample.key)
        torch.testing.assert_close(first.latents, second.latents, atol=2e-3, rtol=0)
    alone = lf.ChannelMap("3").fit(one, "all").approximation()
    together = lf.load(tmp_path / "map.safetensors")
    difference = (together.module.coefficients - alone.module.coefficients).abs().max()
    assert float(difference) < 1e-6 * float(alone.module.coefficients.abs().max()) + 2e-7


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _keys(path: Path) -> list[str]:
    import json

    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        return [sample["key"] for sample in json.loads(file.metadata()["latentfit_pairs"])["samples"]]
