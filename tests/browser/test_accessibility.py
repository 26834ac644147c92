"""The widgets in JupyterLab as axe-core sees them: light, dark, on a phone, and in forced colours."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import SETUP, Watched
from tests.support.jupyter import Lab
from tests.support.paths import ROOT
from tests.support.seen import photograph, ready, settle

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
FOUND = """async (selector) => {
  const { violations } = await axe.run(selector, { resultTypes: ["violations"] });
  return violations.map(({ id, impact, nodes }) =>
    [id, impact, ...nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`)].join("\\n"));
}"""
KINDS = {"workbench": ".lf-workbench", "slider": ".lf-curtain", "editor": ".lf-editor", "scrubber": ".lf-scrubber"}
CODE = """
from types import SimpleNamespace
generator = torch.Generator().manual_seed(0)
latents = torch.randn(2, 4, 16, 16, generator=generator)
cells = (0.5 + 0.2 * latents[:, :3]).clamp(0, 1)
affine, three = (lf.ChannelMap(form).fit_arrays(latents, cells, space="sd1") for form in ("affine", "3"))
maps = {"affine": affine.approximation(), "3×3": three.approximation()}
vae = lf.Vae.load("mini-sd1")
states = [SimpleNamespace(index=i, timestep=999.0 - i, sigma=12.0 - i, latents=latents[:1], ms=1.5) for i in range(5)]
"""
CELLS = (
    'lf.Workbench(["a.png", "b.png"], maps, vae)',
    'lf.CompareSlider("a.png", "b.png")',
    "lf.TableEditor(three, latents=latents, cells=cells)",
    "lf.StepScrubber(states, maps)",
)


@pytest.fixture(scope="module", autouse=True)
def _axe() -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not here: `npm ci` brings it")


@pytest.fixture(scope="module")
def open_widgets(lab: Lab, open_notebook: Callable[..., Watched]) -> Callable[..., Watched]:
    """A notebook with all four widgets; options as Playwright's contexts take them."""
    for seed, name in enumerate("ab"):
        photograph(lab.folder, f"{name}.png", (96, 96), seed=seed)

    def opened(name: str, **options: Any) -> Watched:
        watched = open_notebook(f"axe_{name}", SETUP + CODE, *CELLS, **options)
        for selector in KINDS.values():
            watched.page.locator(selector).first.scroll_into_view_if_needed()
            ready(watched.page, selector)
        watched.page.wait_for_function("document.querySelector('.lf-workbench .lf-busy').hidden")
        return watched

    return opened


def violations(watched: Watched, selector: str) -> list[str]:
    if not watched.page.evaluate("typeof axe === 'object'"):
        watched.page.evaluate(AXE.read_text("utf-8"))
    watched.page.locator(selector).first.scroll_into_view_if_needed()
    settle(watched.page)
    found: list[str] = watched.page.evaluate(FOUND, selector)
    return found


def test_a_fault_is_found(open_alone: Callable[..., Watched]) -> None:
    watched = open_alone(FORCED + "document.querySelector('.lf').append(new Image());")
    (found,) = violations(watched, ".lf")
    assert found.startswith("image-alt\ncritical")


def every_state(watched: Watched, shots: Path, name: str) -> dict[str, list[str]]:
    """What axe finds in each widget, and in the workbench with all that opens."""
    page = watched.page
    found = {kind: violations(watched, selector) for kind, selector in KINDS.items()}
    bench = page.locator(KINDS["workbench"])
    for label in ("Code", "Keys", "Colour error ΔE", "Grid", "Blink"):
        bench.get_by_role("button", name=label, exact=True).click()
        page.wait_for_timeout(300)
        found[label] = violations(watched, KINDS["workbench"])
        page.screenshot(path=shots / f"axe_{name}_{label.split()[0].lower()}.png")
    return {kind: each for kind, each in found.items() if each}


def test_axe_finds_nothing_in_light_and_dark(open_widgets: Callable[..., Watched], shots: Path) -> None:
    watched = open_widgets("wide")
    page = watched.page
    assert every_state(watched, shots, "light") == {}
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    items = page.locator(".lm-Menu-item")
    items.get_by_text("Theme", exact=True).hover()
    items.get_by_text("JupyterLab Dark", exact=True).click()
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    page.wait_for_timeout(500)
    assert every_state(watched, shots, "dark") == {}


def test_axe_finds_nothing_on_a_phone(open_widgets: Callable[..., Watched], shots: Path) -> None:
    watched = open_widgets("narrow")
    watched.page.keyboard.press("Control+b")  # JupyterLab's own side bar would leave a finger's breadth
    watched.page.set_viewport_size({"width": 390, "height": 844})
    watched.page.wait_for_timeout(500)
    assert every_state(watched, shots, "phone") == {}


def test_names_of_buttons_are_their_text_and_canvases_have_a_sentence(open_widgets: Callable[..., Watched]) -> None:
    watched = open_widgets("names")
    buttons = watched.page.locator(".lf button:visible").evaluate_all(
        "(all) => all.map((e) => [e.textContent.trim(), e.getAttribute('aria-label')])"
    )
    named = {text: label for text, label in buttons if label}
    assert named == {"−": "Zoom out", "+": "Zoom in", "⇄": "Swap left and right", "▶": "Play", "?": "Keys"}
    sentences = watched.page.locator(".lf canvas.lf-canvas:visible").evaluate_all(
        "(all) => all.map((e) => [e.getAttribute('role'), e.getAttribute('aria-label')])"
    )
    assert {role for role, _ in sentences} == {"img"}
    first = sentences[0][1]
    assert re.fullmatch(
        r"a\.png: affine \([\d.]+ dB, ΔE [\d.]+\) left of the line, mini-sd1 \(distilled from TAESD\) right of it",
        first,
    )


def test_forced_colours_keep_every_state_visible(open_alone: Callable[..., Watched], shots: Path) -> None:
    watched = open_alone(FORCED, forced_colors="active")
    page = watched.page
    page.evaluate("handle.ready.then(() => true)")
    settle(page)
    page.screenshot(path=shots / "alone_forced.png")

    def look(selector: str) -> str:
        said: str = page.locator(selector).first.evaluate(DRAWN)
        return said

    assert look(".lf-modes [aria-pressed=true]") != look(".lf-modes [aria-pressed=false]")
    assert look(".lf-tile[aria-selected=true] .lf-thumb") != look(".lf-tile[aria-selected=false] .lf-thumb")
    assert "solid" in look(".lf-badge")
    pane = look(".lf-pane")
    page.locator(".lf-pane").first.click()
    assert look(".lf-pane") != pane


DRAWN = """(e) => {
  const { backgroundColor, outlineStyle, borderStyle } = getComputedStyle(e);
  return [backgroundColor, outlineStyle, borderStyle].join(" ");
}"""
FORCED = """
const pixel = { pixels: "AAAA", width: 1, height: 1 }, sides = { a: pixel, b: pixel };
const picture = { name: "p", thumb: pixel, standing: "held_out", views: [{ sigma: 0, gain: 1, sides }] };
const data = { pictures: [picture, { ...picture, name: "q" }], sides: ["a", "b"], reference: "b" };
window.handle = mount(document.querySelector("main"), "workbench", data);
"""
