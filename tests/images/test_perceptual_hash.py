"""Copies of a picture are known, kept on one side of the split, and left out where a map was fitted on the original."""

import io
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from safetensors import safe_open
from safetensors.torch import save_file

import latentfit as lf
from latentfit import images as looks
from latentfit.formats import load_approximation
from latentfit.images import ADOBE_RGB, is_test, matrix_profile, photographs, pictures, registration
from latentfit.pairs import CollectReport
from latentfit.scores import samples_held_out, score_summary
from tests.support.fake_vae import FakeVae


def painted(seed: int) -> Image.Image:
    """Smooth shapes of random colours, as unlike one another as photographs are."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    return small.resize((160, 128), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


COPIES = {
    "quality 50": lambda image: jpeg(image, 50),
    "a quarter": lambda image: image.resize((image.width // 4, image.height // 4), Image.Resampling.LANCZOS),
    "half, bilinear, quality 70": lambda image: jpeg(image.resize((image.width // 2, image.height // 2)), 70),
    "twice": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "trimmed": lambda image: image.crop((round(image.width * 0.02), 0, image.width, round(image.height * 0.98))),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.95),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.05),
    "mirrored": ImageOps.mirror,
    "mirrored, half, quality 70": lambda image: jpeg(ImageOps.mirror(image).resize((image.width // 2, 64)), 70),
}


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_is_known(copied: str) -> None:
    for seed in range(6):
        image = painted(seed)
        assert looks.are_near([looks.look_of(COPIES[copied](image))], [looks.look_of(image)]).all(), seed


def test_bundled_pictures_are_all_distinct_and_each_copy_finds_its_own() -> None:
    found = [picture.load()[0] for picture in pictures("bundled")]
    known = [looks.look_of(image) for image in found]
    assert len(set(looks.groups(known))) == len(known)
    opened = found[: len(photographs())]
    for image, look in list(zip(opened, known, strict=False))[::6]:
        small = image.resize((max(96, image.width // 2), max(96, image.height // 2)), Image.Resampling.LANCZOS)
        hits = [looks.are_near([looks.look_of(jpeg(small, 60))], [other])[0] for other in known]
        assert [other for other, hit in zip(known, hits, strict=True) if hit] == [look]


def test_groups_are_those_of_every_pair_compared_one_by_one() -> None:
    rng = np.random.default_rng(5)
    made = [looks.look_of(painted(seed))[:118] for seed in range(40)]  # of before amplitudes were kept
    for one in made[:15]:  # some bits and levels away from another
        raw = np.frombuffer(bytes.fromhex(one), np.uint8).copy()
        bits = np.unpackbits(raw[:32])
        bits[1 + rng.permutation(255)[: rng.integers(60, 100)]] ^= 1
        moved = np.clip(raw[32:].astype(int) + rng.integers(-26, 27), 0, 255).astype(np.uint8)
        made.append(np.packbits(bits).tobytes().hex() + moved.tobytes().hex())
    made += ["", made[0], ""]
    label = list(range(len(made)))
    for i, j in combinations(range(len(made)), 2):
        if made[i] and made[j] and _is_near_by_hand(made[i], made[j]):
            label = [min(label[i], label[j]) if one in (label[i], label[j]) else one for one in label]
    found = looks.groups(made)
    assert len(set(found)) < len(made) - 4
    assert [[a == b for b in label] for a in label] == [[a == b for b in found] for a in found]


def _is_near_by_hand(one: str, other: str) -> bool:
    (a, b) = (np.frombuffer(bytes.fromhex(look), np.uint8).astype(int) for look in (one, other))
    signs = [np.unpackbits(look[:32].astype(np.uint8)).reshape(16, 16).astype(int) for look in (a, b)]
    odd = np.arange(16) % 2
    colours = [look[32:].reshape(3, 3, 3) for look in (a, b)]
    straight = (signs[0] != signs[1]).sum() <= 80 and np.abs(colours[0] - colours[1]).max() <= 24
    turned = (signs[0] != (signs[1] ^ odd)).sum() <= 80 and np.abs(colours[0] - colours[1][:, ::-1]).max() <= 24
    return bool(straight or turned)


def test_pictures_of_one_colour_are_like_no_other() -> None:
    assert looks.look_of(Image.new("RGB", (64, 64), (10, 20, 30))) == ""
    assert not looks.are_near(["", ""], [""]).any()
    assert len(set(looks.groups(["", "", ""]))) == 3


def test_an_edited_look_is_refused() -> None:
    with pytest.raises(lf.errors.StoreError, match="hexadecimal"):
        looks.groups(["not a look"])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Sixteen pictures and a smaller JPEG of each."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(16):
        painted(seed).save(folder / f"{seed:02d}.png")
        painted(seed).resize((80, 64)).save(folder / f"{seed:02d} small.jpg", quality=80)
    return folder


def collected(pictures: Path, out: Path) -> lf.PairStore:
    return lf.collect(FakeVae(), pictures, out, size=64, progress=False)


def test_a_copy_stands_on_its_originals_side(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = collected(copied, tmp_path / "store")
    assert "16 pictures are copies of others in the store" in capsys.readouterr().out
    assert store.n_copies == 16
    sides = {sample.name: sample.is_test for sample in store.samples}
    hashes = {sample.name: sample.sha256 for sample in store.samples}
    own = [is_test(hashes[f"{seed:02d}.png"]) for seed in range(16)]
    assert own != [is_test(hashes[f"{seed:02d} small.jpg"]) for seed in range(16)]  # files alone would part them
    for seed in range(16):
        pair = f"{seed:02d}.png", f"{seed:02d} small.jpg"
        assert sides[pair[0]] == sides[pair[1]] == is_test(min(hashes[name] for name in pair))
    test, train = ({s.sha256 for s in store.split(side)} for side in ("test", "train"))
    assert not test & train
    assert len(test | train) == 32


def test_the_side_depends_on_neither_order_nor_shards(copied: Path, tmp_path: Path) -> None:
    whole = collected(copied, tmp_path / "whole")
    halves = tmp_path / "halves"
    files = sorted(copied.iterdir())
    for part in (files[20:], files[:20]):
        folder = tmp_path / f"part {len(part)}"
        folder.mkdir()
        for file in part:
            (folder / file.name).write_bytes(file.read_bytes())
        collected(folder, halves)
    assert {s.key: s.is_test for s in lf.PairStore(halves).samples} == {s.key: s.is_test for s in whole.samples}


def test_stores_of_before_looks_split_by_their_files(copied: Path, tmp_path: Path) -> None:
    store = collected(copied, tmp_path / "store")
    without_looks(tmp_path / "store")
    old = lf.PairStore(tmp_path / "store")
    assert old.n_copies == 0
    assert all(sample.look is None and sample.is_test == is_test(sample.sha256) for sample in old.samples)
    assert [sample.key for sample in old.samples] == [sample.key for sample in store.samples]


def without_looks(folder: Path) -> None:
    """As an earlier version wrote it."""
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["latentfit_pairs"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for sample in header["samples"]:
            del sample["look"]
        save_file(tensors, path, {"latentfit_pairs": json.dumps(header)})


def test_scores_leave_out_copies_of_what_a_map_was_fitted_on(copied: Path, tmp_path: Path) -> None:
    originals, smalls = tmp_path / "originals", tmp_path / "smalls"
    for folder, pattern in ((originals, "*.png"), (smalls, "*.jpg")):
        folder.mkdir()
        for file in copied.glob(pattern):
            (folder / file.name).write_bytes(file.read_bytes())
    store = collected(originals, tmp_path / "a")
    fitted = lf.ChannelMap("affine").fit(store).approximation()
    path = lf.save(fitted, tmp_path / "map.safetensors")
    again = load_approximation(path)
    assert len(again.card["train_looks"]) == len(store.split("train"))
    other = collected(smalls, tmp_path / "b")
    left = samples_held_out({"map": again}, other, other.samples)
    trained = {sample.name[:2] for sample in store.split("train")}
    assert {sample.name[:2] for sample in left.samples} == {f"{seed:02d}" for seed in range(16)} - trained
    assert (left.n_left_out, left.n_copies) == (len(trained), len(trained))
    frame = lf.evaluate([again], other, with_structure=False)
    assert frame.attrs["n_copies"] == len(trained)
    assert f"{len(trained)} of them as copies" in score_summary(frame)


def test_a_map_of_before_looks_leaves_out_what_the_store_knows_as_copies(copied: Path, tmp_path: Path) -> None:
    store = collected(copied, tmp_path / "store")
    first = next(sample for sample in store.samples if sample.name == "03.png")
    old = lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1", card={"train_hashes": [first.sha256]})
    left = samples_held_out({"old": old}, store, store.samples)
    assert {s.name for s in store.samples} - {s.name for s in left.samples} == {"03.png", "03 small.jpg"}
    assert (left.n_left_out, left.n_copies) == (2, 1)


def test_collect_says_what_it_converted_and_what_an_earlier_version_left_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    painted(0).save(folder / "plain.png")
    painted(1).save(folder / "wide.png", icc_profile=matrix_profile(ADOBE_RGB, lambda x: x ** (563 / 256)))
    painted(2).save(folder / "broken.png", icc_profile=b"none")
    collected(folder, tmp_path / "store")
    said = capsys.readouterr().out
    assert "1 converted to sRGB" in said
    assert "1 noted" in said
    assert "  noted broken.png: its colour profile cannot be used" in said
    collected(folder, tmp_path / "store")
    assert "in other colours" not in capsys.readouterr().out
    without_looks(tmp_path / "store")
    collected(folder, tmp_path / "store")
    assert "1 are in the store in other colours than their files declare (wide.png)" in capsys.readouterr().out


def test_reports_add_up() -> None:
    one = CollectReport(1, 2, 3, [("a", "b")], 4, [("c", "d")], ["e"], 5)
    assert one + one == CollectReport(2, 4, 6, [("a", "b")] * 2, 8, [("c", "d")] * 2, ["e", "e"], 10)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without these shares of the sides."""
    wide, high = image.size
    return image.crop((round(wide * left), round(high * top), round(wide * (1 - right)), round(high * (1 - bottom))))


