"""The page escapes what it is given, holds its pictures itself, and draws what the numbers say."""

import base64
import hashlib
import html
import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from latentfit.compare.reports import (
    FAMILIES,
    Card,
    CostPoint,
    Link,
    Page,
    Tile,
    cost_chart,
    line_chart,
)
from latentfit.runtime import file_size, quantity, signed

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
    page.pictures([Tile(NASTY, NASTY, PNG, mark=NASTY), Tile(NASTY, NASTY, NASTY)], (2, 3), NASTY, NASTY)
    page.cards([Card(*[NASTY] * 6, Link(NASTY, "tables/a b#?.py"), NASTY, NASTY, NASTY)])
    page.costs([CostPoint(NASTY, 1, 2), CostPoint("b", 2, 3, FAMILIES[1])], NASTY)
    page.facts({NASTY: NASTY})
    page.callout(NASTY, [NASTY])
    page.chart({NASTY: [(1, 2), (2, 3)]}, NASTY, NASTY)
    page.code(NASTY, NASTY)
    page.table([{NASTY: NASTY, "n": 1.23456789, "none": None, "nan": float("nan")}], left=(NASTY,), fold=NASTY)
    text = page.html()
    assert NASTY not in text
    assert not re.search(r"<b [^>]*onload|\"x\">", text)
    assert text.count("&lt;b onload=&quot;x&quot;&gt;&amp;&#x27;&lt;/b&gt;") >= 30
    assert "1.235" in text
    assert text.count("<td>–</td>") == 2
    assert 'href="./tables/a%20b%23%3F.py"' in text


