"""The sets of pictures that are only scored on, kind by kind; what is held out of training is in data/held_out.json.

Photographs (BSDS500 test, CID22), paintings, drawings and pixel art are scored apart: what holds on one often reverses
on another. Of the folders that training may draw from (images/free, images/drawings, images/sprites) a part is held
out, chosen by hashes alone: ``report`` is scored for what the project states, ``development`` is there to choose by.
`python -m recipes.scored_sets` writes data/held_out.json anew from LATENTFIT_ASSETS; `left_to_train` gives what
training may use. No picture is part of the project.
"""

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latentfit.images import Picture, folder
from latentfit.runtime import write_atomic

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "data" / "held_out.json"
SETS = {
    "eval": "photographs",
    "eval512": "photographs, CID22",
    "paintings": "paintings",
    "drawings": "drawings",
    "pixel art": "pixel art",
}
"""Folder, or part of one: its name in words."""
SHOWN = {
    "eval": "photographs (BSDS500)",
    "eval512": "photographs (CID22)",
    "paintings": "paintings",
    "illustrations": "ink and watercolour",
    "clip art": "clip art",
    "pixel art": "pixel art",
}
"""Set of a table: its name in words, in the order of every table. Drawings are two: what is painted or scanned, and
what has flat colours and clean edges; maps differ more between these than between them and photographs."""
FLAT_STYLES = ("clip art", "vector art")
"""Styles of drawings.json that are of the second kind."""
SIZE = 320
"""Pixels of the short side, for all sets alike, so that they differ in what they show and not in how large."""
SCORED = {"eval": 40, "eval512": 24, "paintings": 16, "drawings": 32, "pixel art": 24}
"""Pictures scored of each set, the first in the order of their hashes."""
COUNTS = {"drawings": (40, 24), "paintings": (24, 16), "photographs": (0, 24)}
"""Files held out: for the report, for development. Photographs have folders of their own for the report."""
PACKS = (8, 4)
"""Packs of sprites, likewise: whole ones, for the sprites of a pack look alike."""
SCENES = 3
"""Pictures drawn of each pack for the report, at most."""
ART_PX, SIDE_ART_PX = 8, 40
"""Screen pixels a pixel of art; pixels of art along a picture's side."""
GROUNDS = ("#ffffff", "#000000", "#808080", "#7bc8f6", "#4a7a3a", "#e8d8b0", "#2a2a48", "#c86e5a")
ABOUT = (
    "Pictures that nothing here may be trained or fitted on, by file name and SHA-256 of the file. report: scored for "
    "what the project states. development: to choose by. Chosen by hash: the files of a folder sorted by SHA-256, "
    "packs of sprites by that of their names; the first go to the report, the next to development. Photographs that "
    "the shipped networks were trained on (training_pictures.json) are not chosen. Written by "
    "recipes/scored_sets.py."
)


def main() -> None:
    """Write data/held_out.json."""
    assets = assets_folder()
    text = json.dumps({"about": ABOUT, **chosen(assets)}, indent=1, ensure_ascii=False) + "\n"
    print(write_atomic(LIST, text))


def assets_folder() -> Path:
    """LATENTFIT_ASSETS, or an exit that says so."""
    return Path(os.environ.get("LATENTFIT_ASSETS") or sys.exit("set LATENTFIT_ASSETS (weights/ and images/)"))


