"""What each map costs against how near it comes, as SVG: points with their names beside them, and the best line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from latentfit.compare.reports.axes import Frame, axis_names, name_text, name_width, round_range, svg, x_ticks, y_axis
from latentfit.runtime import escaping
from latentfit.runtime.numbers import quantity

FAMILIES = ("closed form", "our network", "others' network", "published table")
"""Kinds of maps, each with a shape and a colour of its own."""

_HIGH, _GAP = 15, 6  # pixels of a name's box, and between two side by side
_AROUND = ((1, 0), (1, -1), (1, 1), (-1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1))  # places of a name beside its point

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class CostPoint:
    """A map in the chart.

    Attributes
    ----------
    name : str
    ms : float
        Milliseconds, above 0.
    score : float
    family : str
        Name in `FAMILIES`.
    """

    name: str
    ms: float
    score: float
    family: str = FAMILIES[0]


def cost_chart(
    points: Sequence[CostPoint], y_label: str, *, more_is_better: bool = True, is_narrow: bool = False
) -> str:
    """Milliseconds on a log axis against a score; better is always up, and a line joins what nothing beats in both.

    Parameters
    ----------
    points : sequence of CostPoint
    y_label : str
    more_is_better : bool
        Whether more of the score is better; otherwise the axis runs downwards.
    is_narrow : bool
        For a phone, or beside another chart: as large letters on half the width.

    Returns
    -------
    str
        ``<svg>…</svg>``, "" without points; all text escaped.
    """
    if not points:
        return ""
    frame = Frame(360, 330, 44, 14, 34, 44) if is_narrow else Frame(720, 400, 48, 20, 34, 44)
    low, high, step = round_range([point.score for point in points])
    left, right = _decades([point.ms for point in points])

    def up(score: float) -> float:
        share = (score - low) / ((high - low) or 1.0)
        return frame.up(share if more_is_better else 1 - share)

    def across(ms: float) -> float:
        return frame.across((math.log10(ms) - left) / (right - left))

    places = [(across(point.ms), up(point.score)) for point in points]
    parts = [
        y_axis(frame, low, high, step, up),
        x_ticks(frame, [(across(ms), quantity(ms)) for ms in _ticks(left, right)]),
        axis_names(frame, "milliseconds a picture, one thread", y_label),
        _best_line(points, places, more_is_better),
        *(_leader_and_mark(point, place) for point, place in zip(points, places, strict=True)),
        *_names(points, places, frame),
    ]
    said = "; ".join(f"{point.name}: {quantity(point.ms)} ms, {quantity(point.score)}" for point in points)
    return svg(frame, f"{y_label} against milliseconds. {said}", parts, "narrow" if is_narrow else "wide")


def legend_html(points: Sequence[CostPoint]) -> str:
    """A legend of which shape is what, for the families that are there; "" when there is one."""
    there = [family for family in FAMILIES if family in {point.family for point in points}]
    if len(there) < 2:
        return ""
    items = "".join(
        f'<li><svg class="chart key" width="18" height="18" aria-hidden="true">{_mark(family, 9, 9)}</svg>'
        f"{escaping.html(family)}</li>"
        for family in there
    )
    return f'<ul class="legend">{items}</ul>'


def _decades(ms: Sequence[float]) -> tuple[float, float]:
    """Both ends of the axis as powers of ten, with a margin."""
    low, high = math.log10(min(ms)), math.log10(max(ms))
    margin = max(0.06 * (high - low), 0.12)
    return low - margin, high + margin


def _ticks(left: float, right: float) -> list[float]:
    """1, 2 and 5 of each decade; of many decades 1 alone."""
    factors = (1, 2, 5) if right - left < 2.5 else (1,)
    decades = range(math.floor(left), math.ceil(right) + 1)
    every = [factor * 10.0**decade for decade in decades for factor in factors]
    return [ms for ms in every if left <= math.log10(ms) <= right]


def best_points(points: Sequence[CostPoint], more_is_better: bool) -> list[int]:
    """Indices of the points that no other beats in both, by rising cost."""
    sign = 1 if more_is_better else -1
    best, found = -math.inf, []
    for index in sorted(range(len(points)), key=lambda one: (points[one].ms, -sign * points[one].score)):
        if sign * points[index].score > best:
            best = sign * points[index].score
            found.append(index)
    return found


def _best_line(points: Sequence[CostPoint], places: Sequence[tuple[float, float]], more_is_better: bool) -> str:
    """A staircase: so good at most for so much time."""
    corners = [places[index] for index in best_points(points, more_is_better)]
    steps = [f"{corners[0][0]:.1f},{corners[0][1]:.1f}"]
    for (_, before), (x, y) in pairwise(corners):
        steps += [f"{x:.1f},{before:.1f}", f"{x:.1f},{y:.1f}"]
    return f'<polyline class="best" points="{" ".join(steps)}"/>' if len(corners) > 1 else ""


def _mark(family: str, x: float, y: float) -> str:
    """The family's shape, about 10 px."""
    kind = FAMILIES.index(family)
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>',
        f'<path d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"/>',
        f'<path d="M{x:.1f} {y - 6.5:.1f}l7 12h-14z"/>',
        f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>',
    )
    return f'<g class="mark l{kind}">{shapes[kind]}</g>'


