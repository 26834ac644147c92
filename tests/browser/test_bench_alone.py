"""The workbench in a page without kernel: grid, error read-out, badges, and whom the wheel and a finger belong to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from latentfit.compare.widgets import pixels_of, without_bytes
from latentfit.images import delta_e2000, rgb_to_lab
from tests.support.browser import Watched
from tests.support.seen import levels, settle

N_PX = 64
START = """
const data = DATA;
window.handle = mount(document.querySelector("main"), "workbench", data);
document.body.append(Object.assign(document.createElement("div"), { style: "height:3000px" }));
"""
PANE = ".lf-pane"
AT_REST = """new Promise((done) => {
  let last;
  const look = () => (scrollY === last ? done(true) : ((last = scrollY), setTimeout(look, 200)));
  look();
})"""


def picture(seed: int) -> torch.Tensor:
    """Large shapes and grain, (3, H, W) in [0, 1], of whole 8-bit levels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 4, generator=generator)
    large = torch.nn.functional.interpolate(coarse, (N_PX, N_PX), mode="bilinear")[0]
    grain = 0.05 * torch.randn(3, N_PX, N_PX, generator=generator)
    return (255 * (large + grain).clamp(0, 1)).round() / 255


SIDES = {name: picture(seed) for seed, name in enumerate(("one", "two", "three", "four", "five", "six", "the VAE"))}


def raw(name: str) -> dict[str, Any]:
    scores = {"psnr": 20.5, "delta_e": 4.25, "ms": 1.5} if name != "the VAE" else {"ms": 99.0}
    return {**without_bytes(pixels_of(SIDES[name])), "scores": scores}


@pytest.fixture
def opened(open_alone: Callable[..., Watched]) -> Callable[..., Watched]:
    """The page with a workbench of two pictures; settings as its data has them."""

    def begin(page: dict[str, Any] | None = None, **options: Any) -> Watched:
        sides = {name: raw(name) for name in SIDES}
        plain = {"sigma": 0, "gain": 1, "sides": sides}
        standings = dict.fromkeys(SIDES, "held_out") | {"two": "fitted_on", "three": None}
        pictures = [
            {"name": "held/a", "thumb": sides["one"], "standing": "held_out", "standings": standings, "views": [plain]},
            {"name": "fitted/b", "thumb": sides["two"], "standing": "fitted_on", "views": [plain]},
        ]
        data = {"pictures": pictures, "sides": list(SIDES), "reference": "the VAE", **(page or {})}
        watched = open_alone(START.replace("DATA", json.dumps(data)), **options)
        watched.page.evaluate("handle.ready.then(() => true)")
        settle(watched.page)
        return watched

    return begin


def state(watched: Watched) -> dict[str, Any]:
    found: dict[str, Any] = watched.page.evaluate("handle.state()")
    return found


def press(watched: Watched, name: str) -> None:
    watched.page.get_by_role("button", name=name, exact=True).click()
    settle(watched.page)


def painted(watched: Watched, nth: int) -> np.ndarray:
    """Levels of a pane of the grid, as it is on its canvas."""
    pixels, size = (
        watched.page.locator(f".lf-panes {PANE} canvas")
        .nth(nth)
        .evaluate("(e) => [[...e.getContext('2d').getImageData(0, 0, e.width, e.height).data], [e.height, e.width]]")
    )
    return np.reshape(np.array(pixels, np.uint8), (*size, 4))[..., :3]


