"""Markdown of how good tables are: the audit of `make tables`, and the simulated estimates of `make estimates`."""

from pathlib import Path

import pandas as pd

from latentfit.latents import get_space
from recipes.cards.results_tables import VAES, drawn_rows, verdicts_of
from recipes.cards.wording import rows_in_words

ROOT = Path(__file__).resolve().parents[2]
SPACES = ("sd1", "sdxl", "flux1", "flux2")


def audit_block() -> str:
    """What matters in one table, then every published table and form of each space, folded."""
    frames = {}
    for space in SPACES:
        found = ROOT / "data" / "tables" / space / "audit.csv"
        if found.is_file():
            frame = rows_in_words(found, "approximation")
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
        frame = rows_in_words(found, "approximation")
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
