"""What the charts of a page share: a frame of pixels, round ticks, grid lines, and names that keep off each other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latentfit.runtime import escaping
from latentfit.runtime.numbers import quantity

LETTER_PX = 7.3  # of the charts' bold letters, about, so that names are given room before they are drawn
MOST_LETTERS = 34  # of a name in a chart; all of it is in its tooltip


@dataclass(frozen=True)
class Frame:
    """A drawing of so many pixels, and the margins around what is plotted.

    Attributes
    ----------
    wide, high : float
    left, right, top, bottom : float
        Margins.
    """

    wide: float
    high: float
    left: float
    right: float
    top: float
    bottom: float

    def across(self, share: float) -> float:
        """0 and 1 are the ends of the x axis."""
        return self.left + share * (self.wide - self.left - self.right)

    def up(self, share: float) -> float:
        """0 is the foot, 1 the head of the y axis."""
        return self.high - self.bottom - share * (self.high - self.top - self.bottom)


def round_step(extent: float, n_ticks: int = 5) -> float:
    """A round distance of about so many ticks: 1, 2 or 5 times a power of ten."""
    rough = extent / n_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough - 1e-12)


def round_range(values: Sequence[float]) -> tuple[float, float, float]:
    """The round numbers around all values, and the distance of their ticks."""
    low, high = min(values), max(values)
    step = round_step((high - low) or 1.0)
    return math.floor(low / step) * step, math.ceil(high / step + 1e-9) * step, step


def y_axis(frame: Frame, low: float, high: float, step: float, up: Callable[[float], float]) -> str:
    """A grid line and its number for each tick; `up` places a value."""
    parts = []
    for index in range(round((high - low) / step) + 1):
        value = low + index * step
        y = up(value)
        parts.append(f'<line x1="{frame.across(0):.1f}" x2="{frame.across(1):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{frame.left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{quantity(value, 4)}</text>')
    return "".join(parts)


def x_ticks(frame: Frame, ticks: Sequence[tuple[float, str]]) -> str:
    """Numbers beneath the x axis: (x in pixels, text), without those that would touch the one before."""
    parts, free = [], -math.inf
    for x, text in ticks:
        half = 4 * len(text)
        if x - half >= free:
            parts.append(
                f'<text x="{x:.1f}" y="{frame.high - frame.bottom + 18:.1f}" text-anchor="middle">{text}</text>'
            )
            free = x + half + 4
    return "".join(parts)


def axis_names(frame: Frame, x_label: str, y_label: str) -> str:
    """x beneath, y above the axis, where it is read without turning the head."""
    x, y = frame.across(0.5), frame.high - 6
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escaping.html(x_label)}</text>'
        f'<text x="8" y="14">{escaping.html(y_label)}</text>'
    )


def name_text(name: str, x: float, y: float, anchor: str = "start") -> str:
    """A name in a chart, shortened where it is long."""
    text = name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escaping.html(text)}</text>'


def name_width(name: str) -> float:
    """Pixels that a name takes in a chart, about."""
    return LETTER_PX * min(len(name), MOST_LETTERS)


def apart(places: Sequence[float], least: float) -> list[float]:
    """The places, in their order, moved as little as is simple until neighbours are `least` apart."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [places[index] for index in order]
    for _ in range(len(moved)):
        for one in range(len(moved) - 1):
            lack = least - (moved[one + 1] - moved[one])
            if lack > 1e-9:
                moved[one], moved[one + 1] = moved[one] - lack / 2, moved[one + 1] + lack / 2
    found = [0.0] * len(places)
    for index, place in zip(order, moved, strict=True):
        found[index] = place
    return found


def svg(frame: Frame, words: str, parts: Sequence[str], kind: str) -> str:
    """The whole drawing, with what it shows in words."""
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {frame.wide:g} {frame.high:g}" role="img" '
        f'aria-label="{escaping.html(words)}">{"".join(parts)}</svg>'
    )