def test_the_grid_shows_each_decoder_with_its_scores_eight_pixels_apart(
    opened: Callable[..., Watched], shots: Path
) -> None:
    watched = opened({"grid": ["one", "two", "the VAE"], "height": 4 * N_PX})
    press(watched, "Grid")
    page = watched.page
    page.screenshot(path=shots / "alone_grid.png")
    names = page.locator(".lf-caption .lf-name").all_inner_texts()
    assert names == ["one", "two", "the VAE"]
    for at, name in enumerate(names):
        shown = painted(watched, at)
        assert np.array_equal(shown, levels(SIDES[name]).repeat(4, 0).repeat(4, 1)), name
    captions = page.locator(".lf-caption").all_inner_texts()
    assert all(words in captions[0] for words in ("20.5 dB", "4.3", "1.5 ms", "held out"))
    assert "fitted on this" in captions[1]
    assert "the reference" in captions[2]
    boxes = [page.locator(f".lf-panes {PANE}").nth(at).bounding_box() for at in range(3)]
    assert [boxes[at + 1]["x"] - boxes[at]["x"] - boxes[at]["width"] for at in range(2)] == pytest.approx([8, 8])
    assert watched.errors == []


def test_panes_of_the_grid_are_zoomed_and_panned_in_step(opened: Callable[..., Watched]) -> None:
    watched = opened({"layout": "grid", "grid": ["one", "two"]})
    page = watched.page
    second = page.locator(f".lf-panes {PANE}").nth(1)
    second.click()
    for _ in range(30):
        page.keyboard.press("+")
    settle(page)
    assert state(watched)["zoom"] == 32
    page.keyboard.press("ArrowRight")
    settle(page)
    corner = [painted(watched, at)[0, 0] for at in range(2)]
    column, row = page.evaluate("(() => { return handle.grid.panes[0].pixelAt(0, 0); })()")
    for at, name in enumerate(("one", "two")):
        assert np.array_equal(corner[at], levels(SIDES[name])[row, column])
    assert column > 0


def test_at_most_six_go_into_the_grid_and_at_least_one_stays(opened: Callable[..., Watched]) -> None:
    watched = opened({"layout": "grid"})
    page = watched.page
    assert state(watched)["grid"] == ["the VAE", "one", "two", "three", "four", "five"]
    six = page.get_by_role("checkbox", name="six")
    assert six.is_disabled()
    for name in ("one", "two", "three", "four", "five"):
        page.get_by_role("checkbox", name=name).uncheck()
    assert page.get_by_role("checkbox", name="the VAE").is_disabled()
    six.check()
    assert state(watched)["grid"] == ["the VAE", "six"]
    assert page.locator(f".lf-panes {PANE}").count() == 2


def test_blink_shows_two_in_turns_and_a_key_holds_the_reference(opened: Callable[..., Watched]) -> None:
    watched = opened({"left": "one", "right": "two"})
    page = watched.page
    press(watched, "Blink")
    seen = set()
    for _ in range(40):
        seen.add(page.locator(".lf-left .lf-tag").first.inner_text())
        page.wait_for_timeout(60)
    assert seen == {"one", "two"}
    press(watched, "Split view")
    page.locator(".lf-handle").focus()
    page.keyboard.down("v")
    settle(page)
    assert page.locator(".lf-left .lf-tag").first.inner_text() == "the VAE"
    assert page.locator(".lf-handle").evaluate("(e) => getComputedStyle(e).opacity") == "0"
    page.keyboard.up("v")
    settle(page)
    assert page.locator(".lf-left .lf-tag").first.inner_text() == "one"
    assert page.locator(".lf-handle").evaluate("(e) => getComputedStyle(e).opacity") == "1"
    page.keyboard.press("ArrowRight")  # the focus is where it was
    assert state(watched)["position"] == 51


