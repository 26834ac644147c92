"""Decoders beside TAESD's, in one run: milliseconds for 512×512 on all cores, peak memory for 1024×1024.

Reads the decoders of data/models and TAESD's from LATENTFIT_ASSETS; without it TAESD's network is built with random
weights, which take as long. Memory is measured in a fresh process for each.
"""

import argparse
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import (
    bar,
    machine_facts,
    peak_extra_mib,
    print_bars,
    print_table,
    ratio_in_turns,
    timed_in_turns,
    write_result,
)

import latentfit as lf
from latentfit.nets.tiny import TinyDecoder
from latentfit.resources import data_path

LIMITS = {"cell": 30.0, "cell-large": 8.0}
"""How many times as fast as TAESD each must be."""

OWN_PROCESS = "import sys; sys.path.insert(0, {here!r}); import bench_decoders as b; print(b.peak_mib({name!r}))"


def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts, rows, bars = machine_facts(), [], []
    names = [f"sd1-{kind}" for kind in LIMITS if (data_path("models") / f"sd1-{kind}.safetensors").is_file()]
    cells = 16 if quick else 64
    latents = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(0))
    calls = {name: partial(decoder(name), latents) for name in ("TAESD", *names)}
    spent = timed_in_turns(calls, most_runs=5 if quick else 15, least_runs=3, enough_s=0.2 if quick else 2.0)
    memory = {name: _in_own_process(name) for name in calls}
    for name in calls:
        seconds = sorted(spent[name])[len(spent[name]) // 2]
        faster = ratio_in_turns(spent, "TAESD", name)
        share = memory[name] / memory["TAESD"] if memory[name] and memory["TAESD"] else None
        rows.append({"decoder": name, "ms": 1e3 * seconds, "times": faster, "mib": memory[name], "share": share})
        if name != "TAESD":
            limit = LIMITS[name.removeprefix("sd1-")]
            bars.append(bar(f"{name}: times as fast as TAESD, {8 * cells}²", faster, limit, at_most=False))
            if share is not None:
                bars.append(bar(f"{name}: peak memory / TAESD's, 1024²", share, 0.25, at_most=True))
    result = {
        "name": "decoders", "quick": quick, "machine": facts, "settings": {"cells": cells}, "rows": rows, "bars": bars
    }  # fmt: skip
    shown = [[r["decoder"], f"{r['ms']:.1f}", f"{r['times']:.1f}", f"{r['mib'] or float('nan'):.0f}"] for r in rows]
    print_table(["", "ms", "times", "MiB at 1024²"], shown)
    print_bars(result)
    write_result(result)
    return result


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
    latents = torch.randn(1, 4, 128, 128)
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
