"""The Pareto chart: what each approximation costs against how near it comes, from one evaluate call."""

import os
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from latentfit.compare.figures.canvas import GRID, INK, SOFT, Figure, saved, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FAMILIES = {
    "published table": "#b9c2cf",
    "closed form": "#56b4e9",
    "others' network": "#e69f00",
    "our network": "#0072b2",
    "autoencoder": "#000000",
}
"""Colour of each family, in the order of the legend."""

SCORES = {"psnr": ("PSNR, dB", True), "ms_ssim": ("MS-SSIM", True), "delta_e": ("mean ΔE (CIEDE2000)", False)}
"""Column of evaluate's table -> (label, whether more is better)."""


def front(cost: "pd.Series", score: "pd.Series", *, more_is_better: bool = True) -> list[int]:
    """Places of the points that no other beats in both, by rising cost.

    Examples
    --------
    >>> import pandas as pd
    >>> front(pd.Series([1.0, 2.0, 3.0]), pd.Series([20.0, 19.0, 24.0]))
    [0, 2]
    """
    best, found = -np.inf, []
    for place in np.lexsort((-score if more_is_better else score, cost)):
        value = float(score.iloc[place]) * (1 if more_is_better else -1)
        if value > best:
            best = value
            found.append(int(place))
    return found


def pareto(
    rows: "pd.DataFrame",
    *,
    title: str = "",
    scores: tuple[str, ...] = ("psnr", "ms_ssim", "delta_e"),
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Milliseconds against each score, a disc an approximation, its area by its parameters; the front as a line.

    Parameters
    ----------
    rows : DataFrame
        Pooled rows of one reference at one place of `latentfit.evaluate`, with a column ``family`` of `FAMILIES`.
    title : str
    scores : tuple of str
        Names in `SCORES`, a panel each.
    path : path or None
        Also save as PNG.
    """
    rows = rows.sort_values("ms").reset_index(drop=True)
    with style():
        figure = Figure(figsize=(3.4 * len(scores) + 2.9, 4.3), layout="constrained")
        axes = np.atleast_1d(np.asarray(figure.subplots(1, len(scores))))
        for axis, score in zip(axes, scores, strict=True):
            _panel(axis, rows, score)
        lines = [f"{place + 1:>2}  {row.approximation}" for place, row in enumerate(rows.itertuples())]
        axes[-1].text(1.05, 1, "\n".join(lines), transform=axes[-1].transAxes, va="top", fontsize=8, linespacing=1.5)
        there = {name: colour for name, colour in FAMILIES.items() if name in set(rows["family"])}
        handles = [mpl.patches.Patch(color=colour, label=name) for name, colour in there.items()]
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=8)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    return saved(figure, path)


def _panel(axis: "Axes", rows: "pd.DataFrame", score: str) -> None:
    label, more_is_better = SCORES[score]
    there = rows[rows[score].notna()]
    on_front = front(there["ms"], there[score], more_is_better=more_is_better)
    corners = there.iloc[on_front]
    axis.step(corners["ms"], corners[score], where="post", color=GRID, linewidth=5, zorder=1)
    areas = 14 + 0.09 * np.sqrt(there["parameters"].to_numpy())
    colours = [FAMILIES[family] for family in there["family"]]
    axis.scatter(there["ms"], there[score], s=areas, c=colours, zorder=3, edgecolors="white", linewidths=0.6)
    for place, (index, row) in enumerate(there.iterrows()):
        leads = place in on_front
        axis.annotate(
            str(int(str(index)) + 1), (row["ms"], row[score]), (5, 4 if place % 2 else -10), textcoords="offset points",
            fontsize=7.5, fontweight="bold" if leads else "normal", color=INK if leads else SOFT, zorder=4,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set(xlabel="milliseconds, one thread", title=label)
    axis.margins(x=0.12, y=0.1)
    if not more_is_better:
        axis.invert_yaxis()
