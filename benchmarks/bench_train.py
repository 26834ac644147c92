"""The training loop beside a bare PyTorch loop on the same network, the same crops and the same optimiser: images/s.

The bare loop reads nothing: its crops are in memory. Ours reads its own, averages the weights, keeps metrics and writes
checkpoints.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import latentfit as lf
from benchmarks.measuring import ROOT, bar, machine_facts, print_bars, print_table, write_result
from latentfit.nets import CellDecoder
from latentfit.train import CropSource, Objective, TrainConfig, train
from latentfit.tutorial import open_pairs

CROP_CELLS = 16


def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts, rows = machine_facts(), []
    store = open_pairs(None, "sd1", "bundled", ROOT)
    config = TrainConfig(n_images=320 if quick else 4800, clip=1.0, ema_images=1000)
    for turn in range(1 if quick else 3):
        bare = bare_images_per_s(store, config)
        ours = our_images_per_s(store, config)
        rows.append({"bare": bare, "ours": ours, "share": ours / bare})
        print(f"  round {turn + 1}: bare {bare:.1f}, ours {ours:.1f} images/s")
    share = statistics.median(row["share"] for row in rows)
    result = {
        "name": "train", "quick": quick, "machine": facts,
        "settings": {"network": "CellDecoder(4, 64, 5)", "batch": config.batch_images, "crop_cells": CROP_CELLS},
        "rows": rows,
        "bars": [bar("the loop's images/s / a bare PyTorch loop's", share, 0.95, at_most=False)],
    }  # fmt: skip
    print_table(["", "bare", "ours", "share"], [["median", *_medians(rows), f"{share:.3f}"]])
    print_bars(result)
    write_result(result)
    return result


def our_images_per_s(store: lf.PairStore, config: TrainConfig) -> float:
    """All of `train`, its checkpoint included, after a first short run."""
    with tempfile.TemporaryDirectory() as folder:
        for name, n_images in (("warm", 64), ("timed", config.n_images)):
            torch.manual_seed(0)
            source = CropSource(store, store.samples, CROP_CELLS)
            started = time.perf_counter()
            train(
                CellDecoder(4, 64, 5), Objective({"charbonnier": 1.0}), source, replace(config, n_images=n_images),
                Path(folder) / f"{name}.pt", device="cpu", progress=False,
            )  # fmt: skip
            seconds = time.perf_counter() - started
    return config.n_images / seconds


def bare_images_per_s(store: lf.PairStore, config: TrainConfig) -> float:
    """Forward, loss, backward, clipped step: nothing else."""
    source = CropSource(store, store.samples, CROP_CELLS)
    n = config.batch_images
    batches = [source.batch(range(i * n, (i + 1) * n)) for i in range(8)]
    torch.manual_seed(0)
    model = CellDecoder(4, 64, 5)
    model = model.to(memory_format=torch.channels_last)  # as ours: what is compared is the loop
    optimizer = torch.optim.AdamW(model.parameters(), config.lr, betas=config.betas)

    batches = [{n: t.to(memory_format=torch.channels_last) for n, t in batch.items()} for batch in batches]

    def step(index: int) -> None:
        batch = batches[index % len(batches)]
        error = model(batch["input"]) - batch["target"]
        (error.square() + 1e-6).sqrt().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad()

    for index in range(4):
        step(index)
    started = time.perf_counter()
    for index in range(config.n_images // n):
        step(index)
    return config.n_images / (time.perf_counter() - started)


def _medians(rows: list[dict[str, float]]) -> list[str]:
    return [f"{statistics.median(row[name] for row in rows):.1f}" for name in ("bare", "ours")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; written to runs/bench")
    main(parser.parse_args().quick)
