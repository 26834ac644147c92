"""From a file's bytes to pixels, from pixels to tensors, and back."""

import io
import math
import os
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from latentfit.errors import ImageError, reason_of
from latentfit.images.deep_levels import Deep, deep_in_srgb, deep_levels, eight_bit, is_deep
from latentfit.images.kinds_of_files import readers_of, unread_kind
from latentfit.images.profiles import (
    Declared,
    bare_png,
    declared,
    declared_beside,
    in_srgb,
    is_srgb_profile,
    lab_in_srgb,
)
from latentfit.runtime.storage import write_atomic

Kind = Literal["photograph", "painting", "chart", "drawing", "pixel art", "greyscale", "latents"]
Box = tuple[int, int, int, int]
WHOLE = Fraction(1)
MOST_PIXELS = 1 << 28  # of a picture that is written
GREY_CHROMA = 6  # 8-bit levels between the channels below which 99 % of a greyscale picture's pixels lie

# What Pillow lets out on damaged files: OSError, SyntaxError and ValueError mostly, and on a few Exif blocks the others
_DAMAGED: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    struct.error,
)


@dataclass(frozen=True)
class Opened:
    """A picture that was read.

    Attributes
    ----------
    image : Image
        RGB, 8 bit, sRGB, upright.
    is_converted : bool
        Whether its file declared other colours than sRGB, from which it was converted.
    note : str
        What of the file was left: colours that could not be read, so that its levels are taken as sRGB's; all but the
        first picture of an animation; "" where nothing was.
    """

    image: Image.Image
    is_converted: bool = False
    note: str = ""


def open_rgb(blob: bytes, name: str = "picture") -> Image.Image:
    """A file's bytes -> sRGB, 8 bit, upright: `open_picture`'s image.

    Raises
    ------
    ImageError
        Where `open_picture` raises it.
    """
    return open_picture(blob, name).image


def open_picture(blob: bytes, name: str = "picture") -> Opened:
    """A file's bytes -> RGB in sRGB, 8 bit, upright, with what was done to its colours.

    EXIF orientation is applied, the colours that the file declares are converted to sRGB (see
    `latentfit.images.profiles`; those of 16 bits a channel before they are rounded to 8), then alpha is composited over
    white, as browsers do. What declares nothing, or sRGB, keeps its levels to the bit. Of an animation or of several
    pages the first picture is taken, and noted.

    Raises
    ------
    ImageError
        When the bytes are no picture, cut short, or so large that they may be a decompression bomb.
    """
    if not blob:
        raise ImageError("an empty file", place=name, expected="a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)
            return _as_rgb(_decoded(blob, readers_of(name)))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(reason_of(error), place=name, remedy="shrink it first if you trust it") from error
    except UnidentifiedImageError as error:
        kind = unread_kind(blob, name)
        what = f"{kind}, which is not read" if kind else "not a picture"
        remedy = "export it as PNG" if kind else None
        formats = ", ".join(readers_of(name))
        raise ImageError(what, place=name, expected=f"the content of one of {formats}", remedy=remedy) from error
    except _DAMAGED as error:
        raise ImageError(
            f"a damaged picture ({type(error).__name__}: {error})", place=name, remedy="export it again"
        ) from error


@dataclass(frozen=True)
class _Decoded:
    """What a file holds, before its colours are converted; `levels` where it has 16 bits a channel."""

    image: Image.Image
    colours: Declared
    levels: Deep | None = None


def _decoded(blob: bytes, formats: Sequence[str]) -> _Decoded:
    """Pixels, and what the file says of their colours; a PNG whose other chunks are damaged is read without them."""
    try:
        image, levels = _loaded(blob, formats)
        return _Decoded(image, declared(image, blob), levels)
    except _DAMAGED:
        bare = bare_png(blob)
        if bare is None:
            raise
    image, levels = _loaded(bare, formats)
    return _Decoded(image, declared_beside(blob), levels)


def _loaded(blob: bytes, formats: Sequence[str]) -> tuple[Image.Image, Deep | None]:
    image = Image.open(io.BytesIO(blob), formats=list(formats))
    is_thin = image.width * image.height > max(1 << 24, 1000 * len(blob))  # for its bytes: a bomb, or one colour
    if image.format == "JPEG2000" and is_thin:
        raise Image.DecompressionBombError(f"{image.width * image.height} pixels of {len(blob)} bytes could be a bomb")
    has_16 = is_deep(image) and not is_thin
    image.load()
    return image, deep_levels(blob, formats, image) if has_16 else None


def _left_out(image: Image.Image) -> str:
    """What of a file of several pictures is left; a camera's second, smaller copy (MPO) is not told."""
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return ""
    return (
        "several pages, of which the first is taken"
        if image.format == "TIFF"
        else "an animation: its first picture is taken"
    )


def kind_of(image: Image.Image, declared: Kind) -> Kind:
    """`declared`, unless the pixels of a photograph or drawing are grey."""
    if declared == "chart":
        return declared
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.int16)
    spread = small.max(-1) - small.min(-1)
    return "greyscale" if np.quantile(spread, 0.99) < GREY_CHROMA else declared


