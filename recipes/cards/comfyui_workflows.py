"""Write the example workflows of the ComfyUI node pack: JSON of both formats, and PNGs that carry them.

Needs LATENTFIT_COMFYUI (see docs/comfyui.md), the extra "browser" and a Chromium. Each workflow is loaded into
ComfyUI's own page, laid out, run where it needs no checkpoint, written as the page writes it, and photographed.
"""

import io
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import latentfit as lf
from latentfit.comfyui.installing import PACK, install
from latentfit.latents import write_latents
from latentfit.runtime import torch_threads, write_atomic

ROOT = Path(__file__).resolve().parents[2]
from tests.support import chromium  # noqa: E402
from tests.support.comfyui_server import FOLDER, Server, Workflow, running  # noqa: E402

OUT = PACK / "example_workflows"
LATENT, PHOTO = "latentfit_example.latent", "example.png"  # ComfyUI brings a picture of that name
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
TABLE, CELL = "bundled/tables/sd1/3.safetensors", "bundled/models/sd1-cell.safetensors"
ACROSS = "bundled/models/sd1-to-sdxl.safetensors"
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Queue.QPOV2": False,
}
LEFT, TOP, MARGIN = 80, 170, 24  # beside and below what the page lays over its canvas
WIDTH, HEIGHT = 2000, 1500
SCALE, THUMBNAIL = 0.8, 480
BUILD = """async ([api, places, note]) => {
  await app.loadApiJson(api, "example");
  const graph = app.rootGraph ?? app.graph;
  for (const [id, [x, y, width, height]] of Object.entries(places)) {
    const node = graph.getNodeById(Number(id));
    node.pos = [x, y];
    node.setSize([width, Math.max(height, node.computeSize()[1])]);
  }
  const told = LiteGraph.createNode("MarkdownNote");
  graph.add(told);
  told.pos = note.slice(0, 2);
  told.setSize(note.slice(2, 4));
  told.widgets[0].value = note[4];
  const saved = JSON.parse(JSON.stringify(graph.serialize()));
  return saved;
}"""
LOAD = """async (workflow) => {
  await app.loadGraphData(workflow, true, true, null);
  const graph = app.rootGraph ?? app.graph;
  app.canvas.deselectAll?.();
  return graph.nodes.map((node) => [node.type, node.has_errors ?? false]);
}"""
FRAME = """([left, top, scale]) => {
  const boxes = (app.rootGraph ?? app.graph).nodes.map((node) => node.getBounding());
  const [x, y] = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])));
  const [width, height] = [0, 1].map((axis) => Math.max(...boxes.map((box) => box[axis] + box[axis + 2])));
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [left / scale - x, top / scale - y];
  app.canvas.draw(true, true);
  return [(width - x) * scale, (height - y) * scale];
}"""
IS_IDLE = """async () => {
  const queue = await (await fetch("/queue")).json();
  return !queue.queue_running.length && !queue.queue_pending.length;
}"""


@dataclass(frozen=True)
class Example:
    """One workflow.

    Attributes
    ----------
    nodes : dict
        In the API's format.
    places : dict
        By node: left, top, width, height.
    note : tuple
        Left, top, width, height, and what it says.
    runs : bool
        Without anybody's checkpoint.
    """

    nodes: Workflow
    places: dict[str, tuple[int, int, int, int]]
    note: tuple[int, int, int, int, str]
    runs: bool = False


