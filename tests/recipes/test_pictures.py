"""What is trained on: nothing that is held out, sprites in a palette's own colours, and originals made again."""

import hashlib
import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.images import Picture
from latentfit.pairs import Sample, sample_key
from latentfit.palettes import Palette, Palettizing
from recipes import picture_sets, scored_sets, stores, training_pictures
from recipes.mixing import MIXES, draw_of
from recipes.training_pictures import Source, as_trained_on, original, sources


def test_nothing_that_is_held_out_is_trained_on(assets: Path) -> None:
    found, chosen_by = picture_sets.training(assets), picture_sets.development(assets)
    assert tuple(found) == tuple(chosen_by) == picture_sets.KINDS
    kept_back = scored_sets.held_out_hashes()
    for kind in ("photographs", "paintings", "drawings"):
        hashes = {hashlib.sha256(one.read()).hexdigest() for one in found[kind]}
        assert len(hashes) == len(found[kind]) > 30
        assert not hashes & kept_back
        assert {hashlib.sha256(one.read()).hexdigest() for one in chosen_by[kind]} <= kept_back
    packs = {one.name.rsplit("-", 1)[0] for one in found["pixel art"]}
    held_out = scored_sets.held_out()
    assert len(packs) == 16
    assert not packs & {*held_out["report"]["pixel art"], *held_out["development"]["pixel art"]}
    assert {one.name.rsplit("-", 1)[0] for one in chosen_by["pixel art"]} == set(held_out["development"]["pixel art"])


def test_sprites_in_a_palette_give_back_their_own_indices(assets: Path) -> None:
    """A scene mapped to a palette, one pixel a cell, is palettized to the very index of each of its pixels."""
    palette = Palette.load("pico-8")
    scene = next(picture_sets.scenes_of_packs(assets, most=1))
    mapped = next(stores.in_palette(iter([scene]), palette))
    pixels = np.asarray(mapped.load()[0], np.uint8)
    assert (pixels == pixels[::8, ::8].repeat(8, 0).repeat(8, 1)).all()
    colours = {tuple(row) for row in pixels.reshape(-1, 3).tolist()}
    assert colours <= {tuple(row) for row in palette.colours.tolist()}
    assert len(colours) > 2
    rgb = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    indices = Palettizing(palette, "nearest", of="photo")(rgb, 8)[0]
    torch.testing.assert_close(palette.colours[indices], torch.from_numpy(pixels[::8, ::8].copy()))
    before = torch.from_numpy(np.asarray(scene.load()[0], np.uint8).copy()).permute(2, 0, 1)[None].float() / 255
    assert torch.equal(palette.nearest(before)[0, ::8, ::8], indices)


def test_a_varied_picture_is_another_one_and_always_the_same(assets: Path) -> None:
    one = picture_sets.training(assets)["drawings"][0]
    first, again = stores.varied_picture(one).load()[0], stores.varied_picture(one).load()[0]
    assert sorted(first.size) == sorted(one.load()[0].size)
    assert np.array_equal(np.asarray(first), np.asarray(again))
    assert not np.array_equal(np.asarray(first.resize((32, 32))), np.asarray(one.load()[0].resize((32, 32))))


def test_shares_of_kinds_become_weights_of_samples() -> None:
    counts = {"photograph": 10, "painting": 5, "drawing": 20, "pixel art": 1, "greyscale": 3}
    samples = [
        Sample(sample_key(f"{index:064x}", (0, 0, 8, 8)), "", f"{index:064x}", kind, (0, 0, 8, 8), (1, 1))
        for kind, n in counts.items()
        for index in range(n)
    ]
    weights = draw_of(samples, MIXES["half photographs"])
    assert weights["greyscale"] == weights["photograph"]
    totals = {kind: weights[kind] * n for kind, n in counts.items() if kind != "greyscale"}
    shares = {kind: total / sum(totals.values()) for kind, total in totals.items()}
    assert shares == pytest.approx({"photograph": 0.5, "painting": 0.15, "drawing": 0.2, "pixel art": 0.15}, abs=1e-4)
    assert max(weights.values()) == 1


def test_the_list_of_sources_is_that_of_the_pictures(assets: Path) -> None:
    """Every picture of the folders has its source, and what is said of it is what the folders' own lists say."""
    images, by_file = assets / "images", {one.file: one for one in sources()}
    for name in ("free", "drawings"):
        for entry in json.loads((images / f"{name}.json").read_text("utf-8"))["pictures"]:
            one = by_file.pop(entry["file"])
            assert (one.repository, one.commit, one.path, one.sha256) == (
                entry["source_repository"], entry["commit"], entry["path"], entry["original_sha256"]
            )  # fmt: skip
            with Image.open(images / one.file) as picture:
                assert picture.size == one.size
    sprites = json.loads((images / "sprites.json").read_text("utf-8"))
    assert {(one["file"], one["path"], one["sha256"]) for one in sprites} == {
        (one.file, one.path, one.sha256) for one in by_file.values()
    }