def crop_to_cells(
    image: Image.Image, size: int, multiple_px: int, square: bool = False, share: Fraction = WHOLE
) -> tuple[NDArray[np.uint8], Box]:
    """Shrink the short side to `size` with Lanczos, never enlarge, and centre-crop to whole cells.

    Parameters
    ----------
    image : Image
        RGB.
    size : int
        Pixels of the short side.
    multiple_px : int
        Both sides become multiples of it.
    square : bool
        Crop the long side to the short one too.
    share : Fraction
        At most 1: the same crop of the original, resampled once to this share of the sides that it would have.

    Returns
    -------
    rgb : ndarray of uint8, (H, W, 3)
    box : tuple of int
        Left, top, right, bottom of the crop in the original's pixels.

    Raises
    ------
    ImageError
        When the picture is smaller than one cell.
    """
    width, height = image.size
    ratio = min(1.0, size / min(width, height))
    wide, tall = round(width * ratio), round(height * ratio)
    columns, rows = wide // multiple_px * multiple_px, tall // multiple_px * multiple_px
    if square:
        columns = rows = min(columns, rows)
    if not columns or not rows:
        raise ImageError(f"a picture of {width}x{height} px", expected=f"at least {multiple_px}x{multiple_px} px")
    left, top = (wide - columns) // 2, (tall - rows) // 2
    box = (left / ratio, top / ratio, (left + columns) / ratio, (top + rows) / ratio)
    clipped = (max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3]))
    if ratio == share == 1:
        shrunk = image.crop((left, top, left + columns, top + rows))
    else:
        shrunk = image.resize((int(columns * share), int(rows * share)), Image.Resampling.LANCZOS, box=clipped)
    return np.array(shrunk, dtype=np.uint8), _rounded(clipped)


def square_crops(
    image: Image.Image, size: int, multiple_px: int, n_crops: int, sha256: str, share: Fraction = WHOLE
) -> list[tuple[NDArray[np.uint8], Box]]:
    """`n_crops` square crops of `size` px, at places and zooms that the hash decides, the first the whole centre.

    A crop covers from the whole short side down to `size` px of it; crops of one picture may overlap. `share` as in
    `crop_to_cells`.
    """
    crops = [crop_to_cells(image, size, multiple_px, True, share)]
    width, height = image.size
    rng = np.random.default_rng(int(sha256[:16], 16))
    for _ in range(n_crops - 1):
        side = round(min(width, height) * max(min(1.0, size / min(width, height)), rng.uniform(0.35, 1.0)))
        left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        part = image.crop((left, top, left + side, top + side))
        rgb, inner = crop_to_cells(part, size, multiple_px, True, share)
        crops.append((rgb, (left + inner[0], top + inner[1], left + inner[2], top + inner[3])))
    return crops


