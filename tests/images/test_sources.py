"""Pictures: every kind of file comes out upright, RGB, 8 bit; damaged files are our errors; crops are whole cells."""

import io
import os
import resource
import struct
import sys
import time
import types
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import latentfit as lf
from latentfit import images
from latentfit.errors import ImageError, NoPicturesError
from tests.support.fake_vae import FakeVae

LOSSLESS = {"png": "PNG", "bmp": "BMP", "tiff": "TIFF"}
Bytes = NDArray[np.uint8]


def noise(high: int = 24, wide: int = 40, channels: int = 3, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (high, wide, channels), dtype=np.uint8)


def smooth(high: int = 24, wide: int = 40) -> Bytes:
    down, right = np.mgrid[0:high, 0:wide] / max(high, wide)
    return np.round(np.stack([down, right, 1 - right], -1) * 255).astype(np.uint8)


def encoded(picture: Image.Image | Bytes, form: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, form, **settings)
    return buffer.getvalue()


def opened(blob: bytes) -> Bytes:
    image = images.open_rgb(blob)
    assert image.mode == "RGB"
    return np.asarray(image)


def png(header: bytes, scanlines: bytes) -> bytes:
    """A PNG from its 13 bytes of header, as Pillow does not write them all."""
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


# Folders


def test_folders_are_searched_to_the_bottom_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "b" / "deep.png").mkdir(parents=True)
    for name in ("z.PNG", "b/deep.png/a.jpeg", "b/x.webp", "b/y.bmp", "b/z.TIF", ".hidden.png", "._x.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"-")
    assert [p.name for p in images.folder(tmp_path)] == ["b/deep.png/a.jpeg", "b/x.webp", "b/y.bmp", "b/z.TIF", "z.PNG"]


def test_folders_without_pictures_say_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(NoPicturesError, match=r"holds no picture: expected .*\.webp"):
        images.folder(tmp_path)
    with pytest.raises(NoPicturesError, match="no such folder"):
        images.pictures(tmp_path / "nowhere")


def test_sources_come_one_after_another(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(), "PNG"))
    mine = images.folder(tmp_path)[0]
    found = images.pictures([mine, str(tmp_path), "charts"])
    assert [p.name for p in found[:3]] == ["a.png", "a.png", images.chart_pictures()[0].name]
    assert [p.name for p in images.pictures("bundled")] == [
        p.name for p in [*images.photographs(), *images.chart_pictures()]
    ]
    assert len(images.photographs()) >= 15


def test_a_picture_that_went_away_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(), "PNG"))
    picture = images.folder(tmp_path)[0]
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match=r"a\.png: cannot be read"):
        picture.load()


# What files hold


@pytest.mark.parametrize("form", LOSSLESS.values())
def test_lossless_files_come_back_exactly(form: str) -> None:
    np.testing.assert_array_equal(opened(encoded(noise(), form)), noise())


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    np.testing.assert_array_equal(opened(encoded(noise(), "TIFF", compression=compression)), noise())


