"""Line charts as SVG that takes the page's colours, light, dark or forced."""

import math
from collections.abc import Mapping, Sequence

from latentfit.compare.reports.axes import (
    Frame,
    apart,
    axis_names,
    name_text,
    name_width,
    round_range,
    svg,
    x_ticks,
    y_axis,
)
from latentfit.runtime import escaping
from latentfit.runtime.numbers import quantity

_DASHES = ("", "7 4", "2 4", "9 3 2 3")

Points = Sequence[tuple[float, float]]


def line_chart(series: Mapping[str, Points], x_label: str, y_label: str, *, is_narrow: bool = False) -> str:
    """A line for each series, named at its right end; x doubles from tick to tick.

    Parameters
    ----------
    series : mapping of str to sequence of (x, y)
        x above 0. Lines are told apart by dashes and by their names, as well as by colour.
    x_label, y_label : str
    is_narrow : bool
        For a phone: as large letters on half the width.

    Returns
    -------
    str
        ``<svg>…</svg>``; all text escaped.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    room = min(max(map(name_width, series)) + 22, 130 if is_narrow else 260)
    frame = Frame(360, 300, 44, room, 34, 44) if is_narrow else Frame(720, 320, 48, room, 34, 44)
    low, high, step = round_range([y for _, y in points])
    left, right = math.log2(min(x for x, _ in points)), math.log2(max(x for x, _ in points))

    def across(x: float) -> float:
        return frame.across((math.log2(x) - left) / ((right - left) or 1.0))

    def up(y: float) -> float:
        return frame.up((y - low) / ((high - low) or 1.0))

    parts = [
        y_axis(frame, low, high, step, up),
        x_ticks(frame, [(across(x), quantity(x)) for x in sorted({x for x, _ in points})]),
        axis_names(frame, x_label, y_label),
    ]
    drawn = [(name, [(across(x), up(y)) for x, y in line]) for name, line in series.items() if line]
    heights = apart([places[-1][1] for _, places in drawn], 16)
    parts += [_line(name, index, places, heights[index]) for index, (name, places) in enumerate(drawn)]
    return svg(frame, _in_words(series, x_label, y_label), parts, "narrow" if is_narrow else "wide")


def _line(name: str, index: int, places: Sequence[tuple[float, float]], name_y: float) -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places)
    dashes = f' stroke-dasharray="{_DASHES[index % 4]}"' if _DASHES[index % 4] else ""
    return (
        f'<g class="line l{index % 4}"><title>{escaping.html(name)}</title><polyline points="{drawn}"{dashes}/>{dots}'
        f"{name_text(name, places[-1][0] + 11, name_y + 4)}</g>"
    )


def _in_words(series: Mapping[str, Points], x_label: str, y_label: str) -> str:
    ends = "; ".join(
        f"{name}: from {quantity(line[0][1])} at {quantity(line[0][0])} "
        f"to {quantity(line[-1][1])} at {quantity(line[-1][0])}"
        for name, line in series.items() if line
    )  # fmt: skip
    return f"{y_label} over {x_label}. {ends}"
