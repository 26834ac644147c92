"""The Pareto chart: what each approximation costs against how near it comes, from one evaluate call."""

import os
import textwrap
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from latentfit.compare.figures.canvas import GRID, INK, Figure, saved, style
from latentfit.compare.figures.labels import name_points
from latentfit.fit.basis import form_in_words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FAMILIES = {
    "published table": ("#c3cbd6", "o"),
    "closed form": ("#56b4e9", "s"),
    "others' network": ("#e69f00", "^"),
    "our network": ("#0072b2", "D"),
    "autoencoder": ("#000000", "*"),
}
"""Colour and marker of each family, in the order of the legend."""

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
    """Milliseconds against each score, each approximation under its own name; nothing beats what the grey line joins.

    One large panel, of ΔE where it is drawn, and small ones of the other scores beside it.

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
    largest = "delta_e" if "delta_e" in scores else scores[0]
    others = [score for score in scores if score != largest]
    with style():
        figure = Figure(figsize=(10, 5.4), layout="constrained")
        panels = [["large", f"small {index}"] for index in range(len(others))] or [["large"]]
        axes: dict[str, Axes] = figure.subplot_mosaic(panels, width_ratios=[2.5, 1] if others else None)
        _panel(axes["large"], rows, largest)
        for index, score in enumerate(others):
            _panel(axes[f"small {index}"], rows, score, size=0.6)
            if index < len(others) - 1:
                axes[f"small {index}"].set_xlabel("")
        there = {name: look for name, look in FAMILIES.items() if name in set(rows["family"])}
        handles = [
            mpl.lines.Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=8, markeredgecolor=INK,
                             markeredgewidth=0.5, label=name)
            for name, (colour, marker) in there.items()
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=8.5)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        _name(figure, axes["large"], rows, largest)
    return saved(figure, path)


def _panel(axis: "Axes", rows: "pd.DataFrame", score: str, *, size: float = 1.0) -> None:
    label, more_is_better = SCORES[score]
    there = rows[rows[score].notna()]
    corners = there.iloc[front(there["ms"], there[score], more_is_better=more_is_better)]
    axis.step(corners["ms"], corners[score], where="post", color=GRID, linewidth=5 * size, zorder=1)
    for family, (colour, marker) in FAMILIES.items():
        own = there[there["family"] == family]
        area = 75 * size**2 * (2 if marker == "*" else 1)
        axis.scatter(own["ms"], own[score], s=area, c=colour, marker=marker, zorder=3, edgecolors=INK, linewidths=0.6)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    better = "up is better"
    axis.set(xlabel="milliseconds, one thread", title=f"{label} ({better})")
    axis.margins(x=0.14, y=0.1)
    if not more_is_better:
        axis.invert_yaxis()
    if size < 1:
        axis.tick_params(labelsize=7.5)
        axis.set_title(label, fontsize=9)


def _name(figure: Figure, axis: "Axes", rows: "pd.DataFrame", score: str) -> None:
    """Every point's name beside it, those on the front first and in bold."""
    there = rows[rows[score].notna()]
    on_front = set(front(there["ms"], there[score], more_is_better=SCORES[score][1]))
    at = list(zip(there["ms"].astype(float), there[score].astype(float), strict=True))
    names = [form_in_words(str(name)) for name in there["approximation"]]
    names = ["\n".join(textwrap.wrap(name, 26)) for name in names]
    name_points(figure, axis, at, names, bold=[place in on_front for place in range(len(at))])
