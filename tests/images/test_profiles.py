"""Colours that files declare: profiles, PNG's chunks, Exif, CMYK, CIELAB, and those that are broken."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from latentfit.compare.widgets import as_picture
from latentfit.errors import ImageError
from latentfit.images import ADOBE_RGB, SRGB, folder, matrix_profile, open_picture, open_rgb, profiles, srgb_curve
from latentfit.palettes import Palette
from tests.support.paths import GOLDEN

P3 = matrix_profile(((0.3127, 0.329), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), srgb_curve)
ADOBE = matrix_profile(ADOBE_RGB, lambda x: x ** (563 / 256))
PROPHOTO = matrix_profile(((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001001)), lambda x: x**1.8)
_XYZ = {  # D65, linear, from the standards' own tables
    "srgb": [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    "p3": [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]],
    "adobe": [[0.5767309, 0.1855540, 0.1881852], [0.2973769, 0.6273491, 0.0752741], [0.0270343, 0.0706872, 0.9911085]],
}


def colours(seed: int = 0) -> NDArray[np.uint8]:
    """Muted colours, which every space here has."""
    return np.random.default_rng(seed).integers(70, 180, (24, 16, 3), dtype=np.uint8)


def encoded(picture: Image.Image | NDArray[np.uint8], form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, form, **options)
    return buffer.getvalue()


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """A chunk behind the header."""
    whole = struct.pack(">I", len(content)) + name + content
    return png[:33] + whole + struct.pack(">I", zlib.crc32(name + content)) + png[33:]


def srgb_of(encoded_: NDArray[np.uint8], space: str, exponent: float | None = None) -> NDArray[np.float64]:
    """The oracle: levels of another space -> sRGB levels, in plain numpy."""
    unit = encoded_ / 255
    linear = srgb_curve(unit) if exponent is None else unit**exponent
    moved = np.clip(linear @ np.array(_XYZ[space]).T @ np.linalg.inv(np.array(_XYZ["srgb"])).T, 0, 1)
    return 255 * np.where(moved <= 0.0031308, 12.92 * moved, 1.055 * moved ** (1 / 2.4) - 0.055)


def off(blob: bytes, wanted: NDArray[np.generic]) -> float:
    """Largest difference in levels."""
    return float(np.abs(np.asarray(open_rgb(blob), float) - wanted).max())


def test_display_p3_is_read_as_its_colours_in_srgb() -> None:
    read = np.asarray(open_rgb((GOLDEN / "display_p3.png").read_bytes()), float)
    wanted = np.asarray(Image.open(GOLDEN / "display_p3_in_srgb.png").convert("RGB"), float)
    assert 10 * np.log10(255**2 / np.square(read - wanted).mean()) > 50


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("icc", "space", "exponent"), [(P3, "p3", None), (ADOBE, "adobe", 563 / 256)])
def test_an_embedded_profile_is_converted(form: str, icc: bytes, space: str, exponent: float | None) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    assert off(encoded(colours(), form, icc_profile=icc, **options), srgb_of(colours(), space, exponent)) <= 2


def test_a_neutral_grey_of_prophoto_is_one_in_srgb() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    level = 255 * (1.055 * (128 / 255) ** (1.8 / 2.4) - 0.055)
    assert off(encoded(grey, icc_profile=PROPHOTO), np.full(grey.shape, level)) <= 2


@pytest.mark.parametrize(
    "icc",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix_profile(SRGB, srgb_curve),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_srgb_in_any_spelling_changes_no_bit(icc: bytes, mode: str) -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8)).convert(mode)
    opened = open_picture(encoded(picture, icc_profile=icc))
    assert (opened.is_converted, opened.note) == (False, "")
    assert np.array_equal(np.asarray(opened.image), np.asarray(open_rgb(encoded(picture))))


def test_an_indexed_picture_goes_through_its_profile() -> None:
    indexed = Image.fromarray(colours()).quantize(16)
    wanted = srgb_of(np.asarray(indexed.convert("RGB")), "p3")
    assert off(encoded(indexed, icc_profile=P3), wanted) <= 2


def test_colours_are_converted_before_they_are_laid_over_white() -> None:
    rgba = np.dstack([colours(), np.full((24, 16), 64, np.uint8)])
    wanted = 255 + (srgb_of(colours(), "p3") - 255) * 64 / 255
    assert off(encoded(rgba, icc_profile=P3), wanted) <= 2


def test_grey_with_a_grey_profile_and_with_one_of_rgb() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear_grey = _grey_profile(1.0)
    wanted = 255 * np.where(grey <= 0.0031308 * 255, 12.92 * grey / 255, 1.055 * (grey / 255) ** (1 / 2.4) - 0.055)
    assert off(encoded(grey, icc_profile=linear_grey), wanted[..., None]) <= 2
    linear_rgb = matrix_profile(SRGB, lambda x: x)
    assert off(encoded(grey, icc_profile=linear_rgb), wanted[..., None]) <= 2


def _grey_profile(gamma: float) -> bytes:
    curve = struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + np.round(np.array([0.9642, 1, 0.8249]) * 65536).astype(">i4").tobytes()
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(79)
    tags, body, index = [(b"desc", name), (b"wtpt", white), (b"kTRC", curve)], b"", b""
    for tag, content in tags:
        index += struct.pack(">4sII", tag, 128 + 4 + 36 + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", 168 + len(body), b"", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + white[8:] + bytes(48)
    return header + struct.pack(">I", 3) + index + body


def test_exif_that_says_adobe_rgb_is_believed_where_there_is_no_profile() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    flat = np.full((32, 32, 3), (150, 90, 120), np.uint8)
    blob = encoded(flat, "JPEG", quality=100, exif=exif)
    assert off(blob, srgb_of(flat, "adobe", 563 / 256)) <= 4
    both = encoded(flat, "JPEG", quality=100, exif=exif, icc_profile=P3)
    assert off(both, srgb_of(flat, "p3")) <= 4
    exif.get_ifd(0x8769)[0xA001] = 1
    assert off(encoded(flat, "JPEG", quality=100, exif=exif), flat) <= 2


P3_POINTS, LINEAR = bytes([12, 13, 0, 1]), struct.pack(">I", 100000)
CHRM_P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
CHRM_SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
GAMA_SRGB = struct.pack(">I", 45455)


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ({b"cICP": P3_POINTS}, "p3"),
        ({b"cICP": P3_POINTS, b"sRGB": b"\0"}, "p3"),
        ({b"cICP": bytes([1, 13, 0, 1]), b"cHRM": CHRM_P3}, "as it is"),
        ({b"sRGB": b"\0", b"gAMA": LINEAR, b"cHRM": CHRM_P3}, "as it is"),
        ({b"cHRM": CHRM_P3, b"gAMA": GAMA_SRGB}, "p3"),
        ({b"cHRM": CHRM_SRGB, b"gAMA": GAMA_SRGB}, "as it is"),
        ({b"gAMA": GAMA_SRGB}, "as it is"),
        ({b"gAMA": LINEAR}, "linear"),
        ({b"cICP": bytes([1, 8, 0, 1])}, "linear"),
    ],
)
def test_png_chunks_in_the_order_of_its_third_edition(chunks: dict[bytes, bytes], wanted: str) -> None:
    blob = encoded(colours())
    for name, content in chunks.items():
        blob = with_chunk(blob, name, content)
    right = {"p3": srgb_of(colours(), "p3"), "linear": srgb_of(colours(), "srgb", 1.0), "as it is": colours()}[wanted]
    assert off(blob, right) <= (0 if wanted == "as it is" else 2)
    assert open_picture(blob).is_converted == (wanted != "as it is")


def test_avif_with_code_points() -> None:
    blob = b"\0\0\0\x20ftypavif" + bytes(40) + b"colrnclx" + struct.pack(">HHHB", 12, 13, 6, 0x80)
    assert profiles._nclx(blob) == (12, 13, True)
    assert profiles._nclx(b"ftypavif") is None


@pytest.mark.parametrize(
    ("picture", "icc", "said"),
    [
        (Image.fromarray(colours()), b"no profile", "cannot be used"),
        (Image.fromarray(colours()), P3[:200], "cannot be used"),
        (Image.fromarray(colours()), _grey_profile(1.8), "of GRAY, its pixels are RGB"),
        (Image.fromarray(colours()).convert("CMYK"), P3, "of RGB, its pixels are CMYK"),
    ],
)
def test_a_profile_that_cannot_be_used_is_noted_and_read_as_srgb(picture: Image.Image, icc: bytes, said: str) -> None:
    opened = open_picture(encoded(picture, "TIFF", icc_profile=icc))
    assert said in opened.note
    assert not opened.is_converted
    assert np.array_equal(np.asarray(opened.image), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize(
    ("content", "said"),
    [(bytes([9, 16, 0, 1]), "HDR (PQ)"), (bytes([12, 13, 0, 0]), "narrow range"), (bytes([99, 13, 0, 1]), "99")],
)
def test_code_points_that_are_not_supported_are_noted(content: bytes, said: str) -> None:
    opened = open_picture(with_chunk(encoded(colours()), b"cICP", content))
    assert said in opened.note
    assert np.array_equal(np.asarray(opened.image), colours())


def test_chromaticities_that_are_none_are_noted() -> None:
    blob = with_chunk(encoded(colours()), b"cHRM", struct.pack(">8I", *[30000] * 8))
    opened = open_picture(blob)
    assert "chromaticities" in opened.note
    assert np.array_equal(np.asarray(opened.image), colours())


def test_a_jpeg_whose_profile_lacks_a_part_is_noted() -> None:
    blob = encoded(colours(), "JPEG", icc_profile=P3)
    place = blob.index(b"ICC_PROFILE\0") + 12
    cut = blob[: place + 1] + b"\x02" + blob[place + 2 :]  # it says that it has two parts
    assert open_picture(cut).note == "its colour profile is damaged"


def test_cielab_is_read() -> None:
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[...] = (round(53.39 * 2.55), 0, 0)  # sRGB's middle grey, L* 53.39; a and b are signed
    assert off(encoded(Image.fromarray(lab, "LAB"), "TIFF"), np.full((8, 8, 3), 127.5)) <= 2


def test_palettes_and_pictures_in_notebooks_go_through_the_same_reader(tmp_path: Path) -> None:
    flat = Image.fromarray(np.repeat(np.array([[[160, 90, 110]], [[90, 140, 100]]], np.uint8), 8, 1))
    wanted = srgb_of(np.asarray(flat), "p3")
    flat.save(tmp_path / "strip.png", icc_profile=P3)
    palette = Palette.load(tmp_path / "strip.png")
    assert np.abs(palette.colours.numpy() - wanted[:, 0]).max() <= 2
    with Image.open(tmp_path / "strip.png") as image:
        assert np.abs(as_picture(image, "strip").numpy() * 255 - wanted.transpose(2, 0, 1)).max() <= 2
    opened, _ = folder(tmp_path)[0].opened()
    assert opened.is_converted


def _ink_profile() -> bytes:
    """A CMYK profile whose black alone darkens, in even steps of CIELAB's lightness; other inks are invisible."""
    ramp = np.arange(256, dtype=np.uint8).tobytes()
    black = np.indices((2, 2, 2, 2))[3].ravel()
    lab = np.stack([255 * (1 - black), np.full(16, 128), np.full(16, 128)], 1).astype(np.uint8)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += (np.eye(3).ravel() * 65536).astype(">i4").tobytes() + ramp * 4 + lab.tobytes() + ramp * 3
    white = b"XYZ \0\0\0\0" + np.round(np.array([0.9642, 1, 0.8249]) * 65536).astype(">i4").tobytes()
    name = b"desc" + bytes(4) + struct.pack(">I", 4) + b"ink\0" + bytes(80)
    tags, body, index = [(b"desc", name), (b"wtpt", white), (b"A2B0", table)], b"", b""
    for tag, content in tags:
        index += struct.pack(">4sII", tag, 128 + 4 + 36 + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", 168 + len(body), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28) + white[8:] + bytes(48)
    return header + struct.pack(">I", 3) + index + body


@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
def test_cmyk_goes_through_its_profile(form: str) -> None:
    inks = Image.new("CMYK", (16, 16), (200, 0, 60, 128))
    options = {"quality": 100} if form == "JPEG" else {}
    light = 100 * (1 - 128 / 255)
    linear = ((light + 16) / 116) ** 3
    level = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    read = encoded(inks, form, icc_profile=_ink_profile(), **options)
    assert off(read, np.full((16, 16, 3), level)) <= 3
    assert open_picture(read).is_converted


@pytest.mark.parametrize("pointer", [10**6, 2**32 - 1, 0, 3])
def test_exif_whose_pointers_lead_nowhere_says_nothing(pointer: int) -> None:
    tiff = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x8769, 4, 1, pointer, 0)
    blob = encoded(np.full((16, 16, 3), 90, np.uint8), "JPEG", quality=100, exif=b"Exif\0\0" + tiff)
    assert off(blob, np.full((16, 16, 3), 90)) <= 2


