"""Stores that everything which ships is trained on and chosen by: the same pictures for every space, kind by kind.

Training squares are cut from what `picture_sets.training` gives, upright, and a few more from each picture turned, lit
and coloured otherwise; development squares from what `picture_sets.development` gives. Both lie in runs/train, and are
collected once; what is there is not made again.
"""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

import latentfit as lf
from latentfit.images import Kind, Picture
from latentfit.pairs import PairStore
from latentfit.palettes import Palette
from latentfit.train import varied
from recipes.development import OF_EACH, SIZE
from recipes.picture_sets import KINDS, development, scenes_of_packs, training
from recipes.scored_sets import ROOT, held_out
from recipes.tables import vae_of

RUNS = ROOT / "runs" / "train"
CROPS = {"photographs": 6, "paintings": 6, "drawings": 4, "pixel art": 2}
"""Squares of each picture."""
VARIED_CROPS = {"photographs": 2, "paintings": 2, "drawings": 1, "pixel art": 0}
"""Squares of each picture in other colours, light and orientation."""
SINGULAR: dict[str, Kind] = {
    "photographs": "photograph",
    "paintings": "painting",
    "drawings": "drawing",
    "pixel art": "pixel art",
}
"""Kind of a set: kind of its samples, by which presets weigh them."""


def training_store(space: str, assets: Path, keep: Literal["cells", "photo"] = "photo") -> PairStore:
    """The pairs to train on; with "cells", for maps between latents, latents and one colour a cell alone."""
    out = RUNS / f"{space}-{'mixed' if keep == 'photo' else 'mixed-maps'}"
    return collected(space, assets, training(assets), out, keep)


def development_store(space: str, assets: Path) -> PairStore:
    """The pairs to choose by: `OF_EACH` pictures of each kind, whole, `SIZE` px the short side."""
    few = {kind: pictures[:OF_EACH] for kind, pictures in development(assets).items()}
    out, vae = RUNS / f"{space}-development", vae_of(space, assets)
    for kind in KINDS:
        lf.collect(vae, named(few[kind], kind), out, size=SIZE, keep="photo", progress=False)
    return PairStore(out)


def collected(
    space: str, assets: Path, pictures: dict[str, list[Picture]], out: Path, keep: Literal["cells", "photo"]
) -> PairStore:
    """Squares of each picture, and squares of what it looks like otherwise."""
    vae = vae_of(space, assets)
    for kind in KINDS:
        lf.collect(vae, named(pictures[kind], kind), out, size=SIZE, crops=CROPS[kind], keep=keep, progress=False)
        if VARIED_CROPS[kind]:
            others = [varied_picture(one) for one in named(pictures[kind], kind)]
            lf.collect(vae, others, out, size=SIZE, crops=VARIED_CROPS[kind], keep=keep, progress=False)
    return PairStore(out)


def named(pictures: list[Picture], kind: str) -> list[Picture]:
    """The pictures as those of a kind of samples."""
    return [Picture(one.name, SINGULAR[kind], one.read) for one in pictures]


def varied_picture(picture: Picture) -> Picture:
    """The picture turned, and lit and coloured otherwise, as its name's hash decides."""
    return Picture(f"varied/{picture.name}", picture.kind, partial(varied_bytes, picture))


def varied_bytes(picture: Picture) -> bytes:
    """A PNG's bytes."""
    image, sha256 = picture.load()
    rgb = varied(np.asarray(image, np.uint8), np.random.default_rng(int(sha256[:16], 16)), always=True)
    buffer = io.BytesIO()
    pixels = (rgb.transpose(1, 2, 0) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


Part = Literal["training", "development", "report"]
PHOTOGRAPHS_BESIDE = 100
"""Photographs among the scenes of sprites that palettized decoders learn from: not all they will see is drawn."""


def sprites_store(space: str, palette: str, assets: Path, part: Part) -> PairStore:
    """Scenes of sprites in a palette's colours, a pixel as wide as a latent cell: their classes are known.

    Packs of a part are of no other. Photographs stand beside those to train on.
    """
    colours, vae = Palette.load(palette), vae_of(space, assets)
    out = RUNS / f"{space}-sprites-{palette}{'' if part == 'training' else f'-{part}'}"
    if part == "training":
        kept_back = {pack for role in ("report", "development") for pack in held_out()[role]["pixel art"]}
        scenes = scenes_of_packs(assets, without=kept_back)
        photographs = named(training(assets)["photographs"][:PHOTOGRAPHS_BESIDE], "photographs")
        lf.collect(vae, photographs, out, size=320, keep="photo", square=True, progress=False)
    else:
        scenes = scenes_of_packs(assets, only=set(held_out()[part]["pixel art"]), most=6)
    return lf.collect(vae, list(in_palette(scenes, colours)), out, size=320, keep="photo", square=True, progress=False)


def in_palette(scenes: Iterator[Picture], palette: Palette) -> Iterator[Picture]:
    """Each scene with every colour replaced by the palette's nearest, in OKLab."""
    for scene in scenes:
        yield Picture(scene.name, "pixel art", partial(in_palette_bytes, scene, palette))


def in_palette_bytes(scene: Picture, palette: Palette) -> bytes:
    """A PNG's bytes."""
    image, _ = scene.load()
    pixels = np.asarray(image, np.uint8)
    rows, place = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    colours = torch.from_numpy(rows.T.astype(np.float32) / 255)[None, :, None]
    nearest = palette.colours.numpy()[palette.nearest(colours).reshape(-1).numpy()]
    buffer = io.BytesIO()
    Image.fromarray(nearest[place.reshape(-1)].reshape(pixels.shape)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
