"""Workbench in a real JupyterLab: what it shows is what the decoders make, whatever is dragged, dropped or dies."""

import io
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.compare.widgets import Bench, Workbench
from tests.support.browser import SETUP, Watched
from tests.support.jupyter import Lab
from tests.support.seen import (
    drag,
    eventually,
    fits_the_page,
    opened,
    pane_off_by,
    photograph,
    ready,
    settle,
    state,
)

BENCH = ".lf-workbench"


@pytest.fixture(scope="module")
def bench(lab: Lab) -> Bench:
    """The same bench in this process: what the page ought to show."""
    folder = lab.folder
    for index, size in enumerate([(128, 96), (96, 128)]):
        photograph(folder, f"photo{index}.png", size, seed=10 + index)
    latents = torch.randn(8, 4, 8, 8)
    arrays = (latents, (0.5 + 0.25 * latents[:, :3]).clamp(0, 1))
    for name, space in (("affine", "sd1"), ("alien", "sdxl")):
        one = lf.ChannelMap("affine").fit_arrays(*arrays, space=space).approximation()
        one.name = name
        lf.save(one, folder / f"{name}.safetensors")
    cubic = lf.ChannelMap("cubic").fit_arrays(latents, arrays[1].flip(1), space="sd1")
    lf.save(cubic.approximation(), folder / "cubic.safetensors")
    decoders = [lf.load(folder / f"{name}.safetensors") for name in ("affine", "cubic", "alien")]
    return Workbench([folder / "photo0.png", folder / "photo1.png"], decoders, lf.Vae.load("mini-sd1")).bench


@pytest.fixture(scope="module")
def watched(bench: Bench, open_notebook: Callable[..., Watched], shots: Path) -> Watched:
    broken = """
class Broken(torch.nn.Module):
    def forward(self, latents):
        raise RuntimeError("out of luck")

broken = lf.Approximation(Broken(), "sd1", name="broken")
decoders = [lf.load(f"{name}.safetensors") for name in ("affine", "cubic", "alien")]

import os
print(os.getpid())
"""
    code = 'bench = lf.Workbench(["photo0.png", "photo1.png"], [*decoders, broken], lf.Vae.load("mini-sd1"))\nbench'
    watched = open_notebook("bench", SETUP + broken, code)
    ready(watched.page, BENCH)
    watched.page.wait_for_function(f"document.querySelector('{BENCH} .lf-busy').hidden", timeout=60_000)
    watched.page.screenshot(path=shots / "lab_workbench.png")
    return watched


@pytest.fixture(autouse=True)
def _from_the_beginning(watched: Watched) -> None:
    bench = watched.page.locator(BENCH)
    bench.get_by_role("button", name="Reset").click()
    bench.get_by_role("button", name="Split view").click()
    bench.locator(".lf-tile").first.click()
    bench.get_by_label("left picture").select_option("affine")
    assert state(watched.page, BENCH)["mode"] == "picture"


def sides(watched: Watched, bench: Bench) -> tuple[torch.Tensor, torch.Tensor]:
    now = state(watched.page, BENCH)
    made = bench.sides(now["picture"], [now["left"], now["right"]], now["sigma"], now["gain"])
    return made[now["left"]].rgb, made[now["right"]].rgb


def test_what_it_shows_is_what_the_decoders_make(watched: Watched, bench: Bench) -> None:
    assert pane_off_by(watched.page, BENCH, *sides(watched, bench)) <= 1
    drag(watched.page, watched.page.locator(f"{BENCH} .lf-pane"), 0.3)
    assert pane_off_by(watched.page, BENCH, *sides(watched, bench)) <= 1
    watched.page.locator(f"{BENCH} .lf-tile").nth(1).click()
    watched.page.locator(BENCH).get_by_label("left picture").select_option("cubic")
    assert pane_off_by(watched.page, BENCH, *sides(watched, bench)) <= 1
    shown = bench.sides(1, ["cubic"])["cubic"].scores
    said = watched.page.locator(f"{BENCH} .lf-choice-left .lf-scores").inner_text()
    assert f"{shown['psnr']:.1f} dB" in said
    assert f"{shown['delta_e']:.1f}" in said
    assert re.search(r"\d ms", said)


def test_fifty_quick_drags_of_the_noise_end_on_the_last(watched: Watched, bench: Bench, shots: Path) -> None:
    page = watched.page
    slider = page.locator(BENCH).get_by_label("noise σ")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    shares = np.random.default_rng(1).uniform(0.05, 0.95, 50)
    page.mouse.move(box["x"] + 7, y)
    page.mouse.down()
    for share in shares:
        page.mouse.move(box["x"] + 7 + share * (box["width"] - 14), y)
    page.mouse.up()
    settle(page)
    assert eventually(lambda: abs(state(page, BENCH)["sigma"] - 4 * shares[-1]) > 0.1, 0) == 0
    assert pane_off_by(watched.page, BENCH, *sides(watched, bench)) <= 1
    assert not state(page, BENCH)["waiting"]
    page.screenshot(path=shots / "lab_workbench_sigma.png")


