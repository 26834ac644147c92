"""Pictures of 16 bits a channel, which Pillow cuts to 8: their whole levels, converted to sRGB before rounding."""

import io
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from latentfit.images.profiles import SRGB, to_d50

Deep = NDArray[np.uint16]
Linear = NDArray[np.float64]
TOP = 65535
_ROWS = 256  # converted at once

_NATIVE = "L" if sys.byteorder == "little" else "B"


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a picture, opened but not loaded, has 16 bits a channel."""
    return bool(image.tile) and (image.mode.startswith("I;16") or _low_mode(image) is not None)


def deep_levels(blob: bytes, formats: Sequence[str], image: Image.Image) -> Deep | None:
    """All 16 bits of a picture that has them.

    Pillow's decoders keep the first of two bytes. They are run once more, told that the bytes lie the other way round,
    which gives the second.

    Parameters
    ----------
    blob : bytes
        The file.
    formats : sequence of str
        Pillow's readers to ask, as for `image`.
    image : Image
        The picture, loaded.

    Returns
    -------
    ndarray of uint16, (H, W, 1 to 4) or None
        Grey, grey and alpha, RGB or RGBA; None where the decoder gives no second byte.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None]
    again = Image.open(io.BytesIO(blob), formats=list(formats))
    low = _low_mode(again)
    if low is None:
        return None
    again.tile = [tile._replace(args=_with_mode(tile.args, low)) for tile in again.tile]
    again.load()
    second = np.asarray(again)
    first = np.asarray(image)
    if low == "RGBA":  # grey and alpha, both bytes of each
        first, second = second[..., ::2], second[..., 1::2]
    levels = first.astype(np.uint16)
    levels <<= 8
    levels |= second
    return levels


def eight_bit(levels: Deep) -> NDArray[np.uint8]:
    """Levels of 16 bits to the nearest of 8."""
    nearest = ((np.arange(TOP + 1) * 255 + TOP // 2) // TOP).astype(np.uint8)
    found: NDArray[np.uint8] = nearest[levels]
    return found


def deep_in_srgb(levels: Deep, icc: bytes) -> NDArray[np.uint8] | None:
    """Levels through a profile of curves and a matrix -> sRGB, 8 bit.

    Parameters
    ----------
    levels : ndarray of uint16, (H, W, 1 or 3)
    icc : bytes

    Returns
    -------
    ndarray of uint8, (H, W, 3) or None
        None where the profile is of another kind, such as a printer's table: `in_srgb` takes those at 8 bits.
    """
    tags = _tags(icc)
    if any(name.startswith(b"A2B") for name in tags):
        return None
    try:
        if icc[16:20] == b"GRAY":
            curves = [_curve(tags[b"kTRC"])] * 3
            matrix = np.eye(3)
        elif icc[16:24] == b"RGB XYZ ":
            curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
            columns = np.array([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T
            matrix = np.linalg.solve(to_d50(SRGB), columns)
        else:
            return None
    except (LookupError, struct.error, ValueError):
        return None
    if max(abs(curve[0]) for curve in curves) > 1e-3 or not np.isfinite(matrix).all():
        return None  # its black is no black: compensated by the colour management
    made = np.empty((*levels.shape[:2], 3), np.uint8)
    for start in range(0, len(levels), _ROWS):
        part = levels[start : start + _ROWS]
        linear = np.stack([curve[part[..., min(i, part.shape[-1] - 1)]] for i, curve in enumerate(curves)], -1)
        made[start : start + _ROWS] = np.round(255 * _encoded(np.clip(linear @ matrix.T, 0, 1))).astype(np.uint8)
    return made


def _low_mode(image: ImageFile.ImageFile) -> str | None:
    """The raw mode that gives the second of two bytes."""
    args = image.tile[0].args if image.tile else None
    mode = args[0] if isinstance(args, tuple) else args
    if mode == "LA;16B" and image.mode == "RGBA":
        return "RGBA"
    swapped = {"RGB;16B": "RGB;16L", "RGB;16L": "RGB;16B", "RGBA;16B": "RGBA;16L", "RGBA;16L": "RGBA;16B"}
    native = mode.replace("16N", f"16{_NATIVE}") if isinstance(mode, str) else ""
    return swapped.get(native) if native.startswith(image.mode + ";") else None


def _with_mode(args: tuple[Any, ...] | str | None, mode: str) -> tuple[Any, ...] | str:
    return (mode, *args[1:]) if isinstance(args, tuple) else mode


def _tags(icc: bytes) -> dict[bytes, bytes]:
    if len(icc) < 132:
        return {}
    (n_tags,) = struct.unpack_from(">I", icc, 128)
    found = {}
    for place in range(132, min(len(icc) - 11, 132 + 12 * min(n_tags, 256)), 12):
        name, start, length = struct.unpack_from(">4sII", icc, place)
        found[name] = icc[start : start + length]
    return found


def _xyz(tag: bytes) -> tuple[float, ...]:
    if tag[:4] != b"XYZ ":
        raise ValueError("no XYZ")
    return tuple(value / 65536 for value in struct.unpack_from(">3i", tag, 8))


def _curve(tag: bytes) -> Linear:
    """The linear light of each of 65,536 levels, of a ``curv`` or ``para`` tag.

    Raises
    ------
    ValueError
        When it is neither.
    """
    x = np.arange(TOP + 1) / TOP
    if tag[:4] == b"curv":
        (n_points,) = struct.unpack_from(">I", tag, 8)
        if n_points < 2:
            return x ** (struct.unpack_from(">H", tag, 12)[0] / 256) if n_points else x
        points = np.frombuffer(tag, ">u2", n_points, 12) / TOP
        return np.interp(x, np.linspace(0, 1, n_points), points)
    if tag[:4] == b"para":
        return _parametric(x, struct.unpack_from(">H", tag, 8)[0], tag[12:])
    raise ValueError("no curve")


def _parametric(x: Linear, kind: int, packed: bytes) -> Linear:
    """ICC.1:2022, table 68: a power, and below a limit a line."""
    n_values = (1, 3, 4, 5, 7)[kind] if kind < 5 else 0
    g, a, b, c, d, e, f = [value / 65536 for value in struct.unpack_from(f">{n_values}i", packed)] + [0.0] * (
        7 - n_values
    )
    if kind == 0:
        a, limit, offset, line = 1.0, 0.0, 0.0, np.zeros_like(x)
    elif kind in (1, 2):
        limit, offset, line = -b / a if a else 0.0, c if kind == 2 else 0.0, np.full_like(x, c if kind == 2 else 0.0)
    else:
        limit, offset, line = d, e, c * x + f
    return np.where(x >= limit, np.clip(a * x + b, 0, None) ** g + offset, line)


def _encoded(linear: Linear) -> Linear:
    """IEC 61966-2-1's curve, the other way."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
