"""Rows of single pictures: the truth first, names and scores beneath, each to be enlarged by itself."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from torch import Tensor

from latentfit.images.pixels import to_pil
from latentfit.runtime import escaping

MOST_ACROSS = 5  # more would be too small to compare


@dataclass(frozen=True)
class Tile:
    """One picture of a row.

    Attributes
    ----------
    name : str
    caption : str
        A line of scores, or several.
    picture : bytes or str
        An encoded picture (WebP or PNG), of its own size: smaller ones are enlarged bilinearly by the browser, as a
        program's preview is. Or the reason why there is none, which then stands in its place.
    is_truth : bool
        What the others try to match; set apart.
    mark : str
        The tile's id in the page, for data that refers to it; "" for none.
    """

    name: str
    caption: str
    picture: bytes | str
    is_truth: bool = False
    mark: str = ""


def lossless(rgb: Tensor) -> bytes:
    """A picture ``(3, H, W)`` in [0, 1] as WebP without loss: the same pixels as a PNG's, a third smaller."""
    buffer = BytesIO()
    to_pil(rgb).save(buffer, "WEBP", lossless=True, quality=60, method=2)
    return buffer.getvalue()


def data_url(picture: bytes) -> str:
    """An encoded picture as an address that needs no network."""
    kind = "webp" if picture[8:12] == b"WEBP" else "png"
    return f"data:image/{kind};base64,{b64encode(picture).decode('ascii')}"


def grid_html(title: str, note: str, tiles: Sequence[Tile], size_px: tuple[int, int]) -> str:
    """One row, all tiles as large as each other; it wraps evenly, and on a phone two stand side by side.

    Parameters
    ----------
    title, note : str
        The row's: the picture's name, and what is to be known of it; "" for none.
    tiles : sequence of Tile
    size_px : tuple of int
        Height and width of the truth, for the shape of every tile.
    """
    n_lines = -(-len(tiles) // MOST_ACROSS)
    n_across = -(-len(tiles) // max(n_lines, 1))
    said = f" <span>{escaping.html(note)}</span>" if note else ""
    head = f"<h3>{escaping.html(title)}{said}</h3>" if title or note else ""
    cells = "".join(_tile(tile, title, size_px) for tile in tiles)
    return f'<section class="group">{head}<div class="grid across{n_across}">{cells}</div></section>'


def _tile(tile: Tile, title: str, size_px: tuple[int, int]) -> str:
    name = escaping.html(tile.name)
    if isinstance(tile.picture, str):
        shown = f'<div class="reason">{escaping.html(tile.picture)}</div>'
    else:
        mark = f' id="{escaping.html(tile.mark)}"' if tile.mark else ""
        of = f"{escaping.html(title)}: " if title else ""
        shown = (
            f'<img{mark} class="enlargeable" alt="{of}{name}" width="{size_px[1]}" height="{size_px[0]}" '
            f'src="{data_url(tile.picture)}">'
        )
    kind = "tile truth" if tile.is_truth else "tile"
    words = f"<b>{name}</b><span>{escaping.html(tile.caption)}</span>"
    return f'<figure class="{kind}">{shown}<figcaption>{words}</figcaption></figure>'
