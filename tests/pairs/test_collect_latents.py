"""Collecting what other programs saved: ComfyUI's latents, decoded with the given VAE."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import latentfit as lf
from latentfit.errors import NoPicturesError, StoreError
from latentfit.latents import read_latents, write_latents
from latentfit.pairs import PairStore
from latentfit.pairs import preparation as preparing
from tests.support.fake_vae import FakeVae


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of one latent, one of three, each standard normal."""
    found = tmp_path / "latents"
    (found / "set1").mkdir(parents=True)
    generator = torch.Generator().manual_seed(5)
    for name, n in (("a", 1), ("b", 1), ("set1/c", 3)):
        latents = torch.randn(n, 4, 6, 5, generator=generator)
        write_latents(found / f"{name}.latent", latents, FakeVae().space)
    return found


def collected(images: Path, out: Path, **settings: object) -> PairStore:
    return lf.collect(FakeVae(), images, out, size=48, progress=False, **settings)  # type: ignore[arg-type]


def test_latents_are_decoded_and_never_encoded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVae, "encode", lambda self, rgb: pytest.fail("latents were encoded"))
    store = collected(folder, tmp_path / "store")
    assert len(store) == 5
    assert {sample.kind for sample in store.samples} == {"latents"}
    assert len({sample.key for sample in store.samples}) == 5
    assert len({sample.sha256 for sample in store.samples}) == 3
    for batch in store.batches(columns=("rgb",)):
        decoded = FakeVae().decode(batch.latents).clamp(0, 1)
        torch.testing.assert_close(batch.rgb, decoded, atol=0.5 / 255 + 1e-6, rtol=0)


def test_stored_latents_are_the_files_own_in_the_model_domain(folder: Path, tmp_path: Path) -> None:
    store = collected(folder, tmp_path / "store")
    mine = torch.cat([store.sample(sample.key).latents for sample in store.samples])
    files = [read_latents(path, store.space).latents for path in sorted(folder.rglob("*.latent"))]
    order = mine.flatten(1)[:, 0].argsort()
    theirs = torch.cat(files)
    torch.testing.assert_close(mine[order], theirs[theirs.flatten(1)[:, 0].argsort()], atol=2e-3, rtol=0)


