"""From the colours that a picture's file declares to sRGB: ICC profiles, PNG's colour chunks, AVIF's nclx, Exif."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from latentfit.errors import ImageError

Floats = NDArray[np.float64]
Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

SAME_LEVELS = 3  # of 255: a profile that moves no colour by more is one of the many spellings of sRGB
SRGB_GAMMA, SAME_GAMMA = 1 / 2.2, 0.05  # PNG writes sRGB's curve as this exponent; within 5 % it is that curve

MOST_PROFILE_BYTES = 1 << 24  # printers' profiles with large tables have two or three million
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})

_D65 = (0.3127, 0.3290)
SRGB: Primaries = (_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
ADOBE_RGB: Primaries = (_D65, (0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_PAL: Primaries = (_D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060))
_NTSC: Primaries = (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
# Code points of ITU-T H.273, which cICP and nclx share; 2 is "unspecified"
_PRIMARIES: dict[int, Primaries] = {
    1: SRGB,
    2: SRGB,
    4: ((0.310, 0.316), (0.670, 0.330), (0.210, 0.710), (0.140, 0.080)),
    5: _PAL,
    6: _NTSC,
    7: _NTSC,
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), *_P3),
    12: (_D65, *_P3),
}
_CAMERA_CURVES = frozenset({1, 2, 6, 13, 14, 15})  # shown with sRGB's curve, as browsers show stills
_HDR = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Declared:
    """What a file says of its colours.

    Attributes
    ----------
    icc : bytes or None
        An ICC profile, read or made from the file's numbers; None: sRGB.
    note : str
        What could not be read, "" where all could.
    """

    icc: bytes | None = None
    note: str = ""


def declared(image: Image.Image, blob: bytes) -> Declared:
    """What an opened picture's file says of its colours, the strongest statement first.

    In a PNG: cICP, then iCCP, sRGB, and cHRM with gAMA, each with sRGB's in the place of a missing one, as its third
    edition and browsers have it. Elsewhere: an embedded profile, then AVIF's nclx, then Exif's word for Adobe RGB.

    Parameters
    ----------
    image : Image
        The picture as Pillow opened it, not turned yet.
    blob : bytes
        The file.
    """
    points = _cicp(blob) if image.format == "PNG" else None
    if points is not None:
        return _of_points(*points)
    if image.info.get("icc_profile"):
        return Declared(bytes(image.info["icc_profile"]))
    if "icc_profile" in image.info and not _is_srgb_png(image):  # Pillow puts None or b"" for what it cannot join
        return Declared(note="its colour profile is damaged")
    if image.format == "PNG":
        if _is_srgb_png(image) or not {"gamma", "chromaticity"} & set(image.info):
            return Declared()
        return _of_chunks(image.info.get("gamma"), image.info.get("chromaticity"))
    if image.format == "AVIF" and (points := _nclx(blob)) is not None:
        return _of_points(*points)
    if image.format in _BESIDE and (icc := _BESIDE[image.format](blob)) is not None:
        return Declared(icc)
    return Declared(matrix_profile(ADOBE_RGB, _power(563 / 256))) if _is_exif_adobe(image) else Declared()


def bare_png(blob: bytes) -> bytes | None:
    """A PNG without the chunks beside its pixels, any of which may be damaged; only transparency and Exif stay.

    Returns
    -------
    bytes or None
        None where it is no PNG, ends early, or has no such chunk.
    """
    kept, n_left, is_whole = [blob[:8]], 0, False
    for name, content in _chunks(blob, most=len(blob)) if blob.startswith(_PNG) else ():
        is_whole |= name == b"IEND"
        if name in _PIXEL_CHUNKS:
            kept.append(
                struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
            )
        else:
            n_left += 1
    return b"".join(kept) if is_whole and n_left else None


def declared_beside(blob: bytes) -> Declared:
    """What a PNG says of its colours that Pillow refuses to open: cICP, or its profile, however large, or nothing."""
    if (points := _cicp(blob)) is not None:
        return _of_points(*points)
    profile = next((content for name, content in _chunks(blob, most=len(blob)) if name == b"iCCP"), None)
    if profile is None:
        return Declared(note="chunks beside its pixels are damaged")
    _, _, packed = profile.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        icc = unpacker.decompress(packed[1:], MOST_PROFILE_BYTES) if packed[:1] == b"\0" else b""
    except zlib.error:
        icc = b""
    return Declared(icc) if icc and unpacker.eof else Declared(note="its colour profile is damaged")


def in_srgb(picture: Image.Image, icc: bytes) -> tuple[Image.Image, str]:
    """A picture of mode L, RGB or CMYK through its profile -> sRGB and "", or itself and why it was left.

    Relative colorimetric with black point compensation: white stays white, and colours that sRGB has are kept, where
    the perceptual intent would shrink all of them. A profile that is sRGB in any spelling leaves the picture as it is,
    to the bit.

    Returns
    -------
    picture : Image
        The same object where nothing was converted.
    note : str
    """
    try:
        space = _space_of(icc)
        if space == "RGB" and picture.mode == "L":
            converted, _ = in_srgb(whole := picture.convert("RGB"), icc)
            return (picture if converted is whole else converted), ""
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) != picture.mode:
            return picture, f"its colour profile is of {space or 'no known space'}, its pixels are {picture.mode}"
        if space == "RGB" and _is_srgb(icc):
            return picture, ""
        if space == "GRAY":
            return Image.fromarray(_greys(icc)[np.asarray(picture)]), ""
        converted_ = ImageCms.applyTransform(picture, _transform(icc, picture.mode))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError) as error:
        return picture, f"its colour profile cannot be used ({error})"
    assert converted_ is not None  # in place it would be
    return converted_, ""


def lab_in_srgb(picture: Image.Image) -> Image.Image:
    """A CIELAB picture (D50, as TIFF stores them) -> sRGB, RGB.

    Raises
    ------
    ImageError
        When this Pillow has no colour management.
    """
    try:
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        converted = ImageCms.applyTransform(picture, _transform(lab.tobytes(), "LAB"))
    except (ImageCms.PyCMSError, ImportError) as error:
        raise ImageError(f"a CIELAB picture cannot be converted ({error})", remedy="export it in sRGB") from error
    assert converted is not None
    return converted


def matrix_profile(primaries: Primaries, to_linear: Callable[[Floats], Floats]) -> bytes:
    """An ICC profile (version 2, display) of white, red, green and blue chromaticities and one curve.

    Parameters
    ----------
    primaries : tuple of (x, y)
        White, red, green, blue.
    to_linear : callable
        Encoded -> linear light, both in [0, 1]; sampled at the 256 levels of 8 bits.

    Raises
    ------
    ValueError
        When the chromaticities span no triangle, or white lies outside it.
    """
    curve = np.clip(to_linear(np.linspace(0, 1, 256)), 0, 1)
    table = np.round(curve * 65535).astype(">u2").tobytes()
    trc = struct.pack(">4sII", b"curv", 0, 256) + table
    columns = to_d50(primaries).T
    tags = [
        (b"desc", b"desc" + bytes(4) + struct.pack(">I", 9) + b"declared\0" + bytes(78)),
        (b"cprt", b"text" + bytes(4) + b"none\0"),
        (b"wtpt", _xyz(_D50)),
        *((name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)),
        *((name, trc) for name in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    place, body, index = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags:
        padded = content + bytes(-len(content) % 4)
        index += struct.pack(">4sII", name, place + len(body), len(content))
        body += padded
    header = struct.pack(">I4sI4s4s4s", place + len(body), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(_D50) + bytes(48)
    return header + struct.pack(">I", len(tags)) + index + body


def srgb_curve(encoded: Floats) -> Floats:
    """Apply the curve of IEC 61966-2-1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _power(exponent: float) -> Callable[[Floats], Floats]:
    def to_linear(encoded: Floats) -> Floats:
        raised: Floats = encoded**exponent
        return raised

    return to_linear