def node(kind: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    named = {"_meta": {"title": title}} if title else {}
    return {"class_type": kind, "inputs": inputs, **named}


def decode(samples: list[Any], map_name: str, size: str) -> dict[str, Any]:
    fixed = {"enlarging": "nearest-exact", "tile_cells": 128, "space": "auto"}
    return node("LatentFitDecode", samples=samples, map_name=map_name, size=size, **fixed)


EXAMPLES = {
    "decode_and_palettize": Example(
        {
            "1": node("LoadLatent", latent=LATENT),
            "2": decode(["1", 0], CELL, "as the map gives"),
            "3": node("PreviewImage", "Cell decoder, 0.46 M parameters", images=["2", 0]),
            "4": decode(["1", 0], TABLE, "full size"),
            "5": node("PreviewImage", "3×3 table, one colour a cell", images=["4", 0]),
            "6": node(
                "LatentFitPalettize",
                samples=["1", 0],
                map_name=TABLE,
                palette="aap-64",
                dither="bayer-4",
                strength=0.6,
                enlarge=8,
                space="auto",
                learned_from="model",
            ),
            "7": node("PreviewImage", "AAP-64, dithered", images=["6", 0]),
        },
        {
            "1": (0, 260, 300, 60),
            "2": (360, 0, 420, 190),
            "3": (840, 0, 420, 300),
            "4": (360, 360, 420, 190),
            "5": (840, 360, 420, 300),
            "6": (360, 720, 420, 260),
            "7": (840, 720, 420, 300),
        },
        (
            0, 0, 300, 200,
            "Copy `latentfit_example.latent` from this pack's folder `example_workflows` into ComfyUI's `input`.\n\n"
            "No VAE and no checkpoint is loaded: the maps come with the package. Put your own into `models/latentfit`.",
        ),
        runs=True,
    ),
    "preview_while_sampling": Example(
        {
            "1": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
            "2": node(
                "LatentFitPreview", model=["1", 0], map_name=TABLE, every_n_steps=1, space="auto"
            ),
            "3": node("CLIPTextEncode", "Prompt", clip=["1", 1], text="a lighthouse at dusk, oil painting"),
            "4": node("CLIPTextEncode", "Negative prompt", clip=["1", 1], text=""),
            "5": node("EmptyLatentImage", width=512, height=512, batch_size=1),
            "6": node(
                "KSampler",
                model=["2", 0],
                positive=["3", 0],
                negative=["4", 0],
                latent_image=["5", 0],
                seed=1,
                steps=25,
                cfg=7.0,
                sampler_name="dpmpp_2m",
                scheduler="karras",
                denoise=1.0,
            ),
            "7": decode(["6", 0], CELL, "as the map gives"),
            "8": node("SaveImage", "Decoded without the VAE", images=["7", 0], filename_prefix="latentfit"),
        },
        {
            "1": (0, 260, 320, 100),
            "2": (380, 0, 420, 110),
            "3": (380, 200, 420, 130),
            "4": (380, 400, 420, 130),
            "5": (380, 600, 420, 110),
            "6": (860, 0, 340, 560),
            "7": (1260, 0, 400, 190),
            "8": (1260, 260, 400, 340),
        },
        (
            0, 440, 320, 200,
            "The 3×3 map draws the preview inside KSampler, whichever preview method ComfyUI is set to. Choose a map "
            "of your model's space: for SDXL one of `bundled/tables/sdxl`, and so on. Bypass the node to be rid of it.",
        ),
    ),
    "interpose": Example(
        {
            "1": node("LoadLatent", latent=LATENT),
            "2": decode(["1", 0], CELL, "as the map gives"),
            "3": node("PreviewImage", "SD1's latents, SD1's decoder", images=["2", 0]),
            "4": node("LatentFitInterpose", samples=["1", 0], map_name=ACROSS, space="auto"),
            "5": decode(["4", 0], "bundled/models/sdxl-cell.safetensors", "as the map gives"),
            "6": node("PreviewImage", "SDXL's latents, SDXL's decoder", images=["5", 0]),
        },
        {
            "1": (0, 260, 300, 60),
            "2": (780, 0, 400, 190),
            "3": (1240, 0, 400, 320),
            "4": (360, 400, 360, 110),
            "5": (780, 400, 400, 190),
            "6": (1240, 400, 400, 320),
        },
        (
            0, 0, 300, 200,
            "No VAE in between. A second KSampler of an SDXL checkpoint, with a denoise of 0.6, buries all of the "
            "error but its lowest frequencies, a slight shift of colours. `INTERPOSERS.md` beside the models has the "
            "numbers.",
        ),
        runs=True,
    ),
    "save_pairs": Example(
        {
            "1": node("LoadImage", image=PHOTO),
            "2": node("VAELoader", vae_name="taesd"),
            "3": node("VAEEncode", pixels=["1", 0], vae=["2", 0]),
            "4": node(
                "LatentFitSavePairs",
                samples=["3", 0],
                store="pairs",
                keep="rgb",
                space="sd1",
                vae=["2", 0],
                images=["1", 0],
                images_are="the photograph that was encoded",
                vae_name="TAESD",
            ),
        },
        {"1": (0, 0, 320, 340), "2": (0, 420, 320, 60), "3": (400, 0, 240, 60), "4": (400, 160, 420, 260)},
        (
            880, 0, 360, 300,
            "Each run adds what the store has not yet to `output/latentfit/pairs`. Connect the latents of a sampler "
            "instead, leave `images` open, and the VAE decodes them.\n\nThen, in a terminal:\n\n"
            "`latentfit fit output/latentfit/pairs --kernels 3 --out models/latentfit/mine.safetensors`\n\n"
            "Any VAE will do; TAESD is listed when its encoder and decoder are in `models/vae_approx`.",
        ),
        runs=True,
    ),
}  # fmt: skip


@torch_threads(1)
def main() -> None:
    """Start ComfyUI, and make every example."""
    comfyui = os.environ.get(FOLDER)
    if not comfyui:
        sys.exit(f"{FOLDER}: name a folder with ComfyUI")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        prepare(base)
        with running(Path(comfyui), base) as server:
            for name, example in EXAMPLES.items():
                make(server, name, example)


def prepare(base: Path) -> None:
    """Inputs, a VAE where there are assets, a checkpoint's name, and settings without a tour."""
    for name in ("custom_nodes", "models/vae_approx", "models/checkpoints", "input", "output", "user/default"):
        (base / name).mkdir(parents=True)
    install(base)
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS), "utf-8")
    (base / "models" / "checkpoints" / CHECKPOINT).touch()
    picture = example_picture()
    rgb = torch.from_numpy(np.asarray(picture).copy()).movedim(-1, 0)[None].float() / 255
    latents = lf.Vae.load("mini-sd1").encode(rgb)
    write_latents(OUT / LATENT, latents, lf.get_space("sd1"))
    shutil.copy(OUT / LATENT, base / "input" / LATENT)
    picture.save(base / "input" / PHOTO)
    for path in (Path(os.environ.get("LATENTFIT_ASSETS", "")) / "weights" / "taesd").glob("taesd_*.safetensors"):
        shutil.copy(path, base / "models" / "vae_approx")


