"""Overlapping tiles, blended: what lets any autoencoder take a picture larger than its memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiles:
    """How a picture is cut.

    Attributes
    ----------
    tile_cells : int
        Side of a tile, in latent cells.
    overlap_cells : int
        What neighbours share at least, less than a tile.
    margin_cells : int
        Rim of a tile, at an inner edge, that is thrown away. Where this is the network's receptive field, tiling is
        exact; what is left of the overlap is blended linearly.
    """

    tile_cells: int
    overlap_cells: int
    margin_cells: int = 0

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.margin_cells <= self.overlap_cells < self.tile_cells:
            raise ValueError(
                f"tiles: expected 2 * margin <= overlap < tile, in cells, got margin {self.margin_cells}, overlap "
                f"{self.overlap_cells}, tile {self.tile_cells}; choose larger tiles"
            )

    @classmethod
    def around(cls, tile_cells: int, receptive_cells: int | None, block: int = 1) -> "Tiles | None":
        """The one rule of how tiles overlap; None where a tile of so many cells is no wider than its overlap.

        Neighbours overlap by twice the receptive field, whose rim is thrown away: exact. Where that is None, because
        something looks at the whole picture, a quarter of a tile is blended: what differs is low in contrast, not zero.

        Parameters
        ----------
        tile_cells : int
            Side of a tile, rounded up to whole blocks.
        receptive_cells : int or None
            Receptive field of the network; see `latentfit.nets.receptive_cells_of`.
        block : int
            Cells of what the tiles count in: a map of scale 3/2 takes blocks of 2 cells.

        Examples
        --------
        >>> Tiles.around(128, 20)
        Tiles(tile_cells=128, overlap_cells=40, margin_cells=20)
        >>> Tiles.around(128, None)
        Tiles(tile_cells=128, overlap_cells=32, margin_cells=0)
        >>> Tiles.around(40, 20) is None
        True
        """
        tile = math.ceil(tile_cells / block)
        margin = None if receptive_cells is None else math.ceil(receptive_cells / block)
        overlap = tile // 4 if margin is None else 2 * margin
        return cls(tile, overlap, margin or 0) if overlap < tile else None

    def starts(self, n_cells: int) -> list[int]:
        """First cells of the tiles along a side of `n_cells`; the last tile ends at the side's end."""
        if n_cells <= self.tile_cells:
            return [0]
        stride = self.tile_cells - self.overlap_cells
        return [*range(0, n_cells - self.tile_cells, stride), n_cells - self.tile_cells]

    def weights(self, start: int, n_cells: int, px_per_cell: int) -> Tensor:
        """Weight of each output pixel along one side of the tile at `start`: 1 inside, falling to 0 at inner edges."""
        n_tile_cells = min(self.tile_cells, n_cells)
        n_pixels = n_tile_cells * px_per_cell
        margin, ramp = (
            cells * px_per_cell for cells in (self.margin_cells, self.overlap_cells - 2 * self.margin_cells)
        )
        depth = torch.arange(n_pixels, dtype=torch.float32) + 0.5 - margin
        rise = (depth / ramp).clamp(0, 1) if ramp else (depth > 0).float()
        weights = torch.ones(n_pixels)
        if start > 0:
            weights = weights * rise
        if start + n_tile_cells < n_cells:
            weights = weights * rise.flip(0)
        return weights


def map_in_tiles(
    function: Callable[[Tensor], Tensor], picture: Tensor, tiles: Tiles, *, px_in: int, px_out: int
) -> Tensor:
    """`function` over tiles of `picture`, blended.

    Parameters
    ----------
    function : callable
        ``(N, A, a * px_in, b * px_in)`` -> ``(N, B, a * px_out, b * px_out)`` for every tile of a x b cells.
    picture : Tensor of shape (N, A, h * px_in, w * px_in)
        What is cut.
    tiles : Tiles
        How it is cut.
    px_in, px_out : int
        Pixels per cell of what goes in and of what comes out: (cell_px, 1) to encode, (1, cell_px) to decode.

    Returns
    -------
    Tensor of shape (N, B, h * px_out, w * px_out)
    """
    n_rows, n_columns = picture.shape[-2] // px_in, picture.shape[-1] // px_in
    if max(n_rows, n_columns) <= tiles.tile_cells:
        return function(picture)
    blended: Tensor | None = None
    total = torch.zeros(n_rows * px_out, n_columns * px_out, device=picture.device)
    for top in tiles.starts(n_rows):
        down = tiles.weights(top, n_rows, px_out).to(picture.device)
        for left in tiles.starts(n_columns):
            across = tiles.weights(left, n_columns, px_out).to(picture.device)
            weight = down[:, None] * across
            bottom, right = (top + len(down) // px_out), (left + len(across) // px_out)
            mapped = function(picture[..., top * px_in : bottom * px_in, left * px_in : right * px_in]).float()
            if blended is None:
                blended = mapped.new_zeros(*mapped.shape[:-2], *total.shape)
            window = (..., slice(top * px_out, bottom * px_out), slice(left * px_out, right * px_out))
            blended[window] += mapped * weight
            total[window] += weight
    assert blended is not None
    return blended / total
