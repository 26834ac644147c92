"""Numbers as lines, dots and bars: learning curves, rankings, named values."""

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from latentfit.compare.figures.canvas import (
    COLOURS,
    GRID,
    INK,
    LOOKS,
    SOFT,
    Figure,
    rows_of_axes,
    saved,
    something,
    style,
)
from latentfit.compare.figures.labels import name_ends
from latentfit.fit.basis import form_in_words
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.maps.contracts import Approximation

if TYPE_CHECKING:
    import pandas as pd

ORIGINS = {
    "published": ("#c3cbd6", "o", "published by a program"),
    "ours": ("#0072b2", "D", "ours, fitted on other pictures"),
    "oracle": ("#e69f00", "o", "oracle: the same form fitted on the scored pictures"),
}
"""Colour, marker and words of each origin of an audit's rows."""
FORMS = ("ours", "oracle")  # origins whose rows are of one form, and share a line


def curves(
    frame: "pd.DataFrame",
    x: str,
    y: str,
    hue: str,
    *,
    title: str = "",
    labels: tuple[str, str] | None = None,
    logarithmic: bool = False,
    log_y: bool = False,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A line for each value of `hue`, named at its end; told apart by dash and marker as well as by colour.

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
    log_y : bool
        Doublings upwards, too: where lines would coincide.
    path : path or None
        Also save as PNG.

    Raises
    ------
    KeyError
        When the frame lacks a column.
    """
    with style():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axis = figure.subplots()
        ends = []
        for (name, rows), look in zip(frame.groupby(hue, sort=False), cycle(LOOKS), strict=False):
            draw_line(axis, rows[x], rows[y], look)
            ends.append((float(rows[y].iloc[-1]), form_in_words(str(name)), look[0]))
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        axis.set(xlabel=labels[0] if labels else x, ylabel=labels[1] if labels else y)
        if logarithmic or x == "n_pictures":
            axis.set_xscale("log", base=2)
        if log_y:
            axis.set_yscale("log", base=2)
        for side, is_log in ((axis.xaxis, logarithmic or x == "n_pictures"), (axis.yaxis, log_y)):
            if is_log:
                side.set_major_formatter(lambda value, _: f"{value:.2g}" if value < 1 else f"{value:.4g}")
        name_ends(figure, axis, ends)
    return saved(figure, path)


def draw_line(axis: Any, across: Any, up: Any, look: tuple[str, Any, str], *, most_markers: int = 16) -> None:
    """One line of `LOOKS`, with at most about so many markers."""
    colour, dash, marker = look
    every = max(1, len(across) // most_markers)
    axis.plot(
        across, up, color=colour, linestyle=dash, linewidth=1.6, marker=marker, markersize=5, markevery=every,
        markeredgecolor="white", markeredgewidth=0.6,
    )  # fmt: skip


def ranking(
    frame: "pd.DataFrame", *, title: str = "", score: str = "psnr", path: str | os.PathLike[str] | None = None
) -> Figure:
    """An audit's rows as dots on one axis, the best on top: a form of ours and its oracle in one line.

    Parameters
    ----------
    frame : DataFrame
        Rows of `latentfit.audit`, a dot each: columns ``approximation``, ``origin`` (of `ORIGINS`) and the score.
    title : str
    score : str
        Column: ``psnr`` in dB, or ``delta_e`` as mean CIEDE2000, of which less is better.
    path : path or None
        Also save as PNG.

    Raises
    ------
    KeyError
        When the frame lacks a column, or a row is of another origin.
    """
    less_is_better = score == "delta_e"
    marks: dict[str, list[tuple[str, float]]] = {}
    for name, origin, value in zip(frame["approximation"], frame["origin"], frame[score], strict=True):
        row = str(name).removeprefix("oracle: ").removeprefix("ours: ") if origin in FORMS else str(name)
        marks.setdefault(row, []).append((str(origin), float(value)))
    best = (lambda row: -min(_own(marks[row]))) if less_is_better else (lambda row: max(_own(marks[row])))
    with style():
        figure = Figure(figsize=(8, 1.2 + 0.22 * len(marks)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False, axis="y")
        rows = sorted(marks, key=best)
        for place, row in enumerate(rows):
            axis.axhline(place, color=GRID, linewidth=0.8, zorder=0)
            _draw_marks(axis, place, marks[row], less_is_better)
        axis.set_yticks(range(len(rows)), [form_in_words(row) for row in rows], fontsize=8)
        for label, row in zip(axis.get_yticklabels(), rows, strict=True):
            label.set(color=INK, fontweight="bold") if any(origin == "ours" for origin, _ in marks[row]) else None
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.margins(x=0.12)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        worded = {"psnr": "PSNR, dB (right is better)", "delta_e": "mean ΔE, CIEDE2000 (right is better)"}
        axis.set(xlabel=worded.get(score, score))
        if less_is_better:
            axis.invert_xaxis()
        there = [look for name, look in ORIGINS.items() if name in set(frame["origin"])]
        handles = [_handle(colour, marker, words) for colour, marker, words in there]
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=8)
    return saved(figure, path)


def _own(marks: list[tuple[str, float]]) -> list[float]:
    """Values of a row without its oracle's, if there are others."""
    return [value for origin, value in marks if origin != "oracle"] or [value for _, value in marks]


def _draw_marks(axis: Any, place: int, marks: list[tuple[str, float]], less_is_better: bool) -> None:
    """The dots of one row, and their values to the right of them."""
    for origin, value in sorted(marks, key=lambda mark: mark[0] != "oracle"):
        colour, marker, _ = ORIGINS[origin]
        size = 9 if origin == "oracle" else 6.5
        axis.plot(value, place, marker=marker, color=colour, markersize=size, markeredgecolor=INK, markeredgewidth=0.5)
    values = [value for _, value in marks]
    words = f"{_own(marks)[0]:.1f}" if len(marks) == 1 else f"{_own(marks)[0]:.1f}  oracle {dict(marks)['oracle']:.1f}"
    rightmost = min(values) if less_is_better else max(values)
    axis.annotate(
        words, (rightmost, place), (9, 0), textcoords="offset points", va="center", fontsize=8, color=INK
    )  # fmt: skip


def dots(
    frame: "pd.DataFrame",
    row: str,
    value: str,
    hue: str,
    *,
    title: str = "",
    label: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A line for each value of `row`, on it a dot for each of `hue`, told apart by colour and marker.

    Parameters
    ----------
    frame : DataFrame
        A row a dot; rows without a value are left out.
    row, value, hue : str
        Columns.
    title : str
    label : str
        What the values are, with their unit.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When no row has a value.
    """
    there = frame[frame[value].notna()]
    something(list(there[value]), "dots: values")
    rows, hues = list(dict.fromkeys(there[row])), list(dict.fromkeys(there[hue]))
    looks = dict(zip(hues, cycle(LOOKS), strict=False))
    with style():
        figure = Figure(figsize=(8, 1.3 + 0.42 * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False, axis="y")
        for place in range(len(rows)):
            axis.axhline(place, color=GRID, linewidth=0.8, zorder=0)
        for name in hues:
            own, (colour, _, marker) = there[there[hue] == name], looks[name]
            places = [rows.index(one) for one in own[row]]
            axis.plot(
                own[value], places, linestyle="none", marker=marker, color=colour, markersize=8,
                markeredgecolor="white", markeredgewidth=0.7,
            )  # fmt: skip
        axis.set_yticks(range(len(rows)), [str(one) for one in rows])
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.margins(x=0.06)
        axis.set(xlabel=label)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        handles = [_handle(colour, marker, str(name)) for name, (colour, _, marker) in looks.items()]
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=8.5)
    return saved(figure, path)


def _handle(colour: str, marker: str, words: str) -> Any:
    return mpl.lines.Line2D(
        [], [], linestyle="none", marker=marker, color=colour, markersize=7, markeredgecolor=INK, markeredgewidth=0.5,
        label=words,
    )  # fmt: skip


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
