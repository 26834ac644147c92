"""Numbers as lines and bars: learning curves, rankings, named values."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl

from latentfit.compare.figures.canvas import COLOURS, SOFT, Figure, saved, something, style

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
        Of both axes, with their units; None: the columns' names.
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
        Of `latentfit.audit`, a bar a row: columns ``approximation``, ``origin`` (of `ORIGINS`) and the score.
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