@pytest.mark.parametrize(("form", "settings"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_files_come_back_nearly(form: str, settings: dict[str, int]) -> None:
    blob = encoded(smooth(), form, **settings)
    assert np.abs(opened(blob).astype(int) - smooth()).mean() < 4


def test_lossless_webp() -> None:
    np.testing.assert_array_equal(opened(encoded(noise(), "WEBP", lossless=True)), noise())


UPRIGHT: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}.get(form, {})
    got = opened(encoded(smooth(), form, exif=exif, **settings))
    expected = UPRIGHT[orientation](smooth())
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= (6 if form == "JPEG" else 0)


@pytest.mark.parametrize("form", LOSSLESS.values())
def test_greyscale(form: str) -> None:
    grey = noise(channels=1)[..., 0]
    np.testing.assert_array_equal(opened(encoded(grey, form)), np.repeat(grey[..., None], 3, -1))


@pytest.mark.parametrize("form", LOSSLESS.values())
def test_one_bit(form: str) -> None:
    ink = noise(channels=1)[..., 0] > 128
    np.testing.assert_array_equal(opened(encoded(Image.fromarray(ink), form))[..., 0], ink * 255)


@pytest.mark.parametrize("form", [*LOSSLESS.values(), "GIF"])
def test_palette(form: str) -> None:
    few = np.array([[255, 0, 0], [0, 128, 0], [7, 8, 9]], np.uint8)[np.arange(24 * 40).reshape(24, 40) % 3]
    np.testing.assert_array_equal(opened(encoded(Image.fromarray(few).quantize(3), form)), few)


def test_transparent_entries_of_a_palette_show_white() -> None:
    indices = np.arange(24 * 40).reshape(24, 40) % 3
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 128, 0, 10, 20, 30])
    one_out = opened(encoded(image, "PNG", transparency=1))
    np.testing.assert_array_equal(one_out, np.array([[255, 0, 0], [255, 255, 255], [10, 20, 30]])[indices])
    half = opened(encoded(image, "PNG", transparency=bytes([255, 0, 51])))  # 51 of 255: a fifth
    expected = np.array([[255, 0, 0], [255, 255, 255], [206, 208, 210]])[indices]
    assert np.abs(half.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_alpha_lies_over_white(form: str) -> None:
    rgba = noise(channels=4, seed=3)
    rgba[..., 3] = np.arange(40) * 6
    share = rgba[..., 3:] / 255
    expected = rgba[..., :3] * share + 255 * (1 - share)
    settings = {"lossless": True, "exact": True} if form == "WEBP" else {}
    assert np.abs(opened(encoded(rgba, form, **settings)) - expected).max() <= 1.5


def test_grey_with_alpha() -> None:
    pair = noise(channels=2, seed=4)
    share = pair[..., 1] / 255
    got = opened(encoded(Image.fromarray(pair, "LA"), "PNG"))
    assert np.abs(got - (pair[..., 0] * share + 255 * (1 - share))[..., None]).max() <= 1.5


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("most", [65535, 4000, 200])
def test_16_bit_grey_is_scaled_by_its_depth(form: str, most: int) -> None:
    deep = np.linspace(0, most, 24 * 40).reshape(24, 40).astype(np.uint16)
    expected = np.round(deep / 65535 * 255)
    assert np.abs(opened(encoded(deep, form)) - expected[..., None]).max() <= 1


def test_16_bit_rgb_png() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (12, 9, 3)).astype(">u2")
    scanlines = b"".join(b"\0" + row.tobytes() for row in deep)
    got = opened(png(struct.pack(">IIBBBBB", 9, 12, 16, 2, 0, 0, 0), scanlines))
    assert np.abs(got - deep.astype(float) / 257).max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff_with_holes(top: float) -> None:
    levels = np.linspace(0, top, 24 * 40, dtype=np.float32).reshape(24, 40)
    expected = np.round(levels / top * 255)
    levels[3, 4], expected[3, 4] = np.nan, 0
    np.testing.assert_allclose(opened(encoded(Image.fromarray(levels), "TIFF"))[..., 1], expected, atol=1)


@pytest.mark.parametrize(("ink", "colour"), [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))])
def test_cmyk_jpeg(ink: tuple[int, ...], colour: tuple[int, ...]) -> None:
    got = opened(encoded(Image.new("CMYK", (32, 32), ink), "JPEG", quality=95))
    assert np.abs(got.astype(int) - colour).max() <= 6


def test_a_jpeg_named_png_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(smooth(), "JPEG"))
    image, sha256 = images.folder(tmp_path)[0].load()
    assert image.size == (40, 24)
    assert len(sha256) == 64


# What is no picture


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am text\n" * 50, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"odd\.png: (an empty file|not a picture|a drawing of vectors)"):
        images.folder(tmp_path)[0].load()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_files_that_are_cut_short(form: str, share: float) -> None:
    whole = encoded(noise(64, 64), form)
    with pytest.raises(ImageError, match="picture"):
        images.open_rgb(whole[: int(len(whole) * share)])


