"""k-centroid downscaling: two means in every cell of a picture at once, and of each cell the larger one."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from latentfit.errors import PaletteError

BLOCK_PIXELS = 1 << 18  # at a time: with all that is computed of them about 10 MiB
CENTRE = 128  # levels are counted from here, which leaves float32 the bits to be exact
_FIRST_ROUNDS = 2  # after which nine cells in ten are done and the others of several blocks go on together
_LAST_ROUNDS = 4  # one cell in a hundred would go on, to a colour that differs by 2e-5 in OKLab on average


def k_centroid(rgb: Tensor, cell_px: int) -> Tensor:
    """Pictures ``(N, 3, H, W)`` -> the colour of the larger of each cell's two clusters, ``(N, 3, h, w)`` in [0, 1].

    Two means on 8-bit sRGB, which start at the pixel farthest from the cell's mean and at the one farthest from that;
    means are rounded to whole levels, and a cell is done when at most one pixel changes sides, or after six rounds. Of
    clusters of one size the first wins. Source: Astropulse's k-centroid downscaling, by way of pixelvae, with Pillow's
    rules of quantizing by maximum coverage.
    """
    n_pictures, n_rows, n_columns = cells_shape(rgb, cell_px)
    check_finite(rgb)
    with torch.inference_mode():
        found = torch.empty(n_pictures * n_rows * n_columns, 3, device=rgb.device)
        places = torch.arange(len(found), device=rgb.device).reshape(n_pictures, n_rows, n_columns)
        waiting: list[_Cells] = []
        for slab, place in slabs(rgb, cell_px):
            cells = _started(_levels(slab, cell_px), places[place].flatten())
            waiting.append(_settled(cells, found, _FIRST_ROUNDS))
            if sum(len(cells.places) for cells in waiting) * cell_px**2 > BLOCK_PIXELS:
                _settled(_joined(waiting), found, _LAST_ROUNDS)
                waiting = []
        if waiting:
            _settled(_joined(waiting), found, _LAST_ROUNDS)
    return (found + CENTRE).div_(255).reshape(n_pictures, n_rows, n_columns, 3).movedim(-1, 1)


def cells_shape(rgb: Tensor, cell_px: int) -> tuple[int, int, int]:
    """``(N, h, w)`` of pictures and cells that fit."""
    if rgb.ndim != 4 or rgb.shape[1] != 3 or not rgb.is_floating_point():
        raise PaletteError("palettize", expected="rgb as float (N, 3, H, W)", got=f"{rgb.dtype} {tuple(rgb.shape)}")
    n_pictures, _, height, width = rgb.shape
    if cell_px < 1 or min(height, width) < cell_px:
        raise PaletteError(
            "palettize",
            expected=f"cells of 1 to {min(height, width)} px in pictures of {width}x{height} px",
            got=f"{cell_px}",
        )
    return n_pictures, height // cell_px, width // cell_px


def check_finite(rgb: Tensor) -> None:
    """Raise `PaletteError` when a pixel is NaN or Inf: it is near no colour."""
    if not bool(rgb.isfinite().all()):
        raise PaletteError(
            "palettize", expected="finite pictures", got="NaN or Inf", remedy="decode them again, in float32"
        )


def slabs(rgb: Tensor, cell_px: int) -> Iterator[tuple[Tensor, tuple[slice, slice]]]:
    """Parts ``(n, 3, H, W)`` of whole cells, and which pictures and rows of cells they are."""
    n_pictures, n_rows, n_columns = cells_shape(rgb, cell_px)
    rows_a_slab = max(1, BLOCK_PIXELS // (n_columns * cell_px**2))
    pictures_a_slab = max(1, rows_a_slab // n_rows)
    for first in range(0, n_pictures, pictures_a_slab):
        for row in range(0, n_rows, rows_a_slab):
            pictures = slice(first, first + pictures_a_slab)
            lines = slice(row * cell_px, min(n_rows, row + rows_a_slab) * cell_px)
            yield rgb.detach()[pictures, :, lines, : n_columns * cell_px], (pictures, slice(row, row + rows_a_slab))


def cut(slab: Tensor, cell_px: int) -> Tensor:
    """``(n, 3, H, W)`` -> a view ``(n, h, w, 3, cell_px, cell_px)``."""
    return slab.unfold(2, cell_px, cell_px).unfold(3, cell_px, cell_px).permute(0, 2, 3, 1, 4, 5)


def _levels(slab: Tensor, cell_px: int) -> Tensor:
    """rgb ``(n, 3, H, W)`` -> whole levels from -128 to 127, ``(n h w, 3, p)`` float32."""
    tiles = cut(slab, cell_px)
    levels = torch.empty(tiles.shape, device=slab.device).copy_(tiles)
    torch.add(torch.tensor(0.5 - CENTRE, device=slab.device), levels, alpha=255, out=levels)
    return levels.floor_().clamp_(-CENTRE, 255 - CENTRE).reshape(-1, 3, cell_px**2)


@dataclass(frozen=True)
class _Cells:
    """Cells whose means still move. Their numbers are whole and below 2²⁴: exact in any order, on any device."""

    places: Tensor  # (n,) int64
    levels: Tensor  # (n, 3, p)
    total: Tensor  # (n, 4): p, and the sums of the levels
    means: Tensor  # (n, 2, 3)
    is_second: Tensor  # (n, p), 1.0 where a pixel belongs to the second mean

    def chosen(self, rows: Tensor) -> "_Cells":
        return _Cells(*(getattr(self, field.name).index_select(0, rows) for field in fields(self)))


def _joined(parts: list[_Cells]) -> _Cells:
    if len(parts) == 1:
        return parts[0]
    return _Cells(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(_Cells)))


def _started(levels: Tensor, places: Tensor) -> _Cells:
    """Levels ``(n, 3, p)`` -> with the pixels that the means start from."""
    n_pixels, channels, total = levels.shape[-1], levels.unbind(1), levels.sum(-1)
    mean = torch.floor(total / n_pixels + 0.5)
    exact = torch.float32 if n_pixels <= 64 else torch.float64
    # a pixel's square and its place in one number, the first the largest of equals: 20 times as fast as argmax
    keys = torch.arange(n_pixels - 1, -1, -1, dtype=exact, device=levels.device)
    keys = _dot(channels, levels).to(exact).mul_(n_pixels).add_(keys)
    first = _farthest(channels, keys, mean)
    means = torch.stack([first, _farthest(channels, keys, first)], 1)
    along, middle = _along(channels, means)
    counted = torch.cat([torch.full_like(total[:, :1], n_pixels), total], 1)
    return _Cells(places, levels, counted, means, torch.gt(along, middle, out=along))


def _settled(cells: _Cells, found: Tensor, n_rounds: int) -> _Cells:
    """At most so many rounds of k-means; the larger means so far are written to `found`. -> the cells not done."""
    for _ in range(n_rounds):
        if not len(cells.places):
            break
        channels, is_second, n_pixels = cells.levels.unbind(1), cells.is_second, cells.levels.shape[-1]
        second = torch.stack([is_second.sum(-1), *((channel * is_second).sum(-1) for channel in channels)], 1)
        sides = torch.stack([cells.total - second, second], 1)  # (n, 2, 4): counts, sums
        means = torch.floor(sides[..., 1:] / sides[..., :1] + 0.5)  # NaN without a pixel
        means = torch.where(means.isnan(), cells.means, means)
        along, middle = _along(channels, means)
        moved = torch.gt(along.add_(is_second, alpha=0.25), middle + 0.125, out=along)  # as near to both: as before
        is_larger = 2 * moved.sum(-1, keepdim=True) > n_pixels
        found.index_copy_(0, cells.places, torch.where(is_larger, means[:, 1], means[:, 0]))
        going = ((moved - is_second).abs_().sum(-1) > 1).nonzero()[:, 0]
        cells = _Cells(cells.places, cells.levels, cells.total, means, moved).chosen(going)
    return cells


def _farthest(channels: tuple[Tensor, ...], keys: Tensor, colour: Tensor) -> Tensor:
    """Of three ``(n, p)`` and their keys ``(n, p)`` the pixel farthest from ``(n, 3)``."""
    n_pixels = channels[0].shape[-1]
    products = _dot(channels, colour[..., None]).to(keys.dtype)
    products = torch.add(keys, products, alpha=-2 * n_pixels, out=products)  # |p|² - 2 pc, times p, and places
    place = n_pixels - 1 - products.amax(-1, keepdim=True).remainder(n_pixels).long()
    return torch.cat([channel.gather(1, place) for channel in channels], 1)


def _along(channels: tuple[Tensor, ...], means: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of three ``(n, p)`` along the line through both means ``(n, p)``, and its middle ``(n, 1)``."""
    first, second = means.unbind(1)
    step = second - first
    return _dot(channels, step[..., None]), (step * (first + second)).sum(-1, keepdim=True).div_(2)


def _dot(channels: tuple[Tensor, ...], others: Tensor) -> Tensor:
    """Three ``(n, p)`` times ``(n, 3, p)`` or ``(n, 3, 1)``, summed: ``(n, p)``."""
    first, second, third = others.unbind(1)
    return (channels[0] * first).addcmul_(channels[1], second).addcmul_(channels[2], third)
