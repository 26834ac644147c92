"""Tables and sentences on what each map is worth on each kind of picture, from data/results (`make results`).

Every decibel is pooled: of the mean squared error over all pixels of a set's pictures. Differences are of pictures,
each counting once, with their bootstrap interval: see `latentfit.scores.paired`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from latentfit.latents import get_space
from latentfit.scores import Difference, paired_bootstrap, tables, unsuited, verdict
from recipes.cards.wording import rows_in_words
from recipes.scored_sets import SHOWN

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"
COMFYUI = {"sd1": "comfyui/SD15", "sdxl": "comfyui/SDXL", "flux1": "comfyui/Flux", "flux2": "comfyui/Flux2"}
SPACES = tuple(COMFYUI)
VAES = {space: next(iter(get_space(space).facts.tiny_vaes.values())) for space in SPACES}
"""Titles of the references."""
DRAWN = ("illustrations", "clip art")
"""The held-out drawings."""
BASELINE, CLOSED = "decode → encode", "its closed form alone"
DASH = "–"


CARD = "kinds"
"""Marker of the block by kind of picture that every card of data/ ends with; make_results.py fills it."""


def keeping_kinds(path: Path, text: str) -> str:
    """A card's new text with the block that the old one has."""
    start = f"<!-- {CARD} -->"
    before = path.read_text("utf-8") if path.is_file() else ""
    return f"{text.rstrip()}\n\n{start}{before.split(start, 1)[1]}" if start in before else text


@cache
def results(job: str) -> pd.DataFrame:
    """Rows of pictures of a job of score_sets.py; empty where it was not run."""
    path = RESULTS / f"{job}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=["space", "target", "set", "image", "map", "pixels", "mse_vae", "mse_photo"])
    return rows_in_words(path, "map")


def sets_in(frame: pd.DataFrame) -> list[str]:
    """The sets that have rows, in the order of every table."""
    return [name for name in SHOWN if name in set(frame["set"])]


def head_of(frame: pd.DataFrame, first: str, more: Sequence[str] = ()) -> list[str]:
    """A table's head: one column a set, with how many pictures it has."""
    counts = [f"{SHOWN[name]} ({frame[frame['set'] == name]['image'].nunique()})" for name in sets_in(frame)]
    titles = [first, *counts, *more]
    return [f"| {' | '.join(titles)} |", "|---|" + "--:|" * len(counts) + "---|" * len(more)]


def decibels(frame: pd.DataFrame, column: str = "mse_photo") -> float:
    """Pooled over all pixels of the rows; NaN of none."""
    if frame.empty:
        return math.nan
    mse = (frame[column] * frame["pixels"]).sum() / frame["pixels"].sum()
    return -10 * math.log10(max(mse, 1e-12))


def pooled(frame: pd.DataFrame, name: str, where: str, column: str = "mse_photo") -> float:
    """Decibels of one map on one set."""
    return decibels(frame[(frame["map"] == name) & (frame["set"] == where)], column)


def shown(value: float, digits: int = 2) -> str:
    """A number, or a dash for none."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def difference(frame: pd.DataFrame, first: str, second: str, where: str, column: str) -> Difference | None:
    """Of two maps on a set, in dB picture by picture; None where they have fewer than two pictures in common."""
    rows = frame[frame["set"] == where]
    wide = rows.pivot_table(index="image", columns="map", values=column)
    if not {first, second} <= set(wide.columns):
        return None
    both = wide[[first, second]].dropna()
    if len(both) < 2:
        return None
    values = [[-10 * math.log10(max(mse, 1e-12)) for mse in both[name]] for name in (first, second)]
    return paired_bootstrap(*values)


def in_cell(found: Difference | None) -> str:
    """Mean, interval and share won, for a table; ties are marked."""
    if found is None:
        return DASH
    tie = " tie" if found.is_tie else ""
    return f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f}){tie}, {found.won:.0%}"


def verdicts_of(space: str) -> dict[str, str]:
    """Published table, copies too -> what is said of it: on the photographs of the audit, and on held-out drawings."""
    path = ROOT / "data" / "tables" / space / "audit.csv"
    by_kind = {
        "photograph": unsuited(rows_in_words(path, "approximation"), "all"),
        "drawing": unsuited_on_drawings(space),
    }
    first: dict[tuple[object, ...], str] = {}
    said = {}
    for table in tables(space):
        first.setdefault(table.numbers, table.id)
        names = {kind: None if found is None else set(found) for kind, found in by_kind.items()}
        if names["drawing"] is not None and first[table.numbers] in names["drawing"]:
            names["drawing"].add(table.id)
        said[table.id] = verdict(table.id, names, VAES[space])
        clamped = table.clamped().id
        said[clamped] = verdict(clamped, names, VAES[space])
    return {name: words for name, words in said.items() if words}


def unsuited_on_drawings(space: str) -> frozenset[str] | None:
    """As `latentfit.scores.table_audit.unsuited`, of the held-out drawings' rows."""
    frame = results("tables")
    rows = frame[(frame["space"] == space) & frame["set"].isin(DRAWN)]
    if rows.empty:
        return None
    n_images = rows["image"].nunique()
    pooled_rows = [
        {"approximation": name, "origin": block["origin"].iloc[0], "place": "cells", "kind": "all",
         "reference": reference, "psnr": decibels(block, column), "n_images": n_images}
        for name, block in rows.groupby("map")
        for reference, column in (("vae", "mse_vae"), ("photo", "mse_photo"))
    ]  # fmt: skip
    return unsuited(pd.DataFrame(pooled_rows), "all")


