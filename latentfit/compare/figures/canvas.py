"""What every figure is drawn on: one look, a figure that shows itself, and a PNG that is whole or not there."""

import io
import os
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from cycler import cycler
from matplotlib.figure import Figure as MplFigure
from PIL import Image
from torch import Tensor

from latentfit.runtime.storage import write_atomic
from latentfit.scores.held_out import as_seen

INK, SOFT, GRID = "#1d2330", "#5b6474", "#dfe4ec"
# Okabe and Ito's colours, told apart under every common colour blindness
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a6d3b")
RGB_COLOURS = ("#c23b3b", "#2b8a3e", "#2f5fb3")
SCREEN_DPI, FILE_DPI = 90, 120
SURROUND = 0.95  # light grey, where there is no picture


class Figure(MplFigure):
    """A figure that a notebook shows whichever backend is set, or none."""

    def _repr_png_(self) -> bytes:
        return _png(self, SCREEN_DPI)


def style() -> AbstractContextManager[None]:
    """The look of every figure, as a context."""
    settings: dict[str, Any] = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.edgecolor": SOFT,
        "axes.labelcolor": SOFT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": GRID,
        "axes.axisbelow": True,
        "text.color": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "legend.frameon": False,
        "figure.facecolor": "white",
        "text.parse_math": False,  # a name may hold a dollar
        "axes.prop_cycle": cycler(color=COLOURS),
    }
    return mpl.rc_context(settings)


def rows_of_axes(figure: Figure, n_rows: int, n_columns: int, **options: Any) -> list[list[Any]]:
    """Axes as rows of columns, whatever their number."""
    axes = np.asarray(figure.subplots(n_rows, n_columns, squeeze=False, **options))
    return [list(row) for row in axes]


def as_image(picture: Tensor, size: tuple[int, ...] | None = None, *, smooth: bool = True) -> np.ndarray[Any, Any]:
    """Picture ``(3, H, W)`` -> ``(H, W, 3)`` in [0, 1], `placed` on `size`."""
    rgb = picture.detach().float().cpu().clamp(0, 1)
    if size is not None:
        rgb = placed(rgb, (size[0], size[1]), smooth=smooth)
    shown: np.ndarray[Any, Any] = rgb.permute(1, 2, 0).numpy()
    return shown


def placed(picture: Tensor, size: tuple[int, int], *, smooth: bool = True) -> Tensor:
    """A picture as seen at another size: a preview is enlarged bilinearly; what is of another shape keeps its own.

    Parameters
    ----------
    picture : Tensor, (3, h, w) in [0, 1]
        The picture; it has another shape where one side is off by more than 2 % and by more than one of its pixels.
    size : tuple of int
        Rows and columns.
    smooth : bool
        False: its pixels as blocks, instead.

    Returns
    -------
    Tensor, (3, *size)
        Of another shape: as large as fits, in the middle, on light grey.
    """
    (high, wide), (rows, columns) = picture.shape[-2:], size
    if abs(wide * rows - high * columns) <= max(0.02 * wide * rows, rows, columns):
        return _resized(picture, size, smooth)
    scale = min(rows / high, columns / wide)
    inner = (max(1, int(scale * high + 0.5)), max(1, int(scale * wide + 0.5)))
    top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
    around = picture.new_full((picture.shape[0], rows, columns), SURROUND)
    around[:, top : top + inner[0], left : left + inner[1]] = _resized(picture, inner, smooth)
    return around


def _resized(picture: Tensor, size: tuple[int, int], smooth: bool) -> Tensor:
    if smooth:
        return as_seen(picture[None], size)[0]
    return torch.nn.functional.interpolate(picture[None], size, mode="nearest-exact")[0]


def something(given: Collection[object], what: str) -> None:
    """Raise where there is nothing to draw.

    Raises
    ------
    ValueError
        Naming `what` was expected.
    """
    if not given:
        raise ValueError(f"{what}: expected at least one, got none; nothing can be drawn")


def saved(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, written as PNG too when there is a path: whole or not at all."""
    if path is not None:
        write_atomic(path, _png(figure, FILE_DPI))
    return figure


def _png(figure: Figure, dpi: int) -> bytes:
    """PNG without a date, so that equal data gives equal bytes; opaque, since alpha is a tenth of the file."""
    drawn, buffer = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
    with Image.open(drawn) as image:
        image.convert("RGB").save(buffer, "PNG", optimize=True, dpi=(dpi, dpi))
    return buffer.getvalue()