_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_d50(primaries: Primaries) -> Floats:
    """Linear RGB -> XYZ under D50, columns red, green, blue; white adapted by Bradford's matrix."""
    white, *corners = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries if _is_real(x, y))
    if len(corners) != 3:
        raise ValueError(f"expected chromaticities with y above 0, got {primaries}")
    matrix = np.array(corners).T
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise ValueError(f"expected primaries that span a triangle, got {primaries}")
    amounts = np.linalg.solve(matrix, white)
    if not (amounts > 0).all():
        raise ValueError(f"expected white inside the primaries' triangle, got {primaries}")
    cone = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: Floats = np.linalg.solve(_BRADFORD, cone[:, None] * _BRADFORD) @ (matrix * amounts)
    if np.abs(adapted).max() > 8:
        raise ValueError(f"expected chromaticities of colours, got {primaries}")
    return adapted


def _is_real(x: float, y: float) -> bool:
    return bool(np.isfinite([x, y]).all()) and y > 1e-4


def _fixed(values: Floats) -> bytes:
    return np.round(np.asarray(values) * 65536).astype(">i4").tobytes()


def _xyz(values: Floats) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _of_points(primaries: int, transfer: int, full_range: bool) -> Declared:
    """Code points of H.273."""
    if transfer in _HDR:
        return Declared(note=f"its colours are HDR ({_HDR[transfer]}), which are not tone-mapped here")
    curve: Callable[[Floats], Floats] | None = {4: _power(2.2), 5: _power(2.8), 8: _power(1.0)}.get(transfer)
    if transfer in _CAMERA_CURVES:
        curve = srgb_curve
    if curve is None or primaries not in _PRIMARIES or not full_range:
        told = f"primaries {primaries}, transfer {transfer}{'' if full_range else ', narrow range'}"
        return Declared(note=f"its code points for colour are not supported ({told})")
    if curve is srgb_curve and _PRIMARIES[primaries] is SRGB:
        return Declared()
    return Declared(matrix_profile(_PRIMARIES[primaries], curve))


