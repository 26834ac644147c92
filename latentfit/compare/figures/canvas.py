"""What every figure is drawn on: one look, a figure that shows itself, and a PNG that is whole or not there."""

import base64
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
LOOKS = tuple(
    zip(
        ("#0072b2", "#d55e00", "#000000", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b"),
        ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1.2)), (0, (9, 2)), (0, (4, 1, 1, 1, 1, 1)), "-"),
        ("o", "s", "^", "D", "v", "P", "X", "*"),
        strict=True,
    )
)
"""Colour, dash and marker of the lines of a chart, in their order: told apart without their colours, too."""
SCREEN_DPI, FILE_DPI = 90, 200
SHARPNESS = 2  # pixels of a shown figure to one of the page: screens of today have two
MOST_PNG_BYTES = 120_000  # of a shown figure; photographs are shown as JPEG above that
JPEG = {"quality": 82, "subsampling": 2, "optimize": True, "progressive": True}
"""Of shown photographs; their colours have half the resolution, which is that of the page."""
MOST_OFF = 0.4  # 8-bit levels, on average, that a chart in 256 colours may be off
SURROUND = 0.95  # light grey, where there is no picture


class Figure(MplFigure):
    """A figure that a notebook shows whichever backend is set, or none: sharp at twice the size, with a text for it.

    Attributes
    ----------
    alt : str
        What it shows, for readers who do not see it; "": its own words, see `words_of`.
    """

    alt: str = ""

    def described(self, alt: str) -> "Figure":
        """The same figure, with this text for those who do not see it."""
        self.alt = alt
        return self

    def _repr_png_(self) -> bytes:
        return _png(self, SCREEN_DPI)

    def _ipython_display_(self) -> None:
        """One picture: IPython would ask for a PNG beside a JPEG."""
        from IPython.display import display

        bundle, metadata = self._repr_mimebundle_()
        display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The picture at `SHARPNESS`, shown at its size: PNG, or JPEG where photographs make that large."""
        wide, high = (round(SCREEN_DPI * side) for side in self.get_size_inches())
        kind, blob = "image/png", _png(self, SHARPNESS * SCREEN_DPI)
        if len(blob) > MOST_PNG_BYTES:
            smaller = _encoded(self, SHARPNESS * SCREEN_DPI, "JPEG", **JPEG)
            if len(smaller) < 0.7 * len(blob):
                kind, blob = "image/jpeg", smaller
        told = {"width": wide, "height": high, "alt": self.alt or words_of(self)}
        bundle = {kind: base64.b64encode(blob).decode("ascii"), "text/plain": repr(self)}
        return bundle, {kind: told}


def words_of(figure: MplFigure) -> str:
    """What is written on a figure, once each: its title, the panels' titles and labels of axes."""
    title = figure.get_suptitle()
    panels = [axis.get_title(loc="left") for axis in figure.axes]
    labels = [words for axis in figure.axes for words in (axis.get_xlabel(), axis.get_ylabel())]
    told = dict.fromkeys(" ".join(words.split()) for words in (title, *panels, *labels))
    return "; ".join(words for words in told if words) or "A picture"


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
    """The figure, written too when there is a path, whole or not at all: PNG, or WebP by its ending (photographs)."""
    if path is not None:
        is_webp = str(path).lower().endswith(".webp")
        write_atomic(path, _encoded(figure, FILE_DPI, "WEBP", quality=84) if is_webp else _png(figure, FILE_DPI))
    return figure


def _png(figure: Figure, dpi: int) -> bytes:
    return _encoded(figure, dpi, "PNG", optimize=True, dpi=(dpi, dpi))


def _encoded(figure: Figure, resolution: int, kind: str, **options: Any) -> bytes:
    """Without a date, so that equal data gives equal bytes; opaque, since alpha is a tenth of the file."""
    drawn, buffer = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=resolution, metadata={"Software": None})
    with Image.open(drawn) as opened:
        image = opened.convert("RGB")
    (_in_few_colours(image) if kind == "PNG" else image).save(buffer, kind, **options)
    return buffer.getvalue()


def _in_few_colours(image: Image.Image) -> Image.Image:
    """A chart in 256 colours, which take a third of the bytes; a picture whose colours are more than that, as it is."""
    few = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    off = np.abs(np.asarray(few.convert("RGB"), dtype=np.int16) - np.asarray(image, dtype=np.int16))
    return few if float(off.mean()) < MOST_OFF else image
