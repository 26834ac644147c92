"""The pictures that networks which ship learn from, kind by kind, with what is held out left out.

Photographs and paintings of images/free, photographs of images/cc0, drawings of images/drawings, and scenes of the
sprites of images/sprites: pixel art as people see it, 8 or 4 screen pixels a pixel, on plain grounds. What
data/held_out.json names is not among them; `development` gives the part of it to choose by.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from latentfit.images import Picture
from recipes.scored_sets import SIDE_ART_PX, held_out, left_to_train, scene_bytes, size_of

KINDS = ("photographs", "paintings", "drawings", "pixel art")
MOST_SCENES = 24
"""Scenes of a pack, at most: large packs look alike."""


def training(assets: Path) -> dict[str, list[Picture]]:
    """Kind -> pictures that training may use."""
    images = assets / "images"
    kinds = {one["file"]: one["kind"] for one in _listed(images / "free.json")}
    free = left_to_train(images / "free")
    of_kind = {
        "photographs": [path for path in free if kinds[f"free/{path.name}"] == "photograph"]
        + left_to_train(images / "cc0"),
        "paintings": [path for path in free if kinds[f"free/{path.name}"] == "painting"],
        "drawings": left_to_train(images / "drawings"),
    }
    found = {kind: [_picture(path, kind) for path in paths] for kind, paths in of_kind.items()}
    kept_back = {pack for role in ("report", "development") for pack in held_out()[role]["pixel art"]}
    return {**found, "pixel art": list(scenes_of_packs(assets, without=kept_back))}


def development(assets: Path) -> dict[str, list[Picture]]:
    """Kind -> pictures to choose by: none of them is trained on, and none is scored for what the project states."""
    listed = held_out()["development"]
    found = {
        kind: [_picture(assets / "images" / file, kind) for file in listed[kind]]
        for kind in ("photographs", "paintings", "drawings")
    }
    packs = set(listed["pixel art"])
    return {**found, "pixel art": list(scenes_of_packs(assets, only=packs, most=6))}


def scenes_of_packs(
    assets: Path,
    *,
    only: set[str] | None = None,
    without: frozenset[str] | set[str] = frozenset(),
    most: int = MOST_SCENES,
) -> Iterator[Picture]:
    """Scenes of one to four sprites of a pack, in the order of the sprites' hashes."""
    packs: dict[str, dict[str, str]] = {}
    for one in json.loads((assets / "images" / "sprites.json").read_text("utf-8")):
        packs.setdefault(one["pack"], {})[one["file"]] = one["sha256"]
    for pack in sorted(packs):
        if pack in without or (only is not None and pack not in only):
            continue
        in_order = sorted(packs[pack], key=lambda file: packs[pack][file])
        small = [file for file in in_order if max(size_of(assets, file)) <= SIDE_ART_PX // 2 - 2]
        groups = [small[at : at + 4] for at in range(0, len(small), 4)]
        groups += [[file] for file in in_order if file not in set(small)]
        groups.sort(key=lambda group: hashlib.sha256("".join(group).encode()).hexdigest())
        for index, group in enumerate(groups[:most]):
            yield Picture(f"{pack}-{index}", "drawing", partial(scene_bytes, assets, tuple(group)))


def _picture(path: Path, kind: str) -> Picture:
    return Picture(path.name, "drawing" if kind == "drawings" else "photograph", path.read_bytes)


def _listed(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["pictures"]
    return found
