"""The page escapes what it is given and holds its pictures itself."""

import matplotlib as mpl

from latentfit.page import Page

mpl.use("Agg")


def test_everything_is_escaped() -> None:
    page = Page("<b>", lead="a & b")
    page.heading("<i>")
    page.text("1 < 2")
    page.code("copy", "x < y")
    page.table([{"<k>": "<v>", "n": 1.23456789, "none": None}])
    text = page.html()
    for raw in ("<b>", "<i>", "1 < 2", "x < y", "<k>", "<v>"):
        assert raw not in text.split("</style>")[1]
    assert "1.235" in text
    assert "–" in text


def test_figures_are_embedded_and_the_page_is_the_same_each_time() -> None:
    from matplotlib.figure import Figure

    def build() -> str:
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([0, 1], [0, 1])
        page = Page("t")
        page.figure(figure, "a line")
        return page.html()

    assert "data:image/png;base64," in build()
    assert build() == build()
    assert "http" not in build()