@pytest.mark.parametrize(
    ("mode", "words"), [("Lightness error", "ΔL* "), ("Colour error ΔE", "ΔE "), ("Difference ×4", "")]
)
def test_the_error_under_the_pointer_is_read_out(opened: Callable[..., Watched], mode: str, words: str) -> None:
    watched = opened({"left": "one", "right": "two"})
    page = watched.page
    press(watched, mode)
    assert page.get_by_label("exposure").is_disabled()
    box = page.locator(PANE).first.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    settle(page)
    said = page.locator(".lf-readout").inner_text().replace("−", "-")
    column, row = (int(said.split(axis)[1].split()[0]) for axis in ("x ", "y "))
    assert (column, row) == (int(0.3 * N_PX), int(0.6 * N_PX))
    truth = SIDES["the VAE"][None]
    values = page.locator(".lf-readout .lf-value b").all_inner_texts()
    for name, value in zip(("one", "two"), values, strict=True):
        shown = SIDES[name][None]
        if mode == "Difference ×4":
            expected = (255 * (shown - truth))[0, :, row, column].round().int().tolist()
            assert [int(each) for each in value.replace("−", "-").split()] == expected
            continue
        error = (
            delta_e2000(shown, truth)[0] if mode == "Colour error ΔE" else (rgb_to_lab(shown) - rgb_to_lab(truth))[0, 0]
        )
        assert value.startswith(words)
        assert float(value.removeprefix(words).replace("−", "-")) == pytest.approx(float(error[row, column]), abs=0.06)
    assert page.locator(".lf-marks u").count() == (2)
    assert page.locator(".lf-histogram path").count() == 2


def test_auto_fits_the_colours_and_reset_takes_all_back(opened: Callable[..., Watched]) -> None:
    watched = opened({"left": "one", "right": "the VAE", "exposure": 1.0})
    page = watched.page
    press(watched, "Colour error ΔE")
    assert state(watched)["limit"] == 30
    press(watched, "auto")
    errors = delta_e2000(SIDES["one"][None], SIDES["the VAE"][None]).flatten().numpy()
    rounds = (1, 2, 3, 5, 10, 15, 20, 30, 50, 100)
    assert state(watched)["limit"] == next(each for each in rounds if each >= np.quantile(errors, 0.995))
    assert page.locator(".lf-ticks span").last.inner_text() == f"{state(watched)['limit']}"
    press(watched, "Reset")
    now = state(watched)
    assert (now["mode"], now["scale"], now["exposure"]) == ("picture", "fixed", 0)
    assert page.locator(".lf-legend").is_hidden()


def test_every_tile_and_score_tells_what_was_fitted_on(opened: Callable[..., Watched]) -> None:
    watched = opened({"left": "one", "right": "two"})
    page = watched.page
    assert page.locator(".lf-tile .lf-badge").all_inner_texts() == ["held out", "fitted on this"]
    left, right = (page.locator(f".lf-choice-{side} .lf-badge") for side in ("left", "right"))
    assert (left.inner_text(), right.inner_text()) == ("held out", "fitted on this")
    page.get_by_label("left picture").select_option("three")
    settle(page)
    assert left.count() == 0  # nobody knows
    groups = page.get_by_label("left picture").locator("optgroup")
    assert groups.first.get_attribute("label") == "VAE (reference)"
    assert groups.first.locator("option").all_inner_texts() == ["the VAE"]


def test_scores_are_copied_and_the_view_is_saved(opened: Callable[..., Watched], tmp_path: Path) -> None:
    watched = opened({"layout": "grid", "grid": ["one", "two"]})
    page = watched.page
    with page.expect_download() as download:
        press(watched, "Save PNG")
    download.value.save_as(tmp_path / "view.png")
    saved = np.asarray(Image.open(tmp_path / "view.png").convert("RGB")).astype(int)
    one, two = (painted(watched, at) for at in range(2))
    high, wide = one.shape[:2]
    top = next(y for y in range(saved.shape[0]) if np.array_equal(saved[y, 8 : 8 + wide], one[0]))
    assert np.array_equal(saved[top : top + high, 8 : 8 + wide], one)
    assert np.array_equal(saved[top : top + high, 16 + wide : 16 + 2 * wide], two)
    press(watched, "Copy scores")
    said = page.locator(".lf-code").first.text_content()
    assert "| one | 20.50 | 4.25 | 1.5 | held out |" in said
    assert "| two | 20.50 | 4.25 | 1.5 | fitted on this |" in said
    page.locator(PANE).first.press("?")
    assert page.get_by_text("hold: the VAE everywhere").is_visible()
    assert watched.errors == []


