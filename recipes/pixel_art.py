"""Score palettized decoders on what they are for: a sprite drawn at 8 px a pixel must come back as its own indices.

Scenes of sprites of packs that nothing was trained on or chosen by are mapped to a palette, encoded by TAESD, and
palettized from their latents. Beside ours stand pixelvae's network trained alike, pixelvae's released decoder, the
closed form's nearest colour, and the long way: decode everything, then k-centroid or the nearest of each cell's mean.

    python -m recipes.pixel_art [--palettes pico-8 ega16]

Reads LATENTFIT_ASSETS and runs/train (`recipes.all`). Writes data/models/pixel_art.csv and prints it as a table.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

import latentfit as lf
from latentfit.maps import Approximation
from latentfit.pairs import PairStore
from latentfit.palettes import Palette, Palettizing
from latentfit.runtime import write_atomic
from latentfit.scores import evaluate_palettes
from recipes import stores
from recipes.jobs import MODELS, PALETTES, Place
from recipes.scored_sets import ROOT, assets_folder

TABLE = MODELS / "pixel_art.csv"
OURS, ALIKE, RELEASED = "ours", "pixelvae's network, trained alike", "pixelvae's released decoder"
LONG_WAYS = {"decode → k-centroid": "k-centroid", "decode → nearest of the mean": "nearest"}
COLUMNS = ["palette", "map", "accuracy", "oklab", "n_images"]


def main() -> None:
    """Score, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--palettes", nargs="+", default=list(PALETTES), choices=PALETTES)
    options = parser.parse_args()
    assets = assets_folder()
    frames = []
    for name in options.palettes:
        store = stores.sprites_store("sd1", name, assets, "report")
        frames.append(scores_of(Palette.load(name), store, compared(name, assets)))
    frame = pd.concat(frames)
    write_atomic(TABLE, frame.to_csv(index=False, float_format="%.5g"))
    print(table_of(frame))


def compared(palette: str, assets: Path) -> dict[str, Approximation]:
    """What is there of: ours, pixelvae's network, its released decoder, and our closed form."""
    paths = {
        OURS: Place(f"sd1:{palette}-cell-palette").path, ALIKE: Place(f"sd1:{palette}-pixelvae").path,
        "table 3×3": ROOT / "data" / "tables" / "sd1" / "3.safetensors",
    }  # fmt: skip
    found = {name: lf.load(path) for name, path in paths.items() if path.is_file()}
    released = assets / "weights" / "pixelvae" / "decoder_rd.ega.pt"
    if palette == "ega16" and released.is_file():
        found[RELEASED] = lf.load(released, space="sd1", palette=palette)
    return {name: one for name, one in found.items() if isinstance(one, Approximation)}


def scores_of(palette: Palette, store: PairStore, maps: Mapping[str, Approximation]) -> pd.DataFrame:
    """A row a way: share of cells whose class is the art's own, and mean OKLab distance from its colour."""
    art = Palettizing(palette, "nearest", of="photo")
    frame = evaluate_palettes(maps, store, how=art)
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all")].rename(columns={"approximation": "map"})
    rows = pooled[COLUMNS].to_dict("records")
    distances = torch.cdist(palette.oklab, palette.oklab, compute_mode="donot_use_mm_for_euclid_dist")
    for name, method in LONG_WAYS.items():
        way = Palettizing(palette, method)  # type: ignore[arg-type]
        right = cells = 0
        far = 0.0
        for batch in store.batches(columns=["rgb", "photo"], n_cells=1):
            assert batch.rgb is not None
            assert batch.photo is not None
            made, wanted = (how(rgb, store.space.cell_px) for how, rgb in ((way, batch.rgb), (art, batch.photo)))
            right, cells = right + int((made == wanted).sum()), cells + made.numel()
            far += float(distances[made, wanted].sum())
        n_images = len({sample.sha256 for sample in store.samples})
        rows.append(dict(zip(COLUMNS, (palette.name, name, right / cells, far / cells, n_images), strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("accuracy", ascending=False)


def table_of(frame: pd.DataFrame) -> str:
    """As Markdown, a block a palette, best first."""
    lines = ["| | palette | indices right | OKLab distance |", "|---|---|--:|--:|"]
    lines += [f"| {row.map} | {row.palette} | {row.accuracy:.1%} | {row.oklab:.4f} |" for row in frame.itertuples()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
