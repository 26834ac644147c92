"""16 bits a channel are converted to sRGB before they are rounded to 8."""

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from latentfit.images import ADOBE_RGB, SRGB, deep_in_srgb, matrix_profile, open_picture


def original() -> NDArray[np.float64]:
    """Smooth colours with many dark ones, sRGB in [0, 1]."""
    down, right = np.mgrid[0:96, 0:128] / 128
    return np.stack([down**2, right * 0.5, 0.3 * (1 - right) * down], -1)


def linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def png(levels: NDArray[np.float64], *chunks: tuple[bytes, bytes]) -> bytes:
    """Levels in [0, 1] as PNG of 16 bits, every row with another filter."""
    pixels = np.round(levels * 65535).astype(">u2")
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[-1]]
    step = 2 * pixels.shape[-1]
    rows, above = [], np.zeros(pixels.shape[1] * step, np.uint8)
    for number, row in enumerate(pixels):
        line = np.frombuffer(row.tobytes(), np.uint8)
        left = np.concatenate([np.zeros(step, np.uint8), line[:-step]])
        corner = np.concatenate([np.zeros(step, np.uint8), above[:-step]])
        guess = (left.astype(int) + above - corner)[None] - np.stack([left, above, corner]).astype(int)
        paeth = np.choose(np.abs(guess).argmin(0), [left, above, corner])
        filtered = [
            line,
            line - left,
            line - above,
            line - ((left.astype(int) + above) // 2).astype(np.uint8),
            line - paeth,
        ]
        rows.append(bytes([number % 5]) + filtered[number % 5].tobytes())
        above = line
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def psnr(image: Image.Image, srgb: NDArray[np.float64]) -> float:
    return float(-10 * np.log10(np.square(np.asarray(image) / 255 - srgb).mean()))


def profile_chunk(icc: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"x\0\0" + zlib.compress(icc)


LINEAR = matrix_profile(SRGB, lambda x: x)


@pytest.mark.parametrize("how", ["gAMA", "gAMA and cHRM", "iCCP", "cICP"])
def test_linear_light_is_over_50_db(how: str) -> None:
    white_to_blue = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    chunks = {
        "gAMA": [(b"gAMA", struct.pack(">I", 100000))],
        "gAMA and cHRM": [(b"gAMA", struct.pack(">I", 100000)), (b"cHRM", struct.pack(">8I", *white_to_blue))],
        "iCCP": [profile_chunk(LINEAR)],
        "cICP": [(b"cICP", bytes([1, 8, 0, 1]))],
    }[how]
    opened = open_picture(png(linear(original()), *chunks))
    assert opened.is_converted
    assert psnr(opened.image, original()) > 55


def test_what_is_srgb_is_rounded_and_eight_bits_come_back() -> None:
    assert psnr(open_picture(png(original())).image, original()) > 58  # cut, not rounded, it was 53
    eight = np.round(original() * 255)
    for chunks in (
        [],
        [(b"sRGB", b"\0")],
        [profile_chunk(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())],
    ):
        opened = open_picture(png(eight / 255, *chunks))
        assert not opened.is_converted
        np.testing.assert_array_equal(np.asarray(opened.image), eight)


def test_grey_and_alpha() -> None:
    grey = original()[..., :1]
    gamma = (b"gAMA", struct.pack(">I", 100000))
    assert psnr(open_picture(png(linear(grey), gamma)).image, np.repeat(grey, 3, -1)) > 55
    half = np.full_like(grey, 0.5)
    for levels in (grey, original()):
        opened = open_picture(png(np.concatenate([linear(levels), half], -1), gamma)).image
        assert psnr(opened, np.broadcast_to((levels + 1) / 2, (*grey.shape[:2], 3))) > 48
    clear = open_picture(png(original(), (b"tRNS", struct.pack(">3H", 65535, 0, 65535)))).image
    assert np.asarray(clear)[0, 0].tolist() == np.round(original()[0, 0] * 255).tolist()
    seen = open_picture(png(np.zeros((4, 4, 3)), (b"tRNS", struct.pack(">3H", 0, 0, 0)))).image
    assert np.asarray(seen).min() == 255


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
def test_tiff(orientation: int, is_packed: bool) -> None:
    made = tiff(linear(original()), LINEAR, orientation, is_packed)
    opened = open_picture(made).image
    right = original() if orientation == 1 else np.rot90(original(), -1)
    assert psnr(opened, right) > 55


def tiff(levels: NDArray[np.float64], icc: bytes, orientation: int, is_packed: bool) -> bytes:
    """A TIFF of 16-bit RGB, little-endian, one strip, as it is or deflated, which libtiff reads."""
    pixels = np.round(levels * 65535).astype("<u2")
    high, wide = pixels.shape[:2]
    body = zlib.compress(pixels.tobytes()) if is_packed else pixels.tobytes()
    body += bytes(len(body) % 2)
    tags = [(256, 4, 1, wide), (257, 4, 1, high), (258, 3, 3, None), (259, 3, 1, 8 if is_packed else 1),
            (262, 3, 1, 2), (273, 4, 1, None),
            (274, 3, 1, orientation), (277, 3, 1, 3), (278, 4, 1, high), (279, 4, 1, len(body)),
            (34675, 7, len(icc), None)]  # fmt: skip
    place = 8 + 2 + 12 * len(tags) + 4
    places = {258: place, 273: place + 6, 34675: place + 6 + len(body)}
    packed = b"".join(struct.pack("<HHII", tag, kind, n, places.get(tag, value)) for tag, kind, n, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + packed + bytes(4) + struct.pack("<3H", 16, 16, 16) + body + icc


@pytest.mark.parametrize("exponent", [1.0, 1.8, 563 / 256])
def test_wide_colours_agree_with_the_colour_management(exponent: float) -> None:
    """lcms at 8 bits is the oracle, where 8 bits are enough: a curve near sRGB's."""
    levels = np.round(np.random.default_rng(1).random((32, 32, 3)) * 255)
    icc = matrix_profile(ADOBE_RGB, lambda x: x**exponent)
    ours = deep_in_srgb((levels * 257).astype(np.uint16), icc)
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), "RGB", "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )  # fmt: skip
    theirs = ImageCms.applyTransform(Image.fromarray(levels.astype(np.uint8)), transform)
    assert ours is not None
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 2


def test_parametric_curves_are_srgbs() -> None:
    icc = bytearray(matrix_profile(SRGB, lambda x: x))
    values = [round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)]
    while (place := icc.find(b"curv")) >= 0:
        icc[place : place + 32] = struct.pack(">4sIHH5i", b"para", 0, 3, 0, *values)
    levels = np.round(original() * 65535).astype(np.uint16)
    made = deep_in_srgb(levels, bytes(icc))
    assert made is not None
    assert np.abs(made - original() * 255).max() < 0.6


def test_profiles_of_other_kinds_are_left_to_the_colour_management() -> None:
    assert deep_in_srgb(np.zeros((2, 2, 3), np.uint16), b"") is None
    assert deep_in_srgb(np.zeros((2, 2, 3), np.uint16), bytes(500)) is None
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert deep_in_srgb(np.zeros((2, 2, 3), np.uint16), lab) is None
    broken = open_picture(png(original(), profile_chunk(b"none" * 40)))
    assert "cannot be used" in broken.note
    assert psnr(broken.image, original()) > 58
