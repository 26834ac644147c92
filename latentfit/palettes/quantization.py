"""From pictures to palette indices at cell size: k-centroid, voting, nearest."""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from latentfit.errors import PaletteError
from latentfit.palettes.dithering import DITHERS, Dither, bayer, dither
from latentfit.palettes.k_centroids import cells_shape, check_finite, cut, k_centroid, slabs
from latentfit.palettes.palette import Palette

__all__ = ["DITHERS", "METHODS", "bayer", "cell_means", "dither", "k_centroid", "palettize", "vote"]

Method = Literal["k-centroid", "vote", "nearest"]
METHODS: tuple[Method, ...] = ("k-centroid", "vote", "nearest")


def palettize(
    rgb: Tensor,
    palette: Palette,
    cell_px: int,
    method: Method = "k-centroid",
    dither: Dither = "none",
    strength: float = 1.0,
) -> Tensor:
    """Pictures -> palette indices, one a cell.

    Parameters
    ----------
    rgb : Tensor, (N, 3, H, W) in [0, 1]
    palette : Palette
    cell_px : int
        Side of a cell in pixels. Pixels right of or below the last whole cell are left out.
    method : {"k-centroid", "vote", "nearest"}
        "k-centroid": the colour of the larger of a cell's two clusters (`k_centroid`), then the nearest in OKLab. Keeps
        edges and outlines.
        "vote": each pixel's nearest colour in OKLab, and of these the most common (`vote`).
        "nearest": the nearest in OKLab to the cell's mean. Keeps brightness.
    dither : {"none", "bayer-2", "bayer-4", "bayer-8"}
        Ordered dithering of the cells' colours; not with "vote", which has none.
    strength : float
        Strength of the dithering, 0 to 1.

    Returns
    -------
    indices : Tensor of int64, (N, H // cell_px, W // cell_px)
        Equal on every run.

    Raises
    ------
    PaletteError
        When a choice is unknown or they do not go together, or the pictures are not of these shapes or hold NaN.

    Examples
    --------
    >>> grey = torch.full((1, 3, 16, 24), 0.5)
    >>> palettize(grey, Palette.load("2-bit-grey"), 8).tolist()
    [[[1, 1, 1], [1, 1, 1]]]
    """
    if method not in METHODS:
        raise PaletteError("palettize", expected=f"a method of {', '.join(METHODS)}", got=f"{method!r}")
    if method == "vote":
        if dither != "none":
            raise PaletteError(
                f"palettize: method 'vote' leaves no colours to dither, got dither={dither!r}",
                remedy="take 'k-centroid' or 'nearest'",
            )
        return vote(rgb, palette, cell_px)
    cells = k_centroid(rgb, cell_px) if method == "k-centroid" else cell_means(rgb, cell_px)
    return _dithered(cells, palette, dither, strength)


def vote(rgb: Tensor, palette: Palette, cell_px: int) -> Tensor:
    """Pictures ``(N, 3, H, W)`` -> the index most common among a cell's pixels ``(N, h, w)``; a tie to the lower.

    Pixels are compared with the palette at six bits a channel, as Pillow compares them, by a table that is made once a
    palette; in boxes that hold a palette's colours, those win, and where a box holds several, pixels are compared in
    full.
    """
    found = torch.empty(cells_shape(rgb, cell_px), dtype=torch.int64, device=rgb.device)
    check_finite(rgb)
    table, has_shared = _table(palette)
    table, eighth = table.to(rgb.device), torch.tensor(0.125, device=rgb.device)
    for slab, place in slabs(rgb, cell_px):
        block = cut(slab, cell_px)
        # floor((255 x + 1/2) / 4): the box of the nearest 8-bit level
        boxes = torch.add(eighth, block.float(), alpha=63.75).clamp_(0, 63).int()
        red, green, blue = boxes.unbind(3)
        codes = torch.add(blue, green, alpha=64).add_(red, alpha=4096).flatten()
        named = table.index_select(0, codes)
        indices = named.long()
        if has_shared:
            shared = (named < 0).nonzero()[:, 0]
            n, row, column, y, x = torch.unravel_index(shared, boxes.unbind(3)[0].shape)
            indices[shared] = palette.nearest(block[n, row, column, :, y, x])
        found[place] = _most_common(indices.reshape(-1, cell_px**2), len(palette)).reshape(block.shape[:3])
    return found


def cell_means(rgb: Tensor, cell_px: int) -> Tensor:
    """Pictures ``(N, 3, H, W)`` -> area means ``(N, 3, h, w)``, clamped to [0, 1]."""
    _, rows, columns = cells_shape(rgb, cell_px)
    check_finite(rgb)
    whole = rgb.detach()[..., : rows * cell_px, : columns * cell_px].float().clamp(0, 1)
    return torch.nn.functional.avg_pool2d(whole, cell_px)


def _dithered(cells: Tensor, palette: Palette, matrix: Dither, strength: float) -> Tensor:
    return dither(cells, palette, matrix, strength)


def _most_common(indices: Tensor, n_colours: int) -> Tensor:
    """Of ``(n, p)`` the most common of each row ``(n,)``, the lowest of equals."""
    n_pixels = indices.shape[1]
    dtype = torch.int16 if (n_pixels + 1) * n_colours < 1 << 15 else torch.int32
    counts = torch.zeros(len(indices), n_colours, dtype=dtype, device=indices.device)
    counts.scatter_add_(1, indices, torch.ones_like(counts[:1, :1]).expand(indices.shape))
    # a count and its colour in one number, the lowest colour the largest: ten times as fast as argmax
    backwards = torch.arange(n_colours - 1, -1, -1, dtype=dtype, device=indices.device)
    return n_colours - 1 - counts.mul_(n_colours).add_(backwards).amax(1).remainder(n_colours).long()


@lru_cache(maxsize=8)
def _table(palette: Palette) -> tuple[Tensor, bool]:
    """Nearest colour of each box of 4x4x4 levels ``(64³,)`` int16, by its centre; -1 where several lie in one box.

    -> the table, and whether there is such a box.
    """
    centres = (torch.arange(64) * 4 + 1.5) / 255
    table = palette.nearest(torch.cartesian_prod(centres, centres, centres)).to(torch.int16)
    codes = (palette.colours.long() >> 2) @ torch.tensor([4096, 64, 1])
    table[codes] = torch.arange(len(palette), dtype=torch.int16)
    boxes, n_colours = torch.unique(codes, return_counts=True)
    table[boxes[n_colours > 1]] = -1
    return table, bool((n_colours > 1).any())
