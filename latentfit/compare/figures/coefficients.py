"""A fitted map's numbers, as a picture."""

import os
from typing import Any

import numpy as np

from latentfit.compare.figures.canvas import INK, SOFT, Figure, rows_of_axes, saved, style
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.maps.contracts import Approximation


def coefficient_heatmap(
    approximation: Approximation,
    *,
    against: Approximation | None = None,
    most_terms: int = 45,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Coefficients, a row a term and a column a colour, red up and blue down; the largest terms when there are many.

    Parameters
    ----------
    approximation : Approximation
        Of a map fitted by `ChannelMap`.
    against : Approximation or None
        Of equal form: a second panel shows what was changed from it, with a scale of its own.
    most_terms : int
    path : path or None
        Also save as PNG.

    Raises
    ------
    TypeError
        When one is no fitted map.
    ValueError
        When the two have different terms.
    """
    values, names = _coefficients(approximation)
    panels = [(approximation.name, values)]
    if against is not None:
        before, others = _coefficients(against)
        if others != names:
            raise ValueError(
                f"coefficient_heatmap: expected maps of one form, {approximation.name!r} has {len(names)} terms and "
                f"{against.name!r} {len(others)}; compare maps of equal kernels and channels"
            )
        panels.append((f"less {against.name}", values - before))
    largest = np.sort(np.argsort(-np.abs(values).max(1), kind="stable")[:most_terms])
    with style():
        size = (0.6 + 2.8 * len(panels), 0.8 + 0.2 * len(largest))
        figure = Figure(figsize=size, layout="constrained")
        (axes,) = rows_of_axes(figure, 1, len(panels))
        for axis, (title, panel) in zip(axes, panels, strict=True):
            _panel(figure, axis, panel[largest], [names[index] for index in largest], title)
    return saved(figure, path)


def _coefficients(approximation: Approximation) -> tuple[np.ndarray[Any, Any], list[str]]:
    """The first three columns, with the terms' names."""
    module = approximation.module
    if not isinstance(module, PolynomialMap):
        raise TypeError(f"coefficient_heatmap: expected a map fitted by ChannelMap, got {type(module).__name__}")
    return module.coefficients[:, :3].cpu().numpy(), module.terms


def _panel(figure: Figure, axis: Any, values: np.ndarray[Any, Any], names: list[str], title: str) -> None:
    limit = float(np.abs(values).max()) or 1.0
    axis.grid(False)
    image = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axis.set(xticks=range(3), xticklabels=["R", "G", "B"], title=title)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    decimals = 2 if np.median(np.abs(values)) >= 0.05 else 3
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if abs(value) > 0.6 * limit else INK
        words = f"{value:+.{decimals}f}" if round(abs(float(value)), decimals) else "0"
        axis.text(column, row, words, ha="center", va="center", fontsize=7, color=ink)
    axis.set_xlabel("in [-1, 1], per unit of latent", fontsize=8, color=SOFT)
    figure.colorbar(image, ax=axis, shrink=0.8)
