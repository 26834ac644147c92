"""Line charts as SVG that takes the page's colours, light or dark."""

import math
from collections.abc import Callable, Mapping, Sequence

from latentfit.runtime import escaping

_WIDE, _HIGH = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 110, 14, 44
_DASHES = ("", "7 4", "2 4", "9 3 2 3")

Points = Sequence[tuple[float, float]]


def line_chart(series: Mapping[str, Points], x_label: str, y_label: str) -> str:
    """A line for each series, named at its right end; x doubles from tick to tick.

    Parameters
    ----------
    series : mapping of str to sequence of (x, y)
        x above 0.
    x_label, y_label : str

    Returns
    -------
    str
        ``<svg>…</svg>``; all text escaped.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    low, high = min(y for _, y in points), max(y for _, y in points)
    step = _step((high - low) or 1.0)
    low, high = math.floor(low / step) * step, math.ceil(high / step + 1e-9) * step
    left, right = math.log2(min(x for x, _ in points)), math.log2(max(x for x, _ in points))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log2(x) - left) / ((right - left) or 1.0)
        return (
            _LEFT + across * (_WIDE - _LEFT - _RIGHT),
            _TOP + (high - y) / ((high - low) or 1.0) * (_HIGH - _TOP - _BOTTOM),
        )

    parts = [_y_axis(low, high, step, place(2**left, low)[0], lambda y: place(2**left, y)[1])]
    for x in sorted({x for x, _ in points}):
        across = place(x, low)[0]
        parts.append(f'<text x="{across:.1f}" y="{_HIGH - _BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HIGH - 6}" text-anchor="middle">{escaping.html(x_label)}</text>')
    parts.append(
        f'<text transform="translate(14 {(_TOP + _HIGH - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escaping.html(y_label)}</text>"
    )
    parts += [
        _line(name, index, [place(*point) for point in line]) for index, (name, line) in enumerate(series.items())
    ]
    words = escaping.html(f"{y_label} over {x_label}: {', '.join(series)}")
    return f'<svg class="chart" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{words}">{"".join(parts)}</svg>'


def _line(name: str, index: int, places: Sequence[tuple[float, float]]) -> str:
    if not places:
        return ""
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places)
    x, y = places[-1]
    return (
        f'<g class="line l{index % 4}"><polyline points="{drawn}" stroke-dasharray="{_DASHES[index % 4]}"/>{dots}'
        f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">{escaping.html(name)}</text></g>'
    )


def _y_axis(low: float, high: float, step: float, left: float, place: Callable[[float], float]) -> str:
    parts = []
    for index in range(round((high - low) / step) + 1):
        value = low + index * step
        y = place(value)
        parts.append(f'<line x1="{left:.1f}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    return "".join(parts)


def _step(extent: float) -> float:
    """A round distance of about five ticks: 1, 2 or 5 times a power of ten."""
    rough = extent / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough - 1e-12)