def test_one_pixel_is_a_picture_but_not_a_cell() -> None:
    image = images.open_rgb(encoded(Image.new("RGB", (1, 1)), "PNG"))
    assert image.size == (1, 1)
    with pytest.raises(ImageError, match="1x1 px: expected at least 8x8"):
        images.crop_to_cells(image, 512, 8)


def bomb(form: str, side: int = 60_000) -> bytes:
    """A few bytes that claim billions of pixels."""
    if form == "PNG":
        return png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), b"\0" * 1_000_000)
    if form == "BMP":
        return encoded(noise(), "BMP").replace(struct.pack("<ii", 40, 24), struct.pack("<ii", side, side))
    return b"P6 %d %d 255\n" % (side, side) + b"\0" * 1000


@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM"])
def test_decompression_bombs_are_refused_quickly_in_little_memory(form: str) -> None:
    blob, unit = bomb(form), 1 if sys.platform == "darwin" else 1024
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, time.process_time()
    with pytest.raises(ImageError, match=r"3600000000 pixels.*shrink it"):
        images.open_rgb(blob)
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 32 << 20


@cache
def whole_files() -> list[bytes]:
    exif = Image.Exif()
    exif[0x112] = 6
    small = Image.fromarray(noise(12, 10))
    forms = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "QOI", "SGI"]
    deep = Image.fromarray(noise(12, 10, 1)[..., 0].astype(np.uint16) * 257)
    return [
        *(encoded(small, form) for form in forms),
        *(encoded(small, form, exif=exif) for form in ("PNG", "JPEG", "TIFF", "WEBP")),
        *(encoded(small, "TIFF", compression=way) for way in ("tiff_lzw", "tiff_deflate", "jpeg")),
        encoded(small.quantize(8), "PNG", transparency=3),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(deep, "PNG"),
        encoded(deep, "TIFF"),
    ]


def read_or_refused(blob: bytes) -> None:
    try:
        assert images.open_rgb(blob, "fuzzed").mode == "RGB"
    except ImageError as error:
        if not str(error).startswith("fuzzed: "):
            raise AssertionError("the message does not name the file") from error


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"BM", b"RIFF"]))
def test_random_bytes_are_read_or_refused(blob: bytes, magic: bytes) -> None:
    read_or_refused(magic + blob)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_edited_pictures_are_read_or_refused(data: st.DataObject) -> None:
    blob = bytearray(data.draw(st.sampled_from(whole_files())))
    for _ in range(data.draw(st.integers(0, 5))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.sampled_from([0, 1, 127, 128, 255, 42]))
    read_or_refused(bytes(blob[: data.draw(st.one_of(st.just(len(blob)), st.integers(0, len(blob))))]))


# Crops and splits


@settings(max_examples=100, deadline=None)
@given(
    wide=st.integers(8, 300),
    high=st.integers(8, 300),
    size=st.integers(16, 128),
    multiple=st.sampled_from([8, 16]),
    square=st.booleans(),
)
def test_crops_are_whole_cells_inside_and_never_enlarged(
    wide: int, high: int, size: int, multiple: int, square: bool
) -> None:
    image = Image.new("RGB", (wide, high))
    if min(wide, high, size) < multiple:
        with pytest.raises(ImageError, match="expected at least"):
            images.crop_to_cells(image, size, multiple, square)
        return
    rgb, (left, top, right, bottom) = images.crop_to_cells(image, size, multiple, square)
    rows, columns = rgb.shape[:2]
    assert rows % multiple == columns % multiple == 0
    assert min(rows, columns) <= size
    assert not square or rows == columns
    assert 0 <= left < right <= wide
    assert 0 <= top < bottom <= high
    assert right - left >= columns - 1
    assert bottom - top >= rows - 1