def chosen(assets: Path) -> dict[str, Any]:
    """Role -> kind -> file -> SHA-256, from the folders themselves."""
    images = assets / "images"
    free = json.loads((images / "free.json").read_text("utf-8"))["pictures"]
    trained = {
        e["sha256"] for e in json.loads((ROOT / "data" / "training_pictures.json").read_text("utf-8"))["pictures"]
    }
    of_kind = {
        "drawings": [f"drawings/{path.name}" for path in (images / "drawings").iterdir()],
        "paintings": [one["file"] for one in free if one["kind"] == "painting"],
        "photographs": [
            one["file"] for one in free if one["kind"] == "photograph" and one["original_sha256"] not in trained
        ],
    }
    drawn = json.loads((images / "drawings.json").read_text("utf-8"))["pictures"]
    found: dict[str, Any] = {"report": {}, "development": {}}
    for kind, files in of_kind.items():
        hashed = {name: hashlib.sha256((images / name).read_bytes()).hexdigest() for name in files}
        in_order = sorted(hashed, key=lambda name: hashed[name])
        n_report, n_development = COUNTS[kind]
        parts = {"report": in_order[:n_report], "development": in_order[n_report : n_report + n_development]}
        for role, names in parts.items():
            found[role][kind] = {name: hashed[name] for name in names}
    sprites = json.loads((images / "sprites.json").read_text("utf-8"))
    packs = sorted({one["pack"] for one in sprites}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    for role, names in {"report": packs[: PACKS[0]], "development": packs[PACKS[0] : sum(PACKS)]}.items():
        found[role]["pixel art"] = {
            pack: {one["file"]: one["sha256"] for one in sprites if one["pack"] == pack} for pack in names
        }
    listed_too = {*found["report"]["drawings"], *found["development"]["drawings"]}
    found["styles"] = {one["file"]: one["style"] for one in drawn if one["file"] in listed_too}
    return found


@cache
def held_out() -> dict[str, Any]:
    """What data/held_out.json says."""
    found: dict[str, Any] = json.loads(LIST.read_text("utf-8"))
    return found


def held_out_hashes() -> set[str]:
    """SHA-256 of every file that training must leave alone."""

    def hashes(entry: dict[str, Any]) -> Iterator[str]:
        for value in entry.values():
            yield from hashes(value) if isinstance(value, dict) else [value]

    return {one for role in ("report", "development") for one in hashes(held_out()[role])}


def shown_set(name: str, image: str) -> str:
    """The set of `SHOWN` that a picture of a set of `SETS` is counted in."""
    if name != "drawings":
        return name
    style = next(style for file, style in held_out()["styles"].items() if Path(file).stem == image)
    return "clip art" if style in FLAT_STYLES else "illustrations"


def left_to_train(below: Path) -> list[Path]:
    """The pictures of a folder that training may use: those whose file is not held out."""
    kept_back = held_out_hashes()
    return [
        path
        for path in sorted(below.iterdir())
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() not in kept_back
    ]


def pictures_of(name: str, assets: Path) -> list[Picture]:
    """The first `SCORED` pictures of a set of `SETS`, in the order of their hashes."""
    images = assets / "images"
    if name in ("eval", "eval512"):
        found = sorted(folder(images / name), key=lambda one: hashlib.sha256(one.read()).hexdigest())
    elif name == "pixel art":
        found = list(scenes(assets))
    else:
        files = held_out()["report"][name]
        found = [Picture(Path(file).stem, "drawing", (images / file).read_bytes) for file in files]
    return found[: SCORED[name]]


def scenes(assets: Path) -> Iterator[Picture]:
    """Sprites of the held-out packs, `SCENES` pictures a pack, in the order of their hashes."""
    for pack, files in held_out()["report"]["pixel art"].items():
        in_order = sorted(files, key=lambda file: files[file])
        small = [file for file in in_order if max(size_of(assets, file)) <= SIDE_ART_PX // 2 - 2]
        groups = [small[at : at + 4] for at in range(0, len(small) - 3, 4)]
        groups += [[file] for file in in_order if file not in small]
        for index, group in enumerate(groups[:SCENES]):
            yield Picture(f"{pack}-{index}", "drawing", partial(scene_bytes, assets, tuple(group)))


def size_of(assets: Path, file: str) -> tuple[int, int]:
    """Columns and rows of a sprite."""
    with Image.open(assets / "images" / file) as picture:
        return picture.size


def scene_bytes(assets: Path, files: tuple[str, ...]) -> bytes:
    """One sprite, or four small ones, on a plain ground, every pixel `ART_PX` screen pixels wide; a PNG's bytes."""
    ground = GROUNDS[int(hashlib.sha256("".join(files).encode()).hexdigest(), 16) % len(GROUNDS)]
    canvas = Image.new("RGBA", (SIDE_ART_PX, SIDE_ART_PX), ground)
    sprites = [window_of(Image.open(assets / "images" / file).convert("RGBA")) for file in files]
    share = SIDE_ART_PX // (2 if len(sprites) > 1 else 1)
    for index, sprite in enumerate(sprites):
        left, top = (index % 2) * share, (index // 2) * share
        canvas.alpha_composite(sprite, (left + (share - sprite.width) // 2, top + (share - sprite.height) // 2))
    side = SIDE_ART_PX * ART_PX
    buffer = io.BytesIO()
    canvas.convert("RGB").resize((side, side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def window_of(sprite: Image.Image) -> Image.Image:
    """The sprite; of one too large the window that is the least transparent, and of those the most colourful."""
    columns, rows = (min(SIDE_ART_PX, length) for length in sprite.size)
    step = SIDE_ART_PX // 2
    corners = [
        (left, top)
        for top in range(0, sprite.height - rows + 1, step)
        for left in range(0, sprite.width - columns + 1, step)
    ]
    windows = [sprite.crop((left, top, left + columns, top + rows)) for left, top in corners]
    return max(windows, key=lambda window: worth_of(np.asarray(window)))


def worth_of(window: NDArray[np.uint8]) -> tuple[int, int]:
    """Opaque pixels, and different colours among them."""
    opaque = window[window[..., 3] > 0]
    return len(opaque), len(np.unique(opaque, axis=0)) if len(opaque) else 0


if __name__ == "__main__":
    main()
