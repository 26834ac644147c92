"""Text of others in figures, bars and lines of the terminal: shown as it is, and obeyed by nothing."""

import html.parser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latentfit as lf
from latentfit import runtime as escaping
from latentfit.cli import say
from latentfit.compare.reports import Page, line_chart
from tests.support.fake_vae import FakeVae

EVIL = "\"'><script>EVIL()</script><b onclick=EVIL()>&amp;"


class Read(html.parser.HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_figures_caption_is_text_and_its_alternative() -> None:
    from matplotlib.figure import Figure

    page = Page("title")
    page.figure(Figure((0.2, 0.2)), EVIL, dpi=20)
    read = Read(page.html())
    assert read.tags.count("script") == 1  # the page's own
    assert "b" not in read.tags
    assert ("alt", EVIL) in read.attributes
    assert EVIL in read.text


def test_a_column_of_bars_may_hold_words() -> None:
    page = Page("title")
    page.table([{"name": "a", EVIL: 1.5}, {"name": "b", EVIL: EVIL}, {"name": "c", EVIL: 2.5}], dot=EVIL)
    read = Read(page.html())
    assert read.tags.count("script") == 1  # the page's own
    assert "b" not in read.tags
    assert read.text.count(EVIL) == 2  # the column's head, and the cell
    assert "1.50" in read.text


def test_a_charts_names_are_text() -> None:
    read = Read(line_chart({EVIL: [(1.0, 2.0), (2.0, 3.0)]}, f"x {EVIL}", f"y {EVIL}"))
    assert not {"script", "b"} & set(read.tags)
    assert all(part in read.text for part in (EVIL, f"x {EVIL}", f"y {EVIL}"))


TERMINAL, SHOWN = "a\x1b[31m\tb\x07\u202ec\x9b", "a[U+001B][31m\tb[U+0007][U+202E]c[U+009B]"


def test_lines_keep_breaks_and_tabs_and_show_the_rest() -> None:
    assert escaping.lines(f"{TERMINAL}\n{TERMINAL}") == f"{SHOWN}\n{SHOWN}"
    assert escaping.lines("plain, ü → 漢\n\tmore") == "plain, ü → 漢\n\tmore"


def test_commands_say_it_so(capsys: pytest.CaptureFixture[str]) -> None:
    say("one", TERMINAL, 2)
    assert capsys.readouterr().out == f"one {SHOWN} 2\n"


def test_names_of_pictures_are_shown_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "\x1b[2Jevil\x07.png").write_bytes(b"no picture")
    Image.fromarray(np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)).save(tmp_path / "in" / "good.png")
    lf.collect(FakeVae(), tmp_path / "in", tmp_path / "out", size=32, progress=False)
    said = capsys.readouterr().out
    assert "[U+001B][2Jevil[U+0007].png" in said
    assert not {"\x1b", "\x07"} & set(said)