def test_a_small_picture_is_cut_not_scaled() -> None:
    rgb, (left, top, right, bottom) = images.crop_to_cells(Image.fromarray(noise(45, 60)), 512, 16)
    assert rgb.shape == (32, 48, 3)
    np.testing.assert_array_equal(rgb, noise(45, 60)[top:bottom, left:right])


def test_a_large_picture_is_shrunk_to_the_short_side_around_its_centre() -> None:
    rgb, box = images.crop_to_cells(Image.fromarray(smooth(400, 700)), 100, 8)
    assert rgb.shape == (96, 168, 3)
    left, top, right, bottom = box
    assert abs((left + right) - 700) <= 4
    assert abs((top + bottom) - 400) <= 8
    inside = smooth(400, 700)[top:bottom, left:right].astype(float)
    assert np.abs(rgb.mean((0, 1)) - inside.mean((0, 1))).max() < 1


def test_square_crops_are_decided_by_the_hash() -> None:
    image = Image.fromarray(noise(120, 200))
    first, again, other = (images.square_crops(image, 64, 16, 5, sha * 64) for sha in ("a", "a", "b"))
    assert len(first) == 5
    for (one, one_box), (two, two_box) in zip(first, again, strict=True):
        assert one.shape == (64, 64, 3)
        assert one_box == two_box
        np.testing.assert_array_equal(one, two)
    boxes = [box for _, box in first]
    assert len(set(boxes)) == 5
    assert boxes[1:] != [box for _, box in other][1:]
    assert boxes[0] == other[0][1] == images.crop_to_cells(image, 64, 16, square=True)[1]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 120
        assert right - left >= 63


