"""Train what the project ships: mini VAEs (data/vaes) and cell decoders (data/models) of sd1, sdxl and flux1.

Reads LATENTFIT_ASSETS: weights/taesd (the teachers) and images/cc0, which with the bundled photographs, the charts and
the photographs of data/training_pictures.json (`training_pictures.py`) is all that is trained on. Pairs are collected
into runs/train, networks are trained there; a killed run goes on with the same command. `--only sd1:mini-encoder
sd1:cell` trains some only. Scores, cards and the files in data/ are made by `make_cards.py`.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor

import latentfit as lf
from latentfit.fit import sharpening_floor, sharpening_kernel
from latentfit.formats import load_approximation
from latentfit.maps import Approximation
from latentfit.nets import CellDecoder, load_tiny_encoder
from latentfit.pairs import PairStore
from latentfit.runtime import WeightsFile
from latentfit.train import TrainConfig, preset_named, train_decoder, train_encoder
from recipes.training_pictures import gathered

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "train"
VAES = {"sd1": "taesd", "sdxl": "taesdxl", "flux1": "taef1"}
LARGE, SHARP = "cell-large", "cell-large-sharp"
PRESETS = ("mini-encoder", "mini-decoder", "cell", LARGE)
CROPS = {"sd1": 24, "sdxl": 24, "flux1": 48}  # of each photograph of images/cc0
CROPS_GATHERED = {"sd1": 24, "sdxl": 24, "flux1": 12}  # of each other free photograph
VARIANTS = tuple(zip(Image.Transpose, ("GRB", "BRG", "BGR", "RBG", "GBR", "RGB", "INVERTED"), strict=True))
"""The seven other orientations, each in other colours: some fifty photographs have few of their own."""
ENERGY, SHARPENED_ON = 0.55, 8
"""Detail over the photograph's that the filter is fitted for, others get more; every so many squares."""
CROPS_VARIED = {"sd1": 4, "sdxl": 4, "flux1": 1}  # of each photograph in each of them
CROPS_OF_MAPS = {"bundled": 4, "free": 12, "varied": 2}
"""Of each picture for maps between latents, whose pairs are the same places in every space."""


def main() -> None:
    """Collect and train, space by space."""
    parser = argparse.ArgumentParser(description=__doc__)
    jobs = [f"{space}:{preset}" for space in VAES for preset in PRESETS]
    parser.add_argument("--only", nargs="+", default=jobs, choices=jobs, metavar="SPACE:PRESET")
    parser.add_argument("--again", action="store_true", help="go on from what is there, with a third of the rate")
    parser.add_argument("--images", type=int, help="crops to see, instead of the preset's number")
    parser.add_argument("--precision", default="bf16", choices=["no", "bf16", "fp16"])
    options = parser.parse_args()
    assets = os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_models: set LATENTFIT_ASSETS (weights/ and images/)")
    for job in options.only:
        space, preset = job.split(":")
        config = replace(preset_named(preset).config, precision=options.precision)
        if options.images:
            config = replace(config, n_images=options.images)
        store = store_of(space, Path(assets))
        trained(space, preset, store, config, again=options.again)
        if preset == LARGE:
            sharpened(space, store)


def store_of(space: str, assets: Path) -> PairStore:
    """The pairs to train on, collected when they are not there."""
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space)
    store = RUNS / space
    lf.collect(vae, ["bundled"], store, size=256, crops=12, keep="photo", progress=False)
    cc0, others = assets / "images" / "cc0", gathered()
    lf.collect(vae, str(cc0), store, size=256, crops=CROPS[space], keep="photo", progress=False)
    lf.collect(vae, str(others), store, size=256, crops=CROPS_GATHERED[space], keep="photo", progress=False)
    turned = str(varied(cc0, others))
    return lf.collect(vae, turned, store, size=256, crops=CROPS_VARIED[space], keep="photo", progress=False)