def test_an_original_is_found_in_a_clone_and_in_an_unpacked_package(tmp_path: Path) -> None:
    clone, unpacked = tmp_path / "clone", tmp_path / "unpacked"
    blob = png((40, 20), (200, 10, 10, 128))
    (clone / "a").mkdir(parents=True)
    (clone / "a" / "one.png").write_bytes(blob)
    (unpacked / "usr" / "share").mkdir(parents=True)
    (unpacked / "usr" / "share" / "two.png").write_bytes(blob)
    git = ["git", "-C", str(clone), "-c", "user.name=n", "-c", "user.email=e@e"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["rm", "-q", "a/one.png"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    sha256 = hashlib.sha256(blob).hexdigest()
    in_clone = Source("free/one.jpg", "github.com/x/y", commit, "a/one.png", sha256, (20, 10))
    in_package = Source("drawings/two.png", "Debian z", "z.deb", "/usr/share/two.png", sha256, (40, 20))
    for source in (in_clone, in_package):
        assert original(source, [unpacked, clone]) == blob
        made = Image.open(io.BytesIO(as_trained_on(blob, source)))
        assert (made.size, made.mode) == (source.size, "RGB")
        assert abs(np.asarray(made).astype(int) - (227, 132, 132)).max() <= 3  # half of white shines through
    assert original(Source("x", "", commit, "a/one.png", "0" * 64, None), [clone]) is None
    assert as_trained_on(b"as it is", Source("x", "", "", "", "", None)) == b"as it is"


def test_what_is_missing_is_named_with_where_it_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = png((30, 30), (1, 2, 3, 255))
    (tmp_path / "there.png").write_bytes(blob)
    sha256 = hashlib.sha256(blob).hexdigest()
    two = [
        Source("free/a.png", "github.com/has/it", "c0ffee", "there.png", sha256, (30, 30)),
        Source("free/b.png", "github.com/lacks/it", "c0ffee", "gone.png", sha256, (30, 30)),
    ]
    monkeypatch.setattr(training_pictures, "photographs", lambda: iter(()))
    monkeypatch.setattr(training_pictures, "sources", lambda: iter(two))
    monkeypatch.setattr("sys.argv", ["training_pictures", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="1 pictures are missing"):
        training_pictures.main()
    said = capsys.readouterr().out
    assert "1 pictures in" in said
    assert "1 are to be had from github.com/lacks/it (c0ffee: gone.png …)" in said
    assert Picture("a", "photograph", (tmp_path / "out" / "free" / "a.png").read_bytes).load()[0].size == (30, 30)


def png(size: tuple[int, int], colour: tuple[int, int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_store_has_each_kind_and_variants_of_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Squares of every picture, more of what it looks like otherwise, and nothing is collected twice."""
    vae = lf.Vae.load("mini-sd1", device="cpu")
    encoded: list[int] = []
    encode = vae.encode
    monkeypatch.setattr(stores, "vae_of", lambda space, assets: vae)
    monkeypatch.setattr(vae, "encode", lambda rgb: encoded.append(len(rgb)) or encode(rgb))
    monkeypatch.setattr(stores, "SIZE", 32)
    monkeypatch.setattr(stores, "CROPS", dict.fromkeys(picture_sets.KINDS, 2))
    monkeypatch.setattr(stores, "VARIED_CROPS", {**dict.fromkeys(picture_sets.KINDS, 1), "pixel art": 0})
    draw = np.random.default_rng(2)
    pictures = {}
    for kind in picture_sets.KINDS:
        buffer = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (48, 64, 3), np.uint8)).save(buffer, "PNG")
        pictures[kind] = [Picture(f"{kind}.png", "photograph", buffer.getvalue)]
    for _ in range(2):
        store = stores.collected("sd1", tmp_path, pictures, tmp_path / "store", "photo")
    assert sum(encoded) == len(store) == 4 * 2 + 3
    kinds = [sample.kind for sample in store.samples]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "photograph": 3, "painting": 3, "drawing": 3, "pixel art": 2
    }  # fmt: skip
    assert sum(sample.name.startswith("varied/") for sample in store.samples) == 3
