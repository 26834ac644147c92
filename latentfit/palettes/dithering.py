"""Ordered dithering of cells to a palette: two colours and a threshold matrix."""

from typing import Literal

import torch
from torch import Tensor

from latentfit.errors import PaletteError
from latentfit.images.colour import linear_to_oklab, srgb_to_linear
from latentfit.palettes.palette import Palette

Dither = Literal["none", "bayer-2", "bayer-4", "bayer-8"]
DITHERS: tuple[Dither, ...] = ("none", "bayer-2", "bayer-4", "bayer-8")
GRAIN = (
    0.1  # what a pattern's own variance counts beside its mean's error; by eye: 0 mixes black and white for every grey
)
_CHUNK_MIXTURES = 1 << 19  # cells times colours at a time


def bayer(side: int) -> Tensor:
    """Bayer's matrix as thresholds ``(side, side)`` float32 in (0, 1): each of ``(k + 1/2) / side²`` once.

    Parameters
    ----------
    side : int
        A power of two. Source: Bayer, "An optimum method for two-level rendition of continuous-tone pictures" (1973).

    Examples
    --------
    >>> (bayer(2) * 4).tolist()
    [[0.5, 2.5], [3.5, 1.5]]
    """
    if side < 1 or side & (side - 1):
        raise PaletteError("bayer", expected="a power of two", got=f"{side}")
    ranks = torch.zeros(1, 1)
    while len(ranks) < side:
        ranks = torch.cat([torch.cat([4 * ranks, 4 * ranks + 2], 1), torch.cat([4 * ranks + 3, 4 * ranks + 1], 1)])
    return (ranks + 0.5) / side**2


def dither(cells: Tensor, palette: Palette, matrix: Dither = "bayer-4", strength: float = 1.0) -> Tensor:
    """Cells -> indices whose neighbourhoods mix to the cells' colours.

    Each cell takes the nearest colour or a second one. The second is the one whose best mixture with the nearest, in
    linear light, lies closest in OKLab; a pattern of two colours farther apart than the nearest and its neighbour in
    the palette counts against it. Its share is compared with the matrix.

    Parameters
    ----------
    cells : Tensor, (N, 3, h, w) in [0, 1]
    palette : Palette
    matrix : {"none", "bayer-2", "bayer-4", "bayer-8"}
        "none": the nearest colour alone.
    strength : float
        0 to 1: what the second colour's share is multiplied by; 0 is as "none".

    Returns
    -------
    indices : Tensor of int64, (N, h, w)

    Raises
    ------
    PaletteError
        When there is no such matrix, the strength is out of range, or the cells are no pictures.
    """
    if matrix not in DITHERS:
        raise PaletteError("dither", expected=f"one of {', '.join(DITHERS)}", got=f"{matrix!r}")
    if not 0 <= strength <= 1:
        raise PaletteError("dither", expected="a strength of 0 to 1", got=f"{strength}")
    if cells.ndim != 4:
        raise PaletteError("dither", expected="cells (N, 3, h, w)", got=f"{tuple(cells.shape)}")
    nearest = palette.nearest(cells)
    if matrix == "none" or strength == 0:
        return nearest
    thresholds = bayer(int(matrix.removeprefix("bayer-"))).to(cells.device)
    height, width = cells.shape[-2:]
    repeats = (-(-height // len(thresholds)), -(-width // len(thresholds)))
    tiled = thresholds.repeat(*repeats)[:height, :width].expand(nearest.shape)
    pixels = cells.detach().float().clamp(0, 1).movedim(1, -1).reshape(-1, 3)
    first = nearest.flatten()
    second, share = _mixtures(pixels, first, palette)
    return torch.where(tiled.flatten() < strength * share, second, first).reshape(nearest.shape)


def _mixtures(pixels: Tensor, first: Tensor, palette: Palette) -> tuple[Tensor, Tensor]:
    """rgb ``(n, 3)`` and their nearest colours -> second colour ``(n,)`` and its share ``(n,)``."""
    colours, oklab = palette.rgb.to(pixels.device), palette.oklab.to(pixels.device)
    light = srgb_to_linear(colours)
    gaps = (oklab - oklab[:, None]).square().sum(-1)  # (K, K)
    gaps_to_next = gaps.masked_fill(torch.eye(len(gaps), dtype=torch.bool, device=gaps.device), torch.inf).amin(1)
    second, share = torch.empty_like(first), torch.empty_like(pixels[:, 0])
    n_rows = max(1, _CHUNK_MIXTURES // len(colours))
    for start in range(0, len(pixels), n_rows):
        rows = slice(start, start + n_rows)
        base, wanted = light[first[rows], None], srgb_to_linear(pixels[rows, None])  # (n, 1, 3)
        towards = light - base  # (n, K, 3)
        length = towards.square().sum(-1).clamp(min=1e-12)
        shares = (((wanted - base) * towards).sum(-1) / length).clamp(0, 1)
        mixed = linear_to_oklab((base + shares[..., None] * towards).movedim(-1, 1))  # (n, 3, K)
        error = (mixed - linear_to_oklab(wanted.movedim(-1, 1))).square().sum(1)
        coarse = (gaps - gaps_to_next[:, None]).clamp(min=0)[first[rows]]
        best = (error + GRAIN * shares * (1 - shares) * coarse).argmin(1)
        second[rows], share[rows] = best, shares.gather(1, best[:, None])[:, 0]
    return second, share
