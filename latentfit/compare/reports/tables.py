"""Tables of a page: words to the left, numbers to the right, a dot on an axis for one of them, links to files."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from latentfit.runtime import escaping
from latentfit.runtime.numbers import MINUS, quantity

AXIS_PX = 96  # of the axis beside a number


@dataclass(frozen=True)
class Link:
    """A file beside the page.

    Attributes
    ----------
    text : str
    path : str
        Relative to the page's folder, with slashes: what leads out of it is refused.
    """

    text: str
    path: str

    def __post_init__(self) -> None:
        if self.path.startswith("/") or ".." in self.path.split("/"):
            raise ValueError(f"Link: expected a path within the page's folder, got {self.path!r}")

    def html(self) -> str:
        """The element; nothing in the path is a scheme or a query."""
        return f'<a href="./{quote(self.path.encode("utf-8", "surrogatepass"))}">{escaping.html(self.text)}</a>'


def table_html(rows: Sequence[Mapping[str, object]], name: str, dot: str = "", left: Collection[str] = ()) -> str:
    """A table of rows of equal keys; what is wider than its place scrolls there, not the page.

    Parameters
    ----------
    rows : sequence of mapping
        One or more; of text, whole numbers, floats (four significant digits), None (a dash), a `Link` or several.
    name : str
        What it is a table of, for those who hear the page.
    dot : str
        A column of numbers that also stand as dots on one axis, from the round number below all to that above.
    left : collection of str
        Columns of words, aligned left; the first is always.
    """
    first = next(iter(rows[0]))
    words = {first, *left}
    span = _span([row.get(dot) for row in rows])
    head = "".join(
        f'<th scope="col"{_side(key in words)}>{escaping.html(key)}{_axis_ends(span) if key == dot else ""}</th>'
        for key in rows[0]
    )
    body = ""
    for row in rows:
        cells = (
            f'<th scope="row" class="left">{_cell(value)}</th>' if key == first
            else f"<td{_side(key in words)}>{_dot(value, span) if key == dot else _cell(value)}</td>"
            for key, value in row.items()
        )  # fmt: skip
        body += f"<tr>{''.join(cells)}</tr>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escaping.html(name)}">{table}</div>'


def _side(is_left: bool) -> str:
    return ' class="left"' if is_left else ""


def _cell(value: object) -> str:
    """One cell: floats short, missing values as a dash, links as links."""
    if value is None:
        return "–"
    if isinstance(value, Link):
        return value.html()
    if isinstance(value, float):
        return quantity(value, 4)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(f'<span class="whole">{_cell(part)}</span>' for part in value) or "–"
    return escaping.html(str(value))


def _number(value: object) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def _span(column: Sequence[object]) -> tuple[float, float]:
    """The whole numbers around all; of equal ones, one apart."""
    values = [number for value in column if (number := _number(value)) is not None]
    low, high = (math.floor(min(values)), math.ceil(max(values))) if values else (0, 1)
    return (low, high) if high > low else (low - 1, low + 1)


def _axis_ends(span: tuple[float, float]) -> str:
    """What the ends of the dots' axis are, as its label in the head."""
    low, high = (f"{end:g}".replace("-", MINUS) for end in span)
    return f'<span class="ends"><span>{low}</span><span>{high}</span></span>'


def _dot(value: object, span: tuple[float, float]) -> str:
    """A number with its place on the axis; what is no number, as it is."""
    number = _number(value)
    if number is None:
        return _cell(value)
    at = 4 + (number - span[0]) / (span[1] - span[0]) * (AXIS_PX - 8)
    drawn = (
        f'<svg class="dot" width="{AXIS_PX}" height="12" aria-hidden="true">'
        f'<line x1="4" x2="{AXIS_PX - 4}" y1="6" y2="6"/><circle cx="{at:.1f}" cy="6" r="4"/></svg>'
    )
    return drawn + f"{number:.2f}".replace("-", MINUS)