def test_one_picture_in_five_is_held_out_whatever_the_fold() -> None:
    import hashlib

    hashes = [hashlib.sha256(bytes([i % 256, i // 256])).hexdigest() for i in range(4000)]
    held = np.array([images.is_test(h) for h in hashes])
    folds = np.array([images.fold_of(h, 4) for h in hashes])
    assert abs(held.mean() - 0.2) < 0.03
    assert set(folds) == {0, 1, 2, 3}
    assert max(abs(held[folds == fold].mean() - 0.2) for fold in range(4)) < 0.05
    assert images.is_test("00000000" + "f" * 56)
    assert not images.is_test("00000001" + "0" * 56)


def test_grey_photographs_are_known_as_such() -> None:
    grey = Image.fromarray(noise(channels=1)[..., 0]).convert("RGB")
    assert images.kind_of(grey, "photograph") == images.kind_of(grey, "drawing") == "greyscale"
    assert images.kind_of(grey, "chart") == "chart"
    assert images.kind_of(Image.fromarray(smooth()), "photograph") == "photograph"


# Hugging Face data sets


class Table:
    """What `datasets.Dataset` has, as far as it is used."""

    def __init__(
        self, cells: list[dict[str, object] | None], column_names: tuple[str, ...] = ("image", "label")
    ) -> None:
        self.cells, self.column_names, self.is_encoded = cells, column_names, False
        self.features = {name: "Value('int64')" if name == "label" else "Image" for name in column_names}
        self.features = dict.fromkeys(column_names, "Value('int64')")

    def cast_column(self, column: str, feature: object) -> "Table":
        if column == "label":
            raise NotImplementedError("Unsupported cast from int64 to struct")  # as Arrow does
        self.is_encoded = feature == ("Image", False)
        return self

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, row: int) -> dict[str, dict[str, object] | None]:
        assert self.is_encoded, "the library must not decode: our rules for 16 bit and alpha apply"
        return dict.fromkeys(self.column_names, self.cells[row])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Table]:
    """Tables by ``identifier/split``; any other cannot be reached."""
    (tmp_path / "on_disk.png").write_bytes(encoded(noise(48, 48, seed=2), "PNG"))
    cells: list[dict[str, object] | None] = [
        {"bytes": encoded(noise(48, 48, seed=1), "PNG"), "path": None},
        {"bytes": None, "path": str(tmp_path / "on_disk.png")},
        {"bytes": b"no picture", "path": None},
        None,
    ]
    tables = {"someone/things/train": Table(cells), "someone/things/test": Table(cells[:1], ("photo",))}

    def load_dataset(identifier: str, split: str) -> Table:
        if f"{identifier}/{split}" not in tables:
            raise ConnectionError(f"Couldn't reach {identifier!r} on the Hub")
        return tables[f"{identifier}/{split}"]

    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    module.Image = lambda decode: ("Image", decode)  # type: ignore[attr-defined]
    module.exceptions = types.SimpleNamespace(DatasetsError=type("DatasetsError", (Exception,), {}))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return tables


@pytest.mark.usefixtures("hub")
def test_pictures_of_a_data_set() -> None:
    found = images.pictures("hf:someone/things")
    assert [p.name for p in found] == [f"someone/things/train/{row}" for row in range(4)]
    np.testing.assert_array_equal(np.asarray(found[0].load()[0]), noise(48, 48, seed=1))
    np.testing.assert_array_equal(np.asarray(found[1].load()[0]), noise(48, 48, seed=2))
    for bad in found[2:]:
        with pytest.raises(ImageError, match=r"not a picture|is empty"):
            bad.load()
    assert len(images.pictures("hf:someone/things:test:photo")) == 1


@pytest.mark.usefixtures("hub")
def test_a_data_set_is_collected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = lf.collect(FakeVae(), "hf:someone/things", tmp_path / "store", size=48, progress=False)
    assert [sample.name for sample in store.samples] == ["someone/things/train/0", "someone/things/train/1"]
    assert "2 new, 0 already there, 0 duplicates, 2 skipped" in capsys.readouterr().out


@pytest.mark.usefixtures("hub")
def test_a_data_set_out_of_reach_names_the_way_on() -> None:
    with pytest.raises(NoPicturesError, match=r"Couldn't reach 'nobody/nothing'.*name a folder"):
        images.pictures("hf:nobody/nothing")
    with pytest.raises(NoPicturesError, match="expected a column 'image', got photo"):
        images.pictures("hf:someone/things:test")
    with pytest.raises(NoPicturesError, match=r"expected pictures in this column, got Value.* name another: image, "):
        images.pictures("hf:someone/things:train:label")
    with pytest.raises(NoPicturesError, match="names no dataset: expected hf:ID"):
        images.pictures("hf:")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NoPicturesError, match=r"latentfit\[datasets\]"):
        images.pictures("hf:someone/things")


# Writing


def test_saved_pictures_come_back(tmp_path: Path) -> None:
    rgb = images.rgb_tensor(noise())[0]
    assert rgb.shape == (3, 24, 40)
    path = images.save_png(rgb, tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(opened(path.read_bytes()), noise())
    images.save_png(torch.stack([rgb[0] * 9, rgb[1] - 5, rgb[2]]), path, enlarge=3)
    assert opened(path.read_bytes()).shape == (72, 120, 3)


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = images.save_png(images.rgb_tensor(noise())[0], tmp_path / "a.png")
    before = path.read_bytes()

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        images.save_png(torch.zeros(3, 8, 8), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_photographs_that_are_shown_are_held_out_of_every_store() -> None:
    shown = images.held_out_photographs()
    assert [picture.name for picture in shown] == ["skimage/astronaut", "skimage/chelsea", "skimage/coffee"]
    hashes = {picture.load()[1] for picture in shown}
    assert hashes == images.always_held_out()  # the files of the installed package are those that the list names
    assert all(images.is_test(sha256) for sha256 in hashes)
    by_hash_alone = [sha256 for sha256 in hashes if int(sha256[:8], 16) % images.TEST_SHARE == 0]
    assert not by_hash_alone  # none of them would be without the list
    assert [picture.name for picture in images.pictures("held-out")] == [picture.name for picture in shown]
    assert {picture.kind for picture in shown} == {"photograph"}
    assert max(max(picture.load()[0].size) for picture in shown) <= 600