def _of_chunks(gamma: float | None, chromaticity: tuple[float, ...] | None) -> Declared:
    """PNG's gAMA and cHRM."""
    if gamma is not None and not 0.01 < gamma < 100:
        return Declared(note=f"its gamma is {gamma:g}")
    is_srgb_curve = gamma is None or abs(gamma / SRGB_GAMMA - 1) <= SAME_GAMMA
    to_linear = srgb_curve if is_srgb_curve or gamma is None else _power(1 / gamma)
    pairs = SRGB if chromaticity is None else tuple(zip(chromaticity[::2], chromaticity[1::2], strict=True))
    try:
        return Declared(matrix_profile(pairs, to_linear))  # type: ignore[arg-type]
    except ValueError as error:
        return Declared(note=f"its chromaticities are none ({error})")


def _is_srgb_png(image: Image.Image) -> bool:
    return image.format == "PNG" and "srgb" in image.info


def _is_exif_adobe(image: Image.Image) -> bool:
    """ColorSpace 2, or DCF's option file: uncalibrated, with the interoperability index R03."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(0x8769).get(0xA001)
        index = str(exif.get_ifd(0xA005).get(1, "")) if space == 0xFFFF else ""
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):  # damaged Exif says nothing
        return False
    return bool(space == 2) or index.strip("\0 ") == "R03"


def _cicp(blob: bytes) -> tuple[int, int, bool] | None:
    """Primaries, transfer and full range of a PNG's cICP, which Pillow does not read."""
    for name, content in _chunks(blob):
        if name == b"cICP" and len(content) == 4:
            return content[0], content[1], content[3] == 1
        if name == b"IDAT":
            break
    return None


def _chunks(blob: bytes, most: int = 64) -> Iterator[tuple[bytes, bytes]]:
    """A PNG's chunks; b"" for the content of those of more than `most` bytes."""
    place = 8
    while place + 12 <= len(blob):
        length, name = struct.unpack_from(">I4s", blob, place)
        yield name, blob[place + 8 : place + 8 + length] if length <= most else b""
        place += 12 + length


def _of_gif(blob: bytes) -> bytes | None:
    """The profile in a GIF's application block, which Pillow does not join: parts of at most 255 bytes."""
    place = blob.find(b"\x21\xff\x0bICCRGBG1012")
    if place < 0:
        return None
    place, parts = place + 14, []
    while place < len(blob) and (length := blob[place]):
        parts.append(blob[place + 1 : place + 1 + length])
        place += 1 + length
    return b"".join(parts)


def _of_jpeg2000(blob: bytes) -> bytes | None:
    """The profile of a JP2's colour box of method 2 or 3, which Pillow does not read."""
    place = blob.find(b"colr", 0, 1 << 16)
    if place < 4 or blob[place + 4 : place + 5] not in (b"\2", b"\3"):
        return None
    (length,) = struct.unpack_from(">I", blob, place - 4)
    return blob[place + 7 : place - 4 + length]


_BESIDE: dict[str | None, Callable[[bytes], bytes | None]] = {
    "GIF": _of_gif,
    "JPEG2000": _of_jpeg2000,
}


def _nclx(blob: bytes) -> tuple[int, int, bool] | None:
    """Primaries and transfer of an AVIF's colour box; the decoder has undone matrix and range."""
    place = blob.find(b"colrnclx", 0, 1 << 16)
    if place < 0 or place + 15 > len(blob):
        return None
    primaries, transfer = struct.unpack_from(">HH", blob, place + 8)
    return primaries, transfer, True


@lru_cache(maxsize=64)
def _space_of(icc: bytes) -> str:
    profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
    return str(profile.xcolor_space).strip()


@lru_cache(maxsize=64)
def _greys(icc: bytes) -> NDArray[np.uint8]:
    """What each of 256 greys becomes, ``(256, 3)``."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    converted = ImageCms.applyTransform(ramp, _transform(icc, "L"))
    table: NDArray[np.uint8] = np.array(converted, np.uint8)[0]
    return table


@lru_cache(maxsize=64)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    exact = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE  # else dark greys are interpolated
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | exact,
    )


def is_srgb_profile(icc: bytes) -> bool:
    """Whether a profile is sRGB in any spelling; one that cannot be used is not."""
    try:
        return _space_of(icc) == "RGB" and _is_srgb(icc)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
        return False


@lru_cache(maxsize=64)
def _is_srgb(icc: bytes) -> bool:
    """Whether the profile moves no colour of a lattice, nor a grey, by more than `SAME_LEVELS`."""
    levels = np.round(np.linspace(0, 255, 18)).astype(np.uint8)
    lattice = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    probe = np.concatenate([lattice, greys])[None]
    moved = ImageCms.applyTransform(Image.fromarray(probe), _transform(icc, "RGB"))
    return int(np.abs(np.asarray(moved, np.int16) - probe).max()) <= SAME_LEVELS
