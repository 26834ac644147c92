"""TableEditor in a real JupyterLab: the canvas is what ChannelMap computes, and it keeps up with the hand."""

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import latentfit as lf
from latentfit.fit import PolynomialMap
from latentfit.maps import Approximation
from tests.support.browser import SETUP, Watched
from tests.support.jupyter import Lab
from tests.support.seen import levels, pane_off_by, ready, run_again, settle, state

EDITOR = ".lf-editor"
FRAMES = """async (element) => {
  const slider = element.querySelector('input[aria-label="x1, G"]'), handle = element.latentfit;
  const first = handle.state().frames, started = performance.now();
  let at = 0;
  while (performance.now() - started < 1500) {
    at = (at + 0.013) % 1;
    slider.value = +slider.min + at * (slider.max - slider.min);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
  return [(performance.now() - started) / 1000, handle.state().frames - first, handle.state().evaluate_ms];
}"""


@pytest.fixture(scope="module")
def watched(lab: Lab, open_notebook: Callable[..., Watched], shots: Path) -> Watched:
    setup = """
generator = torch.Generator().manual_seed(0)
latents = torch.nn.functional.interpolate(torch.randn(2, 4, 6, 6, generator=generator), (128, 128), mode="bilinear")
latents += 0.2 * torch.randn(latents.shape, generator=generator)
cells = (0.5 + 0.2 * latents[:, :3]).clamp(0, 1)
affine = lf.ChannelMap("affine").fit_arrays(latents[:, :, ::4, ::4], cells.flip(1)[:, :, ::4, ::4], space="sd1")
cubic = lf.ChannelMap("cubic").fit_arrays(latents, cells, space="sd1")
torch.save(latents, "latents.pt")
torch.save(cells, "cells.pt")
lf.save(affine.approximation(), "edited_affine")
lf.save(cubic.approximation(), "edited_cubic")
"""
    code = "editor = lf.TableEditor(affine, latents=latents, cells=cells)\neditor"
    asked = "print(editor.coefficients[[2, 4]].tolist(), editor.is_edited)"
    watched = open_notebook("editor", SETUP + setup, code, asked)
    ready(watched.page, EDITOR)
    watched.page.screenshot(path=shots / "lab_editor.png")
    return watched


def canvas(watched: Watched) -> np.ndarray:
    got = watched.page.locator(EDITOR).evaluate(
        "(e) => { const { width, height, data } = e.latentfit.pixels(); return [width, height, Array.from(data)]; }"
    )
    return np.reshape(np.array(got[2], np.uint8), (got[1], got[0], 4))[..., :3]


def recomputed(watched: Watched, lab: Lab, name: str = "edited_affine") -> np.ndarray:
    """From the page's coefficients, by the map's own code."""
    now = state(watched.page, EDITOR)
    one = lf.load(lab.folder / f"{name}.safetensors")
    module = PolynomialMap.from_config(one.module.config())
    module.set_coefficients(np.reshape(now["coefficients"], tuple(module.coefficients.shape)))
    latents = torch.load(lab.folder / "latents.pt", weights_only=True)[now["picture"]][None]
    return levels(Approximation(module, "sd1")(latents)[0])


def test_a_dragged_coefficient_paints_what_channel_map_computes(watched: Watched, lab: Lab, shots: Path) -> None:
    page = watched.page
    assert np.abs(canvas(watched).astype(int) - recomputed(watched, lab)).max() <= 1
    for label, share in (("x0, R", 0.8), ("x2, B", 0.25), ("1, G", 0.6)):
        before, slider = canvas(watched), page.locator(EDITOR).get_by_label(label, exact=True)
        box, at = slider.bounding_box(), slider.evaluate("(e) => (e.value - e.min) / (e.max - e.min)")
        y, length = box["y"] + box["height"] / 2, box["width"] - 14
        page.mouse.move(box["x"] + 7 + at * length, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 7 + share * length, y, steps=5)
        page.mouse.up()
        settle(page)
        assert np.abs(canvas(watched).astype(int) - before).max() > 4, label
        assert np.abs(canvas(watched).astype(int) - recomputed(watched, lab)).max() <= 1, label
    page.screenshot(path=shots / "lab_editor_moved.png")
    cells = torch.load(lab.folder / "cells.pt", weights_only=True)[0]
    painted = torch.from_numpy(canvas(watched).copy()).permute(2, 0, 1) / 255
    assert pane_off_by(page, EDITOR, painted, cells) <= 1


def test_the_kernel_has_the_coefficients_of_the_page(watched: Watched) -> None:
    page = watched.page
    box = page.locator(EDITOR).get_by_label("x1, R, number", exact=True)
    box.fill("0.5")
    box.press("Enter")
    page.keyboard.press("Escape")
    page.locator(EDITOR).get_by_role("button", name="Code", exact=True).click()
    page.locator(f"{EDITOR} .lf-code").get_by_text("coefficients[2, 0] = 0.5  # x1, R").wait_for()
    told = run_again(page, 2)
    assert told.startswith("[[0.5, ")
    assert told.endswith("True")


def test_fifty_quick_changes_end_on_the_last(watched: Watched, lab: Lab) -> None:
    page = watched.page
    slider = page.locator(EDITOR).get_by_label("x3, G", exact=True)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    shares = np.random.default_rng(2).uniform(0.05, 0.95, 50)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in shares:
        page.mouse.move(box["x"] + 7 + share * (box["width"] - 14), box["y"] + box["height"] / 2)
    page.mouse.up()
    settle(page)
    slider_at = slider.evaluate("(e) => (e.value - e.min) / (e.max - e.min)")
    assert slider_at == pytest.approx(shares[-1], abs=0.03)
    assert state(page, EDITOR)["coefficients"][3 * 4 + 1] == pytest.approx(float(slider.input_value()))
    assert np.abs(canvas(watched).astype(int) - recomputed(watched, lab)).max() <= 1
    known = ast.literal_eval(run_again(page, 2).removesuffix("True"))
    assert known[1][1] == pytest.approx(float(slider.input_value()))
    assert watched.errors == []


def test_frames_a_second_of_4_128_128(
    watched: Watched, open_notebook: Callable[..., Watched], capsys: pytest.CaptureFixture[str]
) -> None:
    code = 'lf.TableEditor(lf.load("edited_cubic.safetensors"), latents=torch.load("latents.pt", weights_only=True))'
    richer = open_notebook("frames", SETUP, code)
    ready(richer.page, EDITOR)
    for form, page in (("affine, 15 numbers", watched.page), ("cubic, 105 numbers", richer.page)):
        page.bring_to_front()
        page.locator(f"{EDITOR} .lf-handle").press("End")  # all of the pane is the edited picture
        seconds, frames, work_ms = max(
            (page.locator(EDITOR).evaluate(FRAMES) for _ in range(3)), key=lambda measured: measured[1] / measured[0]
        )
        with capsys.disabled():
            print(
                f"\nTableEditor, {form}, 4×128×128: {frames / seconds:.0f} frames a second, "
                f"{work_ms:.1f} ms of work each"
            )
        assert frames / seconds >= 20