def test_the_wheel_scrolls_the_page_until_it_is_asked_to_zoom(opened: Callable[..., Watched], shots: Path) -> None:
    watched = opened()
    page = watched.page
    box = page.locator(PANE).first.bounding_box()
    middle = (box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    fitted = state(watched)["zoom"]
    page.mouse.move(*middle)
    page.mouse.wheel(0, 60)
    page.wait_for_function("scrollY > 0")
    assert state(watched)["zoom"] == fitted
    assert page.locator(".lf-hinting").count() == 1
    page.wait_for_timeout(300)
    page.screenshot(path=shots / "alone_wheel_hint.png")
    page.mouse.wheel(0, -200)
    page.wait_for_function("scrollY === 0")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function("(fitted) => handle.state().zoom > fitted", arg=fitted)
    assert page.evaluate("scrollY") == 0
    press(watched, "Reset")
    page.mouse.click(*middle)
    page.mouse.wheel(0, -120)
    page.wait_for_function("(fitted) => handle.state().zoom > fitted", arg=fitted)
    page.keyboard.press("Escape")
    zoom = state(watched)["zoom"]
    page.mouse.wheel(0, 80)
    page.wait_for_function("scrollY > 0")
    assert state(watched)["zoom"] == zoom


def swipe(watched: Watched, *fingers: list[tuple[float, float]]) -> None:
    """Fingers from place to place, all at once, as a touch screen has them."""
    session = watched.page.context.new_cdp_session(watched.page)

    def touch(kind: str, points: list[tuple[float, float]]) -> None:
        listed = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": listed})
        watched.page.wait_for_timeout(16)

    touch("touchStart", [finger[0] for finger in fingers])
    for at in range(1, len(fingers[0])):
        touch("touchMove", [finger[at] for finger in fingers])
    touch("touchEnd", [])
    settle(watched.page)


def along(start: tuple[float, float], end: tuple[float, float], n: int = 12) -> list[tuple[float, float]]:
    return [tuple(a + (b - a) * at / n for a, b in zip(start, end, strict=True)) for at in range(n + 1)]  # type: ignore[misc]


def test_a_finger_scrolls_or_moves_the_line_and_two_zoom(opened: Callable[..., Watched], shots: Path) -> None:
    watched = opened(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = watched.page
    page.screenshot(path=shots / "alone_phone.png")
    box = page.locator(PANE).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 0.7 * box["height"]
    swipe(watched, along((x, y), (x + 15, y - 150)))
    page.wait_for_function("scrollY > 60")
    assert state(watched)["position"] == 50

    page.evaluate(AT_REST)  # it rolls out
    page.evaluate("scrollTo(0, 0)")
    settle(page)
    swipe(watched, along((x, y), (x - 100, y + 12)))
    assert state(watched)["position"] == pytest.approx(50 - 100 * 100 / box["width"], abs=2)
    assert page.evaluate("scrollY") == 0
    fitted, position = state(watched)["zoom"], state(watched)["position"]
    swipe(watched, along((x - 20, y), (x - 120, y)), along((x + 20, y), (x + 120, y)))
    assert state(watched)["zoom"] > 2 * fitted
    assert state(watched)["position"] == position
    assert page.evaluate("visualViewport.scale") == 1
    assert watched.errors == []


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (1000, 500), (390, 800)])
def test_it_uses_the_width_it_has_and_leaves_room_for_the_page(
    opened: Callable[..., Watched], width: int, height: int
) -> None:
    watched = opened(viewport={"width": width, "height": height})
    page = watched.page
    box = page.locator(PANE).first.bounding_box()
    assert box["height"] <= 0.82 * height + 1
    bench = page.locator(".lf-bench").bounding_box()
    room = bench["width"] - (300 if bench["width"] >= 700 else 0)
    assert box["width"] >= 0.93 * min(room, 0.82 * height) - 1  # square pictures
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
