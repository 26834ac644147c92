"""What a person sees: screenshots as arrays, and what ought to be on them."""

import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfit.images import rgb_tensor
from latentfit.scores import as_seen
from tests.support.browser import PATIENCE_MS

CORNER_PX, SHADOW_PX = 9, 9  # corners are round; what stands on a picture throws a shadow


def levels(picture: Tensor) -> np.ndarray:
    """``(3, H, W)`` in [0, 1] -> ``(H, W, 3)`` 8-bit levels."""
    return picture.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()


def shot(locator: Any, path: Path | None = None) -> np.ndarray:
    """An element on the screen, ``(H, W, 3)`` screen pixels: from where it begins, rounded as the browser paints it."""
    locator.scroll_into_view_if_needed()
    ratio = locator.page.evaluate("devicePixelRatio")
    box = {name: round(ratio * value) for name, value in locator.bounding_box().items()}
    window = np.asarray(Image.open(io.BytesIO(locator.page.screenshot(animations="disabled"))).convert("RGB"))
    shown = window[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]
    assert shown.shape[:2] == (box["height"], box["width"]), f"not all of it is on the screen: {box}"
    if path is not None:
        Image.fromarray(shown).save(path)
    return shown


def state(page: Any, selector: str) -> Any:
    return page.evaluate("(selector) => document.querySelector(selector).latentfit.state()", selector)


def ready(page: Any, selector: str) -> None:
    """Until the widget has painted."""
    until(page, "(selector) => Boolean(document.querySelector(selector)?.latentfit)", selector)
    page.evaluate("(selector) => document.querySelector(selector).latentfit.ready.then(() => true)", selector)
    settle(page)


def until(page: Any, condition: str, arg: Any = None, seconds: float = PATIENCE_MS / 1000) -> None:
    """Wait for a condition in a page whose policy lets no text be run, as Playwright's own waiting would have to."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition, arg):
        assert time.monotonic() < end, f"after {seconds:.0f} s still not: {condition}"
        time.sleep(0.05)


def settle(page: Any) -> None:
    """Two frames: what was asked for is painted."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")


def drag(page: Any, pane: Any, to_share: float, from_share: float = 0.5, moves: int = 8) -> None:
    """Take the curtain's handle and pull it to a share of the pane's width."""
    pane.scroll_into_view_if_needed()
    box = pane.bounding_box()
    middle = box["y"] + 0.6 * box["height"]
    page.mouse.move(box["x"] + from_share * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + to_share * box["width"], middle, steps=moves)
    page.mouse.up()
    settle(page)


GEOMETRY = """(element, nth) => {
  const { pane: only, panes } = element.latentfit, pane = only ?? panes[nth];
  return { zoom: pane.zoom, middle: [pane.view.x, pane.view.y], grid: pane.grid, smooth: pane.smooth,
    ratio: devicePixelRatio, split: pane.divided && !pane.whole ? pane.position / 100 : 1,
    size: [pane.canvas.width, pane.canvas.height],
    covered: [...pane.element.querySelectorAll(".lf-tag, .lf-handle, .lf-knob")].map((each) => {
      const box = each.getBoundingClientRect(), from = pane.element.getBoundingClientRect();
      return [box.left - from.left, box.top - from.top, box.right - from.left, box.bottom - from.top];
    }) };
}"""


def pane_difference(page: Any, selector: str, left: np.ndarray, right: np.ndarray, nth: int = 0) -> np.ndarray:
    """Levels by which a pane on the screen differs from two pictures under its curtain, -1 where nothing is compared.

    It is zoomed in first, where a picture pixel is not a whole number of screen pixels. Both pictures are put on the
    larger one's grid, bilinearly or in blocks, and each screen pixel takes the picture pixel that lies under its
    middle. Not compared: names, knob and round corners, and what lies beside the picture.
    """
    at, shown = _at_rest(page, page.locator(selector).first, nth)
    assert shown.shape[1::-1] == tuple(at["size"]), "the canvas has not as many pixels as the screen gives it"
    assert at["zoom"] % 1 == 0
    grid = (at["grid"][1], at["grid"][0])
    columns, rows = (_under(at, axis) for axis in (0, 1))
    split = round(at["split"] * shown.shape[1])
    expected = np.zeros_like(shown)
    for picture, side in ((left, slice(None, split)), (right, slice(split, None))):
        on_grid = _on_grid(picture, grid, at["smooth"])
        expected[:, side] = on_grid[rows.clip(0)][:, columns.clip(0)][:, side]
    compared = (rows >= 0)[:, None] & (columns >= 0)[None]
    corner, shadow = round(at["ratio"] * CORNER_PX), SHADOW_PX
    compared[:corner] = compared[-corner:] = compared[:, :corner] = compared[:, -corner:] = False
    for box in at["covered"]:
        first, top, last, bottom = (
            round(at["ratio"] * edge) for edge in (*(x - shadow for x in box[:2]), *(x + shadow for x in box[2:]))
        )
        compared[max(0, top) : max(0, bottom), max(0, first) : max(0, last)] = False
    assert compared.mean() > 0.1, "next to nothing of the pane can be compared"
    return np.where(compared, np.abs(shown - expected).max(-1), -1)


