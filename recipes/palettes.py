"""Train and score the palettized decoders that ship: data/models/sd1-ega16 and sd1-nes55, with their card.

Reads LATENTFIT_ASSETS: weights/taesd (the VAE), images/cc0, which with the bundled photographs and charts is all that
is trained on, and images/eval, which is only scored on. Pairs are those of `make_models.py`, in runs/train/sd1, or
`--store`'s; networks are trained into runs/train/palettes; a killed run goes on with the same command. Beside each
decoder pixelvae's network is trained alike, to be compared with. Writes data/models/sd1-*.safetensors, palettes.csv and
PALETTES.md there. Run by `make palettes`.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

import latentfit as lf
from benchmarks.measuring import machine_facts
from latentfit.formats import load_approximation
from latentfit.pairs import PairStore
from latentfit.palettes import Palette, Palettizing
from latentfit.runtime import write_atomic
from latentfit.scores import evaluate_palettes
from latentfit.train import preset_named, train_palette
from recipes.cards.models import run_in_words
from recipes.cards.results_tables import keeping_kinds
from recipes.cards.wording import in_words
from recipes.models import RUNS, store_of
from recipes.tables import stores_of

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "data" / "models"
SHIPPED = {"sd1-ega16": "ega16", "sd1-nes55": "nes"}
PRESETS = ("cell-palette", "pixelvae")
TABLES = ("affine", "3", "5_3")
LIMIT_BYTES = 300_000


def main() -> None:
    """Train what is not there, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="pairs to train on, instead of collecting them")
    parser.add_argument("--images", type=int, help="crops to see, instead of the preset's number")
    parser.add_argument("--precision", default="bf16", choices=["no", "bf16", "fp16"])
    options = parser.parse_args()
    assets = Path(os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_palettes: set LATENTFIT_ASSETS"))
    store = PairStore(options.store) if options.store else store_of("sd1", assets)
    for name in SHIPPED:
        for preset in PRESETS:
            trained(name, preset, store, options.images, options.precision)
    _, eval_store = stores_of("sd1", assets)
    frames = [scored(name, palette, eval_store, assets) for name, palette in SHIPPED.items()]
    kept = pd.concat(frames).drop(columns=["image", "sample", "kind"])
    write_atomic(MODELS / "palettes.csv", kept.to_csv(index=False, float_format="%.5g"))
    write_atomic(MODELS / "PALETTES.md", keeping_kinds(MODELS / "PALETTES.md", card(kept)))


def path_of(name: str, preset: str) -> Path:
    """Where a trained network lies."""
    return RUNS / "palettes" / f"{name}-{preset}.safetensors"


def trained(name: str, preset: str, store: PairStore, n_images: int | None, precision: str) -> None:
    """One network, on all pictures of the store: it is scored on others."""
    out = path_of(name, preset)
    if out.is_file():
        print(f"{out.name}: there already")
        return
    config = replace(preset_named(preset, "palette").config, precision=precision)
    config = replace(config, n_images=n_images or config.n_images)
    print(f"{out.name}: {config.n_images} crops", flush=True)
    how = Palettizing(Palette.load(SHIPPED[name]))
    train_palette(store, how, preset, out, config=config, split="all", progress=False)


def scored(name: str, palette: str, eval_store: PairStore, assets: Path) -> pd.DataFrame:
    """Ship the decoder, float16, with its scores in its card; the pooled rows of all that it is compared with."""
    ours = lf.load(path_of(name, "cell-palette"))
    ours.module.half().float()  # as it ships
    compared = {name: ours, "pixelvae's network, trained alike": lf.load(path_of(name, "pixelvae"))}
    compared |= {f"table {form}": lf.load(ROOT / "data" / "tables" / "sd1" / f"{form}.safetensors") for form in TABLES}
    released = assets / "weights" / "pixelvae" / "decoder_rd.ega.pt"
    if palette == "ega16" and released.is_file():
        compared["pixelvae's released decoder"] = lf.load(released, space="sd1", palette=palette)
    frame = evaluate_palettes(compared, eval_store)
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all")]
    own = pooled[pooled["approximation"] == name].drop(columns=["approximation", "image", "sample", "kind"])
    ours.card["scores"] = json.loads(own.to_json(orient="records", double_precision=5))
    single = frame[(frame["approximation"] == name) & (frame["image"] != "all")]
    ours.card["pictures"] = dict(zip(single["image"], single["accuracy"].round(4), strict=True))
    ours.card["scored_on"] = f"images/eval: {eval_store.reference}, {len(eval_store.samples)} pictures"
    ours.card["trained"] = training_of(path_of(name, "cell-palette").with_suffix(".run"))
    ours.name = name
    path = lf.save(ours, MODELS / f"{name}.safetensors", dtype=torch.float16)
    print(f"{path.name}: {path.stat().st_size:,} bytes, accuracy {own['accuracy'].item():.3f}")
    return pooled


def training_of(run: Path) -> str:
    """One line: crops, minutes, machine."""
    config, facts = json.loads((run / "config.json").read_text("utf-8")), machine_facts()
    named = {"weight_decay": "weight decay", "balance": "balance", "oklab": "OKLab distance ×"}
    losses = ", ".join(f"{words} {config[name]:g}" for name, words in named.items())
    return f"{run_in_words(run)}, {losses}, on {facts['cores']} CPU cores ({facts['cpu']})"


def card(scores: pd.DataFrame) -> str:
    """data/models/PALETTES.md: the shipped decoders with their numbers, beside the closed form and pixelvae's."""
    files = [(MODELS / f"{name}.safetensors", palette) for name, palette in SHIPPED.items()]
    lines = [
        "# Palettized decoders", "",
        "SD1 latents to classes of a palette, one a cell; the file carries the palette. float16 files, run in float32.",
        "Trained and scored through TAESD, standing in for SD1's KL-VAE: targets are k-centroid downscaled decodes,",
        "nearest in OKLab, without dithering. Scored by `make palettes` on images/eval (40 photographs, short side 320",
        "px, none of them trained on, but the losses were chosen on them). Other kinds of pictures: at the end.", "",
        "| file | kB | numbers | palette | classes |", "|---|--:|--:|---|--:|",
    ]  # fmt: skip
    for path, palette in files:
        size, one = path.stat().st_size, load_approximation(path)
        classes = len(Palette.load(palette))
        lines.append(f"| {path.name} | {size / 1e3:.0f} | {one.n_parameters:,} | {palette} | {classes} |")
    for path, palette in files:
        block = scores[scores["palette"] == palette].sort_values("accuracy", ascending=False)
        lines += [
            "", f"## {path.stem}, beside others", "",
            "| | accuracy | recall | OKLab distance | ΔE to the cell (the target's) | usage distance | ms |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]  # fmt: skip
        lines += [
            f"| {in_words(row.approximation)} | {row.accuracy:.3f} | {row.recall:.3f} | {row.oklab:.4f} | "
            f"{row.delta_e:.2f} ({row.target_delta_e:.2f}) | {row.usage_distance:.3f} | {row.ms:.1f} |"
            for row in block.itertuples()
        ]
    lines += [
        "", "Accuracy: share of cells of the target's class; recall: mean over the classes; OKLab distance: mean, from "
        "the target's colour; ΔE: CIEDE2000; usage distance: half the summed differences of the classes' shares. "
        "*… table, nearest colour*: a closed form's colour and then the nearest of the palette. pixelvae's "
        "released decoder learned other pictures, and targets that are nearest in RGB.", "",
        "Trained on 18 CC0 photographs, upright and turned, the photographs that scikit-image and scikit-learn carry, "
        "and this project's charts, in squares of 256 px.", "",
        *[f"- `{path.name}`: {load_approximation(path).card['trained']}" for path, _ in files], "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
