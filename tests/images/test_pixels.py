"""Rare pictures: several frames, odd numbers, and small files that would unpack to a great deal."""

import io
import struct
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from latentfit.errors import ImageError
from latentfit.images import crop_to_cells, open_rgb, to_pil


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def encoded(picture: Image.Image | NDArray[np.generic], form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, form, **options)
    return buffer.getvalue()


def opened(blob: bytes) -> NDArray[np.uint8]:
    image = open_rgb(blob)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("form", ["TIFF", "PNG", "WEBP", "GIF", "MPO"])
def test_the_first_frame_of_several(form: str) -> None:
    """Animations, pages, and the pairs some cameras write as one jpeg."""
    flat = [Image.new("RGB", (16, 16), colour) for colour in ((200, 30, 60), (0, 255, 0))]
    read = opened(encoded(flat[0], form, save_all=True, append_images=flat[1:]))
    assert np.abs(read.astype(int) - (200, 30, 60)).max() <= 4


def test_a_tiff_turned_by_a_flag_that_pillow_applies_itself_is_not_turned_twice() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = noise(0)
    once = opened(encoded(stored, "TIFF", exif=exif))
    assert np.array_equal(once, np.rot90(stored, -1))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(opened(encoded(noise(0), "PNG", exif=exif)), noise(0))


def test_numbers_that_are_none() -> None:
    blob = encoded(np.array([[0.25, 0.5, 1.0]], np.float32), "TIFF")
    for bits in (0x7F800001, 0x7FC00000):  # a NaN that signals when it is widened, and one that does not
        odd = blob.replace(struct.pack("<f", 0.25), struct.pack("<I", bits))
        assert odd != blob
        assert opened(odd)[0, :, 0].tolist() == [0, 128, 255]
    assert opened(encoded(np.array([[-3.0, 0.5, 1.0]], np.float32), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(side: int, *extra: bytes) -> bytes:
    """One bit a pixel, of which 64 lines are there."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    lines = _chunk(b"IDAT", zlib.compress(bytes((side // 8 + 1) * min(side, 64))))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + lines + _chunk(b"IEND", b"")


BOMBS = {
    "where Pillow only warns": (_png(10_000), "100000000 pixels.*shrink it"),
}
BESIDE = {
    "text": _png(8, _chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(64 << 20)))),
    "a colour profile": _png(8, _chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(64 << 20)))),
}


@pytest.mark.parametrize("where", BOMBS)
def test_small_files_do_not_unpack_to_much(where: str) -> None:
    blob, said = BOMBS[where]
    assert len(blob) < 20_000
    started = time.process_time()
    with pytest.raises(ImageError, match=said):
        open_rgb(blob)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("where", BESIDE)
def test_what_lies_beside_the_pixels_is_not_unpacked_to_much(where: str) -> None:
    tracemalloc.start()
    try:
        assert open_rgb(BESIDE[where]).size == (8, 8)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_opening_leaves_the_callers_warning_filters_alone() -> None:
    before = list(warnings.filters)
    opened(encoded(noise(0), "PNG"))
    with pytest.raises(ImageError):
        open_rgb(b"no picture")
    assert list(warnings.filters) == before


def test_the_box_is_where_the_pixels_come_from() -> None:
    """A white square on black, found again in the crop where its box says."""
    whole = np.zeros((200, 330, 3), np.uint8)
    whole[80:120, 160:200] = 255
    for square in (False, True):
        rgb, (left, top, right, bottom) = crop_to_cells(Image.fromarray(whole), 96, 8, square)
        scale = rgb.shape[1] / (right - left)
        rows, columns = np.nonzero(rgb[..., 0] > 127)
        for found, expected in ((rows, (80 - top, 120 - top)), (columns, (160 - left, 200 - left))):
            assert abs(found.min() - expected[0] * scale) < 1
            assert abs(found.max() + 1 - expected[1] * scale) < 1
        assert scale == pytest.approx(rgb.shape[0] / (bottom - top), rel=0.01)


def test_out_of_range_is_clipped_and_halves_are_rounded() -> None:
    assert to_pil(torch.tensor([-1.0, 0.5, 2.0])[:, None, None]).getpixel((0, 0)) == (0, 128, 255)
