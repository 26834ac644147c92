"""Numbers as lines and bars: learning curves, rankings, named values."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from latentfit.compare.figures.canvas import COLOURS, INK, SOFT, Figure, rows_of_axes, saved, something, style
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.maps.contracts import Approximation

if TYPE_CHECKING:
    import pandas as pd

ORIGINS = {"published": "#b9c2cf", "ours": "#0072b2", "oracle": "#e69f00"}


def curves(
    frame: "pd.DataFrame",
    x: str,
    y: str,
    hue: str,
    *,
    title: str = "",
    labels: tuple[str, str] | None = None,
    logarithmic: bool = False,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A line for each value of `hue`, named at the right.

    Parameters
    ----------
    frame : DataFrame
        A row a point, in the order in which each line goes.
    x, y : str
        Columns of numbers.
    hue : str
        Column that tells the lines apart.
    title : str
    labels : tuple of str or None
        Labels of both axes, with their units; None: the columns' names.
    logarithmic : bool
        Doublings across; of a column ``n_pictures`` always.
    path : path or None
        Also save as PNG.

    Raises
    ------
    KeyError
        When the frame lacks a column.
    """
    with style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axis = figure.subplots()
        for name, rows in frame.groupby(hue, sort=False):
            axis.plot(rows[x], rows[y], marker="o", markersize=4, label=str(name))
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        axis.set(xlabel=labels[0] if labels else x, ylabel=labels[1] if labels else y)
        if logarithmic or x == "n_pictures":
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return saved(figure, path)


def ranking(
    frame: "pd.DataFrame", *, title: str = "", score: str = "psnr", path: str | os.PathLike[str] | None = None
) -> Figure:
    """An audit's rows as bars, the largest score on top, coloured by origin.

    Parameters
    ----------
    frame : DataFrame
        Rows of `latentfit.audit`, a bar each: columns ``approximation``, ``origin`` (of `ORIGINS`) and the score.
    title : str
    score : str
        Column: ``psnr`` in dB, or ``delta_e`` as mean CIEDE2000, where the best stands lowest.
    path : path or None
        Also save as PNG.

    Raises
    ------
    KeyError
        When the frame lacks a column, or a row is of another origin.
    """
    ordered = frame.sort_values(score)
    with style():
        figure = Figure(figsize=(7, 1.1 + 0.23 * len(ordered)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False)
        places = range(len(ordered))
        axis.barh(places, ordered[score], color=[ORIGINS[origin] for origin in ordered["origin"]], height=0.75)
        axis.set_yticks(places, ordered["approximation"], fontsize=8)
        axis.set_ylim(-0.6, len(ordered) - 0.4)
        axis.margins(x=0.1)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        axis.set(xlabel={"psnr": "dB", "delta_e": "ΔE (CIEDE2000)"}.get(score, score))
        for place, value in zip(places, ordered[score], strict=True):
            axis.text(value, place, f" {value:.1f}", va="center", fontsize=8, color=SOFT)
        there = {name: colour for name, colour in ORIGINS.items() if name in set(ordered["origin"])}
        handles = [mpl.patches.Patch(color=colour, label=name) for name, colour in there.items()]
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=8)
    return saved(figure, path)


def bars(
    values: Mapping[str, float] | Sequence[tuple[str, float]],
    *,
    title: str = "",
    label: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Named values as horizontal bars, in the given order from the top.

    Parameters
    ----------
    values : mapping of str to float, or sequence of (str, float)
        Written beside the bars with two decimals.
    title : str
    label : str
        What the values are, with their unit.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is none.
    """
    items = list(values.items()) if isinstance(values, Mapping) else list(values)
    something(items, "bars: values")
    with style():
        figure = Figure(figsize=(6.4, 0.8 + 0.3 * len(items)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False)
        places = range(len(items))
        axis.barh(places, [value for _, value in items], color=COLOURS[0], height=0.7)
        axis.set_yticks(places, [name for name, _ in items])
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.set(title=title, xlabel=label)
        for place, (_, value) in zip(places, items, strict=True):
            axis.text(value, place, f" {value:.2f}", va="center", fontsize=8, color=SOFT)
    return saved(figure, path)


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
        A map that `ChannelMap` fitted.
    against : Approximation or None
        A map of equal form: a second panel shows what was changed from it, with a scale of its own.
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