def _leader_and_mark(point: CostPoint, place: tuple[float, float]) -> str:
    words = escaping.html(f"{point.name}: {quantity(point.ms)} ms, {quantity(point.score)}")
    return f"<g><title>{words}</title>{_mark(point.family, *place)}</g>"


def _names(points: Sequence[CostPoint], places: Sequence[tuple[float, float]], frame: Frame) -> list[str]:
    """Each name beside its point where it covers neither a point nor another name, else farther off with a line."""
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in places]
    parts = []
    for point, place in zip(points, places, strict=True):
        box, anchor, distance = _free_box(place, name_width(point.name), taken, frame)
        taken.append((box[0] - _GAP, box[1], box[2] + _GAP, box[3]))
        x = {"start": box[0], "end": box[2], "middle": (box[0] + box[2]) / 2}[anchor]
        text = name_text(point.name, x, box[3] - 3.5, anchor)
        line = _leader(place, box) if distance > 1 else ""
        parts.append(f'<g class="name l{FAMILIES.index(point.family)}">{line}{text}</g>')
    return parts


def _free_box(place: tuple[float, float], width: float, taken: Sequence[Box], frame: Frame) -> tuple[Box, str, int]:
    """The first box around the point that is free, going outwards; else that which covers least."""
    tried: list[tuple[float, Box, str, int]] = []
    for distance in (1, 2, 3, 4, 5):
        for right, down in _AROUND:
            box, anchor = _box(place, width, right, down, distance)
            inside = frame.left <= box[0] and box[2] <= frame.wide - 2 and box[1] >= 18 and box[3] <= frame.up(0) + 2
            covered = sum(_overlap(box, other) for other in taken) + (0 if inside else 1e6)
            if not covered:
                return box, anchor, distance
            tried.append((covered, box, anchor, distance))
    _, box, anchor, distance = min(tried, key=lambda one: one[0])
    return box, anchor, distance


def _box(place: tuple[float, float], width: float, right: int, down: int, distance: int) -> tuple[Box, str]:
    off = 10 + 13 * (distance - 1)
    x, y = place[0] + right * off, place[1] + down * (off if right == 0 else off - 2)
    start = x if right > 0 else x - width if right < 0 else x - width / 2
    anchor = "start" if right > 0 else "end" if right < 0 else "middle"
    return (start, y - _HIGH / 2, start + width, y + _HIGH / 2), anchor


def _leader(place: tuple[float, float], box: Box) -> str:
    x = min(max(place[0], box[0]), box[2])
    y = min(max(place[1], box[1]), box[3])
    return f'<line class="leader" x1="{place[0]:.1f}" y1="{place[1]:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