def test_a_file_without_the_version_marker_follows_comfyuis_legacy_rule(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    latents = torch.randn(1, 4, 6, 6)
    save_file({"latent_tensor": latents}, tmp_path / "old" / "x.latent")
    store = collected(tmp_path / "old", tmp_path / "store")
    torch.testing.assert_close(store.sample("x.latent").latents, latents, atol=2e-3, rtol=0)


def test_the_same_command_again_adds_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collected(folder, tmp_path / "store")
    assert len(collected(folder, tmp_path / "store")) == 5
    assert "0 new, 5 already there" in capsys.readouterr().out


def test_pictures_and_latents_of_one_folder_are_both_collected(folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    store = collected(folder, tmp_path / "store")
    assert sorted(sample.kind for sample in store.samples) == ["latents"] * 5 + ["photograph"]


def test_bad_latents_are_skipped_named_and_counted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "a.latent").read_bytes()
    (folder / "cut.latent").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.latent").write_bytes(b"")
    marker = {"latent_format_version_0": torch.zeros(0)}
    save_file({"latent_tensor": torch.randn(1, 16, 6, 6), **marker}, folder / "channels.latent")
    save_file({"latent_tensor": torch.full((1, 4, 6, 6), float("nan")), **marker}, folder / "nan.latent")
    assert len(collected(folder, tmp_path / "store")) == 5
    said = capsys.readouterr().out
    assert "4 skipped" in said
    for name, reason in (
        ("cut.latent", "not a whole ComfyUI latent"),
        ("empty.latent", "not a whole ComfyUI latent"),
        ("channels.latent", "latents of space 'sd1': expected"),
        ("nan.latent", "holds NaN or Inf"),
    ):
        assert f"  skipped {name}: {reason}" in said


def test_latents_have_no_photograph(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="3 latent files have no photograph"):
        collected(folder, tmp_path / "store", keep="photo")


def test_pictures_beside_latents_do_not_hide_that_they_have_no_photograph(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (48, 48)).save(folder / "photo.png")
    with pytest.raises(
        StoreError, match=r"3 latent files have no photograph.*\.latent\): expected keep 'cells' or 'rgb'"
    ):
        collected(folder, tmp_path / "store", keep="photo")
    assert not (tmp_path / "store").exists()


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for part in ("set1_train", "set1_test"):
        (tmp_path / "pixelvae" / part).mkdir(parents=True)
        write_latents(tmp_path / "pixelvae" / part / "0001.latent", torch.randn(1, 4, 6, 6), FakeVae().space)
    store = collected(tmp_path / "pixelvae", tmp_path / "store")
    assert [sample.name for sample in store.samples] == ["set1_test/0001.latent", "set1_train/0001.latent"]


def test_hidden_files_are_left_alone(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "._a.latent").write_bytes(b"what macOS leaves")
    (folder / "._photo.png").write_bytes(b"what macOS leaves")
    assert len(collected(folder, tmp_path / "store")) == 5
    assert "0 skipped" in capsys.readouterr().out


def test_each_frame_of_a_video_is_a_sample(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    frames = torch.randn(1, 4, 3, 6, 5)
    save_file(
        {"latent_tensor": frames / 0.18215, "latent_format_version_0": torch.zeros(0)}, tmp_path / "video" / "v.latent"
    )
    store = collected(tmp_path / "video", tmp_path / "store")
    boxes = sorted(store.samples, key=lambda sample: sample.box[1])
    assert [sample.box for sample in boxes] == [(0, 48 * row, 40, 48 * (row + 1)) for row in range(3)]
    for row, sample in enumerate(boxes):
        torch.testing.assert_close(store.sample(sample.key).latents[0], frames[0, :, row], atol=2e-3, rtol=0)


def test_numpy_and_torch_latents_are_collected_too(tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    np.save(tmp_path / "mixed" / "a.npy", np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32))
    torch.save(torch.randn(2, 4, 6, 5), tmp_path / "mixed" / "b.bin")
    assert [sample.name for sample in collected(tmp_path / "mixed", tmp_path / "store").samples] == [
        "a.npy",
        "b.bin",
        "b.bin",
    ]


def test_copies_count_as_duplicates(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "z_copy.latent").write_bytes((folder / "a.latent").read_bytes())
    assert len(collected(folder, tmp_path / "store")) == 5
    assert "5 new, 0 already there, 1 duplicates, 0 skipped" in capsys.readouterr().out


def test_stopped_inside_a_file_the_same_command_completes_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decode, calls = FakeVae.decode, []

    def stops(self: FakeVae, latents: torch.Tensor) -> torch.Tensor:
        calls.append(len(latents))
        if len(calls) == 4:  # the second latent of the file of three
            raise KeyboardInterrupt
        return decode(self, latents)

    monkeypatch.setattr(preparing, "BATCH_PIXELS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(FakeVae, "decode", stops)
        with pytest.raises(KeyboardInterrupt):
            collected(folder, tmp_path / "store")
    assert len(PairStore(tmp_path / "store")) == 3
    assert len(collected(folder, tmp_path / "store")) == 5
    assert "2 new, 3 already there" in capsys.readouterr().out


def test_only_bad_latents_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.latent").write_bytes(b"no")
    with pytest.raises(NoPicturesError, match=r"x\.latent"):
        collected(tmp_path / "bad", tmp_path / "store")


def test_a_map_can_be_fitted_on_them(folder: Path, tmp_path: Path) -> None:
    store = collected(folder, tmp_path / "store")
    scores = lf.evaluate([lf.ChannelMap("affine").fit(store, "all").approximation("a")], store, samples=store.samples)
    assert scores[(scores.image == "all") & (scores.place == "cells")].psnr.min() > 40
