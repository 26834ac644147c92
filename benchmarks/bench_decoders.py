"""Decoders beside TAESD's, in one run: milliseconds for 512×512, peak memory for 1024×1024.

Reads the decoders of data/models and TAESD's from LATENTFIT_ASSETS; without it TAESD's network is built with random
weights, which take as long. Every decoder, TAESD above all, runs in both memory layouts, in turns with all others, and
is compared in the one that suits it; rows say both. Memory is measured in a fresh process for each.
"""

import argparse
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

import latentfit as lf
from benchmarks.measuring import (
    bar,
    machine_facts,
    peak_extra_mib,
    print_bars,
    print_table,
    ratio_in_turns,
    ratio_of_fastest,
    shared_in_words,
    timed_in_turns,
    write_result,
)
from latentfit.nets import TinyDecoder
from latentfit.runtime import data_path, torch_threads

LIMITS = {"cell": 30.0, "cell-large": 8.0}
"""How many times as fast as TAESD each must be."""

OWN_PROCESS = "import sys; sys.path.insert(0, {here!r}); import bench_decoders as b; print(b.peak_mib({name!r}))"


LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}


def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts = machine_facts()
    names = [
        "TAESD",
        *(f"sd1-{kind}" for kind in LIMITS if (data_path("models") / f"sd1-{kind}.safetensors").is_file()),
    ]
    cells = 16 if quick else 64
    with torch_threads(1):
        spent = timed(names, cells, quick)
    best = {name: min(LAYOUTS, key=lambda one, name=name: statistics.median(spent[f"{name}, {one}"])) for name in names}
    memory = {name: _in_own_process(name) for name in names}
    rows, bars = [], []
    taesd = f"TAESD, {best['TAESD']}"
    for name in names:
        own, share = f"{name}, {best[name]}", None
        if memory[name] and memory["TAESD"]:
            share = memory[name] / memory["TAESD"]
        rows.append({
            "decoder": name, "layout": best[name], "mib": memory[name], "share": share,
            "ms": {one: round(1e3 * statistics.median(spent[f"{name}, {one}"]), 2) for one in LAYOUTS},
            "fastest_ms": {one: round(1e3 * min(spent[f"{name}, {one}"]), 2) for one in LAYOUTS},
            "times": round(ratio_in_turns(spent, taesd, own), 2),
            "times_fastest": round(ratio_of_fastest(spent, taesd, own), 2), "runs": len(spent[own]),
        })  # fmt: skip
        if name != "TAESD":
            limit = LIMITS[name.removeprefix("sd1-")]
            bars.append(bar(f"{name}: times as fast as TAESD, {8 * cells}²", rows[-1]["times"], limit, at_most=False))
            if share is not None:
                bars.append(bar(f"{name}: peak memory / TAESD's, 1024²", share, 0.25, at_most=True))
    settings = {"cells": cells, "threads": 1, "layouts": "each in the faster of both", "least_of_runs": "times_fastest"}
    result = {"name": "decoders", "quick": quick, "machine": facts, "settings": settings, "rows": rows, "bars": bars}
    shown = [[r["decoder"], r["layout"], f"{r['times']:.1f}", f"{r['times_fastest']:.1f}"] for r in rows]
    print_table(["", "layout", "times (median of rounds)", "times (fastest runs)"], shown)
    print_bars(result)
    write_result(result)
    return result


def timed(names: list[str], cells: int, quick: bool) -> dict[str, list[float]]:
    """Seconds of every run of "NAME, LAYOUT": latents, and weights too, lie in that layout; all take turns."""
    latents = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(0))
    calls = {}
    for name in names:
        for layout, memory_format in LAYOUTS.items():
            one = decoder(name)
            one.module.to(memory_format=memory_format)
            calls[f"{name}, {layout}"] = partial(one, latents.contiguous(memory_format=memory_format))
    runs = 3 if quick else 9
    return timed_in_turns(calls, most_runs=runs, least_runs=runs, enough_s=float("inf"))


def markdown(result: dict[str, Any]) -> str:
    """For docs/speed.md: every contender's better layout, and ratios, which other work on the machine leaves alone."""
    lines = [
        "| 512², one thread | layout | the other layout takes | TAESD's time / its own | of fastest runs |",
        "|---|---|--:|--:|--:|",
    ]
    for row in result["rows"]:
        own = row["fastest_ms"][row["layout"]]
        other = next(row["fastest_ms"][one] for one in LAYOUTS if one != row["layout"])
        numbers = [f"{other / own:.2f}", f"{row['times']:.1f}", f"{row['times_fastest']:.1f}"]
        lines.append(f"| {row['decoder']} | {row['layout']} | {' | '.join(numbers)} |")
    said = "Each in the layout that suits it, all in turns in one run. "
    return "\n".join([*lines, "", (said + shared_in_words(result["machine"])).strip()])


def decoder(name: str) -> lf.Approximation:
    """A decoder of data/models, or TAESD's."""
    if name != "TAESD":
        return lf.load(data_path("models") / f"{name}.safetensors")
    assets = os.environ.get("LATENTFIT_ASSETS")
    if assets:
        return lf.load(Path(assets) / "weights" / "taesd" / "taesd_decoder.safetensors", space="sd1")
    return lf.Approximation(TinyDecoder(4).eval(), "sd1", 8, name="TAESD")


def peak_mib(name: str) -> float | None:
    """Of one decode of 128×128 cells; meant for a process of its own."""
    one = decoder(name)
    one(torch.randn(1, 4, 8, 8))
    latents = torch.randn(1, 4, 128, 128).contiguous(memory_format=torch.channels_last)
    return peak_extra_mib(lambda: one(latents))


def _in_own_process(name: str) -> float | None:
    code = OWN_PROCESS.format(here=str(Path(__file__).parent), name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = done.stdout.split()[-1]
    return None if said == "None" else float(said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small pictures, few runs; written to runs/bench")
    main(parser.parse_args().quick)
