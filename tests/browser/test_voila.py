"""A widget in Voilà: without JupyterLab, without its code."""

from collections.abc import Callable
from pathlib import Path

from tests.support.browser import SETUP, Watched
from tests.support.jupyter import Lab
from tests.support.seen import (
    drag,
    opened,
    pane_off_by,
    photograph,
    ready,
)

CURTAIN = ".lf-curtain"


def test_voila_serves_a_notebook_without_its_code(lab: Lab, new_page: Callable[..., Watched], shots: Path) -> None:
    left, right = photograph(lab.folder, "a.png", (96, 64)), photograph(lab.folder, "b.png", (96, 64), seed=5)
    lab.write("application", SETUP + 'lf.CompareSlider("a.png", "b.png")')
    watched = new_page()
    watched.page.goto(f"{lab.url}/voila/render/application.ipynb", timeout=120_000)
    watched.page.locator(f"{CURTAIN} canvas").wait_for(timeout=60_000)
    ready(watched.page, CURTAIN)
    watched.page.screenshot(path=shots / "voila.png")
    assert "CompareSlider(" not in watched.page.content()
    drag(watched.page, watched.page.locator(f"{CURTAIN} .lf-pane"), 0.35)
    assert pane_off_by(watched.page, CURTAIN, opened(left), opened(right)) <= 1
    assert [error for error in watched.errors if "latentfit" in error or "anywidget" in error] == []
    assert [url for url in watched.from_elsewhere if "mathjax" not in url] == []  # JupyterLab's server names that one
