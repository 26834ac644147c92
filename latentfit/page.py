"""One self-contained HTML page: text, tables, pictures and code to copy; no network, no scripts from elsewhere."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1d2330; --soft: #5b6474; --line: #d9dee7; --paper: #fbfcfe; --accent: #0b6e99; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #9aa4b5; --line: #333b49; --paper: #14181f; --accent: #5cc0ea; }
}
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
p.lead { color: var(--soft); max-width: 46rem; margin-top: 0; }
figure { margin: 1rem 0; } figure img { max-width: 100%; border-radius: 6px; background: #fff; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .35rem; max-width: 46rem; }
div.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; overflow: auto; max-height: 22rem;
  font: 13px/1.5 ui-monospace, monospace; }
details { margin: .4rem 0; } summary { cursor: pointer; color: var(--accent); }
"""


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
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{html.escape(lead)}</p>')

    def heading(self, text: str) -> None:
        """A section's heading."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """A paragraph of plain text."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def figure(self, figure: "Figure", caption: str, dpi: int = 110) -> None:
        """A matplotlib figure, embedded as PNG; the caption is its alternative text too."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
        encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
        words = html.escape(caption)
        image = f'<img alt="{words}" src="data:image/png;base64,{encoded}">'
        self._parts.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>")

    def table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Rows of equal keys; floats with at most four significant digits."""
        if not rows:
            return
        head = "".join(f"<th>{html.escape(str(key))}</th>" for key in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>" for row in rows)
        self._parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def code(self, summary: str, code: str, is_open: bool = False) -> None:
        """Code to copy, folded under its summary."""
        state = " open" if is_open else ""
        self._parts.append(
            f"<details{state}><summary>{html.escape(summary)}</summary><pre>{html.escape(code)}</pre></details>"
        )

    def html(self) -> str:
        """The whole page."""
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style>"
        )
        body = "\n".join(self._parts)
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _cell(value: object) -> str:
    """One cell's text: floats short, missing values as a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