def test_figures_are_embedded_and_the_page_is_the_same_each_time() -> None:
    from matplotlib.figure import Figure

    def build() -> str:
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([0, 1], [0, 1])
        page = Page("t")
        page.figure(figure, "a line")
        page.pictures([Tile("a", "", PNG), Tile("b", "", PNG)], (1, 1))
        page.chart({"a": [(1, 1), (2, 2)]}, "x", "y")
        return page.html()

    text = build()
    assert text.count("data:image/png;base64,") == 3
    assert text == build()
    assert not re.search(r"https?:|<link|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize(("n_tiles", "n_across"), [(1, 1), (4, 4), (5, 5), (7, 4), (8, 4), (11, 4)])
def test_pictures_share_rows_of_equal_length_at_one_size(n_tiles: int, n_across: int) -> None:
    page = Page("t")
    tiles = [Tile(str(index), "caption", PNG, is_truth=index == 1) for index in range(n_tiles)]
    page.pictures(tiles, (30, 40), "a picture", "held out")
    text = body(page)
    assert f'class="grid across{n_across}"' in text
    assert text.count('width="40" height="30"') == text.count("<figure") == n_tiles
    assert text.count('class="tile truth"') == (n_tiles > 1)
    assert 'alt="a picture: 0"' in text


def test_dots_stand_where_their_numbers_are_on_a_labelled_axis() -> None:
    page = Page("t")
    rows = [{"form": "a", "dB": 20.0}, {"form": "b", "dB": 18.5}, {"form": "c", "dB": 18.0}, {"form": "d", "dB": None}]
    page.table(rows, dot="dB")
    left, right, *_ = (float(end) for end in re.search(r'x1="([\d.]+)" x2="([\d.]+)"', body(page)).groups())
    places = [float(place) for place in re.findall(r'<circle cx="([\d.]+)"', body(page))]
    assert places == pytest.approx([right, left + 0.25 * (right - left), left])
    assert '<span class="ends"><span>18</span><span>20</span></span>' in body(page)
    assert "<td>–</td>" in body(page)


def test_a_link_leads_to_a_file_beside_the_page_and_nowhere_else() -> None:
    page = Page("t")
    page.table([{"for": "a", "files": [Link("one", "tables/javascript:x.py"), Link("two", "b.csv")]}])
    assert re.findall(r'href="([^"]*)"', body(page)) == ["./tables/javascript%3Ax.py", "./b.csv"]
    for path in ("/etc/x", "../x", "a/../../x"):
        with pytest.raises(ValueError, match="within the page's folder"):
            Link("x", path)


def test_the_policy_names_the_pages_own_style_and_scripts_alone() -> None:
    page = Page("t")
    page.widget("curtain", {"a": [1]})
    text = page.html()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    inner = re.findall(r"<(style|script)(?: type=\"module\")?>(.*?)</\1>", text, re.DOTALL)
    assert [kind for kind, _ in inner] == ["style", "script", "script"]
    for _, content in inner:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert policy.count("sha256-") == 3
    assert (
        policy.count("unsafe") == policy.count("style-src-attr 'unsafe-inline'") == 1
    )  # where the widgets place things
    assert "unsafe" not in Page("t").html()
    assert not re.search(r"<[^>]+\sstyle=", text.split("<main>")[1].split("</main>")[0])


def test_the_page_says_how_large_it_is() -> None:
    page = Page("t")
    page.pictures([Tile("a", "", b"\x89PNG" + bytes(900_000))], (1, 1))
    said = re.search(r"One file of about ([\d.,]+ \w+)", page.html())
    assert said
    assert said[1] == file_size(len(page.html().encode()))


@pytest.mark.parametrize("power", range(-5, 9))
def test_numbers_have_no_exponent_and_lose_nothing_that_counts(power: int) -> None:
    for value in (1.2345678 * 10.0**power, -9.8765432 * 10.0**power):
        text = quantity(value)
        assert re.fullmatch(r"−?\d{1,3}(,\d{3})*(\.\d+)?", text), text
        assert float(text.replace(",", "").replace("−", "-")) == pytest.approx(value, rel=0.005)
        assert signed(value, 6)[0] == ("+" if value > 0 else "−")
    assert (quantity(float("nan")), quantity(0.0), signed(-0.04)) == ("–", "0", "0.0")


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


def test_what_costs_less_and_comes_nearer_stands_up_and_to_the_left() -> None:
    points = [CostPoint("slow", 10, 3.0), CostPoint("fast", 1, 5.0), CostPoint("bad", 10, 6.0, FAMILIES[3])]
    root = ElementTree.fromstring(cost_chart(points, "ΔE", more_is_better=False))
    slow, fast = ((float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter("circle"))
    (bad,) = ((float(one.attrib["x"]), float(one.attrib["y"])) for one in root.iter("rect"))
    assert fast[0] < slow[0] == pytest.approx(bad[0] + 5)
    assert slow[1] < fast[1] < bad[1] + 5  # less is better, and better is up
    (line,) = root.iter("polyline")
    assert line.attrib["points"].split()[0] == f"{fast[0]:.1f},{fast[1]:.1f}"
    assert line.attrib["points"].split()[-1] == f"{slow[0]:.1f},{slow[1]:.1f}"
    words = [element.text for element in root.iter("text")]
    assert {"slow", "fast", "bad", "1", "10", "ΔE"} <= set(words)


@pytest.mark.parametrize("is_narrow", [False, True])
def test_no_name_of_a_crowd_covers_another(is_narrow: bool) -> None:
    points = [CostPoint(f"a map of number {index}", 1 + 0.02 * index, 20 + 0.1 * (index % 3)) for index in range(12)]
    root = ElementTree.fromstring(cost_chart(points, "dB", is_narrow=is_narrow))
    boxes = []
    for text in (text for text in root.iter("text") if text.text and text.text.startswith("a map")):
        x, y, wide = float(text.attrib["x"]), float(text.attrib["y"]), 7.3 * len(text.text or "")
        start = x - {"start": 0, "middle": wide / 2, "end": wide}[text.attrib["text-anchor"]]
        boxes.append((start, y - 10, start + wide, y))
    assert len(boxes) == 12
    for index, (left, top, right, foot) in enumerate(boxes):
        others = boxes[:index]
        assert not any(min(right, b[2]) > max(left, b[0]) and min(foot, b[3]) > max(top, b[1]) for b in others)


def test_lines_that_end_together_have_names_apart() -> None:
    root = drawn({"one": [(1, 10), (2, 12.0)], "two": [(1, 9), (2, 12.05)], "three": [(1, 8), (2, 11.95)]})
    heights = sorted(float(text.attrib["y"]) for text in root.iter("text") if text.text in ("one", "two", "three"))
    assert min(high - low for low, high in pairwise(heights)) >= 15
