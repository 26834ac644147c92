"""Markdown tables of what was trained, from the files that `make cards` wrote."""

import json
from pathlib import Path

import pandas as pd

from latentfit.latents import get_space
from latentfit.runtime import significant
from recipes.cards.results_tables import BASELINE, CLOSED, on_clip_art, results
from recipes.cards.wording import in_words, rows_in_words

ROOT = Path(__file__).resolve().parents[2]
MODELS, VAES = ROOT / "data" / "models", ROOT / "data" / "vaes"
SPACES = ("sd1", "sdxl", "flux1", "sd3", "flux2")
SCORED_AS = {"closed form 5": CLOSED, "decode → encode": BASELINE}
"""Names in data/results of what other tables call otherwise."""


def decoders_block() -> str:
    """The Pareto chart, and every approximation of each space as seen, cheapest first; all but the first folded."""
    parts = ["![What each costs, and how near it comes](../figures/06_pareto_sd1.png)"]
    for index, space in enumerate(SPACES):
        found = MODELS / f"pareto_{space}.csv"
        if found.is_file():
            title, table = get_space(space).title, decoders_of(space, rows_in_words(found, "approximation"))
            parts.append(table if not index else f"<details><summary><b>{title}</b></summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def decoders_of(space: str, frame: pd.DataFrame) -> str:
    """One space's rows: against the teacher's decode in one column, against the picture in the others."""
    seen = frame[frame["place"] == "seen"]
    teacher = seen[seen["reference"] == "vae"].set_index("approximation")["psnr"]
    photo = seen[seen["reference"] == "photo"].sort_values("ms")
    lines = [
        "| | ms | numbers | dB to TAESD's decode | dB to the photograph | MS-SSIM | ΔE | GMSD | high frequencies | "
        "clip art, dB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in photo.itertuples():
        name = f"**{row.approximation}**" if row.family == "our network" else row.approximation
        to_teacher = "itself" if row.family == "autoencoder" else f"{teacher[row.approximation]:.2f}"
        lines.append(
            f"| {name} | {significant(row.ms)} | {row.parameters:,} | {to_teacher} | {row.psnr:.2f} | "
            f"{row.ms_ssim:.3f} | {row.delta_e:.1f} | {row.gmsd:.3f} | {row.high_frequency:.2f} | "
            f"{on_clip_art('decoders', space, 'TAESD' if row.family == 'autoencoder' else row.approximation)} |"
        )
    return "\n".join(lines)


def vaes_block() -> str:
    """The mini VAEs beside their teachers."""
    lines = [
        "| | MB | R² of the latents | decode(encode(x)), dB (teacher) | MS-SSIM (teacher) |", "|---|--:|--:|--:|--:|"
    ]  # fmt: skip
    for space in SPACES:
        folder = VAES / f"mini-{space}"
        if (folder / "scores.json").is_file():
            scores = json.loads((folder / "scores.json").read_text("utf-8"))
            n_bytes = (folder / "diffusion_pytorch_model.safetensors").stat().st_size
            lines.append(
                f"| [{folder.name}](../data/vaes/{folder.name}/README.md) | {n_bytes / 1e6:.2f} | {scores['r2']:.3f} | "
                f"{scores['psnr mini']:.2f} ({scores['psnr teacher']:.2f}) | "
                f"{scores['ms_ssim mini']:.3f} ({scores['ms_ssim teacher']:.3f}) |"
            )
    return "\n".join(lines)


def operators_block() -> str:
    """TAESD's own comparison table, with ours beside it: parameters, ONNX operators, and what follows from them."""
    found = MODELS / "operators.json"
    if not found.is_file():
        return ""
    lines = ["| | parameters | ONNX operators | memory linear in size, tiles exact |", "|---|--:|---|---|"]
    for name, entry in json.loads(found.read_text("utf-8")).items():
        lines.append(f"| {name} | {entry['parameters']:,} | {', '.join(entry['operators'])} | {entry['tiles']} |")
    return "\n".join(lines)


def palettes_block() -> str:
    """Shipped palettized decoders beside the closed form and pixelvae's network, palette by palette."""
    path = ROOT / "data" / "models" / "palettes.csv"
    if not path.is_file():
        return "*run `make palettes`*"
    frame = rows_in_words(path, "approximation")
    lines = [
        "| | palette | accuracy | OKLab distance | ΔE to the cell (the target's) | numbers | accuracy, clip art |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for palette, block in frame.groupby("palette", sort=False):
        for row in block.sort_values("accuracy", ascending=False).itertuples():
            name = f"**{row.approximation}**" if row.approximation.startswith("sd1-") else row.approximation
            drawn = accuracy_on_clip_art(palette, row.approximation)
            lines.append(
                f"| {name} | {palette} | {row.accuracy:.3f} | {row.oklab:.4f} | {row.delta_e:.1f} "
                f"({row.target_delta_e:.1f}) | {row.parameters:,.0f} | {drawn} |"
            )
    return "\n".join(lines)


def accuracy_on_clip_art(palette: str, name: str) -> str:
    """Share of the cells of the target's class; a dash where it was not scored."""
    frame = results("palettes")
    if frame.empty:
        return "–"
    rows = frame[(frame["palette"] == palette) & (frame["map"] == name) & (frame["set"] == "clip art")]
    return f"{(rows['accuracy'] * rows['pixels']).sum() / rows['pixels'].sum():.3f}" if len(rows) else "–"


def interposers_block() -> str:
    """Shipped interposers beside the closed forms, city96's network and the way through the picture, pair by pair."""
    path = MODELS / "interposers.csv"
    if not path.is_file():
        return "*run `make interposers`*"
    lines = [
        "| | dB | MS-SSIM | ΔE | saturation | hue | R² | there and back | buried from | ms | clip art, dB |",
        "|---|" + "--:|" * 10,
    ]
    over: list[float] = []
    below: list[float] = []
    time: list[float] = []
    for pair, block in pd.read_csv(path).groupby("pair", sort=False):
        by_map = block.set_index("map")
        own, through = by_map.loc["interposer"], by_map.loc["decode → encode"]
        closed = by_map[by_map.index.str.startswith("closed form")]["psnr"].max()
        over.append(own["psnr"] - closed)
        below.append(through["psnr"] - own["psnr"])
        time.append(own["ms"] / through["ms"])
        source, target = pair.split(" → ")
        lines.append(f"| **{pair}** |" + " |" * 10)
        for row in block.sort_values("psnr", ascending=False).itertuples():
            name = f"**{row.map}**" if row.map == "interposer" else in_words(row.map)
            around = "" if pd.isna(row.round) else f"{row.round:.2f}"
            lines.append(
                f"| {name} | {row.psnr:.2f} | {row.ms_ssim:.3f} | {row.delta_e:.1f} | {row.saturation:.2f} | "
                f"{row.hue:.0f}° | {row.r2:.2f} | {around} | {row.buried_strength:.2f} | {significant(row.ms)} | "
                f"{on_clip_art('interposers', source, SCORED_AS.get(row.map, row.map), 'mse_vae', target)} |"
            )
    lines += [
        "",
        "Two decibels over the best closed form were asked of each: "
        f"{sum(gain >= 2 for gain in over)} of {len(over)} have them ({min(over):.1f} to {max(over):.1f}). "
        f"{sum(short <= 1 for short in below)} of {len(below)} come within a decibel of decode → encode, "
        f"all in {100 * min(time):.0f} to {100 * max(time):.0f} % of its time.",
    ]
    return "\n".join(lines)


def upscalers_block() -> str:
    """Shipped upscalers beside resampling, the closed forms and the way through the picture, by space and factor."""
    path = MODELS / "upscalers.csv"
    if not path.is_file():
        return "*run `make upscalers`*"
    scores = pd.read_csv(path)
    parts = []
    for index, (space, block) in enumerate(scores.groupby("space", sort=False)):
        title, table = get_space(space).title, upscalers_of(block)
        parts.append(table if not index else f"<details><summary><b>{title}</b></summary>\n\n{table}\n\n</details>")
    return "\n\n".join([*parts, marks_of_upscalers(scores)])


def upscalers_of(scores: pd.DataFrame) -> str:
    """One space's rows, best picture first."""
    lines = [
        "| | dB | MS-SSIM | ΔE | dB to the photograph | R² | buried from | ms | MiB | clip art, dB |",
        "|---|" + "--:|" * 9,
    ]
    for (space, factor), block in scores.groupby(["space", "factor"], sort=False):
        lines.append(f"| **{get_space(space).title}, {factor}** |" + " |" * 9)
        for row in block.sort_values("psnr", ascending=False).itertuples():
            name = f"**{row.map}**" if row.map.startswith("upscaler") else in_words(row.map)
            drawn = on_clip_art("upscalers", space, SCORED_AS.get(row.map, row.map), "mse_vae")
            lines.append(
                f"| {name} | {row.psnr:.2f} | {row.ms_ssim:.3f} | {row.delta_e:.1f} | {row.photo_psnr:.2f} | "
                f"{row.r2:.2f} | {row.buried_strength:.2f} | {significant(row.ms)} | {row.extra_mib:.1f} | "
                f"{drawn if factor == '2×' else '–'} |"
            )
    return "\n".join(lines)


def marks_of_upscalers(scores: pd.DataFrame) -> str:
    """What was asked of every shipped upscaler, and how many have it."""
    over: dict[str, list[float]] = {"latent bicubic": [], "the best closed form": []}
    below: list[float] = []
    time: list[float] = []
    for _, block in scores.groupby(["space", "factor"]):
        by_map = block.set_index("map")
        through = by_map.loc["decode → encode"]
        closed = by_map[by_map.index.str.startswith("closed form")]["psnr"].max()
        for _, own in by_map[by_map.index.str.startswith("upscaler")].iterrows():
            over["latent bicubic"].append(own["psnr"] - by_map.loc["bicubic", "psnr"])
            over["the best closed form"].append(own["psnr"] - closed)
            below.append(through["psnr"] - own["psnr"])
            time.append(own["ms"] / through["ms"])
    said = []
    for (what, gains), least in zip(over.items(), (2, 1), strict=True):
        met = sum(gain >= least for gain in gains)
        said.append(f"{least} dB over {what}: {met} of {len(gains)} ({min(gains):.1f} to {max(gains):.1f})")
    said.append(
        f"within 1 dB of decode → encode: {sum(short <= 1 for short in below)} of {len(below)} ({min(below):.1f} to "
        f"{max(below):.1f} below)"
    )
    return (
        f"Asked of each upscaler at each factor: {'; '.join(said)}; in {100 * min(time):.1f} to {100 * max(time):.1f} "
        "% of its time."
    )
