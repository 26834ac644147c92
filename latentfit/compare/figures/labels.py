"""Names beside what they name: labels at points and at the ends of lines, moved apart so that all can be read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from latentfit.compare.figures.canvas import INK, SOFT, Figure

Floats = NDArray[np.float64]
Rectangle = tuple[float, float, float, float]

NEAR_PT, FAR_PT = 8.0, 48.0  # a label's distance from its point: at best, at most
LINE = 1.25  # height of a line of text over the font's size


def name_points(
    figure: Figure,
    axis: Any,
    at: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    bold: Sequence[bool] = (),
    size_pt: float = 8,
) -> None:
    """Write each point's name beside it, where it covers no other point and no other name; a thin line where it is far.

    Parameters
    ----------
    figure : Figure
    axis : Axes
        With its scales and limits as they stay.
    at : sequence of (float, float)
        Points in the axis's data.
    names : sequence of str
    bold : sequence of bool
        Names that are emphasized, and are placed first; (): none.
    size_pt : float
    """  # fmt: skip
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    places = np.asarray(axis.transData.transform(np.asarray(at, float))) * to_points
    window = axis.get_window_extent()
    frame = tuple(float(side) * to_points for side in (window.x0, window.y0, window.x1, window.y1))
    taken: list[Rectangle] = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    leads = list(bold) or [False] * len(names)
    for index in sorted(range(len(names)), key=lambda one: not leads[one]):
        width, height = _size(names[index], size_pt, leads[index])
        box, moved = _free_place(places[index], (width, height), taken, frame)
        taken.append(box)
        middle = (box[1] + box[3]) / 2 - places[index][1]
        far = moved > 2 * NEAR_PT
        axis.annotate(
            names[index], at[index], (box[0] - places[index][0], middle), textcoords="offset points", va="center",
            fontsize=size_pt, fontweight="bold" if leads[index] else "normal", color=INK if leads[index] else SOFT,
            zorder=5, arrowprops={"arrowstyle": "-", "color": SOFT, "lw": 0.5, "shrinkA": 0, "shrinkB": 3}
            if far else None, annotation_clip=False,
        )  # fmt: skip


def name_ends(
    figure: Figure, axis: Any, ends: Sequence[tuple[float, str, Any]], *, size_pt: float = 8.5, dx_pt: float = 8
) -> None:
    """Write the names of lines at the right of an axis, at the height of their ends, moved apart where they would meet.

    Parameters
    ----------
    figure : Figure
    axis : Axes
        With its scales and limits as they stay.
    ends : sequence of (float, str, colour)
        Height in the axis's data, name, and colour of each line.
    size_pt, dx_pt : float
        Size of the text and its distance from the axis, points.
    """
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    window = axis.get_window_extent()
    low, high = float(window.y0) * to_points, float(window.y1) * to_points
    heights = [float(axis.transData.transform((axis.get_xlim()[1], y))[1]) * to_points for y, _, _ in ends]
    lines = [1 + name.count("\n") for _, name, _ in ends]
    placed = spread(heights, [size_pt * LINE * n for n in lines], low, high)
    for (_, name, colour), height, own in zip(ends, placed, heights, strict=True):
        axis.annotate(
            name, (1, (own - low) / (high - low)), (dx_pt, height - own),
            xycoords="axes fraction", textcoords="offset points", va="center", fontsize=size_pt,
            color=darkened(colour), annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 1, "shrinkB": 1, "relpos": (0, 0.5)},
        )  # fmt: skip


def darkened(colour: Any) -> tuple[float, ...]:
    """A line's colour as its name is written in: dark enough to be read on white."""
    own, ink = (np.asarray(to_rgb(one)) for one in (colour, INK))
    return tuple(float(part) for part in 0.55 * own + 0.45 * ink)


def spread(middles: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of labels, moved as little as it takes to stand apart, in their order, between low and high if they fit.

    Examples
    --------
    >>> spread([5.0, 5.0], [2.0, 2.0], 0.0, 10.0)
    [4.0, 6.0]
    """
    order = sorted(range(len(middles)), key=lambda index: middles[index])
    # blocks of labels that touch: (members, middle of the first as its members would like it)
    blocks: list[tuple[list[int], float]] = []
    for index in order:
        blocks.append(_joined([index], middles, heights, low, high))
        while len(blocks) > 1 and _top(*blocks[-2], heights) > blocks[-1][1] - heights[blocks[-1][0][0]] / 2 + 1e-9:
            blocks[-2:] = [_joined(blocks[-2][0] + blocks[-1][0], middles, heights, low, high)]
    found = [0.0] * len(middles)
    for members, first in blocks:
        place = first - heights[members[0]] / 2
        for index in members:
            found[index] = place + heights[index] / 2
            place += heights[index]
    return found


def _joined(
    members: list[int], middles: Sequence[float], heights: Sequence[float], low: float, high: float
) -> tuple[list[int], float]:
    """A block whose labels touch, where the sum of its members' moves is least, within the limits if it fits."""
    total = sum(heights[index] for index in members)
    offsets = np.cumsum([0.0, *(heights[index] for index in members[:-1])])
    wanted = [middles[index] - heights[index] / 2 - offset for index, offset in zip(members, offsets, strict=True)]
    start = max(low, min(float(np.mean(wanted)), high - total))
    return members, start + heights[members[0]] / 2


def _top(members: list[int], first: float, heights: Sequence[float]) -> float:
    return first - heights[members[0]] / 2 + sum(heights[index] for index in members)


def _size(name: str, size_pt: float, is_bold: bool) -> tuple[float, float]:
    """Width and height of a text, points, near enough to keep others off it."""
    from matplotlib.textpath import TextPath

    lines = name.split("\n")
    width = max(float(TextPath((0, 0), line or " ", size=size_pt).get_extents().width) for line in lines)
    return width * (1.1 if is_bold else 1.0) + 3, size_pt * LINE * len(lines)


def _free_place(
    point: Floats, size: tuple[float, float], taken: Sequence[Rectangle], frame: tuple[float, ...]
) -> tuple[Rectangle, float]:
    """The box nearest to a point that meets nothing and leaves the frame little, and how far it was moved."""
    width, height = size
    best, least = None, np.inf
    for distance in np.arange(NEAR_PT, FAR_PT + 1, 5):
        for angle in np.radians([0, 180, 35, -35, 145, -145, 90, -90]):
            x, y = point[0] + distance * np.cos(angle), point[1] + distance * np.sin(angle)
            left = x if np.cos(angle) > 0.3 else x - width if np.cos(angle) < -0.3 else x - width / 2
            box = (left, y - height / 2, left + width, y + height / 2)
            cost = sum(_overlap(box, other) for other in taken) * 20 + _outside(box, frame) * 10 + distance
            if cost < least:
                best, least, moved = box, cost, float(distance)
    assert best is not None
    return best, moved


def _overlap(one: Rectangle, other: Rectangle) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def _outside(box: Rectangle, frame: tuple[float, ...]) -> float:
    over = max(frame[0] - box[0], 0) + max(box[2] - frame[2], 0)
    return over + max(frame[1] - box[1], 0) + max(box[3] - frame[3], 0)
