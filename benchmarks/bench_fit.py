"""Fitting beside scikit-learn and BLAS: seconds, peak memory, and the share of the time that collecting takes.

- Cubic, 4 channels: ChannelMap on a store, read from its shards, beside what else solves it on the same numbers in
  memory (`BASELINES`): scikit-learn's PolynomialFeatures with LinearRegression and with Ridge(solver="cholesky"), and
  normal equations added up in chunks of PolynomialFeatures' rows. All in turns, in one process.
- Peak extra memory of ChannelMap with 10⁶, 10⁷ and 3·10⁷ cells.
- 969 terms: expanding the basis and adding to the Gram matrix beside scipy's dsyrk alone, on matrices of equal shape.
- All forms, one after the other, beside collecting the pairs that they are fitted on.

    python -m benchmarks.bench_fit [--quick] [--parts cubic memory gram collecting]

Parts that are not asked for are kept as the committed result has them, each with its own machine facts.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

import latentfit as lf
from benchmarks.bench_collect import kl_vae, tiny_vae
from benchmarks.measuring import (
    ROOT,
    bar,
    bars_table,
    machine_facts,
    peak_extra_mib,
    print_bars,
    print_table,
    ratio_of_fastest,
    shared_in_words,
    timed_in_turns,
    write_result,
)
from latentfit.fit import Basis, Moments
from latentfit.images import pictures
from latentfit.pairs import Origin, PairStore, Sample, sample_key, write_shard

SHARDS = 3
SIDE, A_SHARD = 128, 61  # cells of a picture's side; pictures a shard: 10⁶ cells
Array = NDArray[np.float64]
FORMS = ("linear", "affine", "quadratic", "cubic", "3", "3,1", "5", "5,1", "5,3")


PARTS = ("cubic", "memory", "gram", "collecting")
LINEAR, RIDGE, CHUNKED = "LinearRegression", "Ridge(solver='cholesky')", "normal equations in chunks"
LIMITS = {LINEAR: 10.0, RIDGE: 1.0, CHUNKED: 1.0}
"""How many times as long each baseline must take at least; of scikit-learn's quicker ways, no less than ours."""


def main(quick: bool, parts: Sequence[str] = PARTS) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    kept = {} if quick or set(parts) == set(PARTS) else committed()
    found = {part: MEASURES[part](quick) if part in parts else kept[part] for part in PARTS}
    result = {
        "name": "fit", "quick": quick, "machine": machine_facts(),
        "settings": {"cubic": "ridge 0, uncensored, float64; ours reads float16 shards, theirs float64 in memory"},
        **found, "bars": [entry for part in PARTS for entry in found[part]["bars"]],
    }  # fmt: skip
    print_table(["cubic, 4 channels", *result["cubic"]["median_s"]], seconds_table(result))
    print_bars(result)
    write_result(result)
    return result


def committed() -> dict[str, Any]:
    """The parts of the committed result."""
    path = ROOT / "benchmarks" / "results" / "fit.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def measure_cubic(quick: bool) -> dict[str, Any]:
    """Seconds of ours and of every baseline, all in turns in one process; fastest runs are compared."""
    facts, n_shards, n_rounds = machine_facts(), 1 if quick else SHARDS, 1 if quick else 9
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder), n_shards)
        store, samples = chosen(Path(folder), n_shards)
        arrays = in_memory(store, samples)
        calls: dict[str, Callable[[], object]] = {"ours": partial(fit_ours, store, samples)}
        calls |= {name: partial(baseline, *arrays) for name, baseline in BASELINES.items()}
        spent = timed_in_turns(calls, most_runs=n_rounds, least_runs=3, enough_s=10.0)
    ratios = {name: ratio_of_fastest(spent, name, "ours") for name in BASELINES}
    bars = [
        bar(f"{name}: its seconds / ours, cubic, {n_shards}·10⁶ cells", ratio, LIMITS[name], at_most=False)
        for name, ratio in ratios.items()
    ]
    rows = {name: [rounded(one) for one in times] for name, times in spent.items()}
    return {
        "machine": facts, "cells": n_shards, "rows": rows, "bars": bars,
        "median_s": {name: rounded(statistics.median(times)) for name, times in spent.items()},
        "fastest_s": {name: rounded(min(times)) for name, times in spent.items()},
    }  # fmt: skip


def rounded(value: float) -> float:
    """Milliseconds will do."""
    return round(value, 3)


def measure_memory(quick: bool) -> dict[str, Any]:
    """Peak extra MiB of ours on stores of several sizes."""
    sizes = (1,) if quick else (1, 10, 30)
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder), max(sizes))
        memory = {  # one process differs from the next by about 2 MiB
            n: statistics.median(alone(memory_of_ours, Path(folder), n) for _ in range(3)) for n in sizes
        }
    label, share = "peak extra memory, 3·10⁷ cells / 10⁶ cells", memory[sizes[-1]] / memory[1]
    bars = [] if quick else [bar(label, share, 1.2, at_most=True)]
    return {"machine": machine_facts(), "extra_mib": {f"{n}e6": round(x, 1) for n, x in memory.items()}, "bars": bars}


