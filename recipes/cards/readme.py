"""Put measured numbers into README.md, between its markers, from files that other commands wrote.

Reads data/tables/*/audit.csv (`make tables`), data/estimates/*.csv (`make estimates`), data/tables/sd1/3.safetensors,
figures/hero.json, data/models and data/vaes (`make cards`) and benchmarks/results/*.json (`make bench`), as far as they
are there. `--check` changes nothing and
fails when the README is not what they say.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import pandas as pd

from latentfit.formats import load_approximation
from latentfit.formats.programs import PROGRAMS
from latentfit.latents import get_space
from recipes.cards.results_tables import (
    SPACES,
    VAES,
    differences_block,
    drawn_rows,
    kinds_block,
    verdicts_of,
    weak_spots,
)
from recipes.cards.tables import (
    decoders_block,
    interposers_block,
    operators_block,
    palettes_block,
    speed_block,
    upscalers_block,
    vaes_block,
)

ROOT = Path(__file__).resolve().parents[2]
FORMS = ("linear", "affine", "quadratic", "cubic", "3×3 affine", "(3, 1)", "5×5 affine", "(5, 1)", "(5, 3)")


def main() -> int:
    """Fill every block."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    (path, after), *_ = filled().items()
    before = path.read_text("utf-8")
    if options.check:
        return 0 if after == before else 1
    path.write_text(after, encoding="utf-8")
    return 0


def filled() -> dict[Path, str]:
    """The README's path and its text with every block as the numbers say."""
    path = ROOT / "README.md"
    after = path.read_text("utf-8")
    blocks = {
        "audit": audit_block(),
        "estimates": estimates_block(),
        "snippet": snippet_block(),
        "bench": bench_block(),
        "hero": hero_block(),
        "decoders": decoders_block(),
        "vaes": vaes_block(),
        "operators": operators_block(),
        "palettes": palettes_block(),
        "interposers": interposers_block(),
        "upscalers": upscalers_block(),
        "kinds": kinds_block(),
        "weak": "\n".join(weak_spots()),
        "taesd": differences_block(lambda words: "to the picture" in words),
    }
    for name, text in blocks.items():
        pattern = rf"(?s)<!-- {name} -->.*?<!-- /{name} -->"
        after, count = re.subn(pattern, lambda _, n=name, t=text: f"<!-- {n} -->\n{t}\n<!-- /{n} -->", after)
        if count != 1:
            sys.exit(f"README.md: expected one block <!-- {name} -->, found {count}")
    return {path: after}


def audit_block() -> str:
    """What matters in one table, then every published table and form of each space, folded."""
    frames = {}
    for space in SPACES:
        found = ROOT / "data" / "tables" / space / "audit.csv"
        if found.is_file():
            frame = pd.read_csv(found)
            frames[space] = frame[frame["kind"] == "all"]
    folded = [
        f"<details><summary><b>{get_space(space).title}</b>: every published table, every form of ours</summary>\n\n"
        f"{audit_of(space, frame)}\n\n</details>"
        for space, frame in frames.items()
    ]
    return "\n\n".join([overview(frames), *folded])


def overview(frames: dict[str, pd.DataFrame]) -> str:
    """Best published, affine, 3×3 and the best of ours, at the cells and as seen, for each space."""
    lines = [
        "| dB against the VAE's decode | best published | our affine | our 3×3 | our best |",
        "|---|---|--:|--:|---|",
    ]
    gains, in_place = [], []
    for space, frame in frames.items():
        title = get_space(space).title
        for place in ("cells", "seen"):
            rows = frame[(frame["reference"] == "vae") & (frame["place"] == place)].set_index("approximation")
            theirs = rows[(rows["origin"] == "published") & (rows["status"] != "hypothetical")]["psnr"]
            ours = rows[rows["origin"] == "ours"]["psnr"]
            best = ours.idxmax()
            lines.append(
                f"| {title}, {place} | {theirs.max():.2f} {theirs.idxmax()} | {ours['ours: affine']:.2f} | "
                f"{ours['ours: 3×3 affine']:.2f} | {ours[best]:.2f} {best.removeprefix('ours: ')} |"
            )
            if "ours: linear, smoothed" in ours:
                in_place.append(
                    f"{place} {ours['ours: linear, smoothed']:.2f}, its own table {theirs['invokeai/SDXL']:.2f} (our "
                    f"affine {ours['ours: affine']:.2f}, the affine oracle {rows['psnr']['oracle: affine']:.2f})"
                )
            gains.append(f"{title} {ours['ours: 3×3 affine'] - ours['ours: affine']:+.1f} ({place})")
        lines += drawn_rows(space)
    notes = [f"What a 3×3 kernel gains over one pixel a cell, dB: {', '.join(gains)}."]
    if in_place:
        notes.append(
            "InvokeAI smooths its SDXL previews with a 3×3 kernel, which no table by itself can do. Fitted to what it "
            f"then shows (`--smoothing invokeai`), a linear table of ours reaches, dB: {'; '.join(in_place)}."
        )
    return "\n".join([*lines, "", *notes])


