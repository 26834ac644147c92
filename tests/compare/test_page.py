"""The page escapes what it is given, holds its pictures itself, and draws what the numbers say."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from latentfit.compare.reports import Page, line_chart

mpl.use("Agg")

PNG = b"\x89PNG\r\n\x1a\n"
NASTY = '<b onload="x">&\'</b>'


def body(page: Page) -> str:
    return page.html().split("</style>")[1]


def test_everything_is_escaped() -> None:
    page = Page(NASTY, lead=NASTY)
    page.heading(NASTY)
    page.text(NASTY)
    page.callout(NASTY)
    page.pictures([(NASTY, NASTY, PNG)], strong=(NASTY,))
    page.chart({NASTY: [(1, 2), (2, 3)]}, NASTY, NASTY)
    page.code(NASTY, NASTY)
    page.table([{NASTY: NASTY, "n": 1.23456789, "none": None, "nan": float("nan")}], left=(NASTY,), fold=NASTY)
    text = page.html()
    assert NASTY not in text
    assert not re.search(r"<b [^>]*onload|\"x\">", text)
    assert text.count("&lt;b onload=&quot;x&quot;&gt;&amp;&#x27;&lt;/b&gt;") >= 14
    assert "1.235" in text
    assert text.count("<td>–</td>") == 2


def test_figures_are_embedded_and_the_page_is_the_same_each_time() -> None:
    from matplotlib.figure import Figure

    def build() -> str:
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([0, 1], [0, 1])
        page = Page("t")
        page.figure(figure, "a line")
        page.pictures([("a", "", PNG), ("b", "", PNG)])
        page.chart({"a": [(1, 1), (2, 2)]}, "x", "y")
        return page.html()

    text = build()
    assert text.count("data:image/png;base64,") == 3
    assert text == build()
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_pictures_share_one_row_at_one_size() -> None:
    page = Page("t")
    page.pictures([(str(index), "caption", PNG) for index in range(7)], strong=("1",))
    text = body(page)
    assert 'class="row" style="--n:7"' in text
    assert text.count("<figure") == 7
    assert text.count('class="reference"') == 1


def test_bars_grow_with_their_numbers() -> None:
    page = Page("t")
    page.table([{"form": "a", "dB": 20.0}, {"form": "b", "dB": 18.0}, {"form": "c", "dB": None}], bar="dB")
    widths = [float(width) for width in re.findall(r'<i style="width:([\d.]+)%"', body(page))]
    assert len(widths) == 2
    assert widths[0] == 100
    assert 0 < widths[1] < widths[0]


def test_an_empty_table_leaves_nothing() -> None:
    page = Page("t")
    before = page.html()
    page.table([])
    assert page.html() == before


def drawn(series: dict[str, list[tuple[float, float]]]) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(series, "pictures", "dB"))


def test_the_chart_puts_points_where_their_numbers_are() -> None:
    root = drawn({"low": [(1, 10), (2, 12), (4, 14)], "high": [(1, 20), (4, 20)]})
    lines = [
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in root.iter("polyline")
    ]
    (first, middle, last), (left, right) = lines
    assert first[0] == left[0]
    assert last[0] == right[0]
    assert middle[0] == pytest.approx((first[0] + last[0]) / 2)  # x doubles from tick to tick
    assert first[1] > middle[1] > last[1] > left[1] == right[1]  # up is more
    assert middle[1] == pytest.approx((first[1] + last[1]) / 2, abs=0.1)
    words = [element.text for element in root.iter("text")]
    assert {"1", "2", "4", "low", "high", "pictures", "dB"} <= set(words)
    ticks = {text for text in words if text and re.fullmatch(r"[\d.]+", text)} - {"1", "2", "4"}
    assert {"10", "20"} <= ticks


@pytest.mark.parametrize("points", [[(1.0, 5.0)], [(8.0, 5.0), (16.0, 5.0)], [(1.0, -0.001), (3.0, 0.001)]])
def test_charts_of_next_to_nothing(points: list[tuple[float, float]]) -> None:
    (line,) = drawn({"one": points}).iter("polyline")
    for point in line.attrib["points"].split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= 720
        assert 0 <= y <= 300


def test_no_points_no_chart() -> None:
    assert line_chart({}, "x", "y") == ""
