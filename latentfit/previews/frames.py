"""Pictures side by side, named and captioned, and the files they become."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from latentfit.images.pixels import to_pil

INK, SOFT, PAPER, EMPTY = "#1d2330", "#5b6474", "#ffffff", "#dfe4ec"
MOST_PICTURES, MOST_COLUMNS = 8, 4
GAP = "   "  # between the parts of a caption
_GAP, _LINE = 6, 18


@dataclass(frozen=True)
class Row:
    """One approximation's pictures of a step.

    Attributes
    ----------
    name : str
    rgb : Tensor, (n, 3, H, W) in [0, 1], or None
        None: it failed.
    ms : float
        It took.
    reason : str
        Why it failed: stands where the picture would be.
    """

    name: str
    rgb: Tensor | None
    ms: float
    reason: str = ""


def few(latents: Tensor) -> Tensor:
    """Return at most `MOST_PICTURES` of them as ``(n, C, h, w)``: the first of a batch, frames of a video evenly."""
    if latents.ndim == 4:
        return latents[:MOST_PICTURES]
    n_frames = max(MOST_PICTURES // latents.shape[0], 1)
    at = torch.linspace(0, latents.shape[2] - 1, min(n_frames, latents.shape[2])).round().long()
    return latents[:, :, at].movedim(2, 1).flatten(0, 1)[:MOST_PICTURES]


def tiled(rows: Sequence[Row], size_cells: tuple[int, int], long_side: int) -> Image.Image:
    """What a step's approximations make of it.

    Parameters
    ----------
    rows : sequence of Row
        One approximation: its pictures beside each other. Several of one picture: beside each other, named. Several of
        several: a line each.
    size_cells : tuple of int
        Rows and columns of the latents: the shape of a tile whose approximation failed.
    long_side : int
        Pixels of a tile's long side, whatever an approximation gives: smaller ones are enlarged bilinearly, as
        ComfyUI's server does, larger ones shrunk.
    """
    ratio = long_side / max(size_cells)
    wide, high = (max(round(side * ratio), 1) for side in (size_cells[1], size_cells[0]))
    is_named = len(rows) > 1
    tiles = [_tiles(row, (wide, high), is_named) for row in rows]
    if max(map(len, tiles)) == 1:
        tiles = [[tile for row in tiles for tile in row]]
    grid = [row[at : at + MOST_COLUMNS] for row in tiles for at in range(0, len(row), MOST_COLUMNS)]
    pitch = (wide + _GAP, high + (_LINE if is_named else 0) + _GAP)
    page = Image.new("RGB", (max(map(len, grid)) * pitch[0] - _GAP, len(grid) * pitch[1] - _GAP), PAPER)
    for row, line in enumerate(grid):
        for column, tile in enumerate(line):
            page.paste(tile, (column * pitch[0], row * pitch[1]))
    return page


def captioned(picture: Image.Image, caption: str) -> Image.Image:
    """The picture with words below, in as many lines as its width asks for."""
    lines = _wrapped(caption, picture.width)
    page = Image.new("RGB", (picture.width, picture.height + _GAP + _LINE * len(lines)), PAPER)
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    for index, line in enumerate(lines):
        draw.text((1, picture.height + _GAP // 2 + index * _LINE), line, fill=SOFT, font=_font(12))
    return page


def png_of(image: Image.Image) -> bytes:
    """PNG bytes, made quickly rather than small."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def jpeg_of(image: Image.Image) -> bytes:
    """JPEG bytes for the screen: a twentieth of a PNG's milliseconds."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def webp_of(frames: Sequence[Image.Image], ms: int = 160, last_ms: int = 2000) -> bytes:
    """One animated WebP that begins anew for ever; the last frame stays longer. Frames get the size of the largest."""
    size = max(frame.width for frame in frames), max(frame.height for frame in frames)
    first, *rest = (frame if frame.size == size else _on_paper(frame, size) for frame in frames)
    durations = [*[ms] * len(rest), last_ms]
    buffer = io.BytesIO()
    first.save(buffer, "WEBP", save_all=True, append_images=rest, duration=durations, loop=0, quality=88, method=2)
    return buffer.getvalue()


def _on_paper(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    page = Image.new("RGB", size, PAPER)
    page.paste(image, (0, 0))
    return page


def _tiles(row: Row, size: tuple[int, int], is_named: bool) -> list[Image.Image]:
    if row.rgb is None:
        pictures = [_empty(row.reason, size)]
    else:
        pictures = [_resized(to_pil(picture), size) for picture in row.rgb]
    if not is_named:
        return pictures
    return [_named(picture, row if index == 0 else None) for index, picture in enumerate(pictures)]


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _empty(reason: str, size: tuple[int, int]) -> Image.Image:
    tile = Image.new("RGB", size, EMPTY)
    draw = ImageDraw.Draw(tile)
    for index, line in enumerate(_wrapped(reason, size[0] - 12)[: max((size[1] - 12) // _LINE, 1)]):
        draw.text((6, 6 + index * _LINE), line, fill=INK, font=_font(12))
    return tile


def _named(picture: Image.Image, row: Row | None) -> Image.Image:
    """With a line below: name and milliseconds, the name cut short where they do not fit; or an empty line."""
    tile = Image.new("RGB", (picture.width, picture.height + _LINE), PAPER)
    tile.paste(picture, (0, 0))
    if row is not None:
        name, took = row.name, f"   {row.ms:.1f} ms"
        while len(name) > 1 and _font(12).getlength(name + took) > picture.width:
            name = name.rstrip("…")[:-1] + "…"
        ImageDraw.Draw(tile).text((1, picture.height + 1), name + took, fill=INK, font=_font(12))
    return tile


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that fit, broken between the parts of a caption if that does, else between words."""
    lines = [""]
    for part in text.split(GAP):
        longer = f"{lines[-1]}{GAP}{part}" if lines[-1] else part
        if _font(12).getlength(longer) <= width:
            lines[-1] = longer
            continue
        lines += [""] if lines[-1] else []
        for word in part.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if lines[-1] and _font(12).getlength(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
    return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib: it has σ, and names may hold anything."""
    found = find_spec("matplotlib")
    folder = Path((found.submodule_search_locations or [""])[0]) if found is not None else Path()
    return ImageFont.truetype(str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
