"""One self-contained HTML page: text, tables, pictures, widgets, code to copy; no network, nothing from elsewhere."""

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from latentfit.compare.reports.chart import Points, line_chart
from latentfit.compare.reports.embedding import data_block, slot, widget_script, widget_style
from latentfit.runtime import escaping

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Page:
    """A page that is built from top to bottom.

    Examples
    --------
    >>> page = Page("Tables for a VAE")
    >>> page.text("Nothing yet.")
    >>> page.html().startswith("<!doctype html>")
    True
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self._parts = [f"<h1>{escaping.html(title)}</h1>"]
        self._blocks: list[str] = []
        if lead:
            self._parts.append(f'<p class="lead">{escaping.html(lead)}</p>')

    def heading(self, text: str) -> None:
        """Add a section's heading."""
        self._parts.append(f"<h2>{escaping.html(text)}</h2>")

    def text(self, text: str, is_soft: bool = False) -> None:
        """Add a paragraph of plain text; `is_soft` for what is read last."""
        kind = ' class="soft"' if is_soft else ""
        self._parts.append(f"<p{kind}>{escaping.html(text)}</p>")

    def callout(self, text: str) -> None:
        """Add a sentence that is to be seen first."""
        self._parts.append(f'<p class="callout">{escaping.html(text)}</p>')

    def pictures(self, pictures: Sequence[tuple[str, str, bytes]], strong: Collection[str] = ()) -> None:
        """Add PNGs in one row at one size, which wraps only where the window is narrow.

        Parameters
        ----------
        pictures : sequence of (name, caption, PNG)
        strong : collection of str
            Names to set apart: the references.
        """
        cells = []
        for name, caption, png in pictures:
            kind = ' class="reference"' if name in strong else ""
            picture = f'<img alt="{escaping.html(name)}" src="{_embedded(png)}">'
            words = f"<b>{escaping.html(name)}</b><span>{escaping.html(caption)}</span>"
            cells.append(f"<figure{kind}>{picture}<figcaption>{words}</figcaption></figure>")
        self._parts.append(f'<div class="row" style="--n:{len(cells)}">{"".join(cells)}</div>')

    def figure(self, figure: "Figure", caption: str, dpi: int = 110) -> None:
        """Add a matplotlib figure, embedded as PNG; the caption is its alternative text too."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
        words = escaping.html(caption)
        image = f'<img alt="{words}" src="{_embedded(buffer.getvalue())}">'
        self._parts.append(f'<figure class="plain">{image}<figcaption>{words}</figcaption></figure>')

    def chart(self, series: Mapping[str, Points], x_label: str, y_label: str) -> None:
        """Add lines over an axis that doubles from tick to tick."""
        self._parts.append(line_chart(series, x_label, y_label))

    def table(
        self, rows: Sequence[Mapping[str, object]], bar: str = "", left: Collection[str] = (), fold: str = ""
    ) -> None:
        """Add a table of rows with equal keys; floats with at most four significant digits.

        Parameters
        ----------
        rows : sequence of mapping
        bar : str
            A column of numbers that is drawn as bars too, from a little below its smallest.
        left : collection of str
            Columns of words, aligned left; the first is always.
        fold : str
            Fold the table under this summary.
        """
        if not rows:
            return
        words = {next(iter(rows[0])), *left}
        head = "".join(f"<th{_side(key in words)}>{escaping.html(key)}</th>" for key in rows[0])
        bars = _bars([row.get(bar) for row in rows])
        body = ""
        for row, drawn in zip(rows, bars, strict=True):
            cells = (
                f"<td{_side(key in words)}>{drawn if key == bar else _cell(value)}</td>" for key, value in row.items()
            )
            body += f"<tr>{''.join(cells)}</tr>"
        table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        self._parts.append(f"<details><summary>{escaping.html(fold)}</summary>{table}</details>" if fold else table)

    def code(self, summary: str, code: str, is_open: bool = False) -> None:
        """Add code to copy, folded under its summary."""
        state = " open" if is_open else ""
        self._parts.append(
            f"<details{state}><summary>{escaping.html(summary)}</summary><pre>{escaping.html(code)}</pre></details>"
        )

    def share(self, name: str, value: object) -> None:
        """Add data, JSON-able, that several widgets show, by a name."""
        self._blocks.append(data_block(name, value))

    def widget(
        self, kind: str, data: Mapping[str, object], shared: Mapping[str, str] | None = None, fold: str = ""
    ) -> None:
        """Add a widget of ``compare/widgets.js``; a folded one is drawn when it is unfolded.

        Parameters
        ----------
        kind : str
            "curtain", "workbench", "table_editor" or "step_scrubber".
        data : mapping
            JSON-able, as the module's head explains it.
        shared : mapping of str to str or None
            Key of the data -> name given to `share`.
        fold : str
            Fold it under this summary.
        """
        name = f"data-{len(self._blocks)}"
        self._blocks.append(data_block(name, data))
        place = slot(kind, name, shared or {})
        self._parts.append(f"<details><summary>{escaping.html(fold)}</summary>{place}</details>" if fold else place)

    def html(self) -> str:
        """Return the whole page as HTML."""
        style = (files("latentfit.compare.reports") / "page.css").read_text("utf-8")
        if self._blocks:
            style = f"{style}\n{widget_style()}"
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escaping.html(self.title)}</title><style>\n{style}</style>"
        )
        body = "\n".join([*self._parts, *self._blocks, *([widget_script()] if self._blocks else [])])
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _side(is_left: bool) -> str:
    return ' class="left"' if is_left else ""


def _bars(column: Sequence[object]) -> list[str]:
    """Numbers with a bar each, from a little below the smallest; what is no number, as it is."""
    values = [value for value in column if isinstance(value, float) and value == value]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    cells = []
    for value in column:
        if isinstance(value, float) and value == value:
            share = 0.12 + 0.88 * ((value - low) / (high - low) if high > low else 1.0)
            cells.append(f'<i class="bar"><i style="width:{share:.1%}"></i></i>{value:.2f}')
        else:
            cells.append(_cell(value))
    return cells


def _cell(value: object) -> str:
    """One cell's text: floats short, missing values as a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else escaping.html(str(value))
