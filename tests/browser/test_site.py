"""The documentation site as it lies on a disk: search, themes, widths."""

import pytest
from playwright.sync_api import Browser

from tests.support.paths import ROOT

SITE = ROOT / "build" / "site"
pytestmark = pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="no site: run `make docs`")
PAGES = ("index", "results", "gallery/decoders", "api/fit", "notebooks/06_tiny_decoders")


@pytest.mark.parametrize("width", [1440, 900, 390])
def test_no_page_is_wider_than_its_window_and_nothing_is_asked_for(browser: Browser, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto((SITE / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert [url for url in asked if url.startswith("http")] == []
    page.close()


def test_search_works_from_disk(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto((SITE / "index.html").as_uri())
    page.click(".md-search__input")
    page.keyboard.type("ChannelMap", delay=30)
    result = page.locator(".md-search-result__link[href*='#latentfit.fit.ChannelMap']")
    result.first.wait_for(timeout=30_000)
    assert "api/fit.html" in str(result.first.get_attribute("href"))
    page.close()


def test_the_line_of_a_split_view_moves_by_key(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto((SITE / "gallery" / "decoders.html").as_uri())
    line = page.locator(".lf-split input").first
    line.focus()
    page.keyboard.press("End")
    assert page.locator(".lf-split").first.evaluate("one => one.style.getPropertyValue('--at')") == "100%"
    page.close()
