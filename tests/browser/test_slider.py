"""CompareSlider in a real JupyterLab: dragged, zoomed, typed at, with pictures of 8 and of 2600 pixels."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import SETUP, Watched
from tests.support.jupyter import Lab
from tests.support.seen import (
    drag,
    fits_the_page,
    opened,
    pane_off_by,
    photograph,
    ready,
    settle,
    state,
)

CURTAIN = ".lf-curtain"


@pytest.fixture(scope="module")
def pictures(lab: Lab) -> dict[str, Path]:
    folder = lab.folder
    return {
        "left": photograph(folder, "left.png", (192, 128)),
        "right": photograph(folder, "right.png", (96, 64), seed=1),
        "tiny": photograph(folder, "tiny.png", (8, 8), seed=2),
        "large": photograph(folder, "large.png", (2600, 1900), seed=3),
    }


@pytest.fixture(scope="module")
def watched(pictures: dict[str, Path], open_notebook: Callable[..., Watched], shots: Path) -> Watched:
    watched = open_notebook("slider", SETUP, 'slider = lf.CompareSlider("left.png", "right.png")\nslider')
    ready(watched.page, CURTAIN)
    watched.page.screenshot(path=shots / "lab_slider.png")
    return watched


def test_on_both_sides_of_the_dragged_curtain_stands_the_right_picture(
    watched: Watched, pictures: dict[str, Path]
) -> None:
    pane = watched.page.locator(f"{CURTAIN} .lf-pane")
    drag(watched.page, pane, 0.25)
    assert state(watched.page, CURTAIN)["position"] == pytest.approx(25, abs=0.5)
    assert pane_off_by(watched.page, CURTAIN, opened(pictures["left"]), opened(pictures["right"])) <= 1
    drag(watched.page, pane, 0.7, from_share=0.25)
    assert pane_off_by(watched.page, CURTAIN, opened(pictures["left"]), opened(pictures["right"])) <= 1


def test_keys_move_it_and_not_the_notebook(watched: Watched) -> None:
    page = watched.page
    page.locator(f"{CURTAIN} .lf-handle").focus()
    page.keyboard.press("0")
    page.keyboard.press("Home")
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert state(page, CURTAIN)["position"] == 11
    fitted = state(page, CURTAIN)["zoom"]
    page.keyboard.press("+")
    assert state(page, CURTAIN)["zoom"] > fitted
    page.keyboard.press("0")
    page.keyboard.press("0")
    assert state(page, CURTAIN)["zoom"] == fitted
    assert page.locator(".jp-Dialog").count() == 0  # 0 0 restarts the kernel, elsewhere in a notebook
    assert page.locator(".jp-CodeCell").count() == 2


def test_the_kernel_knows_and_prints_the_view(watched: Watched) -> None:
    page = watched.page
    page.locator(f"{CURTAIN} .lf-handle").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_role("button", name="Code", exact=True).click()
    page.get_by_text("slider.still(position=10)").wait_for()
    page.get_by_role("button", name="Code", exact=True).click()
    assert watched.errors == []


def test_zoomed_and_panned_both_sides_stay_in_step(
    open_notebook: Callable[..., Watched], pictures: dict[str, Path], shots: Path
) -> None:
    watched = open_notebook("same", SETUP, 'lf.CompareSlider("large.png", "large.png")')
    page = watched.page
    ready(page, CURTAIN)
    assert fits_the_page(page, CURTAIN)
    page.get_by_role("button", name="1:1").click()
    settle(page)
    assert state(page, CURTAIN)["zoom"] == 1
    page.locator(f"{CURTAIN} .lf-handle").focus()
    for key in ("Alt+ArrowRight", "Alt+ArrowDown", "Alt+ArrowDown"):
        page.keyboard.press(key)
    now = state(page, CURTAIN)
    assert now["x"] > 0.5
    assert now["y"] > 0.5
    large = opened(pictures["large"])
    for key in ("Home", "End"):  # all of it the right picture, then all of it the left one
        page.keyboard.press(key)
        assert pane_off_by(page, CURTAIN, large, large) == 0
    page.screenshot(path=shots / "lab_slider_large.png")
    assert watched.errors == []


def test_a_picture_of_eight_pixels_on_a_display_of_two_pixels_a_point(
    open_notebook: Callable[..., Watched], pictures: dict[str, Path], shots: Path
) -> None:
    code = 'lf.CompareSlider("tiny.png", "tiny.png", labels=("", ""))'
    watched = open_notebook("tiny", SETUP, code, device_scale_factor=2)
    ready(watched.page, CURTAIN)
    watched.page.screenshot(path=shots / "lab_slider_tiny_2x.png")
    tiny = opened(pictures["tiny"])
    assert pane_off_by(watched.page, CURTAIN, tiny, tiny) == 0
    assert watched.errors == []


def test_it_takes_the_colours_of_a_dark_theme(watched: Watched, pictures: dict[str, Path], shots: Path) -> None:
    page = watched.page
    page.bring_to_front()
    take_theme(page, "JupyterLab Dark")
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "lab_slider_dark.png")
    assert pane_off_by(page, CURTAIN, opened(pictures["left"]), opened(pictures["right"])) <= 1
    assert brightness(page.locator(f"{CURTAIN} .lf-readout").evaluate("(e) => getComputedStyle(e).color")) > 0.5
    button = page.locator(f"{CURTAIN} .lf-button").first
    assert brightness(button.evaluate("(e) => getComputedStyle(e).color")) > 0.5
    assert brightness(button.evaluate("(e) => getComputedStyle(e).backgroundColor")) < 0.4
    take_theme(page, "JupyterLab Light")
    page.locator('body[data-jp-theme-light="true"]').wait_for(state="attached")
    assert watched.errors == []


def take_theme(page: Any, name: str) -> None:
    """By the menu; the next notebooks open in it, too."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    items = page.locator(".lm-Menu-itemLabel")
    items.get_by_text("Theme", exact=True).hover()
    items.get_by_text(name, exact=True).click()


def brightness(colour: str) -> float:
    """Of "rgb(…)" or "color(srgb …)", in [0, 1]."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]
    return sum(numbers) / 3 / (1 if colour.startswith("color") else 255)
