"""One self-contained HTML page: text, tables, pictures, widgets, code to copy; no network, nothing from elsewhere."""

import base64
import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from latentfit.compare.reports.cards import Card, cards_html, code_html, copy_button
from latentfit.compare.reports.chart import Points, line_chart
from latentfit.compare.reports.cost_points import CostPoint, cost_chart, legend_html
from latentfit.compare.reports.embedding import data_block, slot, widget_code, widget_style
from latentfit.compare.reports.grid import Tile, data_url, grid_html
from latentfit.compare.reports.tables import table_html
from latentfit.runtime import escaping
from latentfit.runtime.numbers import file_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Page:
    """A page that is built from top to bottom.

    It asks for nothing but itself: its policy (a ``Content-Security-Policy`` in its head) names its own style and
    scripts by their hashes and lets no other run, so that nothing that was written into it by mistake ever would.

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
        self._section, self._n_codes = title, 0
        self._tables: dict[str, int] = {}
        if lead:
            self._parts.append(f'<p class="lead">{escaping.html(lead)}</p>')

    def heading(self, text: str) -> None:
        """Add a section's heading."""
        self._section = text
        self._parts.append(f"<h2>{escaping.html(text)}</h2>")

    def text(self, text: str, is_soft: bool = False, alone_on: Literal["", "screen", "paper"] = "") -> None:
        """A paragraph; `is_soft` for what is read last, `alone_on` for what tells of the screen or of paper."""
        kinds = " ".join(filter(None, ("soft" if is_soft else "", alone_on)))
        self._parts.append(
            f'<p class="{kinds}">{escaping.html(text)}</p>' if kinds else f"<p>{escaping.html(text)}</p>"
        )

    def callout(self, text: str, points: Sequence[str] = ()) -> None:
        """A sentence that is to be seen first, with a list of points beneath it or none."""
        if not points:
            self._parts.append(f'<p class="callout">{escaping.html(text)}</p>')
            return
        items = "".join(f"<li>{escaping.html(point)}</li>" for point in points)
        self._parts.append(f'<div class="callout"><p>{escaping.html(text)}</p><ul>{items}</ul></div>')

    def cards(self, cards: Sequence[Card]) -> None:
        """What to take, a card a program; a text that stands on the page with a card's mark can be copied from it."""
        self._parts.append(cards_html(cards))

    def pictures(self, tiles: Sequence[Tile], size_px: tuple[int, int], title: str = "", note: str = "") -> None:
        """Single pictures in one row at one size, which wraps where the window is narrow; each can be enlarged.

        Parameters
        ----------
        tiles : sequence of Tile
            The truth first.
        size_px : tuple of int
            Height and width of the truth.
        title, note : str
            What picture it is, and what is to be known of it.
        """
        self._parts.append(grid_html(title, note, tiles, size_px))

    def figure(self, figure: "Figure", caption: str, dpi: int = 110) -> None:
        """Add a matplotlib figure, embedded as PNG; the caption is its alternative text too."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
        words = escaping.html(caption)
        image = f'<img alt="{words}" src="{data_url(buffer.getvalue())}">'
        self._parts.append(f'<figure class="plain">{image}<figcaption>{words}</figcaption></figure>')

    def chart(self, series: Mapping[str, Points], x_label: str, y_label: str) -> None:
        """Add lines over an axis that doubles from tick to tick; drawn anew for a narrow window, letters as large."""
        drawn = [line_chart(series, x_label, y_label, is_narrow=is_narrow) for is_narrow in (False, True)]
        self._parts.append(f'<div class="both">{"".join(drawn)}</div>' if drawn[0] else "")

    def costs(self, points: Sequence[CostPoint], y_label: str, *, more_is_better: bool = True) -> None:
        """Add milliseconds against a score, large, with a legend; in a narrow window drawn anew."""
        drawn = [
            cost_chart(points, y_label, more_is_better=more_is_better, is_narrow=is_narrow)
            for is_narrow in (False, True)
        ]
        self._parts.append(f'<div class="both">{"".join(drawn)}</div>{legend_html(points)}' if points else "")

    def costs_beside(self, charts: Sequence[tuple[Sequence[CostPoint], str, bool]]) -> None:
        """Small charts side by side: points, label of y, whether more is better."""
        drawn = [cost_chart(one, label, more_is_better=more, is_narrow=True) for one, label, more in charts]
        self._parts.append(f'<div class="side">{"".join(drawn)}</div>' if drawn else "")

    def table(
        self, rows: Sequence[Mapping[str, object]], dot: str = "", left: Collection[str] = (), fold: str = ""
    ) -> None:
        """Add rows of equal keys, as `table_html` takes them, or nothing.

        Parameters
        ----------
        rows : sequence of mapping
        dot : str
            A column of numbers that also stand as dots on one axis.
        left : collection of str
            Columns of words, aligned left; the first is always.
        fold : str
            Fold the table under this summary.
        """
        if not rows:
            return
        name = fold or f"{self._section}: {next(iter(rows[0]))}"
        self._tables[name] = self._tables.get(name, 0) + 1
        of_this_name = f" ({self._tables[name]})" if self._tables[name] > 1 else ""
        table = table_html(rows, f"{name}{of_this_name}", dot, left)
        self._parts.append(f"<details><summary>{escaping.html(fold)}</summary>{table}</details>" if fold else table)

    def facts(self, facts: Mapping[str, str]) -> None:
        """Add names and what they are, a line each."""
        items = "".join(f"<dt>{escaping.html(key)}</dt><dd>{escaping.html(value)}</dd>" for key, value in facts.items())
        self._parts.append(f'<dl class="facts">{items}</dl>')

    def code(self, summary: str, code: str, is_open: bool = False, mark: str = "") -> None:
        """Add code to copy, folded under its summary; `mark` is its id, for cards that refer to it."""
        self._n_codes += 1
        mark = mark or f"code-{self._n_codes}"
        folded = code_html(mark, summary, code, is_open)
        self._parts.append(f'<div class="codeline">{folded}{copy_button(mark, summary)}</div>')

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
            JSON-able, as the module's head explains it; a ``src`` of "#mark" is that of the picture with this mark.
        shared : mapping of str to str or None
            Key of the data -> name given to `share`.
        fold : str
            Fold it under this summary.
        """
        name = f"data-{len(self._blocks)}"
        self._blocks.append(data_block(name, data))
        place = slot(kind, name, shared or {})
        folded = f'<details class="screen"><summary>{escaping.html(fold)}</summary>{place}</details>'
        self._parts.append(folded if fold else place)

    def html(self) -> str:
        """Return the whole page; its foot says how large it is."""
        style = _own("page.css")
        if self._blocks:
            style = f"{style}\n{widget_style()}"
        style = f"\n{style}"
        scripts = {"": f"\n{_own('page.js')}", **({' type="module"': widget_code()} if self._blocks else {})}
        head = (
            f'<meta charset="utf-8">{_policy(style, list(scripts.values()), bool(self._blocks))}'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escaping.html(self.title)}</title><style>{style}</style>"
        )
        content = "\n".join(["<main>", *self._parts, "</main>"])
        code = "\n".join([*self._blocks, *(f"<script{kind}>{text}</script>" for kind, text in scripts.items())])
        n_bytes = len(f"{head}{content}{code}".encode())
        but = ", but for the small ones to choose by," if self._blocks else ""
        foot = (
            f"<footer><p>One file of about {file_size(n_bytes)}, which needs no network and asks for none. Its "
            f"pictures{but} are kept without loss.</p></footer>"
        )
        body = "\n".join([content, foot, code])
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _own(name: str) -> str:
    """A text file of this folder."""
    return (files("latentfit.compare.reports") / name).read_text("utf-8")


def _policy(style: str, scripts: Sequence[str], has_widgets: bool) -> str:
    """What the page may load: its own style and scripts, known by their hashes, and pictures that are in it.

    Widgets place what they draw by attributes ``style``, which can load nothing but such pictures either.
    """
    allowed = " ".join(map(_source_of, scripts))
    attributes = "style-src-attr 'unsafe-inline'; " if has_widgets else ""
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {_source_of(style)}; {attributes}img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'


def _source_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
