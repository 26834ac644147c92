"""What the site derives from the repository, piece by piece: links, front page, menu, notebooks, equations."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

for module in ("properdocs", "latex2mathml"):
    pytest.importorskip(module, reason="the site is built with the extra 'docs'")

from recipes.site import front_page, hooks  # noqa: E402
from recipes.site.links import Rewriter  # noqa: E402
from recipes.site.mathematics import with_equations  # noqa: E402
from recipes.site.navigation import expanded  # noqa: E402
from recipes.site.notebooks import page_of, with_raw  # noqa: E402
from recipes.site.sources import card_address, pages, title_of  # noqa: E402
from tests.support.paths import ROOT  # noqa: E402

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def rewriter(source: str, address: str) -> Rewriter:
    return Rewriter(source, address, pages(), {})


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("[log](log.md)", "[log](log.md)"),
        ("[log](log.md#a)", "[log](log.md#a)"),
        ("[home](../README.md)", "[home](index.md)"),
        ("[`06`](../notebooks/06_tiny_decoders.ipynb)", "[`06`](notebooks/06_tiny_decoders.md)"),
        ("[cards](../data/models)", "[cards](cards/models.md)"),
        ("[up](../data/models/UPSCALERS.md)", "[up](cards/models-upscalers.md)"),
        ("[code](../latentfit/fit/solver.py)", "code"),
        ("![hero](../figures/hero.webp)", "![hero](figures/hero.webp)"),
        ("[![hero](../figures/hero.webp)](log.md)", "[![hero](figures/hero.webp)](log.md)"),
        ('<img src="../figures/hero.webp" alt="x">', '<img src="figures/hero.webp" alt="x">'),
        ('<a href="log.md">log</a>', '<a href="log.html">log</a>'),
        ("`[no](nowhere.md)`", "`[no](nowhere.md)`"),
        ("```\n[no](nowhere.md)\n```", "```\n[no](nowhere.md)\n```"),
        ("[out](https://example.org/a.md)", "[out](https://example.org/a.md)"),
    ],
)
def test_a_link_of_the_repository_leads_to_the_same_thing_in_the_site(link: str, there: str) -> None:
    one = rewriter("docs/design.md", "design.md")
    assert one.text(link) == there
    assert one.broken == []


def test_links_are_written_from_where_the_page_lies() -> None:
    one = rewriter("notebooks/06_tiny_decoders.ipynb", "notebooks/06_tiny_decoders.md")
    assert one.text("[next](07_palettes.ipynb) [home](../README.md)") == "[next](07_palettes.md) [home](../index.md)"
    assert one.text("![a](../figures/hero.webp)") == "![a](../figures/hero.webp)"
    assert one.pictures == {"figures/hero.webp": "figures/hero.webp"}


def test_a_link_to_nothing_is_told_of_in_a_way_that_strict_builds_fail_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="properdocs"):
        hooks.rewritten("[gone](nowhere.md)", "design.md")
    assert "docs/design.md: links to nowhere.md, which is not there" in caplog.text
    assert hooks.LOG.logger.name.startswith(("properdocs.", "mkdocs."))


def test_the_first_screen_ends_at_the_first_section() -> None:
    readme = "# name\n\nSee.\n\n```sh\n## a comment\n```\n\n## Install\n\nmore\n"
    assert front_page.first_screen(readme) == "See.\n\n```sh\n## a comment\n```\n"
    with pytest.raises(ValueError, match="expected a title"):
        front_page.first_screen("name\n\n## Install\n")
    with pytest.raises(ValueError, match="expected a title"):
        front_page.first_screen("# name\n\nno section\n")
    with pytest.raises(ValueError, match="expected one line"):
        front_page.filled("# name\n")


def test_a_page_that_no_menu_names_enters_it() -> None:
    nav = [{"Home": "index.md"}, {"Guides": ["*"]}, {"Notebooks": ["notebooks/*"]}, {"Project": ["log.md"]}]
    addresses = ["index.md", "log.md", "new.md", "notebooks/00.md"]
    assert expanded(nav, addresses, {"notebooks/00.md": "00 Start"}) == [
        {"Home": "index.md"},
        {"Guides": ["new.md"]},
        {"Notebooks": [{"00 Start": "notebooks/00.md"}]},
        {"Project": ["log.md"]},
    ]


def test_every_page_has_an_address_of_its_own() -> None:
    assert len(set(pages().values())) == len(pages())
    assert title_of("```\n# no\n```\n# `Tables`, *ours*\n") == "Tables, ours"
    assert card_address(ROOT / "data" / "models" / "UPSCALERS.md") == "cards/models-upscalers.md"
    assert card_address(ROOT / "data" / "models" / "README.md") == "cards/models.md"


def notebook(tmp_path: Path, *cells: dict[str, object]) -> Path:
    path = tmp_path / "03_x.ipynb"
    path.write_text(json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "utf-8")
    return path


def code(source: str, *outputs: dict[str, object], **metadata: object) -> dict[str, object]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": metadata}


def test_a_notebook_keeps_its_prose_code_and_outputs(tmp_path: Path) -> None:
    picture = {"image/png": DOT, "text/plain": "<Figure>"}
    told = {"image/png": {"alt": 'two "dots"', "width": 320}}
    made = page_of(
        notebook(
            tmp_path,
            {"cell_type": "markdown", "source": "# A title\n\nIt is $x_0$."},
            code("import torch", jupyter={"source_hidden": True}),
            code("show()", {"output_type": "display_data", "data": picture, "metadata": told}),
            code("1 < 2", {"output_type": "stream", "name": "stdout", "text": ["a < b\n"]}),
            code("frame", {"output_type": "execute_result", "data": {"text/html": '<table border="1"></table>'}}),
        )
    )
    assert "<math" in made.markdown
    assert '<details class="nb-code" markdown="1">' in made.markdown
    assert made.markdown.count("```python") == 4
    assert list(made.files) == ["03_x-1.png"]
    page = with_raw(made.markdown, made.raw)
    assert 'alt="two &quot;dots&quot;" width="320"' in page
    assert '<pre class="nb-text">a &lt; b</pre>' in page
    assert '<div class="nb-html"><table></table></div>' in page


def test_a_picture_without_words_is_named_by_the_heading_above_it(tmp_path: Path) -> None:
    output = {"output_type": "display_data", "data": {"image/png": DOT}, "metadata": {}}
    made = page_of(notebook(tmp_path, {"cell_type": "markdown", "source": "## Seams"}, code("show()", output)))
    assert 'alt="Output of the code above: Seams"' in next(iter(made.raw.values()))


def test_a_committed_error_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        page_of(notebook(tmp_path, code("1 / 0", {"output_type": "error", "ename": "ZeroDivisionError"})))


def test_equations_become_mathml_and_prices_do_not() -> None:
    assert with_equations("$y = A x$").startswith("<math")
    assert 'display="block"' in with_equations("$$\nx^2\n$$")
    assert with_equations("`$x$` costs $5 and $6") == "`$x$` costs $5 and $6"


def test_a_table_scrolls_in_a_box_of_its_own() -> None:
    row = "<tr>" + "<th>a</th>" * 6 + "</tr>"
    page = SimpleNamespace(file=SimpleNamespace(src_uri="design.md"))
    html = hooks.on_page_content(f"<p>x</p><table>{row}</table>", page, None, None)  # type: ignore[arg-type]
    assert html == (
        '<p>x</p><div class="lf-scroll" tabindex="0" role="region" aria-label="Table">'
        f'<table class="lf-wide">{row}</table></div>'
    )
