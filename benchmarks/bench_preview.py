"""Milliseconds and memory of one preview: latents in, JPEG bytes out, for every form beside Comfy's formula.

Every contender does what a user interface does at a preview: latents -> rgb -> 8 bit -> copy to the host -> PIL ->
JPEG of what it made, not enlarged: one pixel a cell for tables, full size for decoders. Maps have random coefficients
(a coefficient's value costs nothing), made small so that pictures are neither flat nor clipped; TAESD has its published
weights where LATENTFIT_ASSETS names them, else random ones of the same shapes; the AutoencoderKL has SD's size and
random weights: its rows are time and memory only. Each runs in the memory layout, contiguous or channels-last, that a
short trial finds faster for it, laying out included. Extra MiB are of a fresh process a contender, above what was there
with the map loaded. The AutoencoderKL runs once, alone in its process, in tiles above 1024 px as `Vae` does it.

    python -m benchmarks.bench_preview [--quick] [--sizes 512 1024]
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders import (
    COMFY,
    JPEG_QUALITY,
    KL,
    LAYOUTS,
    MAPS,
    SPACES,
    TABLES,
    Preview,
    comfy_numbers,
    comfy_pixels,
    in_layout,
    map_of,
    our_pixels,
    preview_of,
    taesd_files,
)
from benchmarks.measuring import (
    bar,
    bars_table,
    machine_facts,
    peak_extra_mib,
    print_bars,
    print_table,
    ratio_in_turns,
    timed_in_turns,
    write_result,
)  # fmt: skip
from latentfit.fit import form_name, parse_kernels
from latentfit.runtime import torch_threads

SIZES = (512, 1024, 2048)
KL_SECONDS = 300.0  # a decode that would take longer is left out, and said to be


def main(quick: bool, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts = machine_facts()
    rows: list[dict[str, Any]] = []
    for n_channels in SPACES:
        for n_pixels in (512,) if quick else sizes:
            extra = {name: alone(name, n_channels, n_pixels, 2)["extra_mib"] for name in MAPS}
            for n_threads in (1, 2):
                rows += [
                    row | {"extra_mib": extra[row["name"]]} for row in timed(n_channels, n_pixels, n_threads, quick)
                ]
                _print(rows[-len(MAPS) :])
    rows += timed_autoencoder(quick, sizes, rows)
    equal = [equal_outputs(n_channels) for n_channels in SPACES]
    result = {
        "name": "preview", "quick": quick, "machine": facts,
        "settings": {
            "jpeg_quality": JPEG_QUALITY, "taesd_weights": "published" if taesd_files(4) else "random",
            "autoencoder_weights": "random", "map_coefficients": "random",
            "ratio": f"median over rounds of a round's ms / that round's {COMFY}",
            "extra_mib": "peak resident memory of a fresh process less resident before the call, two threads",
        },
        "rows": rows, "outputs": equal, "bars": bars(rows, equal),
    }  # fmt: skip
    print_bars(result)
    write_result(result)
    return result


def timed(n_channels: int, n_pixels: int, n_threads: int, quick: bool) -> list[dict[str, Any]]:
    """All maps on the same latents, in turns."""
    latents = _latents(n_channels, n_pixels)
    with torch_threads(n_threads):
        previews = {name: preview_of(name, n_channels) for name in MAPS}
        layouts = {name: better_layout(preview, latents) for name, preview in previews.items()}
        previews = {name: in_layout(preview, layouts[name]) for name, preview in previews.items()}
        calls = {name: (lambda preview=preview: preview(latents)) for name, preview in previews.items()}
        most_runs, enough_s = (15, 0.2) if quick else (60, 0.5)
        spent = timed_in_turns(calls, most_runs=most_runs, least_runs=3, enough_s=enough_s)
    return [_row(name, n_channels, n_pixels, n_threads, spent) | {"layout": layouts[name]} for name in MAPS]


def better_layout(preview: Preview, latents: Tensor, n_trials: int = 3) -> str:
    """In which the preview is faster: the fastest of a few calls of each, in turns, the first not counted."""
    spent: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
    for _ in range(1 + n_trials):
        for layout in LAYOUTS:
            started = time.perf_counter()
            in_layout(preview, layout)(latents)
            spent[layout].append(time.perf_counter() - started)
    return min(spent, key=lambda layout: min(spent[layout][1:]))


def timed_autoencoder(quick: bool, sizes: Sequence[int], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One preview a size and a number of threads, C = 4; a size that would take too long is left out and named."""
    found = []
    for n_threads in (2,) if quick else (1, 2):
        seconds = 0.0
        for n_pixels in (512,) if quick else sizes:
            expected = seconds * (9 if n_pixels > 1024 else 4)  # nine tiles of 1024 px cover 2048 px
            if expected > KL_SECONDS:
                print(f"  {KL}, {n_pixels}², {n_threads} threads: left out, about {expected / 60:.0f} minutes")
                continue
            row = alone(KL, 4, n_pixels, n_threads)
            seconds = row["ms"] / 1e3
            same = (4, n_pixels, n_threads, COMFY)
            base = next(r["ms"] for r in rows if (r["channels"], r["pixels"], r["threads"], r["name"]) == same)
            found.append(row | {"ratio": round(row["ms"] / base, 1)})
    if found:
        _print(found)
    return found


