"""A notebook with its committed outputs as a page: prose as it is, code highlighted, pictures as files with words."""

import base64
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.site.mathematics import with_equations
from recipes.site.sources import outside_code

IMAGES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/svg+xml": "svg"}
WIDE_PX = 760
"""A picture drawn for screens of two pixels a point is shown at half its size, unless its metadata say its width."""


@dataclass
class NotebookPage:
    """A page and what lies beside it.

    Attributes
    ----------
    markdown : str
    files : dict of str to bytes
        Name, beside the page -> picture.
    raw : dict of str to str
        Mark in the page -> HTML that Markdown must not touch.
    """

    markdown: str
    files: dict[str, bytes] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)


def page_of(path: Path) -> NotebookPage:
    """The page of a notebook."""
    return _Writer(path.stem, json.loads(path.read_text("utf-8"))["cells"]).page()


class _Writer:
    """Writes the cells one after the other, and remembers below which heading it is."""

    def __init__(self, stem: str, cells: list[dict[str, Any]]) -> None:
        self.stem, self.cells = stem, cells
        self.heading = stem
        self.made = NotebookPage("")

    def page(self) -> NotebookPage:
        parts = [part for cell in self.cells for part in self._cell(cell)]
        self.made.markdown = "\n\n".join(part for part in parts if part.strip()) + "\n"
        return self.made

    def _cell(self, cell: dict[str, Any]) -> Iterator[str]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            headings = [line.lstrip("#").strip() for line in outside_code(source) if line.startswith("#")]
            self.heading = headings[-1] if headings else self.heading
            yield with_equations(source)
        elif cell["cell_type"] == "code":
            if source.strip():
                yield code(source, folded=_is_folded(cell))
            for output in cell.get("outputs", []):
                yield from self._output(output)

    def _output(self, output: dict[str, Any]) -> Iterator[str]:
        if output["output_type"] == "stream":
            yield self._raw(f'<pre class="nb-text">{html.escape("".join(output["text"]).rstrip())}</pre>')
            return
        if output["output_type"] == "error":
            raise ValueError(f"{self.stem}.ipynb: a committed output is an error: {output['ename']}")
        data = output["data"]
        for kind, ending in IMAGES.items():
            if kind in data:
                yield self._picture(data[kind], ending, output.get("metadata", {}).get(kind, {}))
                return
        if "text/html" in data:
            yield self._raw(f'<div class="nb-html">{styled_apart("".join(data["text/html"]))}</div>')
        elif "text/markdown" in data:
            yield with_equations("".join(data["text/markdown"]))
        elif "text/plain" in data:
            yield self._raw(f'<pre class="nb-text">{html.escape("".join(data["text/plain"]))}</pre>')

    def _picture(self, data: str | list[str], ending: str, told: dict[str, Any]) -> str:
        text = "".join(data)
        name = f"{self.stem}-{len(self.made.files) + 1}.{ending}"
        self.made.files[name] = text.encode() if ending == "svg" else base64.b64decode(text)
        words = told.get("alt") or f"Output of the code above: {self.heading}"
        size = f' width="{int(told["width"])}"' if "width" in told else ""
        return self._raw(
            f'<figure class="nb-figure"><a href="{name}">'
            f'<img src="{name}" alt="{html.escape(plain(words))}"{size} loading="lazy"></a></figure>'
        )

    def _raw(self, markup: str) -> str:
        mark = f"raw-output-{len(self.made.raw) + 1}"
        self.made.raw[mark] = markup
        return f'<div data-raw="{mark}"></div>'


def with_raw(content: str, raw: dict[str, str]) -> str:
    """A rendered page with its marks replaced by the HTML that they stand for."""
    for mark, markup in raw.items():
        place = f'<div data-raw="{mark}"></div>'
        if content.count(place) != 1:
            raise ValueError(f"{place}: expected once in the page, found {content.count(place)} times")
        content = content.replace(place, markup)
    return content


def code(source: str, *, folded: bool) -> str:
    """A code cell as a fenced block, folded away where the notebook hides it."""
    block = f"```python\n{source.rstrip()}\n```"
    if not folded:
        return block
    return f'<details class="nb-code" markdown="1">\n<summary>Code</summary>\n\n{block}\n\n</details>'


def styled_apart(markup: str) -> str:
    """A data frame's HTML without pandas' scoped style, which would speak for the whole page, and without borders."""
    without = re.sub(r"(?s)<style scoped>.*?</style>", "", markup)
    return without.replace(' border="1"', "").replace(' style="text-align: right;"', "")


def plain(words: str) -> str:
    """Words of Markdown without its marks."""
    return re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", words).strip()


def _is_folded(cell: dict[str, Any]) -> bool:
    metadata = cell.get("metadata", {})
    hidden = metadata.get("jupyter", {}).get("source_hidden", False)
    return bool(hidden) or "hide-input" in metadata.get("tags", [])