def tables_block(space: str) -> str:
    """Every table of a space, a column a set: dB at the cells against the VAE's decode."""
    frame = results("tables")
    rows = frame[frame["space"] == space]
    verdicts, sets = verdicts_of(space), sets_in(rows)
    names = sorted(rows["map"].unique(), key=lambda name: -pooled(rows, name, sets[0], "mse_vae"))
    lines = head_of(rows, "dB at the cells, to the VAE's decode", ["verdict"])
    for name in names:
        cells = [shown(pooled(rows, name, where, "mse_vae")) for where in sets]
        label = f"**{name}**" if name.startswith("ours") else name
        lines.append(f"| {label} | {' | '.join(cells)} | {verdicts.get(name, '')} |")
    return "\n".join(lines)


def decoders_block(space: str) -> str:
    """Every map that is seen at full size, a column a set: dB to the picture, MS-SSIM in brackets."""
    frame = results("decoders")
    rows = frame[frame["space"] == space]
    lines = head_of(rows, "dB to the picture (MS-SSIM)")
    sets = sets_in(rows)
    for name in sorted(rows["map"].unique(), key=lambda name: pooled(rows, name, sets[0])):
        block = rows[rows["map"] == name]
        similar = block.groupby("set")["ms_ssim"].mean()
        cells = [
            f"{shown(pooled(rows, name, where))} ({similar[where]:.3f})" if where in similar else DASH for where in sets
        ]
        ours = block["family"].iloc[0] in ("our network", "round trip")
        label = f"**{name}**" if ours else VAES[space] if name == "TAESD" else name
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def latent_maps_block(frame: pd.DataFrame) -> str:
    """Maps between latents, a column a set: dB between what the VAE shows of theirs and of the true latents."""
    lines = head_of(frame, "dB to the decode of the true latents (MS-SSIM)")
    sets = sets_in(frame)
    for name in sorted(frame["map"].unique(), key=lambda name: -pooled(frame, name, sets[0], "mse_vae")):
        similar = frame[frame["map"] == name].groupby("set")["ms_ssim"].mean()
        cells = [
            f"{shown(pooled(frame, name, where, 'mse_vae'))} ({similar[where]:.3f})" if where in similar else DASH
            for where in sets
        ]
        label = f"**{name}**" if name in ("interposer", "upscaler") else name
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def palettes_block() -> str:
    """Palettized decoders, a column a set: accuracy over all cells."""
    frame = results("palettes")
    sets = sets_in(frame)
    lines = head_of(frame, "share of cells of the target's class")
    for palette, rows in frame.groupby("palette", sort=False):
        for name in rows["map"].unique():
            block = rows[rows["map"] == name]
            cells = []
            for where in sets:
                part = block[block["set"] == where]
                share = (part["accuracy"] * part["pixels"]).sum() / part["pixels"].sum() if len(part) else math.nan
                cells.append(shown(share, 3))
            label = f"**{name}**" if name.startswith("sd1-") else f"{name} ({palette})"
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def comparisons() -> Iterator[tuple[str, pd.DataFrame, str, str, str]]:
    """(words, rows, first, second, column of errors) of every difference that is claimed."""
    tables, decoders = results("tables"), results("decoders")
    for space in SPACES:
        rows = tables[tables["space"] == space]
        title = get_space(space).title
        for first, second in (("ours: affine", COMFYUI[space]), ("ours: 3×3 affine", COMFYUI[space])):
            if {first, second} <= set(rows["map"]):
                yield f"{title}: {first.removeprefix('ours: ')} − {second}, cells", rows, first, second, "mse_vae"
    for space in SPACES:
        rows = decoders[decoders["space"] == space]
        for kind in ("cell", "cell-large"):
            name = f"{space}-{kind}"
            if name in set(rows["map"]):
                yield f"{name} − {VAES[space]}, to the picture", rows, name, "TAESD", "mse_photo"
    for source, target, rows in interposers():
        for other in (BASELINE, CLOSED):
            yield f"{source}-to-{target} − {other}", rows, "interposer", other, "mse_vae"
    for space, rows in upscalers():
        for other in (BASELINE, "bicubic", CLOSED):
            yield f"{space}-upscaler − {other}", rows, "upscaler", other, "mse_vae"