def example_picture() -> Image.Image:
    """384×256 px of scikit-image's cat."""
    from skimage.data import chelsea

    return Image.fromarray(chelsea()).crop((33, 22, 417, 278))


def make(server: Server, name: str, example: Example) -> None:
    """One example: both formats, the picture that carries them, and the thumbnail of ComfyUI's list of templates."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.find(), args=["--disable-gpu-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(server.url)
        page.wait_for_function("window.app?.vueAppReady && window.app.canvas", timeout=120_000)
        page.add_style_tag(content=".p-toast { display: none }")
        page.wait_for_timeout(3000)
        workflow = page.evaluate(BUILD, [example.nodes, example.places, list(example.note)])
        del workflow["id"]  # drawn at random
        page.evaluate(LOAD, workflow)
        if example.runs:
            page.evaluate("() => app.queuePrompt(0)")
            page.wait_for_timeout(1000)
            page.wait_for_function(IS_IDLE, timeout=120_000)
        width, height = page.evaluate(FRAME, [LEFT + MARGIN, TOP + MARGIN, SCALE])
        page.wait_for_timeout(1500)
        clip = {"x": LEFT, "y": TOP, "width": width + 2 * MARGIN, "height": height + 2 * MARGIN}
        shot = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
        browser.close()
    print(write_atomic(OUT / f"{name}.json", text_of(workflow)))
    print(write_atomic(OUT / "api" / f"{name}.json", text_of(example.nodes)))
    print(write_atomic(OUT / f"{name}.png", png_of(shot, workflow, example.nodes)))
    print(write_atomic(OUT / f"{name}.jpg", thumbnail_of(shot)))


def text_of(content: Any) -> str:
    """JSON for people."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def png_of(shot: Image.Image, workflow: Any, nodes: Workflow) -> bytes:
    """A picture with the chunks that ComfyUI writes, so that it can be dropped into the page."""
    chunks, blob = PngInfo(), io.BytesIO()
    chunks.add_text("prompt", json.dumps(nodes))
    chunks.add_text("workflow", json.dumps(workflow))
    shot.save(blob, "PNG", pnginfo=chunks, optimize=True)
    return blob.getvalue()


def thumbnail_of(shot: Image.Image) -> bytes:
    """A small JPEG."""
    small, blob = shot.copy(), io.BytesIO()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    small.save(blob, "JPEG", quality=85)
    return blob.getvalue()


if __name__ == "__main__":
    main()