def rgb_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """``(H, W, 3)`` or ``(N, H, W, 3)`` uint8 -> ``(N, 3, H, W)`` float32 in [0, 1]."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels if pixels.ndim == 4 else pixels[None]))
    return batch.permute(0, 3, 1, 2).float().div_(255)


def check_enlarged(height: int, width: int, times: int) -> None:
    """Refuse a picture that no viewer opens, before its pixels are allocated.

    Raises
    ------
    ImageError
        When it would have more than 2^28 pixels.
    """
    if height * width * times**2 > MOST_PIXELS:
        most = math.isqrt(MOST_PIXELS // max(height * width, 1))
        raise ImageError(
            f"a picture of {width}×{height} pixels",
            expected=f"to enlarge it at most {most} times, to 2^28 pixels",
            got=f"{times}",
        )


def to_pil(rgb: Tensor) -> Image.Image:
    """``(3, H, W)`` float in [0, 1] -> PIL image, rounded to 8 bit."""
    pixels = rgb.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(pixels.cpu().numpy(), "RGB")


def save_png(rgb: Tensor, path: str | os.PathLike[str], enlarge: int = 1) -> Path:
    """Write ``(3, H, W)`` in [0, 1] as PNG, whole or not at all, enlarged bilinearly.

    Raises
    ------
    ImageError
        When the enlarged picture has more than 2^28 pixels.
    """
    check_enlarged(rgb.shape[-2], rgb.shape[-1], enlarge)
    image = to_pil(rgb)
    if enlarge != 1:
        image = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return write_atomic(path, buffer.getvalue())


def _as_rgb(read: _Decoded) -> Opened:
    """Any PIL mode -> RGB in sRGB, upright."""
    image, levels, colours = read.image, read.levels, read.colours
    if levels is None and (image.mode.startswith("I") or image.mode == "F"):
        image = _eight_bit(image)
    if image.mode == "LAB":
        return _upright(lab_in_srgb(image), read, is_converted=True, note=colours.note)
    flat = image if levels is None else _of_levels(levels)
    note, converted = colours.note, None
    if colours.icc is not None:
        whole = None if levels is None else _deep_converted(levels, colours.icc)
        if whole is not None:
            converted = whole
        else:
            plain = _without_alpha(flat)
            converted, note = in_srgb(plain, colours.icc)
            converted = None if converted is plain else converted
    alpha = _alpha_of(image, flat, levels)
    opaque = flat.convert("RGB") if converted is None else converted
    if alpha is None:
        return _upright(opaque, read, is_converted=converted is not None, note=note)
    if converted is None:
        opaque = flat.convert("RGBA").convert("RGB")
    over = Image.merge("RGBA", (*opaque.split(), alpha))
    white = Image.new("RGBA", over.size, (255, 255, 255, 255))
    laid = Image.alpha_composite(white, over).convert("RGB")
    return _upright(laid, read, is_converted=converted is not None, note=note)


def _upright(image: Image.Image, read: _Decoded, *, is_converted: bool, note: str) -> Opened:
    """Turned as the file's Exif says, with what was left out noted."""
    turned = _TURNS.get(read.image.getexif().get(0x112, 1))
    notes = "; ".join(filter(None, (note, _left_out(read.image))))
    return Opened(image if turned is None else image.transpose(turned), is_converted, notes)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _of_levels(levels: Deep) -> Image.Image:
    """16 bits a channel, rounded to 8: L, LA, RGB or RGBA."""
    pixels = eight_bit(levels)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _deep_converted(levels: Deep, icc: bytes) -> Image.Image | None:
    """16 bits a channel through a profile; None where it is sRGB, which is kept, or none of curves and a matrix."""
    if is_srgb_profile(icc):
        return None
    made = deep_in_srgb(levels[..., :3] if levels.shape[-1] > 2 else levels[..., :1], icc)
    return None if made is None else Image.fromarray(made)


def _alpha_of(image: Image.Image, flat: Image.Image, levels: Deep | None) -> Image.Image | None:
    """Opacity, of a channel, a palette or one colour that is clear; None where all is opaque."""
    clear = image.info.get("transparency")
    if levels is not None and clear is not None:
        mask = (levels == np.asarray(clear, np.uint16).reshape(-1)).all(-1)
        return Image.fromarray(np.where(mask, 0, 255).astype(np.uint8))
    if flat.mode in ("RGBA", "LA", "PA", "RGBa") or clear is not None:
        return flat.convert("RGBA").getchannel("A")
    return None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or of floats -> L."""
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        levels = np.nan_to_num(np.asarray(image).astype(np.float64))
    top = (
        65535.0
        if image.mode.startswith("I;16") or (image.format, image.mode) == ("PPM", "I")
        else _top_level(levels, image.mode)
    )
    return Image.fromarray(np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8), "L")


def _without_alpha(image: Image.Image) -> Image.Image:
    """The levels that a profile speaks of: L, RGB or CMYK, not yet laid over anything."""
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return (image.convert("RGBA") if image.mode in ("RGBa", "PA", "P") else image).convert("RGB")


def _top_level(levels: NDArray[np.float64], mode: str) -> float:
    """White of a grey picture whose depth its file does not tell: the least usual one that holds all levels."""
    most = float(levels.max(initial=0))
    usual = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    return next((top for top in usual if most <= top), most)


def _rounded(box: tuple[float, float, float, float]) -> Box:
    left, top, right, bottom = (round(edge) for edge in box)
    return left, top, right, bottom


def resampled(rgb: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Pictures ``(N, 3, H, W)`` in [0, 1] at another size, by Pillow's Lanczos."""
    high, wide = size_px
    images = [to_pil(picture).resize((wide, high), Image.Resampling.LANCZOS) for picture in rgb]
    return torch.cat([rgb_tensor(np.array(image)) for image in images])