def maps_store_of(space: str, assets: Path) -> PairStore:
    """The squares that maps between latents are trained on, collected when they are not there."""
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space)
    pictures = pictures_of_maps(assets)
    for which, crops in CROPS_OF_MAPS.items():
        lf.collect(vae, pictures[which], RUNS / f"{space}-maps", size=256, crops=crops, keep="cells", progress=False)
    return PairStore(RUNS / f"{space}-maps")


def pictures_of_maps(assets: Path) -> dict[str, list[str]]:
    """What `CROPS_OF_MAPS` names."""
    cc0, others = assets / "images" / "cc0", gathered()
    return {"bundled": ["bundled"], "free": [str(cc0), str(others)], "varied": [str(varied(cc0, others))]}


def varied(*folders: Path) -> Path:
    """Every picture of the folders turned and in other colours, see `VARIANTS`, as PNGs in runs/train/varied."""
    out = RUNS / "varied"
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(path for folder in folders for path in folder.glob("*.jpg")):
        for turn, order in VARIANTS:
            target = out / f"{path.stem}-{turn.name.lower()}-{order.lower()}.png"
            if not target.is_file():
                part = target.with_suffix(".part")
                with Image.open(path) as picture:
                    recoloured(picture.convert("RGB").transpose(turn), order).save(part, format="PNG", compress_level=1)
                part.rename(target)
    return out


def recoloured(picture: Image.Image, order: str) -> Image.Image:
    """The picture with its channels in another order, or as a negative."""
    if order == "INVERTED":
        return ImageOps.invert(picture)
    return Image.merge("RGB", [picture.getchannel(name) for name in order])


def sharpened(space: str, store: PairStore) -> None:
    """The large decoder with the filter behind it that gives its detail the energy which squared error took.

    Where what the filter adds is no stronger than in flat areas, nothing is added.
    """
    out, source = path_of(space, SHARP), path_of(space, LARGE)
    if out.is_file() and out.stat().st_mtime >= source.stat().st_mtime:
        print(f"{out.name}: there already")
        return
    soft = lf.load(source)
    assert isinstance(soft, Approximation)
    assert isinstance(soft.module, CellDecoder)
    squares = [one for one in store.samples if one.kind == "photograph"][::SHARPENED_ON]
    approximation = soft

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in store.batches(squares, ("photo",), n_cells=1 << 13):
            if batch.photo is not None:
                yield approximation.unclamped(batch.latents), batch.photo

    kernel = sharpening_kernel(pairs(), ENERGY)
    floor = sharpening_floor(pairs(), kernel)
    told = {"squares": len(squares), "energy": ENERGY, "side": len(kernel), "floor": round(floor, 6)}
    card = {**soft.card, "sharpened": told}
    module = soft.module.sharpened(kernel, floor)
    lf.save(Approximation(module, soft.space, soft.scale, name=soft.name, card=card), out)
    print(
        f"{out.name}: centre {kernel[3, 3]:.2f}, floor {255 * floor:.2f} levels, on {len(squares)} squares", flush=True
    )


def path_of(space: str, preset: str) -> Path:
    """Where a trained network lies; halves of a VAE as a pair by TAESD's naming."""
    return RUNS / f"{space}-{preset}.safetensors"


def trained(space: str, preset: str, store: PairStore, config: TrainConfig, *, again: bool = False) -> None:
    """Train one network on all pictures of the store: it is scored on others."""
    out = path_of(space, preset)
    first = None
    if again:
        first = out.with_name(f"{out.stem}.first.safetensors")
        if not first.is_file():
            out.rename(first)
            out.with_suffix(".run").rename(first.with_suffix(".run"))
        config = replace(config, lr=config.lr / 3, seed=config.seed + 1)
    if out.is_file():
        print(f"{out.name}: there already")
        return
    print(f"{out.name}: {config.n_images} crops", flush=True)
    if preset.endswith("encoder"):
        encoder = load_tiny_encoder(WeightsFile(first).read()) if first else None
        train_encoder(store, preset, out, config=config, split="all", begin=encoder)
    else:
        decoder = load_approximation(first) if first else None
        train_decoder(store, preset, out, config=config, split="all", begin=decoder)


if __name__ == "__main__":
    main()
