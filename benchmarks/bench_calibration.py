"""What a preview that learns costs: the pair of a decode taken into a calibration, beside that decode.

The AutoencoderKL has SD's size and random weights: its time is what counts. One thread, processor time, in turns.

    python -m benchmarks.bench_calibration [--quick]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import latentfit as lf
from benchmarks.measuring import SD_CONFIG, bar, machine_facts, print_bars, print_table, write_result
from latentfit.runtime import significant, sketch_of, torch_threads

MOST_SHARE = 0.01
"""Of a decode."""
SPACES = ("sd1", "flux1")


@torch_threads(1)
def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    rows = [measured(space, 256 if quick else 512, 3) for space in SPACES]
    worst = max(row["learn_s"] / row["decode_s"] for row in rows)
    result = {
        "name": "calibration", "quick": quick, "machine": machine_facts(), "settings": {"threads": 1}, "rows": rows,
        "bars": [bar("learning, as a share of a decode", worst, MOST_SHARE, at_most=True)],
    }  # fmt: skip
    names = ("decode_s", "learn_s", "solve_s", "sketch_s")
    print_table(
        ["space", *(f"{name.removesuffix('_s')}, ms" for name in names)],
        [[f"{row['space']}, {row['pixels']} px", *(significant(1e3 * row[name]) for name in names)] for row in rows],
    )
    print_bars(result)
    write_result(result)
    return result


def measured(space: str, side_px: int, n_runs: int) -> dict[str, Any]:
    """Medians of one space, in seconds of processor time."""
    import diffusers

    torch.manual_seed(0)
    n_channels = lf.get_space(space).channels
    vae = diffusers.AutoencoderKL(**SD_CONFIG, latent_channels=n_channels).eval()
    spent: dict[str, list[float]] = {"decode_s": [], "learn_s": [], "solve_s": []}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        learned = lf.Calibration(space, path=Path(folder) / "a.calibration")
        for _ in range(n_runs):
            latents = torch.randn(1, n_channels, side_px // 8, side_px // 8)
            seconds, made = timed(lambda latents=latents: vae.decode(latents).sample)
            spent["decode_s"].append(seconds)
            rgb = (made / 2 + 0.5).clamp(0, 1)
            spent["learn_s"].append(timed(lambda latents=latents, rgb=rgb: learned.observe(latents, rgb))[0])
            spent["solve_s"].append(timed(learned.solve)[0])
    return {
        "space": space, "pixels": side_px, **{name: statistics.median(each) for name, each in spent.items()},
        "sketch_s": timed(lambda: sketch_of(vae))[0],
    }  # fmt: skip


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and what it gave."""
    started = time.process_time()
    made = call()
    return time.process_time() - started, made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
