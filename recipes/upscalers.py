"""Train and score the upscalers that ship: data/models/SPACE-upscaler.safetensors and SPACE-upscaler-any.safetensors.

Reads LATENTFIT_ASSETS: weights/taesd (the VAEs), images/cc0, which with the bundled photographs, the charts and the
photographs of data/training_pictures.json (`training_pictures.py`) is all that is trained on, and images/eval, which is
only scored on. The large side of each pair are the squares that `recipes.interposers` trains on; the same crops are
encoded again at `SHARES` of their sides, which is the small side; for 1.5× there are stores of their own. Each network
begins with the blocks of the space's large cell decoder. A killed run goes on with the same command. Writes the models,
upscalers.csv and UPSCALERS.md into data/models. Run by `make upscalers`.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pandas as pd
import torch

import latentfit as lf
from benchmarks.measuring import machine_facts
from latentfit.fit import ChannelMap
from latentfit.maps import LatentMap, resampling
from latentfit.pairs import JoinedStores, PairStore, collect_scales
from latentfit.runtime import write_atomic
from latentfit.scores import BASELINE, evaluate_latent_maps
from latentfit.train import preset_named, train_latent_map
from recipes.cards.models import run_in_words
from recipes.cards.results_tables import keeping_kinds
from recipes.cards.wording import in_words
from recipes.interposers import full_decoder, marks_in_words, mean_of
from recipes.models import CROPS_OF_MAPS, RUNS, VAES, maps_store_of, pictures_of_maps

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "data" / "models"
SIZE = 256
SHARES = {Fraction(1, 2): CROPS_OF_MAPS, Fraction(3, 4): {"bundled": 2, "free": 6}}
"""Sides over the large store's: crops of each picture."""
HALF_MORE, SMALL_SIZE, HALF_MORE_CROPS = Fraction(3, 2), 160, 4
"""A factor that 32 cells have no share for has stores of its own: of small squares, so many crops of a photograph."""
KINDS = {"upscaler": "upscaler", "upscaler-any": "any factor"}
FACTORS = {"2×": Fraction(2), "1.5×": Fraction(3, 2)}
EVAL_SIZE = 320
OURS, OURS_ANY = "upscaler", "upscaler of any factor"
INCUMBENTS = ("nearest", "bilinear", "bicubic", "bislerp")
FORMS = ("3", "5")


