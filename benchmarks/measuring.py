"""What the benchmarks share: timing in turns, peak memory of a fresh process, the machine's facts, results as files.

A result is a dict with ``name``, ``quick``, ``machine``, ``settings``, ``rows`` and ``bars``; `bar` makes one of the
latter. Full runs are kept in ``benchmarks/results/NAME.json``; quick ones in ``runs/bench/NAME.json``, so that they
never replace what is committed.
"""

import ctypes
import gc
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from latentfit.runtime import significant, write_atomic

ROOT = Path(__file__).resolve().parents[1]
SD_CONFIG = {  # of the AutoencoderKL that Stable Diffusion 1, 2 and XL share
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def machine_facts() -> dict[str, Any]:
    """CPU, cores, threads and versions; no names, no paths."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": load_now(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def load_now() -> float | None:
    """Processes that want a core, mean of the last minute: above the number of cores other work ran too."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def shared_in_words(facts: Mapping[str, Any]) -> str:
    """A sentence for results that were measured while other work ran; empty where none did."""
    load, cores = facts["load_before"], facts["cores"]
    if load is None or cores is None or load < cores:
        return ""
    return (
        f"Measured while other work ran (load {load:g} on {cores} cores): in turns, in one run, so ratios hold; "
        "milliseconds and seconds are longer than an idle machine's."
    )


def bar(name: str, value: float, limit: float, *, at_most: bool) -> dict[str, Any]:
    """A number beside the number it must not pass."""
    met = value <= limit if at_most else value >= limit
    return {"bar": name, "value": round(value, 4), "limit": limit, "at_most": at_most, "met": met}


def write_result(result: Mapping[str, Any]) -> Path:
    """Write a result, whole or not at all, where its kind belongs."""
    folder = ROOT / "runs" / "bench" if result["quick"] else ROOT / "benchmarks" / "results"
    return write_atomic(folder / f"{result['name']}.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def bars_table(first: str, bars: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a line a bar, with what was measured and whether it is met."""
    lines = [f"| {first} | measured | bar |", "|---|--:|---|"]
    for entry in bars:
        sign, met = "≤" if entry["at_most"] else "≥", "met" if entry["met"] else "missed"
        lines.append(
            f"| {entry['bar']} | {significant(entry['value'])} | {sign} {significant(entry['limit'])}, {met} |"
        )
    return "\n".join(lines)


def print_bars(result: Mapping[str, Any]) -> None:
    """One line a bar."""
    for entry in result["bars"]:
        sign = "≤" if entry["at_most"] else "≥"
        met = "met" if entry["met"] else "MISSED"
        print(f"  {met:6} {entry['bar']}: {significant(entry['value'])} (bar {sign} {significant(entry['limit'])})")


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as their widest cell, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def timed_in_turns(
    calls: Mapping[str, Callable[[], object]], *, most_runs: int, least_runs: int, enough_s: float
) -> dict[str, list[float]]:
    """Seconds of every run of every call; entry r of each list is of round r.

    All calls take turns, in an order drawn anew each round, so that a busy machine slows all of them alike. A call
    rests when it has taken `enough_s` in at least `least_runs`, or ten times that in fewer; the first runs as long as
    any, being what the others are compared with.
    """
    order = random.Random(0)
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()  # caches, lazy set-up
    for _ in range(most_runs):
        due = [n for n, s in spent.items() if sum(s) < (enough_s if len(s) >= least_runs else 10 * enough_s)]
        due = list(dict.fromkeys([next(iter(calls)), *due])) if due else []
        for name in order.sample(due, len(due)):
            started = time.perf_counter()
            calls[name]()
            spent[name].append(time.perf_counter() - started)
    return spent


def ratio_in_turns(spent: Mapping[str, list[float]], name: str, base: str) -> float:
    """Median over the rounds of a round's own ratio: what slowed the whole round cancels."""
    return statistics.median(a / b for a, b in zip(spent[name], spent[base], strict=False))


def ratio_of_fastest(spent: Mapping[str, list[float]], name: str, base: str) -> float:
    """Of each one's fastest run: what else a machine does only ever slows a run."""
    return min(spent[name]) / min(spent[base])


def peak_extra_mib(call: Callable[[], object]) -> float | None:
    """Peak resident MiB of this process while `call` runs, less what was resident before; None where not known.

    Linux only: the kernel's own high-water mark (VmHWM) after a reset, so kernels' scratch and the encoder's buffers
    count as well as tensors. Good to about half a MiB. Only to be trusted in a process that did little before: see
    `latentfit.scores.running_costs.peak_mib` for what tensors alone take.
    """
    if not sys.platform.startswith("linux"):
        return None
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)  # freed but kept pages would hide the first MiB
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    before = _status_kib("VmRSS")
    call()
    return (_status_kib("VmHWM") - before) / 1024


def _status_kib(key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    if found is None:
        raise OSError(f"/proc/self/status: expected a line {key}")
    return int(found[1])


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", information.read_text("utf-8")) if information.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()