TRIMS = {
    "5 % of every side": (0.05, 0.05, 0.05, 0.05),
    "5 % of two sides": (0.05, 0.05, 0.0, 0.0),
    "5 % of one side": (0.0, 0.0, 0.05, 0.0),
    "3 % of every side": (0.03, 0.03, 0.03, 0.03),
}


@pytest.mark.parametrize("trim", TRIMS)
def test_trims_of_real_pictures_are_found(trim: str) -> None:
    repeating = "skimage/brick"  # a wall trimmed by a part of a brick is, as far as slow waves tell, another wall
    opened = [picture.load()[0] for picture in photographs() if picture.name != repeating]
    known = [(image, looks.look_of(image)) for image in opened if looks.look_of(image)]
    n_found = 0
    for image, look in known:
        trimmed = cut(image, *TRIMS[trim])
        half = trimmed.resize((max(64, trimmed.width // 2), max(64, trimmed.height // 2)), Image.Resampling.LANCZOS)
        for copy in (jpeg(half, 80), ImageOps.mirror(trimmed)):
            n_found += bool(looks.are_near([looks.look_of(copy)], [look])[0])
            n_found += bool(looks.are_near([look], [looks.look_of(copy)])[0])
    assert n_found >= 0.9 * 4 * len(known)
    assert len(known) >= 12


def page(seed: int) -> Image.Image:
    """Lines of black words in one layout."""
    rng = np.random.default_rng(seed)
    pixels = np.full((320, 240), 255, np.uint8)
    for top in range(24, 290, 8):
        left = 24
        while left < 206:
            wide = int(rng.integers(4, 22))
            pixels[top : top + 4, left : min(left + wide, 216)] = rng.integers(40, 120)
            left += wide + 4
    return Image.fromarray(pixels).convert("RGB")


def test_pages_of_one_layout_are_not_copies_and_their_trims_are() -> None:
    pages = [page(seed) for seed in range(12)]
    known = [looks.look_of(image) for image in pages]
    assert len(set(looks.groups(known))) == 12
    trimmed = [looks.look_of(jpeg(cut(image, 0.03, 0.03, 0.0, 0.0), 80)) for image in pages]
    label = looks.groups([*known, *trimmed])
    assert (label[:12] == label[12:]).all()
    assert len(set(label)) == 12


def test_looks_of_before_amplitudes_are_still_compared() -> None:
    image, other = painted(1), painted(2)
    long, short = looks.look_of(image), looks.look_of(jpeg(image, 80))[:118]
    assert len(long) == looks.LOOK_LENGTH == 630
    assert looks.is_look(short)
    assert not looks.is_look(long[:300])
    assert looks.are_near([short, looks.look_of(other)], [long]).tolist() == [True, False]
    assert looks.are_near([long], [short]).all()
    assert len(set(looks.groups([long, short, looks.look_of(other)]))) == 2


def test_trimmed_waves_are_those_of_the_trimmed_picture() -> None:
    """The linear map of waves against pixels that were cut."""
    small = np.asarray(painted(3).convert("L").resize((400, 400), Image.Resampling.BICUBIC), np.float64)
    whole, cut_ = (_waves(part) for part in (small, small[8:376, 16:]))  # 2 % above, 6 % below; 4 % left
    index = (1 * 4 + 3) * 16 + (2 * 4 + 0)
    trimmed = registration._trim(whole.astype(np.float32), index)
    assert np.abs(trimmed - cut_)[:8, :8].max() < 0.03 * np.abs(cut_[1:]).max()


def _waves(grey: np.ndarray) -> np.ndarray:
    from scipy.fft import dctn

    small = np.asarray(Image.fromarray(grey.astype(np.float32)).resize((64, 64), Image.Resampling.BOX), np.float64)
    return dctn(small, norm="ortho")[:16, :16] / 64


def test_amplitudes_survive_their_bytes() -> None:
    waves = np.array([0.0, 0.2, -0.2, 1.0, -7.5, 190.0]).repeat(43)[:256].reshape(16, 16)
    back = registration.unpacked(registration.packed(waves))[0]
    np.testing.assert_allclose(back, waves, rtol=0.06, atol=0.02)
