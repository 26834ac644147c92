"""From a file's bytes to pixels, from pixels to tensors, and back."""

import io
import math
import os
import struct
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from latentfit.errors import ImageError
from latentfit.images.profiles import Declared, bare_png, declared, declared_beside, in_srgb, lab_in_srgb
from latentfit.runtime.storage import write_atomic

Kind = Literal["photograph", "painting", "chart", "drawing", "pixel art", "greyscale", "latents"]
Box = tuple[int, int, int, int]
_AVIF = ("AVIF",) if features.check("avif") else ()  # Pillow has it since 11.3
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", *_AVIF)  # by content; some others start programs
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
        What of its colours could not be read, so that its levels are taken as sRGB's; "" where all could.
    """

    image: Image.Image
    is_converted: bool = False
    note: str = ""


def open_rgb(blob: bytes, name: str = "picture") -> Image.Image:
    """A file's bytes -> sRGB, 8 bit, upright: `open_picture`'s image.

    Raises
    ------
    ImageError
        As `open_picture`.
    """
    return open_picture(blob, name).image


def open_picture(blob: bytes, name: str = "picture") -> Opened:
    """A file's bytes -> RGB in sRGB, 8 bit, upright, with what was done to its colours.

    EXIF orientation is applied, 16 bit scaled to 8, the colours that the file declares converted to sRGB (see
    `latentfit.images.profiles`), then alpha composited over white, as browsers do. What declares nothing, or sRGB,
    keeps its levels to the bit.

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
            image, colours = _decoded(blob)
            return _as_rgb(ImageOps.exif_transpose(image), colours)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(str(error).rstrip("."), place=name, remedy="shrink it first if you trust it") from error
    except UnidentifiedImageError as error:
        what = _unread(blob) or "not a picture"
        raise ImageError(f"{what}", place=name, expected=f"the content of one of {', '.join(FORMATS)}") from error
    except _DAMAGED as error:
        raise ImageError(
            f"a damaged picture ({type(error).__name__}: {error})", place=name, remedy="export it again"
        ) from error


def _decoded(blob: bytes) -> tuple[Image.Image, Declared]:
    """Pixels, and what the file says of their colours; a PNG whose other chunks are damaged is read without them."""
    try:
        image = _loaded(blob)
        return image, declared(image, blob)
    except _DAMAGED:
        bare = bare_png(blob)
        if bare is None:
            raise
    return _loaded(bare), declared_beside(blob)


def _loaded(blob: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(blob), formats=FORMATS)
    image.load()
    return image


def _unread(blob: bytes) -> str | None:
    """What a picture of a format that is not read is, by its first bytes."""
    if blob.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "a JPEG XL picture, which is not read"
    if blob[4:8] == b"ftyp":
        avif = blob[8:12] in (b"avif", b"avis")
        return f"{'an AVIF' if avif else 'a HEIC'} picture, which is not read{' by this Pillow' if avif else ''}"
    return None


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


def _as_rgb(image: Image.Image, colours: Declared) -> Opened:
    """Any PIL mode -> RGB in sRGB."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bit(image)
    if image.mode == "LAB":
        return Opened(lab_in_srgb(image), True, colours.note)
    note, converted = colours.note, None
    if colours.icc is not None:
        levels = _without_alpha(image)
        converted, note = in_srgb(levels, colours.icc)
        if converted is levels:
            converted = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        if converted is not None:
            with_alpha = Image.merge("RGBA", (*converted.split(), with_alpha.getchannel("A")))
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return Opened(Image.alpha_composite(white, with_alpha).convert("RGB"), converted is not None, note)
    return Opened(image.convert("RGB") if converted is None else converted, converted is not None, note)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or of floats -> L."""
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        levels = np.nan_to_num(np.asarray(image).astype(np.float64))
    top = 65535.0 if image.mode.startswith("I;16") else _top_level(levels, image.mode)
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