def damaged(name: bytes, content: bytes, *, crc: int = 0) -> bytes:
    """A picture and a chunk whose checksum is off by `crc`."""
    whole = with_chunk(encoded(colours()), name, content)
    place = 33 + 8 + len(content)
    (right,) = struct.unpack_from(">I", whole, place)
    return whole[:place] + struct.pack(">I", right ^ crc) + whole[place + 4 :]


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (damaged(b"iCCP", b""), "profile is damaged"),
        (damaged(b"iCCP", b"name without end"), "profile is damaged"),
        (damaged(b"iCCP", b"x\0\1" + zlib.compress(P3)), "profile is damaged"),
        (damaged(b"iCCP", b"x\0\0garbage", crc=1), "profile is damaged"),
        (damaged(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 25))), "profile is damaged"),
        (damaged(b"gAMA", b"\0"), "chunks beside its pixels are damaged"),
        (damaged(b"cHRM", b"\0\0\0"), "chunks beside its pixels are damaged"),
        (damaged(b"pHYs", b"\0"), "chunks beside its pixels are damaged"),
    ],
)
def test_a_png_whose_other_chunks_are_damaged_keeps_its_pixels(blob: bytes, said: str) -> None:
    opened = open_picture(blob)
    assert said in opened.note
    assert not opened.is_converted
    assert np.array_equal(np.asarray(opened.image), colours())


def test_a_profile_too_large_for_pillow_is_used() -> None:
    padded = P3 + np.random.default_rng(0).bytes(2_000_000)
    blob = damaged(b"iCCP", b"x\0\0" + zlib.compress(struct.pack(">I", len(padded)) + padded[4:], 0))
    assert off(blob, srgb_of(colours(), "p3")) <= 2
    assert open_picture(blob).is_converted
    assert off(with_chunk(blob, b"cICP", bytes([1, 13, 0, 1])), colours()) == 0


def test_transparency_and_turning_survive_a_damaged_chunk() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    levels = np.dstack([colours(), np.where(colours()[..., :1] > 120, 255, 0).astype(np.uint8)])
    whole = encoded(levels, exif=exif)
    assert np.array_equal(np.asarray(open_rgb(with_chunk(whole, b"gAMA", b"\0"))), np.asarray(open_rgb(whole)))


def test_pixels_that_are_damaged_are_refused() -> None:
    for blob in (encoded(colours())[:-40], with_chunk(encoded(colours()), b"gAMA", b"\0")[:-40]):
        with pytest.raises(ImageError, match=r"damaged|not a picture"):
            open_rgb(blob)