def test_reasons_stand_where_pictures_would_be(watched: Watched, shots: Path) -> None:
    bench = watched.page.locator(BENCH)
    reason = bench.locator(".lf-left .lf-reason")
    bench.get_by_label("left picture").select_option("alien")
    reason.get_by_text("of space 'sdxl'").wait_for()
    bench.get_by_label("left picture").select_option("broken")
    reason.get_by_text("out of luck").wait_for()
    watched.page.screenshot(path=shots / "lab_workbench_reason.png")
    assert watched.errors == []


def test_a_file_is_dropped_in_and_a_corrupt_one_is_refused(
    watched: Watched, bench: Bench, tmp_path: Path, shots: Path
) -> None:
    page, known = watched.page, watched.page.locator(f"{BENCH} .lf-tile").count()
    dropped = photograph(tmp_path, "my drop.png", (160, 96), seed=20)
    drop(page, "torn.png", dropped.read_bytes()[:900])
    refusal = page.locator(f"{BENCH} .lf-failed")
    refusal.wait_for()
    assert "torn.png" in refusal.inner_text()
    assert page.locator(f"{BENCH} .lf-tile").count() == known
    drop(page, "words.txt", b"no picture at all")
    page.locator(f"{BENCH} .lf-failed").get_by_text("words.txt").wait_for()
    page.screenshot(path=shots / "lab_workbench_torn.png")
    drop(page, dropped.name, dropped.read_bytes())
    page.locator(f"{BENCH} .lf-tile").nth(known).wait_for()
    assert state(page, BENCH)["picture_name"] == "my drop.png"
    vae = lf.Vae.load("mini-sd1")
    latents = vae.encode(opened(dropped)[None])
    now = state(page, BENCH)
    affine = bench.decoders.named["affine"]
    assert now["left"] == "affine"
    assert pane_off_by(watched.page, BENCH, affine(latents)[0], vae.decode(latents)[0]) <= 1
    page.screenshot(path=shots / "lab_workbench_drop.png")
    tiny = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(tiny, "PNG")
    drop(page, "tiny.png", tiny.getvalue())
    page.locator(f"{BENCH} .lf-tile").nth(known + 1).wait_for()
    assert fits_the_page(page, BENCH)
    assert watched.errors == []


def test_the_code_it_prints_makes_the_view(watched: Watched, shots: Path) -> None:
    page = watched.page
    button = page.locator(BENCH).get_by_role("button", name="Code", exact=True)
    button.click()
    code = page.locator(f"{BENCH} .lf-code").last
    page.locator(BENCH).get_by_label("left picture").select_option("cubic")
    code.get_by_text("left='cubic'").wait_for()
    said = code.inner_text()
    assert said.startswith("bench.view(")
    page.screenshot(path=shots / "lab_workbench_code.png")
    button.click()


def test_a_restarted_kernel_is_said_and_what_is_stale_is_dimmed(watched: Watched, shots: Path) -> None:
    page = watched.page
    page.wait_for_function("(bench) => !document.querySelector(bench).latentfit.state().waiting", arg=BENCH)
    os.kill(int(page.locator(".jp-OutputArea-output").first.inner_text()), signal.SIGKILL)
    page.get_by_role("button", name="Ok").click()  # JupyterLab says that the kernel died, and starts another
    page.locator(BENCH).get_by_text("The kernel was restarted").wait_for()
    stale = page.locator(f"{BENCH} .lf-stale-words")
    assert stale.is_hidden()  # what is shown is of what is set
    gain = page.locator(BENCH).get_by_label("latent gain")
    gain.press("ArrowRight")
    stale.get_by_text("Still of photo0.png, affine and mini-sd1 (distilled from TAESD), noise σ 0.00").wait_for()
    canvas = page.locator(f"{BENCH} .lf-canvas").first
    assert float(canvas.evaluate("(e) => getComputedStyle(e).opacity")) < 0.5
    page.screenshot(path=shots / "lab_workbench_dead.png")
    gain.press("ArrowLeft")
    assert stale.is_hidden()
    assert float(canvas.evaluate("(e) => getComputedStyle(e).opacity")) == 1
    drag(page, page.locator(f"{BENCH} .lf-pane"), 0.6, from_share=state(page, BENCH)["position"] / 100)
    assert state(page, BENCH)["position"] == pytest.approx(60, abs=0.5)
    assert pane_off_by(page, BENCH, *pixels(watched)) <= 1
    assert [error for error in watched.errors if error.startswith("exception")] == []


def pixels(watched: Watched) -> tuple[torch.Tensor, torch.Tensor]:
    """What the page itself has on both sides."""
    sides = watched.page.locator(BENCH).evaluate(
        "(e) => [e.latentfit.pane.left, e.latentfit.pane.right].map("
        "({ rgba, width, height }) => [width, height, Array.from(rgba.data)])"
    )
    arrays = [np.reshape(np.array(data, np.uint8), (high, wide, 4))[..., :3] for wide, high, data in sides]
    return tuple(torch.from_numpy(np.array(array)).permute(2, 0, 1) / 255 for array in arrays)


def drop(page: Any, name: str, blob: bytes) -> None:
    """Drop a file on the workbench, as from a file manager."""
    transfer = page.evaluate_handle(
        "([name, bytes]) => { const files = new DataTransfer();"
        " files.items.add(new File([new Uint8Array(bytes)], name)); return files; }",
        [name, list(blob)],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.locator(f"{BENCH} .lf-stage").dispatch_event(event, {"dataTransfer": transfer})
