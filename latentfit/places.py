"""Places of judgement: at one pixel a cell, and as seen at the picture's size."""

from typing import Literal

import torch
from torch import Tensor

Place = Literal["cells", "seen"]


def at_cells(unclamped: Tensor, size_cells: tuple[int, int]) -> Tensor:
    """A map's output, clamped, at one pixel a cell: larger ones by area average, smaller ones bilinearly.

    Parameters
    ----------
    unclamped : Tensor, (N, 3, H, W)
    size_cells : tuple of int
        Rows and columns of the latents.
    """
    rgb = unclamped.clamp(0, 1)
    (high, wide), (rows, columns) = rgb.shape[-2:], size_cells
    if (high, wide) == (rows, columns):
        return rgb
    if high % rows == 0 and wide % columns == 0:
        return torch.nn.functional.avg_pool2d(rgb, (high // rows, wide // columns))
    return torch.nn.functional.interpolate(rgb, (rows, columns), mode="bilinear", antialias=high > rows)


def as_seen(unclamped: Tensor, size_px: tuple[int, int]) -> Tensor:
    """A map's output, clamped, at the picture's size: enlarged bilinearly, as ComfyUI's server enlarges previews."""
    rgb = unclamped.clamp(0, 1)
    if tuple(rgb.shape[-2:]) == tuple(size_px):
        return rgb
    return torch.nn.functional.interpolate(rgb, tuple(size_px), mode="bilinear", antialias=rgb.shape[-1] > size_px[1])
