"""Fitting beside scikit-learn and BLAS: seconds, peak memory, and the share of the time that collecting takes.

- Cubic, 4 channels: ChannelMap on a store, read from its shards, beside PolynomialFeatures + LinearRegression on the
  same numbers in memory. Each runs in a fresh process.
- Peak extra memory of ChannelMap with 10⁶, 10⁷ and 3·10⁷ cells.
- 969 terms: expanding the basis and adding to the Gram matrix beside scipy's dsyrk alone, on matrices of equal shape.
- All forms, one after the other, beside collecting the pairs that they are fitted on.

    python benchmarks/bench_fit.py [--quick]
"""

import argparse
import contextlib
import io
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_collect import kl_vae, tiny_vae
from measuring import bar, machine_facts, peak_extra_mib, print_bars, print_table, write_result
from scipy.linalg.blas import dsyrk

import latentfit as lf
from latentfit.fit import Basis, Moments
from latentfit.images import pictures
from latentfit.pairs import PairStore
from latentfit.shards import Origin, Sample, sample_key, write_shard

SIDE, A_SHARD = 128, 61  # cells of a picture's side; pictures a shard: 10⁶ cells
FORMS = ("linear", "affine", "quadratic", "cubic", "3", "3,1", "5", "5,1", "5,3")


def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts = machine_facts()
    n_shards = 1 if quick else 10
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        write_store(store, n_shards if quick else 3 * n_shards)
        rounds = [
            (alone(fit_ours, store, n_shards), alone(fit_theirs, store, n_shards)) for _ in range(1 if quick else 3)
        ]
        memory = {  # one process differs from the next by about 2 MiB
            n: statistics.median(alone(memory_of_ours, store, n) for _ in range(3))
            for n in ((1,) if quick else (1, 10, 30))
        }
    ours, theirs = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in rounds)
    rates = [gram_rates() for _ in range(3 if quick else 7)]
    gram = statistics.median(a / b for a, b in rates)
    spent = {label: fitting_and_collecting(make, n, size) for label, make, n, size in collections(quick)}
    bars = [
        bar(f"scikit-learn's seconds / ours, cubic, {n_shards}·10⁶ cells", ratio, 10, at_most=False),
        bar("969 terms: rate / scipy's dsyrk", gram, 0.6, at_most=False),
        *(bar(f"all forms / collecting, {label}", a / b, 0.05, at_most=True) for label, (a, b) in spent.items()),
    ]
    if not quick:
        bars.insert(1, bar("peak extra memory, 3·10⁷ cells / 10⁶ cells", memory[30] / memory[1], 1.2, at_most=True))
    result = {
        "name": "fit", "quick": quick, "machine": facts,
        "settings": {"cubic": "ridge 0, uncensored, float64; ours reads float16 shards, theirs float64 in memory"},
        "rows": [{"ours_s": round(a, 3), "scikit_learn_s": round(b, 3)} for a, b in rounds],
        "median_s": {"ours": round(ours, 3), "scikit_learn": round(theirs, 3)},
        "extra_mib": {f"{n}e6": round(mib, 1) for n, mib in memory.items()},
        "gflops_969_terms": dict(zip(("ours", "dsyrk"), np.median(rates, axis=0).round(1).tolist(), strict=True)),
        "collecting": {label: [round(a, 2), round(b, 2)] for label, (a, b) in spent.items()},
        "bars": bars,
    }  # fmt: skip
    result["markdown"] = markdown(result)
    print_table(["cubic, 4 channels", "ours s", "scikit-learn s"], seconds_table(result))
    print(f"  extra MiB of ours: {result['extra_mib']}; all forms / collecting, seconds: {result['collecting']}")
    print_bars(result)
    write_result(result)
    return result


def write_store(folder: Path, n_shards: int) -> None:
    """Random latents and cells that are a noisy map of them, about 10⁶ cells a shard."""
    origin = Origin("random", "random numbers", "0" * 64, lf.get_space("sd1"), 8 * SIDE)
    generator = torch.Generator().manual_seed(0)
    for shard in range(n_shards):
        latents = torch.randn(A_SHARD, 4, SIDE, SIDE, generator=generator)
        cells = 0.5 + 0.1 * latents[:, :3] + 0.02 * torch.randn(A_SHARD, 3, SIDE, SIDE, generator=generator)
        samples = []
        for index in range(A_SHARD):
            sha256, box = f"{shard * A_SHARD + index:064x}", (0, 0, 8 * SIDE, 8 * SIDE)
            samples.append(Sample(sample_key(sha256, box), f"{sha256[-6:]}", sha256, "photograph", box, (SIDE, SIDE)))
        write_shard(folder, origin, samples, {"latents": latents.half(), "cells": cells.clamp(0, 1).half()})


def alone(function: Callable[[Path, int], float], folder: Path, n_shards: int) -> float:
    """What it returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, folder, n_shards).result()


def chosen(folder: Path, n_shards: int) -> tuple[PairStore, list[Sample]]:
    """The store, and its first shards' samples."""
    store = PairStore(folder)
    return store, sorted(store.samples, key=lambda sample: sample.sha256)[: n_shards * A_SHARD]