def measure_gram(quick: bool) -> dict[str, Any]:
    """The rate of 969 terms beside BLAS's own."""
    rates = [gram_rates() for _ in range(3 if quick else 7)]
    share = statistics.median(a / b for a, b in rates)
    gflops = dict(zip(("ours", "dsyrk"), np.median(rates, axis=0).round(1).tolist(), strict=True))
    bars = [bar("969 terms: rate / scipy's dsyrk", share, 0.6, at_most=False)]
    return {"machine": machine_facts(), "gflops_969_terms": gflops, "bars": bars}


def measure_collecting(quick: bool) -> dict[str, Any]:
    """Fitting every form beside collecting the pairs."""
    spent = {label: fitting_and_collecting(make, n, size) for label, make, n, size in collections(quick)}
    bars = [bar(f"all forms / collecting, {label}", a / b, 0.05, at_most=True) for label, (a, b) in spent.items()]
    seconds_of = {label: [round(a, 2), round(b, 2)] for label, (a, b) in spent.items()}
    return {"machine": machine_facts(), "seconds": seconds_of, "bars": bars}


MEASURES: dict[str, Callable[[bool], dict[str, Any]]] = {
    "cubic": measure_cubic,
    "memory": measure_memory,
    "gram": measure_gram,
    "collecting": measure_collecting,
}


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


def fit_ours(store: PairStore, samples: list[Sample]) -> None:
    """A cubic, reading included."""
    lf.ChannelMap("cubic", ridge=0.0, censored=False, n_folds=1).fit(store, samples=samples)


def seconds(call: Callable[[], object]) -> float:
    """What it takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def memory_of_ours(folder: Path, n_shards: int) -> float:
    """Peak extra MiB of a fit."""
    store, samples = chosen(folder, n_shards)
    lf.ChannelMap("affine").fit(store, samples=samples[:1])
    extra = peak_extra_mib(lambda: fit_ours(store, samples))
    return float("nan") if extra is None else extra


def in_memory(store: PairStore, samples: list[Sample]) -> tuple[Array, Array]:
    """Latents (cells, C) and colours (cells, 3), float64."""
    parts = [
        (b.latents.movedim(1, -1).flatten(0, 2), b.cells.movedim(1, -1).flatten(0, 2)) for b in store.batches(samples)
    ]
    rows, targets = (torch.cat(list(column)).double().numpy() for column in zip(*parts, strict=True))
    return rows, targets


def linear_regression(rows: Array, targets: Array) -> None:
    """By singular values of all features."""
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import PolynomialFeatures

    features = PolynomialFeatures(3, include_bias=False).fit_transform(rows)
    LinearRegression(copy_X=False).fit(features, targets)


def ridge_by_cholesky(rows: Array, targets: Array) -> None:
    """Normal equations, by scikit-learn itself."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import PolynomialFeatures

    features = PolynomialFeatures(3, include_bias=False).fit_transform(rows)
    Ridge(alpha=1e-6, solver="cholesky", copy_X=False).fit(features, targets)


def normal_equations(rows: Array, targets: Array, chunk: int = 1 << 16) -> None:
    """The same sums over chunks, so that the features of all cells are never there at once."""
    from sklearn.preprocessing import PolynomialFeatures

    polynomial = PolynomialFeatures(3).fit(rows[:1])
    n_terms = polynomial.n_output_features_
    gram, moments = np.zeros((n_terms, n_terms)), np.zeros((n_terms, targets.shape[1]))
    for start in range(0, len(rows), chunk):
        features = polynomial.transform(rows[start : start + chunk])
        gram += features.T @ features
        moments += features.T @ targets[start : start + chunk]
    gram[np.diag_indices(n_terms)] += 1e-6
    np.linalg.solve(gram, moments)


BASELINES: dict[str, Callable[[Array, Array], None]] = {
    LINEAR: linear_regression,
    RIDGE: ridge_by_cholesky,
    CHUNKED: normal_equations,
}


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
    """Of the fastest runs, and the medians."""
    rows = {"fastest": result["cubic"]["fastest_s"], "median": result["cubic"]["median_s"]}
    return [[name, *(f"{value:.2f}" for value in row.values())] for name, row in rows.items()]


def markdown(result: dict[str, Any]) -> str:
    """For docs/speed.md: seconds, memory and the bars."""
    cubic, extra = result["cubic"], result["memory"]["extra_mib"]
    memory = ", ".join(f"{mib:.0f} MiB at {n.replace('e6', '·10⁶')}" for n, mib in extra.items())
    theirs = ", ".join(f"{name} {cubic['fastest_s'][name]:.1f} s" for name in BASELINES)
    facts = cubic["machine"]
    lines = [
        f"A cubic on 4 channels, {cubic['cells']}·10⁶ cells, read from the store's shards: "
        f"{cubic['fastest_s']['ours']:.2f} s. On arrays in memory, scikit-learn's PolynomialFeatures, then: {theirs} "
        f"(fastest runs, in turns; {facts['cpu']}, {facts['threads']} of {facts['cores']} cores). "
        f"{shared_in_words(facts)} Ours takes, above what was there before: {memory} cells.",
        "",
        bars_table("fitting", result["bars"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10⁶ cells; written to runs/bench")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    main(options.quick, options.parts)
