"""Train and score the interposers that ship: data/models/A-to-B.safetensors for `PAIRS`, with their card.

Reads LATENTFIT_ASSETS: weights/taesd (the VAEs), images/cc0, which with the bundled photographs, the charts and the
photographs of data/training_pictures.json (`training_pictures.py`) is all that is trained on, and images/eval, which is
only scored on. Squares are collected into runs/train, networks are trained into runs/train/interposers; a killed run
goes on with the same command. Each begins with the blocks of the source's large cell decoder. Beside it city96's v4.0
network is trained on the same squares for the same time. Writes data/models/A-to-B.safetensors, interposers.csv and
INTERPOSERS.md there. Run by `make interposers`.
"""

import argparse
import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import latentfit as lf
from benchmarks.measuring import machine_facts
from latentfit.fit import ChannelMap
from latentfit.maps import Approximation, LatentMap
from latentfit.pairs import JoinedStores
from latentfit.runtime import write_atomic
from latentfit.scores import BASELINE, evaluate_latent_maps
from latentfit.train import preset_named, train_latent_map
from recipes.cards.models import run_in_words
from recipes.cards.results_tables import keeping_kinds
from recipes.cards.wording import in_words
from recipes.models import RUNS, VAES, maps_store_of
from recipes.tables import eval_store_of

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "data" / "models"
PAIRS = (("sd1", "sdxl"), ("sdxl", "sd1"), ("sd1", "flux1"), ("flux1", "sd1"))
FORMS = ("affine", "3", "5", "3,1")
COURSES = ("first", "fine", "gentle")
OURS, THEIRS = "interposer", "city96's v4.0 network, trained as long"
V4 = "city96's v4.0 network, one way"
GENTLE = {"n_images": 4_000, "lr": 1e-3, "weight_decay": 0.1, "ema_images": 1_000.0, "seed": 1}
"""What the second of two last courses has instead of the preset's: the mean of both is better than either."""
SPEED_IMAGES = 320
"""Crops after which a network's speed is known."""


def main() -> None:
    """Train what is not there, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [f"{source}:{target}" for source, target in PAIRS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="SOURCE:TARGET")
    parser.add_argument("--precision", default="bf16", choices=["no", "bf16", "fp16"])
    parser.add_argument("--train-only", action="store_true", help="score nothing, write no card")
    parser.add_argument("--ours-only", action="store_true", help="train no network to compare with")
    options = parser.parse_args()
    assets = Path(os.environ.get("LATENTFIT_ASSETS") or sys.exit("recipes.interposers: set LATENTFIT_ASSETS"))
    pairs = [tuple(name.split(":")) for name in options.only]
    stores = {space: maps_store_of(space, assets) for space in sorted({space for pair in pairs for space in pair})}
    for source, target in pairs:
        joined = JoinedStores(stores[source], stores[target])
        ours(joined, assets, options.precision)
        if not options.ours_only:
            theirs(joined, assets, options.precision)
        if not options.train_only:
            scored(joined, assets)
    if not options.train_only:
        write_atomic(MODELS / "INTERPOSERS.md", keeping_kinds(MODELS / "INTERPOSERS.md", card()))


def path_of(source: str, target: str, network: str = "") -> Path:
    """Where a trained network lies."""
    return RUNS / "interposers" / f"{source}-to-{target}{network and '-'}{network}.safetensors"


def ours(joined: JoinedStores, assets: Path, precision: str) -> None:
    """Our interposer: a first course, from that two others, and the mean of their weights; on all pictures."""
    source, target = joined.source.space.name, joined.target.space.name
    out, first, *last = (path_of(source, target, part) for part in ("", *COURSES))
    decoder = lf.load(MODELS / f"{target}-cell.safetensors")
    trunk = lf.load(MODELS / f"{source}-cell-large.safetensors")
    trained(joined, "interposer", first, precision, decoder=decoder, trunk=trunk)
    for path, changes in zip(last, ({}, GENTLE), strict=True):
        how = {"decoder": full_decoder(target, assets), "begin": lf.load(first)}
        trained(joined, "interposer-fine", path, precision, **how, **changes)
    if not out.is_file():
        lf.save(mean_of(*(lf.load(path) for path in last)), out)


def mean_of(first: LatentMap, second: LatentMap) -> LatentMap:
    """Half-way between the weights of two courses that began alike (docs/log.md says what that is worth)."""
    weights = second.module.state_dict()
    for name, tensor in first.module.state_dict().items():
        weights[name] = (weights[name] + tensor) / 2
    second.module.load_state_dict(weights)
    return second


def theirs(joined: JoinedStores, assets: Path, precision: str) -> None:
    """City96's network on the same pictures for as long as ours.

    How many crops that is, short runs of all three, one after another, tell. One way and L1 alone: with their round
    trip it would see a third of them.
    """
    source, target = joined.source.space.name, joined.target.space.name
    out = path_of(source, target, "v4")
    if out.is_file():
        print(f"{out.name}: there already")
        return
    courses = {"interposer": lf.load(MODELS / f"{target}-cell.safetensors"), V4: None}
    courses["interposer-fine"] = full_decoder(target, assets)
    speed: dict[str, float] = {}
    for name, decoder in courses.items():
        short = path_of(source, target, f"speed-{name.split()[0]}")
        begin = lf.load(path_of(source, target, COURSES[0])) if name == "interposer-fine" else None
        trained(joined, name, short, precision, decoder=decoder, begin=begin, n_images=SPEED_IMAGES)
        speed[name] = rows_of(short)[-1]["images_per_s"]
    presets = dict(zip(COURSES, ("interposer", "interposer-fine", "interposer-fine"), strict=True))
    seen = {part: rows_of(path_of(source, target, part))[-1]["seen_images"] for part in COURSES}
    seconds = sum(seen[part] / speed[preset] for part, preset in presets.items())
    print(f"crops a second: {speed}", flush=True)
    trained(joined, V4, out, precision, n_images=int(seconds * speed[V4]))


def trained(
    joined: JoinedStores,
    preset: str,
    out: Path,
    precision: str,
    *,
    decoder: Approximation | None = None,
    begin: LatentMap | None = None,
    trunk: Approximation | None = None,
    **changes: Any,
) -> None:
    """One course of one network."""
    if out.is_file():
        print(f"{out.name}: there already")
        return
    chosen = preset_named(preset if preset != V4 else "interposer-v4", "interposer")
    if preset == V4:
        chosen = replace(chosen, title=V4, losses={"l1": 1.0}, config=replace(chosen.config, batch_images=8))
    config = replace(chosen.config, precision=precision, log_images=SPEED_IMAGES // 2)
    config = replace(config, **changes)
    print(f"{out.name}: {config.n_images} crops", flush=True)
    train_latent_map(
        joined, preset if preset != V4 else chosen, out,
        decoder=decoder, begin=begin, trunk=trunk, config=config, split="all", progress=False,
    )  # fmt: skip


def full_decoder(space: str, assets: Path) -> Approximation:
    """TAESD's, which draws texture as the cell decoders do not."""
    found = lf.load(assets / "weights" / "taesd" / f"{VAES[space]}_decoder.safetensors", space=space)
    assert isinstance(found, Approximation)
    return found