def main() -> None:
    """Train what is not there, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    jobs = [f"{space}:{kind}" for space in VAES for kind in KINDS]
    parser.add_argument("--only", nargs="+", default=jobs, choices=jobs, metavar="SPACE:KIND")
    parser.add_argument("--precision", default="bf16", choices=["no", "bf16", "fp16"])
    parser.add_argument("--train-only", action="store_true", help="score nothing, write no card")
    parser.add_argument("--score-only", action="store_true", help="train nothing")
    options = parser.parse_args()
    assets = Path(os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_upscalers: set LATENTFIT_ASSETS"))
    spaces = sorted({job.split(":")[0] for job in options.only}, key=list(VAES).index)
    for space in spaces:
        joined = joined_of(space, assets)
        for kind in (kind for kind in KINDS if f"{space}:{kind}" in options.only and not options.score_only):
            ours(space, kind, joined, assets, options.precision)
        if not options.train_only:
            scored(space, joined, assets)
    if not options.train_only:
        write_atomic(MODELS / "UPSCALERS.md", keeping_kinds(MODELS / "UPSCALERS.md", card()))


def joined_of(space: str, assets: Path) -> list[JoinedStores]:
    """The small stores beside the large one, collected when they are not there; factor 2 first."""
    large = maps_store_of(space, assets)
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space)
    pictures = pictures_of_maps(assets)
    found = []
    for share, crops in SHARES.items():
        out = RUNS / f"{space}-x{float(share):g}"
        how = {"size": SIZE, "keep": "cells", "scale": share, "scales": (1, *SHARES), "progress": False}
        for which in crops:
            lf.collect(vae, pictures[which], out, crops=crops[which], **how)
        found.append(PairStore(out).join(large))
    half_more = collect_scales(
        vae, pictures["free"], RUNS / f"{space}-1.5", (1, HALF_MORE),
        size=SMALL_SIZE, crops=HALF_MORE_CROPS, keep="cells", progress=False,
    )  # fmt: skip
    return [*found, half_more.join(HALF_MORE)]


def path_of(space: str, kind: str, course: str = "") -> Path:
    """Where a trained network lies."""
    return RUNS / "upscalers" / f"{space}-{kind}{course and '-'}{course}.safetensors"


def ours(space: str, kind: str, joined: list[JoinedStores], assets: Path, precision: str) -> None:
    """One upscaler in two courses, and the mean of their weights, on all pictures of the stores: scored on others."""
    out, first, fine = (path_of(space, kind, course) for course in ("", "first", "fine"))
    stores = joined if kind.endswith("any") else joined[:1]
    for preset, path in ((kind, first), (f"{kind}-fine", fine)):
        if path.is_file():
            print(f"{path.name}: there already")
            continue
        config = replace(preset_named(preset, "upscaler").config, precision=precision)
        print(f"{path.name}: {config.n_images} crops", flush=True)
        is_first = path == first
        decoder = lf.load(MODELS / f"{space}-cell.safetensors") if is_first else full_decoder(space, assets)
        trunk = lf.load(MODELS / f"{space}-cell-large.safetensors") if is_first else None
        train_latent_map(
            stores, preset, path, trunk=trunk,
            decoder=decoder, begin=None if is_first else lf.load(first), config=config, split="all", progress=False,
        )  # fmt: skip
    if not out.is_file():
        lf.save(mean_of(lf.load(first), lf.load(fine)), out)


def eval_stores(space: str, assets: Path, factor: Fraction) -> JoinedStores:
    """The evaluation photographs at `EVAL_SIZE`, and the same crops smaller by the factor."""
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space)
    made = []
    for scale in (1 / factor, Fraction(1)):
        out = ROOT / "runs" / "upscaling" / f"{space}-{factor.numerator}-{factor.denominator}-x{float(scale):.2f}"
        how = {"size": EVAL_SIZE, "keep": "photo", "scale": scale, "scales": (1, 1 / factor), "progress": False}
        made.append(lf.collect(vae, str(assets / "images" / "eval"), out, **how))
    return made[0].join(made[1])


def scored(space: str, joined: list[JoinedStores], assets: Path) -> None:
    """Ship the upscalers, float16, with their scores; the pooled rows of all they are compared with."""
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space, device="cpu")
    shipped = {kind: lf.load(path_of(space, kind)) for kind in KINDS if path_of(space, kind).is_file()}
    for one in shipped.values():
        one.module.half().float()  # as it ships
    tables = []
    for words, factor in FACTORS.items():
        maps: dict[str, LatentMap] = {name: resampling(name, space, factor) for name in INCUMBENTS}
        fitted_on = next((one for one in joined if one.scale == factor), None)
        if fitted_on is not None:
            maps |= {f"closed form {form}": ChannelMap(form, scale=factor).fit_joined(fitted_on, "all").latent_map()
                     for form in FORMS}  # fmt: skip
        if OURS in shipped and factor == 2:
            maps[OURS] = shipped[OURS]
        if "upscaler-any" in shipped:
            maps[OURS_ANY] = shipped["upscaler-any"].at_scale(factor)
        scored_on = eval_stores(space, assets, factor)
        frame = evaluate_latent_maps(maps, scored_on, vae, vae)
        pooled = frame[frame["image"] == "all"].drop(columns=["image", "sample", "kind"])
        pooled.insert(0, "factor", words)
        pooled.insert(0, "space", space)
        tables.append(pooled)
    everything = pd.concat(tables)
    path = MODELS / "upscalers.csv"
    if path.is_file():
        kept = pd.read_csv(path)
        everything = pd.concat([kept[kept["space"] != space], everything])
    write_atomic(path, everything.to_csv(index=False, float_format="%.5g"))
    facts = machine_facts()
    for kind, one in shipped.items():
        name = OURS if kind == OURS else OURS_ANY
        own = everything[(everything["space"] == space) & (everything["map"] == name)]
        one.card["scores"] = json.loads(
            own.drop(columns=["space", "map"]).to_json(orient="records", double_precision=5)
        )
        one.card["scored_on"] = f"images/eval, {len(scored_on)} pictures"
        first, fine = (path_of(space, kind, course).with_suffix(".run") for course in ("first", "fine"))
        one.card["trained"] = (
            f"{run_in_words(first)}; then {run_in_words(fine)}; the mean of both, on {torch.get_num_threads()} of "
            f"{facts['cores']} CPU cores ({facts['cpu']})"
        )
        one.name = f"{space}-{kind}"
        path = lf.save(one, MODELS / f"{space}-{kind}.safetensors", dtype=torch.float16)
        print(
            f"{path.name}: {path.stat().st_size:,} bytes, {', '.join(f'{x:.2f} dB' for x in own['psnr'])}", flush=True
        )


def card() -> str:
    """data/models/UPSCALERS.md: the shipped upscalers with their numbers, beside all they are held against."""
    scores = pd.read_csv(MODELS / "upscalers.csv")
    shipped = sorted(MODELS.glob("*-upscaler*.safetensors"))
    lines = [
        "# Upscalers", "",
        "Latents to larger latents of the same space, model domain. float16 files, run in float32; those of any factor",
        "give 1 to 2. Trained and scored through TAESD's family, standing in for the spaces' own VAEs. Scored by",
        f"`make upscalers` on images/eval: 40 photographs, {EVAL_SIZE} px the short side when large, none trained on,",
        "but settings were chosen on some of them: the project's docs/results.md. Other kinds of pictures: at the end.",
        "", "| file | MB | numbers |", "|---|--:|--:|",
    ]  # fmt: skip
    lines += [f"| {path.name} | {path.stat().st_size / 1e6:.2f} | {lf.load(path).n_parameters:,} |" for path in shipped]
    for (space, factor), block in scores.groupby(["space", "factor"], sort=False):
        lines += ["", f"## {lf.get_space(space).title}, {factor}", "", *table_of(block), "", *marks_of(block)]
    lines += [
        "", "dB, MS-SSIM, ΔE (CIEDE2000): the VAE's decode of what a map makes against its decode of the true large "
        "latents; picture: dB against the photograph itself. R²: of the latents. Buried from: the least image-to-image "
        "strength whose noise covers the error in every frequency band. ms and MiB: one latent, ms in turns in one "
        "run, MiB the most that is allocated at once. decode → encode: decoded, resized with Lanczos, encoded.", "",
        "Trained on free photographs (images/cc0 and data/training_pictures.json), upright, turned and recoloured, the "
        "photographs that scikit-image and scikit-learn carry, and this project's charts, in squares of 256 px and the "
        "same crops at 1/2 and 3/4 of them, and of 240 and 160 px; closed forms are fitted on the same pairs. Each "
        "began with the blocks of its space's large cell decoder (README.md here says what that learned from), its "
        "last convolution solved by least squares.", "",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"- `{path.name}`: {lf.load(path).card['trained']}" for path in shipped), ""])


def table_of(block: pd.DataFrame) -> list[str]:
    """One space's rows at one factor, best picture first."""
    lines = ["| | dB | MS-SSIM | ΔE | picture | R² | buried from | ms | MiB |", "|---|" + "--:|" * 8]
    for row in block.sort_values("psnr", ascending=False).itertuples():
        lines.append(
            f"| {in_words(row.map)} | {row.psnr:.2f} | {row.ms_ssim:.3f} | {row.delta_e:.2f} | {row.photo_psnr:.2f} | "
            f"{row.r2:.3f} | {row.buried_strength:.2f} | {row.ms:.1f} | {row.extra_mib:.1f} |"
        )
    return lines


def marks_of(block: pd.DataFrame) -> list[str]:
    """What was asked of the upscalers, and what they reached."""
    by_map = block.set_index("map")
    closed = by_map[by_map.index.str.startswith("closed form")]["psnr"]
    marks: list[tuple[str, float, float, bool]] = []
    for name in (name for name in (OURS, OURS_ANY) if name in by_map.index):
        own = by_map.loc[name]
        marks.append((f"dB over latent bicubic, {name}", own["psnr"] - by_map.loc["bicubic", "psnr"], 2.0, True))
        if len(closed):
            marks.append((f"dB over the closed form, {name}", own["psnr"] - closed.max(), 1.0, True))
        below = by_map.loc[BASELINE, "psnr"] - own["psnr"]
        marks.append((f"dB below decode → encode, {name}", below, 1.0, False))
        marks.append((f"of the time of decode → encode, {name}", own["ms"] / by_map.loc[BASELINE, "ms"], 0.1, False))
    return marks_in_words(marks)


if __name__ == "__main__":
    main()
