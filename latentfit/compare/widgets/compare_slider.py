"""CompareSlider: a split view of two pictures."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from latentfit.compare.figures.canvas import Figure
from latentfit.compare.figures.sheets import curtain
from latentfit.compare.widgets.base import Widget
from latentfit.compare.widgets.page_data import PictureLike, as_picture, png_of
from latentfit.errors import WidgetError


class CompareSlider(Widget):
    """Two pictures under one movable line, zoomed and panned in step, pixel by pixel.

    Drag the line, or move it with the arrow keys (Home and End to the edges). The wheel zooms about the pointer with
    Ctrl or ⌘, or alone after a click into the picture; + and - zoom, up to 32 screen pixels a pixel; drag to pan; 0
    fits, a double click resets. On a touch screen two fingers zoom, and one that goes sideways moves the line.

    Parameters
    ----------
    left, right : Tensor, ndarray, PIL image or path
        See `latentfit.compare.widgets.as_picture`. Of two sizes both are shown to the extent of the larger; of two
        shapes, each keeps its own.
    labels : tuple of str or None
        In the corners; None: names of files, else "left" and "right".
    position : float
        Place of the split line, in percent of the width.
    smooth : bool
        Enlarge the smaller one bilinearly, as a preview is shown; False: show its pixels as blocks.
    height : int or None
        Most CSS pixels; None: as wide as there is room, and at most 82 % of the window's height.

    Raises
    ------
    WidgetError, ImageError
        When one of them is no picture.

    Examples
    --------
    >>> import torch
    >>> CompareSlider(torch.rand(3, 8, 8), torch.rand(3, 64, 64))
    CompareSlider(left 8 × 8, right 64 × 64 px)
    """

    def __init__(
        self,
        left: PictureLike,
        right: PictureLike,
        *,
        labels: tuple[str, str] | None = None,
        position: float = 50.0,
        smooth: bool = True,
        height: int | None = None,
    ) -> None:
        self._given, self._given_labels = (left, right), labels
        self.labels = labels or (_name_of(left, "left"), _name_of(right, "right"))
        self.left, self.right = as_picture(left, "left"), as_picture(right, "right")
        self.smooth, self._position = smooth, _checked(position)
        page = {**self._pictures(), "position": self._position, "smooth": smooth, "height": height}
        super().__init__("curtain", page)
        self._handlers["look"] = self._look

    @property
    def position(self) -> float:
        """Percent of the width; settable."""
        return self._position

    @position.setter
    def position(self, value: float) -> None:
        self._position = _checked(value)
        self._begin_with(position=self._position)
        self._post(position=self._position)

    def show(self, left: PictureLike | None = None, right: PictureLike | None = None) -> None:
        """Put other pictures under the line."""
        self._given = (self._given[0] if left is None else left, self._given[1] if right is None else right)
        self.left = self.left if left is None else as_picture(left, "left")
        self.right = self.right if right is None else as_picture(right, "right")
        self.page = {**self.page, **self._pictures()}
        self._post(**self._pictures())

    def still(self, position: float | None = None, *, smooth: bool | None = None) -> Figure:
        """The present view, or with the line at another place, the smaller picture smooth or in blocks."""
        at = self._position if position is None else _checked(position)
        return curtain(
            self.left, self.right, at / 100, names=self.labels, smooth=self.smooth if smooth is None else smooth
        )

    def code(self) -> str:
        """One call for the present view."""
        imports, said = self._said(("", self._given[0]), ("", self._given[1]), ("labels", self._given_labels))
        return f"{imports}{said}.still(position={self._position:.4g}{'' if self.smooth else ', smooth=False'})"

    def data(self) -> dict[str, Any]:
        """The present state for a page without kernel."""
        return {**super().data(), "position": self._position, "smooth": self.smooth}

    def __repr__(self) -> str:
        left, right = (f"{picture.shape[2]} × {picture.shape[1]}" for picture in (self.left, self.right))
        return f"CompareSlider(left {left}, right {right} px)"

    def _pictures(self) -> dict[str, Any]:
        return {
            "left": {**png_of(self.left), "label": self.labels[0]},
            "right": {**png_of(self.right), "label": self.labels[1]},
        }

    def _look(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        self._position, self.smooth = _checked(float(content["position"])), bool(content["smooth"])
        self._begin_with(position=self._position, smooth=self.smooth)


def _name_of(given: object, otherwise: str) -> str:
    return os.path.basename(os.fspath(given)) if isinstance(given, str | os.PathLike) else otherwise


def _checked(position: float) -> float:
    if not 0 <= position <= 100:
        raise WidgetError("position", expected="a percentage of the width in [0, 100]", got=f"{position}")
    return float(position)
