"""Measure previews that learn: dB on pictures of others against the pictures that a calibration has seen.

Reads LATENTFIT_ASSETS: weights/taesd (the VAEs), images/free and images/drawings, whose pictures play a user's
generations, and images/eval and the drawings of data/held_out.json, on which it is scored. Photographs and drawings are
learned from and scored apart. For each number of pictures several users with other pictures first are averaged. A
killed run goes on with the same command. Writes data/results/calibration.csv; `recipes.cards.calibration` draws it and
writes docs/calibration.md.
"""

import argparse
import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

import latentfit as lf
from latentfit.formats import bundled_tables
from latentfit.images import Picture
from latentfit.maps import Approximation
from latentfit.pairs import PairStore
from latentfit.runtime import torch_threads, write_atomic
from latentfit.scores import tables
from recipes.scored_sets import assets_folder, held_out_hashes, pictures_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "data" / "results" / "calibration.csv"
RUNS = ROOT / "runs" / "calibration"
VAES = {"sd1": "taesd", "sdxl": "taesdxl", "flux1": "taef1", "sd3": "taesd3"}
SEEN = (1, 2, 4, 8, 16, 32, 64)
KINDS = {"photographs": "eval", "drawings": "drawings"}
"""Of pictures: the set that is scored on."""
N_SCORED = 24
ORDERS, ORDERS_OF_FEW, FEW = 2, 8, 8
"""Users that are averaged; of so few pictures more, since it matters which they are."""
SIZE = 256
COLUMNS = ["space", "kind", "source", "name", "pictures", "psnr", "least", "form"]


def main() -> None:
    """Collect what is not there, learn, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=list(VAES), choices=list(VAES))
    parser.add_argument("--again", action="store_true", help="measure what is there anew")
    options = parser.parse_args()
    for space in options.spaces:
        for kind in KINDS:
            there = there_now()
            is_mine = (there["space"] == space) & (there["kind"] == kind)
            if is_mine.any() and not options.again:
                continue
            rows = pd.DataFrame(measured(space, kind), columns=COLUMNS)
            there = there_now()  # another process may have written meanwhile
            is_mine = (there["space"] == space) & (there["kind"] == kind)
            whole = pd.concat([one for one in (there[~is_mine], rows) if len(one)])
            order = {"space": list(VAES), "kind": list(KINDS)}
            whole = whole.sort_values(list(order), key=lambda c: c.map(order[str(c.name)].index), kind="stable")
            print(write_atomic(RESULTS, whole.to_csv(index=False, float_format="%.2f")), space, kind, flush=True)


def there_now() -> pd.DataFrame:
    """What is measured already."""
    return pd.read_csv(RESULTS, keep_default_na=False) if RESULTS.is_file() else pd.DataFrame(columns=COLUMNS)


def measured(space: str, kind: str) -> Iterator[tuple[object, ...]]:
    """Rows of `COLUMNS`: published tables, what ships, and what is learned with and without them."""
    learned, scored = stores_of(space, kind)
    known: dict[str, Approximation] = {}
    for one in tables(lf.get_space(space)):
        if one.status in ("current", "superseded") and not one.obstacle:
            known[f"published:{one.id}"] = one.approximation()
    for path in bundled_tables(space):
        one = lf.load(path)
        if one.scale == 1:
            known[f"ships:{one.name}"] = one
    grown = {
        f"{source}:{n}:{order}": one
        for source, prior in (("with what is known", "auto"), ("from nothing", None))
        for order in range(ORDERS_OF_FEW)
        for n, one in learned_maps(learned, prior, order, SEEN[-1] if order < ORDERS else FEW)
    }
    psnr = psnr_at_cells({**known, **grown}, scored)
    for key in known:
        source, name = key.split(":", 1)
        yield space, kind, source, name, 0, psnr[key], psnr[key], ""
    for source in ("with what is known", "from nothing"):
        for n in SEEN:
            keys = [key for key in grown if key.startswith(f"{source}:{n}:")]
            if keys:
                values = [psnr[key] for key in keys]
                form = grown[keys[0]].card["form"]
                yield space, kind, source, "", n, sum(values) / len(values), min(values), form


def psnr_at_cells(maps: Mapping[str, Approximation], store: PairStore) -> dict[str, float]:
    """Name -> dB of clamped colours at the cells against the VAE's decode, as `lf.evaluate` has it for all pictures.

    One number is wanted of each of a hundred maps, so the pictures are read once and nothing else is scored.
    """
    squared, n_values = dict.fromkeys(maps, 0.0), 0
    for batch in store.batches(store.samples, ["latents", "cells"]):
        latents, cells = batch.latents.float(), batch.cells.float()
        n_values += cells.numel()
        for name, one in maps.items():
            squared[name] += float((one(latents) - cells).double().square().sum())
    return {name: -10 * math.log10(value / n_values) for name, value in squared.items()}


def learned_maps(
    store: PairStore, prior: str | None, order: int, most: int = SEEN[-1]
) -> Iterator[tuple[int, Approximation]]:
    """What one user has after each number of pictures of `SEEN`."""
    samples = list(store.samples)
    random.Random(order).shuffle(samples)
    calibration = lf.Calibration(store.space, prior=prior)  # type: ignore[arg-type]
    for index, sample in enumerate(samples[:most]):
        batch = next(iter(store.batches([sample], ["latents", "rgb"])))
        calibration.observe(batch.latents.float(), batch.rgb.float())
        if index + 1 in SEEN:
            yield index + 1, calibration.approximation()


def stores_of(space: str, kind: str) -> tuple[PairStore, PairStore]:
    """Pairs to learn from, and pairs to score on; no picture is in both."""
    assets = assets_folder()
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space, device="cpu")
    found = []
    for role, pictures in (("user", users_pictures(kind)), ("held-out", pictures_of(KINDS[kind], assets)[:N_SCORED])):
        out = RUNS / f"{space}-{kind}-{role}"
        found.append(lf.collect(vae, pictures, out, size=SIZE, keep="rgb", progress=False))
    return found[0], found[1]


def users_pictures(kind: str) -> list[Picture]:
    """The first of the pictures that nothing is scored on."""
    images, kept_back = assets_folder() / "images", held_out_hashes()
    if kind == "drawings":
        files = [f"drawings/{path.name}" for path in sorted((images / "drawings").iterdir())]
    else:
        free = json.loads((images / "free.json").read_text("utf-8"))["pictures"]
        files = [one["file"] for one in free if one["kind"] == "photograph"]
    kind_of = "drawing" if kind == "drawings" else "photograph"
    every = (Picture(Path(file).stem, kind_of, (images / file).read_bytes) for file in files)
    return [one for one in every if _hash(one) not in kept_back][: SEEN[-1]]


def _hash(picture: Picture) -> str:
    return hashlib.sha256(picture.read()).hexdigest()


if __name__ == "__main__":
    with torch_threads(1):
        main()