def fit_ours(folder: Path, n_shards: int) -> float:
    """Seconds, reading included: the median of three, for theirs take long enough to average what else goes on."""
    store, samples = chosen(folder, n_shards)
    lf.ChannelMap("affine").fit(store, samples=samples[:1])
    return statistics.median(
        seconds(lambda: lf.ChannelMap("cubic", ridge=0.0, censored=False, n_folds=1).fit(store, samples=samples))
        for _ in range(3)
    )


def seconds(call: Callable[[], object]) -> float:
    """What it takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def memory_of_ours(folder: Path, n_shards: int) -> float:
    """Peak extra MiB of a fit."""
    store, samples = chosen(folder, n_shards)
    lf.ChannelMap("affine").fit(store, samples=samples[:1])
    extra = peak_extra_mib(
        lambda: lf.ChannelMap("cubic", ridge=0.0, censored=False, n_folds=1).fit(store, samples=samples)
    )
    return float("nan") if extra is None else extra


def fit_theirs(folder: Path, n_shards: int) -> float:
    """Seconds of scikit-learn on arrays that are in memory already."""
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import PolynomialFeatures

    store, samples = chosen(folder, n_shards)
    parts = [
        (b.latents.movedim(1, -1).flatten(0, 2), b.cells.movedim(1, -1).flatten(0, 2)) for b in store.batches(samples)
    ]
    rows, targets = (torch.cat(list(column)).double().numpy() for column in zip(*parts, strict=True))
    del parts
    started = time.perf_counter()
    features = PolynomialFeatures(3, include_bias=False).fit_transform(rows)
    LinearRegression(copy_X=False).fit(features, targets)
    return time.perf_counter() - started


def gram_rates(n_chunks: int = 6) -> tuple[float, float]:
    """GFLOP/s: ours, basis expanded in chunks and added; dsyrk's alone on all cells at once; 16 channels, cubic."""
    basis = Basis(16, (1, 1, 1))
    n_cells, n_rows = 6144, 1 + basis.n_terms + 3
    variables = np.random.default_rng(0).standard_normal((16, n_cells))
    moments, whole = Moments(basis.n_terms, 3), np.random.default_rng(1).standard_normal((n_rows, n_cells))
    total = np.zeros((n_rows, n_rows), order="F")
    ours, theirs = 0.0, 0.0
    for _ in range(n_chunks):
        started = time.perf_counter()
        for rows, _ in basis.rows(variables, 3):
            rows[-3:] = variables[:3, : rows.shape[1]]
            moments.add(rows)
        ours += time.perf_counter() - started
        started = time.perf_counter()
        dsyrk(1.0, whole.T, beta=1.0, c=total, trans=1, lower=1, overwrite_c=1)
        theirs += time.perf_counter() - started
    work = n_chunks * n_cells * n_rows * (n_rows + 1) / 1e9
    return work / ours, work / theirs


def collections(quick: bool) -> list[tuple[str, Callable[[], lf.Vae], int, int]]:
    """Which autoencoders collect how many photographs at which size."""
    tiny, label = tiny_vae()
    found: list[tuple[str, Callable[[], lf.Vae], int, int]] = [
        (f"{label}, 17 pictures of 512 px", lambda: tiny, 17, 512)
    ]
    if not quick:
        found.append(("AutoencoderKL of SD's size, random weights, 2 pictures of 512 px", kl_vae, 2, 512))
    return found


def fitting_and_collecting(make: Callable[[], lf.Vae], n_pictures: int, size: int) -> tuple[float, float]:
    """Seconds of fitting every form, the median of three, and of collecting what they are fitted on."""
    vae, chosen_pictures = make(), pictures("photographs")[:n_pictures]

    def fit_all() -> None:
        for form in FORMS:
            lf.ChannelMap(form).fit(lf.PairStore(folder), "all")

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        collecting = seconds(lambda: lf.collect(vae, chosen_pictures, folder, size=size, keep="cells", progress=False))
        return statistics.median(seconds(fit_all) for _ in range(3)), collecting


def seconds_table(result: dict[str, Any]) -> list[list[str]]:
    """One line a round, the medians last."""
    rows = [*result["rows"], {f"{name}_s": value for name, value in result["median_s"].items()}]
    names = [*(f"round {i + 1}" for i in range(len(result["rows"]))), "median"]
    return [[n, f"{r['ours_s']:.2f}", f"{r['scikit_learn_s']:.1f}"] for n, r in zip(names, rows, strict=True)]


def markdown(result: dict[str, Any]) -> str:
    """For the README: seconds, memory and the bars."""
    median, extra = result["median_s"], result["extra_mib"]
    memory = ", ".join(f"{mib:.0f} MiB at {n.replace('e6', '·10⁶')}" for n, mib in extra.items())
    lines = [
        f"A cubic on 4 channels, read from the store's shards: {median['ours']:.2f} s; scikit-learn's "
        f"PolynomialFeatures + LinearRegression, on arrays in memory: {median['scikit_learn']:.1f} s "
        f"({result['machine']['cpu']}, {result['machine']['cores']} cores). Ours takes, above what was there before: "
        f"{memory} cells.",
        "",
        "| fitting | measured | bar |",
        "|---|--:|---|",
    ]
    for entry in result["bars"]:
        sign, met = "≤" if entry["at_most"] else "≥", "met" if entry["met"] else "missed"
        lines.append(f"| {entry['bar']} | {entry['value']:.3g} | {sign} {entry['limit']:g}, {met} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10⁶ cells; written to runs/bench")
    main(parser.parse_args().quick)