def _at_rest(page: Any, widget: Any, nth: int, seconds: float = 30) -> tuple[Any, np.ndarray]:
    """A pane's geometry and its screenshot, of one moment: a picture arriving between may resize it."""
    end = time.monotonic() + seconds
    while True:
        for _ in range(20):
            at = widget.evaluate(GEOMETRY, nth)
            if at["zoom"] >= 1 and at["zoom"] % 1 == 0:
                break
            widget.get_by_role("button", name="Zoom in").first.click()
            settle(page)
        shown = shot(widget.locator(".lf-pane").nth(nth)).astype(int)
        still = widget.evaluate(GEOMETRY, nth) == at and shown.shape[1::-1] == tuple(at["size"])
        if still or time.monotonic() > end:
            return at, shown
        settle(page)


def pane_off_by(page: Any, selector: str, left: Tensor, right: Tensor, nth: int = 0) -> int:
    """Largest difference of a pane from ``(3, H, W)`` pictures under its curtain, once it has settled."""
    sides = levels(left), levels(right)
    return eventually(lambda: int(pane_difference(page, selector, *sides, nth).max()), 1)


def _under(at: Any, axis: int) -> np.ndarray:
    """The picture's column or row under each screen pixel, -1 where there is none."""
    n_pixels, n_screen = at["grid"][axis], at["size"][axis]
    extent = n_pixels * at["zoom"]
    beyond = n_screen - extent
    shifted = min(max(n_screen / 2 - at["middle"][axis] * extent, beyond), 0)
    origin = beyond // 2 if beyond >= 0 else math.floor(shifted + 0.5)
    found = np.floor((np.arange(n_screen) + 0.5 - origin) / at["zoom"]).astype(int)
    return np.where((found >= 0) & (found < n_pixels), found, -1)


def _on_grid(pixels: np.ndarray, grid: tuple[int, int], smooth: bool) -> np.ndarray:
    if pixels.shape[:2] == grid:
        return pixels
    if not smooth:
        rows, columns = (
            (np.arange(wanted) * have // wanted) for wanted, have in zip(grid, pixels.shape[:2], strict=True)
        )
        return pixels[rows][:, columns]
    return levels(as_seen(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255, grid)[0])


def eventually(measured: Callable[[], int], most: int, seconds: float = 30) -> int:
    """Measure until it is at most that much, as a person waits for a picture; the last measure."""
    end = time.monotonic() + seconds
    while (value := measured()) > most and time.monotonic() < end:
        time.sleep(0.05)
    return value


def photograph(folder: Path, name: str, size_px: tuple[int, int], seed: int = 0) -> Path:
    """A picture with large shapes and fine grain, as PNG."""
    rng = np.random.default_rng(seed)
    wide, high = size_px
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size_px, Image.Resampling.BICUBIC)
    grain = np.asarray(coarse).astype(int) + rng.integers(-20, 21, (high, wide, 1))
    path = folder / name
    Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(path)
    return path


def opened(path: Path) -> torch.Tensor:
    """A picture's pixels, ``(3, H, W)``."""
    return rgb_tensor(np.array(Image.open(path).convert("RGB")))[0]


def fits_the_page(page: Any, widget: str) -> bool:
    """Whether the widget is no wider than the cell's output, and the output needs no bar."""
    return bool(page.locator(widget).first.evaluate(
        "(e) => { const area = e.closest('.jp-OutputArea-output'); return area.scrollWidth <= area.clientWidth + 1; }"
    ))  # fmt: skip


def run_again(page: Any, number: int) -> str:
    """Run the notebook's cell of this number once more, and give its output."""
    cell = page.locator(".jp-CodeCell").nth(number)
    before = cell.locator(".jp-InputArea-prompt").inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "([number, before]) => { const prompt = document.querySelectorAll('.jp-CodeCell')[number]"
        ".querySelector('.jp-InputArea-prompt').innerText; return prompt !== before && /\\d/.test(prompt); }",
        arg=[number, before],
    )
    return cell.locator(".jp-OutputArea-output").first.inner_text().strip()