def rows_of(network: Path) -> list[dict[str, float]]:
    """What a run wrote down of itself."""
    with network.with_suffix(".run").joinpath("metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def scored(joined: JoinedStores, assets: Path) -> None:
    """Ship the interposer, float16, with its scores in its card; the pooled rows of all it is compared with."""
    source, target = joined.source.space.name, joined.target.space.name
    made = path_of(source, target)
    shipped = lf.load(made)
    assert isinstance(shipped, LatentMap)
    shipped.module.half().float()  # as it ships
    maps = {f"closed form {form}": ChannelMap(form).fit_joined(joined, "all").latent_map() for form in FORMS}
    if path_of(source, target, "v4").is_file():
        v4 = lf.load(path_of(source, target, "v4"))
        assert isinstance(v4, LatentMap)
        maps[THEIRS] = v4
    maps[OURS] = shipped
    scored_on = JoinedStores(eval_store_of(source, assets), eval_store_of(target, assets))
    vaes = [
        lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space, device="cpu")
        for space in (source, target)
    ]
    backs = {}
    if path_of(target, source).is_file():
        back = lf.load(path_of(target, source))
        assert isinstance(back, LatentMap)
        backs[OURS] = back
    frame = evaluate_latent_maps(maps, scored_on, vaes[0], vaes[1], backs=backs)
    pooled = frame[frame["image"] == "all"].drop(columns=["image", "sample", "kind"])
    pooled.insert(0, "pair", f"{source} → {target}")
    kept = pd.read_csv(MODELS / "interposers.csv") if (MODELS / "interposers.csv").is_file() else None
    if kept is not None:
        pooled = pd.concat([kept[kept["pair"] != f"{source} → {target}"], pooled])
        pooled = pd.concat([pooled[pooled["pair"] == f"{first} → {second}"] for first, second in PAIRS])
    write_atomic(MODELS / "interposers.csv", pooled.to_csv(index=False, float_format="%.5g"))
    own = pooled[(pooled["pair"] == f"{source} → {target}") & (pooled["map"] == OURS)].drop(columns=["pair", "map"])
    facts = machine_facts()
    shipped.card["scores"] = json.loads(own.to_json(orient="records", double_precision=5))[0]
    shipped.card["scored_on"] = f"images/eval, {len(scored_on)} pictures"
    machine = f"on a machine of {facts['cores']} CPU cores ({facts['cpu']})"
    first, *last = (run_in_words(path_of(source, target, part).with_suffix(".run")) for part in COURSES)
    shipped.card["trained"] = f"{first}; from there {' and '.join(last)}; the mean of these two, {machine}"
    if THEIRS in maps:
        shipped.card["v4_trained"] = f"{run_in_words(path_of(source, target, 'v4').with_suffix('.run'))}, {machine}"
    shipped.name = f"{source}-to-{target}"
    path = lf.save(shipped, MODELS / f"{source}-to-{target}.safetensors", dtype=torch.float16)
    print(f"{path.name}: {path.stat().st_size:,} bytes, {own['psnr'].item():.2f} dB", flush=True)