def audit_of(space: str, frame: pd.DataFrame) -> str:
    """A space's rows, best first: at the cells and as seen, against the VAE and the photograph; copies in one row."""
    wide = frame.pivot(index="approximation", columns=["place", "reference"], values="psnr")
    verdicts = verdicts_of(space)
    delta = frame[(frame["place"] == "cells") & (frame["reference"] == "vae")].set_index("approximation")
    oracle = {name.removeprefix("oracle: "): row for name, row in wide.iterrows() if name.startswith("oracle: ")}
    lines = [
        "| table | cells, dB (oracle) | ΔE | cells to photograph, dB | seen, dB (oracle) | seen to photograph, dB | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    shown = [name for name in wide.index if not name.startswith("oracle: ")]
    copies: dict[tuple[float, ...], list[str]] = {}
    for name in sorted(shown, key=lambda one: -wide.loc[one, ("cells", "vae")]):
        copies.setdefault(tuple(wide.loc[name]), []).append(name)
    for names in copies.values():
        name = names[0]
        best = oracle.get(name.removeprefix("ours: ")) if name.startswith("ours: ") else None
        cells, seen = (
            f"{wide.loc[name, (place, 'vae')]:.2f}" + (f" ({best[(place, 'vae')]:.2f})" if best is not None else "")
            for place in ("cells", "seen")
        )
        label = f"**{name}**" if name.startswith("ours") else ", ".join(names)
        verdict = next((verdicts[one] for one in names if one in verdicts), "")
        photo = [f"{wide.loc[name, (place, 'photo')]:.2f}" for place in ("cells", "seen")]
        row = [label, cells, f"{delta.loc[name, 'delta_e']:.1f}", photo[0], seen, photo[1]]
        short = verdict.replace(f"{VAES[space]} latents of ", "").replace(" and of ", " and to ")
        lines.append(f"| {' | '.join(row)} | {short} |")
    return "\n".join(lines)


def estimates_block() -> str:
    """Rows by space and map, columns by noise, then by gain without noise."""
    lines = []
    for space in SPACES:
        found = ROOT / "data" / "estimates" / f"{space}.csv"
        if not found.is_file():
            continue
        frame = pd.read_csv(found)
        clean = frame[frame["gain"] == 1].pivot(index="approximation", columns="sigma", values="psnr")
        loud = frame[(frame["sigma"] == 0) & (frame["gain"] > 1)]
        loud = loud.pivot(index="approximation", columns="gain", values="psnr")
        flicker = frame[frame["gain"] == 1].groupby("approximation")["flicker"].mean()
        if not lines:
            titles = [*(f"σ {s:g}" for s in clean.columns), *(f"gain {g:g}" for g in loud.columns), "flicker"]
            lines = [f"| | {' | '.join(titles)} |", "|---|" + "--:|" * len(titles)]
        for name in dict.fromkeys(frame["approximation"]):
            values = [f"{value:.1f}" for value in (*clean.loc[name], *loud.loc[name])]
            lines.append(f"| {get_space(space).title}, {name} | {' | '.join(values)} | {flicker[name]:.2f} |")
    return "\n".join(lines)


def snippet_block() -> str:
    """The 3×3 kernel for SD1, as `latentfit export --to comfyui` writes it."""
    found = ROOT / "data" / "tables" / "sd1" / "3.safetensors"
    if not found.is_file():
        return ""
    content = PROGRAMS["comfyui"].write(load_approximation(found), None)
    return f"```python\n{str(content).rstrip()}\n```"


def bench_block() -> str:
    """What `make bench` measured."""
    results = ROOT / "benchmarks" / "results"
    names = ("preview", "fit", "collect", "train")
    preview, fit, collect, train = (json.loads((results / f"{name}.json").read_text("utf-8")) for name in names)
    lines = ["| collecting, training | measured | bar |", "|---|--:|---|"]
    for entry in (*collect["bars"], *train["bars"]):
        met = "met" if entry["met"] else "missed"
        lines.append(f"| {entry['bar']} | {entry['value']:.3g} | ≥ {entry['limit']:g}, {met} |")
    return "\n\n".join([preview["markdown"], fit["markdown"], "\n".join(lines), speed_block()]).rstrip()


def hero_block() -> str:
    """The caption of the first picture, from the command that drew it."""
    found = ROOT / "figures" / "hero.json"
    return str(json.loads(found.read_text("utf-8"))["caption"]) if found.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
