"""The example workflows and the live preview in ComfyUI's own page, as a person has them."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from latentfit.comfyui.installing import PACK
from tests.support import chromium
from tests.support.comfyui_server import Server
from tests.support.comfyui_workflows import sampling

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXAMPLES = sorted((PACK / "example_workflows").glob("*.json"))
PATIENCE_MS = 120_000
DROP = """async ([name, kind, content]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  await app.handleFile(new File([bytes], name, { type: kind }));
}"""
TYPES = """() => (app.rootGraph ?? app.graph).nodes.map((node) => node.type)"""
UNKNOWN = """() => (app.rootGraph ?? app.graph).nodes.map((node) => node.type)
  .filter((type) => !(type in LiteGraph.registered_node_types))"""
PREVIEWED = """() => Object.values(app.nodePreviewImages ?? {}).some((urls) => urls?.length)"""


@pytest.fixture(scope="module")
def page(server: Server) -> "Iterator[Page]":
    playwright = pytest.importorskip("playwright.sync_api", reason="install the extra 'browser'")
    path = chromium.find()
    if path is None:
        pytest.skip(f"no Chromium found; {chromium.WAYS}")
    settings = server.base / "user" / "default" / "comfy.settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"Comfy.TutorialCompleted": True}))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--disable-gpu-sandbox"])
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(PATIENCE_MS)
        opened.goto(server.url)
        opened.wait_for_function("window.app?.vueAppReady && window.app.canvas")
        opened.wait_for_timeout(3000)
        yield opened
        browser.close()


def dropped(page: "Page", path: Path, kind: str) -> list[str]:
    """Node types of the graph after a file was dropped into the page."""
    page.evaluate("() => (app.rootGraph ?? app.graph).clear()")
    page.evaluate(DROP, [path.name, kind, base64.b64encode(path.read_bytes()).decode()])
    page.wait_for_function("() => (app.rootGraph ?? app.graph).nodes.length > 0")
    assert page.evaluate(UNKNOWN) == []
    return sorted(page.evaluate(TYPES))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_open_without_a_missing_node_and_say_the_same(page: "Page", path: Path) -> None:
    saved = json.loads(path.read_text("utf-8"))
    types = sorted(node["type"] for node in saved["nodes"])
    assert dropped(page, path, "application/json") == types
    asked = page.evaluate("async () => (await app.graphToPrompt()).output")
    api: dict[str, Any] = json.loads((path.parent / "api" / path.name).read_text("utf-8"))
    inputs = {key: node["inputs"] for key, node in api.items()}
    assert {key: {name: node["inputs"][name] for name in inputs[key]} for key, node in asked.items()} == inputs
    assert dropped(page, path.with_suffix(".png"), "image/png") == types


def test_comfyuis_list_of_templates_has_the_examples(server: Server) -> None:
    assert sorted(server.get("/workflow_templates")["latentfit"]) == [path.stem for path in EXAMPLES]
    for path in EXAMPLES:
        assert server.get(f"/api/workflow_templates/latentfit/{path.name}")["nodes"]
        with Image.open(path.with_suffix(".jpg")) as thumbnail:
            assert thumbnail.width <= 480


def test_the_sampler_shows_the_preview(page: "Page", server: Server, tmp_path: Path) -> None:
    chosen = {"map_name": "bundled/models/sd1-cell.safetensors", "every_n_steps": 1, "space": "auto"}
    workflow = sampling(chosen, "page", seconds=1.5)
    page.evaluate("async (nodes) => { await app.loadApiJson(nodes, 'sampling'); }", workflow)
    page.evaluate(
        "() => { app.canvas.ds.scale = 0.8; app.canvas.ds.offset = [140, 160]; app.canvas.draw(true, true); }"
    )
    page.evaluate("() => app.queuePrompt(0)")
    page.wait_for_function(PREVIEWED)
    page.wait_for_timeout(1000)
    shots = Path(os.environ.get("LATENTFIT_SHOTS") or tmp_path)
    page.screenshot(path=shots / "comfyui_preview.png")