def card() -> str:
    """data/models/INTERPOSERS.md: the shipped interposers with their numbers, beside all they are held against."""
    scores = pd.read_csv(MODELS / "interposers.csv")
    lines = [
        "# Interposers", "",
        "Latents of one space to latents of another, model domain to model domain, without a picture in between.",
        "float16 files, run in float32. Trained and scored through TAESD's family, standing in for the spaces' own",
        "VAEs. Scored by `make interposers` on images/eval (40 photographs, short side 320 px, none of them trained",
        "on, but settings were chosen on 8 to 14 of them: the project's docs/results.md): the target's decoder shows",
        "what a map makes beside what it shows of the true latents. Other kinds of pictures stand at the end.", "",
        "| file | MB | numbers |", "|---|--:|--:|",
    ]  # fmt: skip
    shipped = [MODELS / f"{source}-to-{target}.safetensors" for source, target in PAIRS]
    for path in (path for path in shipped if path.is_file()):
        lines.append(f"| {path.name} | {path.stat().st_size / 1e6:.2f} | {lf.load(path).n_parameters:,} |")
    for pair, block in scores.groupby("pair", sort=False):
        lines += ["", f"## {pair}", "", *table_of(block), "", *marks_of(block)]
    lines += [
        "", "R² and L1: of the latents. dB, MS-SSIM, ΔE (CIEDE2000), saturation (chroma over the truth's) and hue "
        "(mean turn, degrees, weighted by chroma): of the target decoder's pictures. There and back: L1 after ours the "
        "other way. Buried from: the least image-to-image strength whose noise covers the error in every "
        "frequency band. ms: one latent, all in turns in one run.", "",
        "Trained on free photographs (images/cc0 and data/training_pictures.json), upright, turned and recoloured, the "
        "photographs that scikit-image and scikit-learn carry, and this project's charts, in squares of 256 px. Each "
        "began with the blocks of the source's large cell decoder (README.md here says what that learned from), its "
        "last convolution solved by least squares; the v4.0 network began anew and had as long as all our courses.", "",
    ]  # fmt: skip
    for path in (path for path in shipped if path.is_file()):
        told = lf.load(path).card
        theirs_too = f"; the v4.0 network: {told['v4_trained']}" if "v4_trained" in told else ""
        lines += [f"- `{path.name}`: {told['trained']}{theirs_too}"]
    missing = sorted(set(scores["pair"]) - set(scores.loc[scores["map"] == THEIRS, "pair"]))
    if missing:
        lines += ["", f"Not trained beside ours yet: the v4.0 network for {', '.join(missing)}."]
    return "\n".join([*lines, ""])


def table_of(block: pd.DataFrame) -> list[str]:
    """One pair's rows, best picture first."""
    lines = [
        "| | dB | MS-SSIM | ΔE | saturation | hue | R² | L1 | there and back | buried from | ms |",
        "|---|" + "--:|" * 10,
    ]
    for row in block.sort_values("psnr", ascending=False).itertuples():
        around = "" if pd.isna(row.round) else f"{row.round:.3f}"
        lines.append(
            f"| {in_words(row.map)} | {row.psnr:.2f} | {row.ms_ssim:.3f} | {row.delta_e:.2f} | {row.saturation:.2f} | "
            f"{row.hue:.1f} | {row.r2:.3f} | {row.l1:.3f} | {around} | {row.buried_strength:.2f} | {row.ms:.1f} |"
        )
    return lines


def marks_of(block: pd.DataFrame) -> list[str]:
    """What was asked of the interposer, and what it reached."""
    by_map = block.set_index("map")
    own, best = by_map.loc[OURS], by_map[by_map.index.str.startswith("closed form")]["psnr"].max()
    marks = [
        ("dB over the best closed form", own["psnr"] - best, 2.0, True),
        ("dB below decode → encode", by_map.loc[BASELINE, "psnr"] - own["psnr"], 1.0, False),
        ("of the time of decode → encode", own["ms"] / by_map.loc[BASELINE, "ms"], 0.1, False),
    ]
    if THEIRS in by_map.index:
        marks.append(("dB over city96's v4.0 network", own["psnr"] - by_map.loc[THEIRS, "psnr"], 0.0, True))
    return marks_in_words(marks)


def marks_in_words(marks: list[tuple[str, float, float, bool]]) -> list[str]:
    """A table of (what, value, limit, whether that is the least): met or missed."""
    lines = ["| asked | measured | |", "|---|--:|---|"]
    for words, value, limit, at_least in marks:
        met = "met" if (value >= limit if at_least else value <= limit) else "missed"
        lines.append(f"| {'at least' if at_least else 'at most'} {limit:g} {words} | {value:.2f} | {met} |")
    return lines


if __name__ == "__main__":
    main()
