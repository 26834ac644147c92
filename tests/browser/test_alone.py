"""The widgets' module by itself, in a page with a kernel of our own making."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from latentfit.compare.figures import SURROUND, under_curtain
from latentfit.compare.widgets import pixels_of, without_bytes
from latentfit.images import linear_to_srgb, srgb_to_linear
from latentfit.scores import as_seen
from tests.support.browser import Watched
from tests.support.seen import levels, settle

# a kernel of our own: `posted` is what it was told, `say` what it says
LIVE = """
Object.assign(window, { posted: [], now: {} });
let hear = null;
const model = {
  get: (name) => ({ kind: window.kind, page: window.page, now: window.now })[name],
  on: (name, each) => name === "msg:custom" && (hear = each),
  off() {}, send: (message) => posted.push(message),
};
window.start = (kind, page) => {
  Object.assign(window, { kind, page });
  render({ model, el: document.querySelector("main") });
  window.handle = document.querySelector("main").latentfit;
};
window.startAlone = (kind, page) => (window.handle = mount(document.querySelector("main"), kind, page));
window.say = (message) => hear(message, []);
"""
MOUNT = """
const sides = ["a", "b"], thumb = { pixels: "AAAA", width: 1, height: 1 };
window.asked = [];
const live = { newest: (type, payload) => asked.push([type, payload]), file() {} };
const data = { pictures: [{ name: "p", thumb }], sides, reference: "b", live };
window.handle = mount(document.querySelector("main"), "workbench", data);
"""
# the grid of a curtain that is shown 1:1, as it is on the canvas
PAINTED = """(() => {
  const { canvas, grid: [wide, high] } = handle.pane;
  const [x, y] = [canvas.width - wide, canvas.height - high].map((beside) => beside >> 1);
  return [high, wide, [...canvas.getContext("2d").getImageData(x, y, wide, high).data]];
})()"""
ENLARGED = """([rgb, width, height, ...size]) => {
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, at) => rgb[3 * (at >> 2) + (at & 3)] ?? 255);
  return [...enlarge({ data, width, height }, ...size)];
}"""
PIXEL = {"pixels": "AAAA", "width": 1, "height": 1, "scores": {"psnr": 20.0, "delta_e": 1.0, "ms": 1.0}}


def raw(picture: torch.Tensor) -> dict[str, Any]:
    """A picture as the page takes it, without a kernel."""
    shown: dict[str, Any] = without_bytes(pixels_of(picture))
    return shown


def start(watched: Watched, kind: str, data: dict[str, Any], how: str = "start") -> None:
    watched.page.evaluate(f"([kind, data]) => {{ {how}(kind, data); }}", [kind, data])
    watched.page.evaluate("handle.ready.then(() => true)")
    settle(watched.page)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("left", "right"), [((40, 40), (24, 60)), ((64, 20), (30, 30)), ((60, 64), (60, 63))])
def test_pictures_of_two_shapes_are_the_figures(
    open_alone: Callable[[str], Watched], left: tuple[int, int], right: tuple[int, int], smooth: bool
) -> None:
    generator = torch.Generator().manual_seed(2)
    pictures = [torch.rand(3, *size, generator=generator) for size in (left, right)]
    seen = [torch.from_numpy(levels(one) / 255).permute(2, 0, 1) for one in pictures]
    watched = open_alone(LIVE)
    start(watched, "curtain", {"left": raw(pictures[0]), "right": raw(pictures[1]), "height": 64, "smooth": smooth})
    page = watched.page
    page.evaluate("handle.pane.zoomTo(1)")
    settle(page)
    high, wide, painted = page.evaluate(PAINTED)
    shown = np.reshape(painted, (high, wide, 4))
    expected = levels(under_curtain(*seen, smooth=smooth)).astype(int)
    there = shown[..., 3] == 255
    assert np.array_equal(there, (expected != round(255 * SURROUND)).any(-1))
    assert np.abs(shown[..., :3] - expected)[there].max() <= (1 if smooth else 0)
    assert watched.errors == []


def test_a_picture_that_shrinks_is_antialiased_as_torch_does(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE + "window.enlarge = enlarge;")
    picture = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(3))
    for high, wide in ((16, 20), (40, 20), (13, 50), (80, 33), (7, 90), (80, 100), (1, 1)):
        made = watched.page.evaluate(ENLARGED, [levels(picture).ravel().tolist(), 50, 40, wide, high])
        seen = as_seen(torch.from_numpy(levels(picture) / 255).permute(2, 0, 1)[None], (high, wide))[0]
        assert np.abs(np.reshape(made, (high, wide, 4))[..., :3] - levels(seen).astype(int)).max() <= 1


def test_exposure_is_the_figures(open_alone: Callable[[str], Watched]) -> None:
    generator = torch.Generator().manual_seed(1)
    small, large = torch.rand(3, 4, 6, generator=generator), torch.rand(3, 32, 48, generator=generator)
    sides = {"small": raw(small), "large": raw(large)}
    views = [{"sigma": 0, "gain": 1, "sides": sides}]
    pictures = [{"name": "p", "thumb": raw(small), "views": views}]
    data = {"pictures": pictures, "sides": list(sides), "reference": "large"}
    watched = open_alone(LIVE)
    start(watched, "workbench", {**data, "exposure": 1.5}, "startAlone")
    painted = watched.page.evaluate("[...handle.pane.left.onGrid(48, 32).rgba.data]")
    shown = np.reshape(painted, (32, 48, 4))[..., :3]
    seen = as_seen(torch.from_numpy(levels(small) / 255).permute(2, 0, 1)[None], (32, 48))[0]
    expected = levels(linear_to_srgb(srgb_to_linear(seen) * 2**1.5))
    assert np.abs(shown - expected).max() <= 3  # of 8-bit levels that are made brighter
    assert watched.errors == []


def test_code_knows_what_was_dragged_while_the_kernel_was_busy(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE)
    picture = raw(torch.rand(3, 8, 8))
    start(watched, "curtain", {"left": picture, "right": picture})
    page = watched.page
    page.get_by_role("button", name="Code", exact=True).click()
    for position in (10, 20, 30):
        page.evaluate("(position) => handle.pane.moveTo(position)", position)
    posted = page.evaluate("posted")
    assert posted[-1]["type"] == "code"
    assert next(each["position"] for each in reversed(posted) if each["type"] == "look") == 30


def test_a_page_begins_with_what_was_set_before_it_opened(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE + "window.now = { position: 20 };")
    picture = raw(torch.rand(3, 8, 8))
    start(watched, "curtain", {"left": picture, "right": picture, "position": 50})
    assert watched.page.evaluate("handle.state().position") == 20


def test_scrubber_tells_of_a_step_that_it_has_and_reasons_take_no_more_room(
    open_alone: Callable[[str], Watched],
) -> None:
    watched = open_alone(LIVE)
    picture, reason = raw(torch.rand(3, 8, 32)), {"reason": "of another space"}
    steps = [{"index": at, "timestep": None, "sigma": None, "ms": None} for at in range(2)]
    start(watched, "step_scrubber", {"names": ["a", "b"], "steps": steps, "position": 1})
    page = watched.page
    for at in range(2):
        page.evaluate("(part) => say({ type: 'update', part })", {"at": at, "pictures": {"a": picture, "b": reason}})
    settle(page)
    first, second = (page.locator(".lf-pane").nth(at).bounding_box() for at in range(2))
    assert (first["width"], first["height"]) == (second["width"], second["height"])
    for message in page.evaluate("posted"):
        page.evaluate("(seq) => say({ type: 'heard', seq })", message["seq"])
    page.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    step = {"type": "step", "seq": 0, "position": 0, "known": True}
    assert page.evaluate("posted.at(-1)") | {"seq": 0} == {**step, "smooth": True}
    page.evaluate("say({ type: 'heard', seq: posted.at(-1).seq })")
    small = {"a": raw(torch.rand(3, 4, 16)), "b": picture}
    page.evaluate("(part) => say({ type: 'update', part })", {"at": 0, "pictures": small})
    page.get_by_role("button", name="Smooth").click()
    assert page.evaluate("posted.at(-1)") | {"seq": 0} == {**step, "smooth": False}
    assert watched.errors == []


def test_a_refused_drop_is_seen_beside_many_pictures(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE)
    thumb = raw(torch.rand(3, 8, 8))
    pictures = [{"name": f"{at}.png", "thumb": thumb} for at in range(40)]
    start(watched, "workbench", {"pictures": pictures, "sides": ["a"], "reference": None, "drops": True})
    page = watched.page
    page.evaluate("say({ type: 'update', part: { note: 'torn.png: a damaged picture', failed: true } })")
    strip, refusal = (page.locator(name).bounding_box() for name in (".lf-strip", ".lf-failed"))
    assert refusal["x"] + refusal["width"] <= strip["x"] + strip["width"] + 1
    page.evaluate("handle.update({ view: { picture: 39 } })")
    settle(page)
    chosen = page.locator(".lf-tile[aria-selected='true']").bounding_box()
    assert strip["x"] <= chosen["x"] <= chosen["x"] + chosen["width"] <= refusal["x"] + 1
    assert watched.errors == []


def test_the_drop_tile_leaves_no_patch_on_the_page(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE)
    thumb = raw(torch.rand(3, 8, 8))
    pictures = [{"name": f"{at}.png", "thumb": thumb} for at in range(40)]
    start(watched, "workbench", {"pictures": pictures, "sides": ["a"], "reference": None, "drops": True})
    page = watched.page
    page.evaluate("document.body.style.background = 'rgb(60 20 20)'")
    tile, strip = (page.locator(name).bounding_box() for name in (".lf-drop", ".lf-strip"))
    below = {"x": tile["x"], "y": tile["y"] + tile["height"] + 2, "width": tile["width"], "height": 14}
    assert below["y"] + below["height"] <= strip["y"] + strip["height"]
    window = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=below))).convert("RGB"))
    assert np.unique(window.reshape(-1, 3), axis=0).tolist() == [[60, 20, 20]]


def test_arrow_keys_choose_among_the_pictures(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE)
    one = raw(torch.rand(3, 8, 8))
    views = [{"sigma": 0, "gain": 1, "sides": {"a": one}}]
    pictures = [{"name": f"{at}.png", "thumb": one, "views": views} for at in range(30)]
    start(watched, "workbench", {"pictures": pictures, "sides": ["a"], "reference": None}, "startAlone")
    page = watched.page
    page.keyboard.press("Tab")
    chosen = "[handle.state().picture, [...document.querySelectorAll('.lf-tile')].indexOf(document.activeElement)]"
    assert page.evaluate(chosen) == [0, 0]
    for key, at in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 29), ("ArrowRight", 29),
                    ("ArrowLeft", 28), ("Home", 0), ("ArrowLeft", 0), ("End", 29)):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(chosen) == [at, at]
    settle(page)
    tile, strip = (page.locator(name).bounding_box() for name in (".lf-tile:focus", ".lf-strip"))
    assert strip["x"] <= tile["x"] <= tile["x"] + tile["width"] <= strip["x"] + strip["width"]
    assert page.locator(".lf-tile[tabindex='0']").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate(chosen)[1] == -1  # out of the strip by one step
    assert watched.errors == []


def test_the_first_picture_is_seen_in_the_strip(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE + "window.mount = mount;")
    one = raw(torch.rand(3, 8, 8))
    pictures = [{"name": f"{at}.png", "thumb": one} for at in range(40)]
    page = watched.page
    page.evaluate("void (window.main = document.createElement('main'))")
    data = {"pictures": pictures, "sides": ["a"], "reference": None, "picture": 30}
    page.evaluate("(data) => { window.handle = mount(window.main, 'workbench', data); }", data)
    settle(page)
    page.evaluate("document.querySelector('main').replaceWith(window.main)")
    settle(page)
    tile, strip = (page.locator(name).bounding_box() for name in (".lf-tile[aria-selected='true']", ".lf-strip"))
    assert strip["x"] <= tile["x"] <= tile["x"] + tile["width"] <= strip["x"] + strip["width"]
    assert watched.errors == []


def test_small_coefficients_are_read_and_no_zero_is_negative(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(LIVE)
    latents = {"shape": [1, 2, 2], "dtype": "float32", "data": "A" * 22 + "=="}
    names = {"terms": ["1", "x0", "x0*x0"], "factors": [[0, -1], [0, 0]]}
    start(watched, "table_editor", {
        "name": "small", "space": "sd1", "n_channels": 1, "kernels": [1, 1], "intercept": True, **names,
        "coefficients": [[0.5, -0.0, -1e-9], [0.2, 0.2, 0.2], [0.00042, -0.00031, 0.0]],
        "pictures": [{"name": "p", "latents": latents, "cells": None}], "solution": None, "document": None,
    })  # fmt: skip
    shown = [watched.page.get_by_label(f"{name}, number", exact=True).input_value() for name in
             ("1, R", "1, G", "1, B", "x0*x0, R", "x0*x0, G")]  # fmt: skip
    assert shown == ["0.500", "0.000", "0.000", "0.0004", "-0.0003"]
    assert watched.errors == []


def test_what_failed_is_asked_for_again(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(MOUNT)
    page = watched.page
    views = "asked.filter(([type]) => type === 'view').map(([, payload]) => payload)"
    (first,) = page.evaluate(views)
    failed, made = {"key": "a 1", "kept": False, "reason": "no memory left"}, {"key": "b 1", "kept": False, **PIXEL}
    page.evaluate("(part) => handle.update(part)", {"key": first["key"], "sides": {"a": failed, "b": made}})
    page.evaluate("handle.update({ view: { smooth: false } })")
    settle(page)
    assert page.evaluate("asked.filter(([type]) => type === 'look').at(-1)[1].smooth") is False
    assert page.locator(".lf-left .lf-reason").inner_text() == "no memory left"
    page.get_by_role("button", name="Swap left and right").click()
    assert page.evaluate(views)[-1]["have"] == ["b 1"]
    assert watched.errors == []


def test_what_the_page_let_go_is_asked_for_again(open_alone: Callable[[str], Watched]) -> None:
    watched = open_alone(MOUNT)
    page = watched.page
    views = "asked.filter(([type]) => type === 'view').map(([, payload]) => payload)"
    (first,) = page.evaluate(views)
    assert first["have"] == []
    page.evaluate("(part) => handle.update(part)", {"key": first["key"], "sides": {
        "a": {"key": "a 1", "kept": True, **PIXEL}, "b": {"key": "b 1", "kept": False, **PIXEL}}})  # fmt: skip
    _, second = page.evaluate(views)
    assert (second["key"], second["have"]) == (first["key"], [])
    page.evaluate("(part) => handle.update(part)", {"key": second["key"], "sides": {
        "a": {"key": "a 1", "kept": False, **PIXEL}, "b": {"key": "b 1", "kept": False, **PIXEL}}})  # fmt: skip
    settle(page)
    assert json.loads(page.evaluate("JSON.stringify(handle.state())"))["waiting"] is False
    assert "20.0 dB" in page.locator(".lf-choice-left .lf-scores").inner_text()
    assert watched.errors == []