def interposers() -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(source, target, rows) of each that was scored."""
    frame = results("interposers")
    for (source, target), rows in frame.groupby(["space", "target"], sort=False):
        yield source, target, rows


def upscalers() -> Iterator[tuple[str, pd.DataFrame]]:
    """(space, rows) of each that was scored."""
    yield from results("upscalers").groupby("space", sort=False)


def differences_block(wanted: Callable[[str], bool] = lambda words: True) -> str:
    """Every claimed difference, a column a set."""
    everything = [entry for entry in comparisons() if wanted(entry[0])]
    sets = [name for name in SHOWN if any(name in set(rows["set"]) for _, rows, *_ in everything)]
    lines = [f"| dB, first − second | {' | '.join(SHOWN[name] for name in sets)} |", "|---|" + "---|" * len(sets)]
    for words, rows, first, second, column in everything:
        cells = [in_cell(difference(rows, first, second, where, column)) for where in sets]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def weak_spots() -> list[str]:
    """Where something of ours is surely worse than what it is compared with: a line each, from the intervals."""
    found = []
    for words, rows, first, second, column in comparisons():
        below = {where: difference(rows, first, second, where, column) for where in SHOWN if where in set(rows["set"])}
        said = [
            f"{SHOWN[where]} {one.mean:+.1f} dB ({one.low:+.1f} to {one.high:+.1f})"
            for where, one in below.items()
            if one is not None and one.high < 0
        ]
        if said:
            found.append(f"- {words}: {'; '.join(said)}")
    return found


def kinds_block() -> str:
    """For docs/results.md: what stands for each kind of map at full size, a column a set, space by space."""
    frame = results("decoders")
    sets = sets_in(frame)
    lines = [f"| dB to the picture | {' | '.join(SHOWN[name] for name in sets)} |", "|---|" + "--:|" * len(sets)]
    for space in SPACES:
        rows = frame[frame["space"] == space]
        wanted = (COMFYUI[space], "3×3 affine", f"{space}-cell", f"{space}-cell-large", "TAESD")
        there = [name for name in wanted if name in set(rows["map"])]
        if there:
            lines.append(f"| **{get_space(space).title}** |" + " |" * len(sets))
        for name in there:
            cells = [shown(on_eval(space, name) if where == "eval" else pooled(rows, name, where)) for where in sets]
            lines.append(f"| {VAES[space] if name == 'TAESD' else name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def on_eval(space: str, name: str) -> float:
    """Decibels to the photograph on all of images/eval, as `make cards` wrote them."""
    frame = rows_in_words(ROOT / "data" / "models" / f"pareto_{space}.csv", "approximation")
    rows = frame[(frame["place"] == "seen") & (frame["reference"] == "photo")]
    chosen = rows[rows["family"] == "autoencoder"] if name == "TAESD" else rows[rows["approximation"] == name]
    return float(chosen["psnr"].iloc[0])


def drawn_rows(space: str) -> list[str]:
    """For the overview of tables: best published, affine, 3×3 and the best of ours on each drawn set."""
    frame = results("tables")
    rows = frame[frame["space"] == space]
    found = []
    for where in sets_in(rows):
        if where == "eval":
            continue
        part = rows[rows["set"] == where]
        psnr = {name: decibels(block, "mse_vae") for name, block in part.groupby("map")}
        origin = part.drop_duplicates("map").set_index("map")["origin"]
        theirs = {name: psnr[name] for name in psnr if origin[name] == "published" and "were it" not in name}
        ours = {name: psnr[name] for name in psnr if origin[name] == "ours"}
        best, own = max(theirs, key=theirs.__getitem__), max(ours, key=ours.__getitem__)
        numbers = [f"{theirs[best]:.2f} {best}", f"{ours['ours: affine']:.2f}", f"{ours['ours: 3×3 affine']:.2f}"]
        numbers.append(f"{ours[own]:.2f} {own.removeprefix('ours: ')}")
        found.append(f"| {get_space(space).title}, cells, {SHOWN[where]} | {' | '.join(numbers)} |")
    return found


def on_clip_art(job: str, space: str, name: str, column: str = "mse_photo", target: str | None = None) -> str:
    """Pooled decibels of a map on clip art, for a column of another table; a dash where it was not scored."""
    frame = results(job)
    rows = frame[frame["space"] == space]
    if target is not None:
        rows = rows[rows["target"] == target]
    return shown(pooled(rows, name, "clip art", column))