def alone(name: str, n_channels: int, n_pixels: int, n_threads: int) -> dict[str, Any]:
    """One preview in a process of its own, forked off one that has imported everything and run nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench_preview", "latentfit.vae.vae", "scipy.linalg", "diffusers.models"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_alone, name, n_channels, n_pixels, n_threads).result()


def _alone(name: str, n_channels: int, n_pixels: int, n_threads: int) -> dict[str, Any]:
    with torch_threads(n_threads):
        return _measured(name, n_channels, n_pixels, n_threads)


def _measured(name: str, n_channels: int, n_pixels: int, n_threads: int) -> dict[str, Any]:
    preview = preview_of(name, n_channels)
    preview(_latents(n_channels, 128))  # code pages, lazy set-up
    latents = _latents(n_channels, n_pixels)
    spent: dict[str, list[float]] = {name: []}

    def once() -> None:
        started = time.perf_counter()
        preview(latents)
        spent[name].append(time.perf_counter() - started)

    extra = peak_extra_mib(once)
    row = _row(name, n_channels, n_pixels, n_threads, spent)
    return row | {"extra_mib": None if extra is None else round(extra, 1)}


def equal_outputs(n_channels: int) -> dict[str, Any]:
    """Our affine beside Comfy's formula with the numbers that `export` writes for it: 8-bit levels apart."""
    approximation = map_of("affine", n_channels)
    latents = _latents(n_channels, 2048)
    ours = our_pixels(latents, approximation).int()
    theirs = comfy_pixels(latents, *comfy_numbers(approximation)).int()
    apart = (ours - theirs).abs()
    return {
        "channels": n_channels, "values": apart.numel(), "different": int((apart > 0).sum()),
        "most_levels_apart": int(apart.max()), "used_levels": int(theirs.unique().numel()),
    }  # fmt: skip


def bars(rows: list[dict[str, Any]], equal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The worst ratio over sizes, a number of threads apart."""

    def worst(name: str, n_threads: int, channels: tuple[int, ...]) -> float:
        of = [r for r in rows if r["name"] == name and r["threads"] == n_threads and r["channels"] in channels]
        return max(float(row["ratio"]) for row in of)

    found = []
    for n in (1, 2):
        plural = "thread" if n == 1 else "threads"
        found.append(bar(f"affine / {COMFY}, worst, {n} {plural}", worst("affine", n, (4, 16)), 1.05, at_most=True))
        found.append(bar(f"cubic / {COMFY}, C = 4, worst, {n} {plural}", worst("cubic", n, (4,)), 6.0, at_most=True))
    share = max(e["different"] / e["values"] for e in equal)
    levels = max(e["most_levels_apart"] for e in equal)
    found.append(bar("share of 8-bit values where affine and the exported table differ", share, 1e-4, at_most=True))
    found.append(bar("most levels apart there (truncation next to a whole level)", levels, 1, at_most=True))
    return found


def markdown(result: dict[str, Any]) -> str:
    """For docs/speed.md: C = 4 at two threads, and the bars."""
    rows = [row for row in result["rows"] if row["channels"] == 4 and row["threads"] == 2]
    sizes = sorted({row["pixels"] for row in result["rows"]})
    lines = [
        f"Milliseconds a preview, JPEG included, C = 4, two threads ({result['machine']['cpu']}); in brackets the peak "
        f"extra MiB. TAESD with {result['settings']['taesd_weights']} weights, the AutoencoderKL of SD's size with "
        "random ones: time and memory only.",
        "",
        "| | " + " | ".join(f"{n}²" for n in sizes) + " |",
        "|---|" + "--:|" * len(sizes),
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        cells = {row["pixels"]: _cell(row) for row in rows if row["name"] == name}
        lines.append(f"| {in_words(name)} | " + " | ".join(cells.get(n, "left out") for n in sizes) + " |")
    return "\n".join([*lines, "", bars_table("ratio, the worst of all sizes", result["bars"])])


def in_words(name: str) -> str:
    """A contender's name, the form of a table in words."""
    return form_name(*parse_kernels(name)) if name in TABLES else name


def _cell(row: dict[str, Any]) -> str:
    extra = "–" if row["extra_mib"] is None else f"{row['extra_mib']:.1f}"
    return f"{row['ms']:,.2f} ({extra})" if row["ms"] < 100 else f"{row['ms']:,.0f} ({extra})"


def _latents(n_channels: int, n_pixels: int) -> Tensor:
    """Smooth random latents of about unit variance, as those of pictures are: JPEG of noise would cost more."""
    side = n_pixels // 8
    coarse = torch.randn(1, n_channels, side // 8, side // 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").contiguous()


def _row(name: str, n_channels: int, n_pixels: int, n_threads: int, spent: dict[str, list[float]]) -> dict[str, Any]:
    ratio = round(ratio_in_turns(spent, name, COMFY), 3) if COMFY in spent else None
    return {
        "name": name, "channels": n_channels, "pixels": n_pixels, "threads": n_threads,
        "ms": round(1e3 * statistics.median(spent[name]), 3), "ratio": ratio, "runs": len(spent[name]),
    }  # fmt: skip


def _print(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    print(f"preview, C = {first['channels']}, {first['pixels']}², threads: {first['threads']}")
    cells = [
        [r["name"], f"{r['pixels']}²", f"{r['ms']:.2f}", f"{r['ratio']:.2f}", str(r["extra_mib"]), str(r["runs"])]
        for r in rows
    ]
    print_table(["", "size", "ms", "× Comfy", "extra MiB", "runs"], cells)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="512² only, fewer runs; written to runs/bench")
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=SIZES, help="pixels of a side; 2048 takes most of the time"
    )
    options = parser.parse_args()
    main(options.quick, options.sizes)
