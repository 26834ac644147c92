"""Draw figures/hero.webp: one latent of SD1 by TAESD, by ComfyUI's table today, by our 3×3 table and by `sd1-cell`.

Needs LATENTFIT_ASSETS. The photograph is one of those that data/held_out.json keeps back: no map that is shown was
fitted or trained on it. Milliseconds are those of data/models/pareto_sd1.csv, which the README's table has too.
"""

import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

import latentfit as lf
from latentfit.images import Picture, delta_e2000, rgb_tensor
from latentfit.runtime import torch_threads, write_atomic
from latentfit.scores import table
from recipes.cards.wording import milliseconds_in_words, rows_in_words
from recipes.scored_sets import assets_folder, held_out

ROOT = Path(__file__).resolve().parents[2]
PICTURE = "free/2937112796b2.jpg"
CREDIT = "“morning at sea” by Tapio Haaja, CC0"
WIDTH, HEIGHT = 768, 432
"""Of the picture, in pixels: its middle."""
PANEL, BAR, GAP = 444, 66, 12
"""Of the drawing, in pixels at the size in which it is shown: a panel's width, the lines below it, what is between."""
ZOOM = 2
OURS, THEIRS = "#2f81f7", "#6e7681"
NAMES = {
    "TAESD": "TAESD's decode",
    "comfyui/SD15": "ComfyUI's table today",
    "3×3 affine": "our 3×3 table",
    "sd1-cell": "our sd1-cell",
}
"""Map, as in data/models/pareto_sd1.csv: its name in the picture."""


@torch_threads(1)
def main() -> None:
    """Decode the picture four ways, draw them, write what the README says of them."""
    pictures, scores = decoded()
    spent = milliseconds()
    lines = {
        name: f"ΔE {scores[name]:.1f} in {spent[name]} ms" if name in scores else f"the reference, in {spent[name]} ms"
        for name in NAMES
    }
    draw(pictures, lines)
    caption = (
        f"*{CREDIT}, which no map here was fitted or trained on, as SD1 latents of {WIDTH // 8}×{HEIGHT // 8} cells; "
        "tables enlarged as ComfyUI's server does. ΔE: mean CIEDE2000 to TAESD's decode. Milliseconds: of a 480×320 "
        "picture on one CPU thread, as in the table below.*"
    )
    said = {"picture": PICTURE, "caption": caption, "lines": lines}
    print(write_atomic(ROOT / "figures" / "hero.json", json.dumps(said, indent=1, ensure_ascii=False) + "\n"))


def decoded() -> tuple[dict[str, Tensor], dict[str, float]]:
    """Map -> its picture ``(3, H, W)`` at full size, and its mean ΔE to TAESD's decode."""
    assets = assets_folder()
    taesd = lf.Vae.load(str(assets / "weights" / "taesd" / "taesd"), space="sd1")
    maps = {
        "comfyui/SD15": table("comfyui/SD15").approximation(),
        "3×3 affine": lf.load(ROOT / "data" / "tables" / "sd1" / "3.safetensors"),
        "sd1-cell": lf.load(ROOT / "data" / "models" / "sd1-cell.safetensors"),
    }
    latents = taesd.encode(middle(assets))
    truth = taesd.decode(latents)
    pictures, scores = {"TAESD": truth[0]}, {}
    for name, one in maps.items():
        seen = torch.nn.functional.interpolate(one(latents), truth.shape[-2:], mode="bilinear")
        pictures[name], scores[name] = seen[0], float(delta_e2000(seen, truth).mean())
    return pictures, scores


def middle(assets: Path) -> Tensor:
    """The picture as ``(1, 3, HEIGHT, WIDTH)`` in [0, 1]; it must be one that is held out."""
    image, sha256 = Picture(PICTURE, "photograph", (assets / "images" / PICTURE).read_bytes).load()
    if held_out()["development"]["photographs"].get(PICTURE) != sha256:
        raise ValueError(f"{PICTURE}: not a photograph that data/held_out.json keeps back")
    small = image.resize((WIDTH, round(image.height * WIDTH / image.width)))
    top = (small.height - HEIGHT) // 2
    return rgb_tensor(np.array(small.crop((0, top, WIDTH, top + HEIGHT))))


def milliseconds() -> dict[str, str]:
    """Map -> milliseconds of a 480×320 picture, as people write them."""
    frame = rows_in_words(ROOT / "data" / "models" / "pareto_sd1.csv", "approximation")
    spent = frame.drop_duplicates("approximation").set_index("approximation")["ms"]
    return {name: milliseconds_in_words(spent[name]) for name in NAMES}


def draw(pictures: dict[str, Tensor], lines: dict[str, str]) -> None:
    """Two by two, on a dark ground below each what it is: readable on light and dark pages, and on a phone."""
    tall = PANEL * HEIGHT // WIDTH
    size = (2 * PANEL + GAP, 2 * (tall + BAR) + GAP)
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100 * ZOOM)
    figure.patch.set_alpha(0)
    for index, (name, title) in enumerate(NAMES.items()):
        left, bottom = (index % 2) * (PANEL + GAP), (1 - index // 2) * (tall + BAR + GAP)
        box = (left / size[0], (bottom + BAR) / size[1], PANEL / size[0], tall / size[1])
        axes = figure.add_axes(box)
        axes.axis("off")
        axes.imshow(pictures[name].clamp(0, 1).movedim(0, -1).numpy(), interpolation="lanczos", aspect="auto")
        below = figure.add_axes((box[0], bottom / size[1], box[2], BAR / size[1]))
        below.axis("off")
        below.add_patch(Rectangle((0, 0), 1, 1, facecolor="#161b22", transform=below.transAxes))
        mark = OURS if title.startswith("our") else THEIRS
        below.add_patch(Rectangle((0, 0), 0.014, 1, facecolor=mark, transform=below.transAxes))
        words = {"transform": below.transAxes, "fontsize": 15}
        below.text(0.04, 0.6, title, color="white", weight="bold", **words)
        below.text(0.04, 0.2, lines[name], color="#d0d7de", **words)
    path = ROOT / "figures" / "hero.webp"
    figure.savefig(path, pil_kwargs={"quality": 90, "method": 6})
    print(f"{path} ({path.stat().st_size / 1e3:,.0f} kB)")


if __name__ == "__main__":
    main()
