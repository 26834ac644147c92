"""collect() beside the bare encode and decode calls on the same pictures with the same autoencoder.

The bare calls get what collect() has to make: pictures opened, cropped and stacked into the same batches beforehand,
and their results thrown away. collect() opens, crops, encodes, decodes, reduces and writes a whole new store. The two
take turns. TAESD is the hardest case, being the fastest autoencoder: published weights where LATENTFIT_ASSETS names
them, else an AutoencoderTiny with random ones. A full run adds an AutoencoderKL of SD's size with random weights.

    python -m benchmarks.bench_collect [--quick]
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentfit as lf
from benchmarks.measuring import (
    SD_CONFIG,
    bar,
    machine_facts,
    print_bars,
    print_table,
    ratio_in_turns,
    timed_in_turns,
    write_result,
)
from latentfit.images import Picture, crop_to_cells, pictures, rgb_tensor
from latentfit.pairs import BATCH_PIXELS

MOST_OF = 0.9


def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts = machine_facts()
    photographs = pictures("photographs")
    few, size, n_rounds = (photographs[:6], 256, 3) if quick else (photographs, 512, 3)
    rows = [measured(*tiny_vae(), few, size, n_rounds)]
    if not quick:
        rows.append(measured(kl_vae(), "AutoencoderKL of SD's size, random weights", photographs[:4], 256, 2))
    result = {
        "name": "collect", "quick": quick, "machine": facts,
        "settings": {"keep": "rgb", "share": "median over rounds of the bare calls' seconds / collect()'s seconds"},
        "rows": rows,
        "bars": [bar(f"collect() speed / bare calls, {r['vae']}", r["share"], MOST_OF, at_most=False) for r in rows],
    }  # fmt: skip
    cells = [
        [r["vae"], str(r["pictures"]), f"{r['size']}", *(f"{r[k]:.2f}" for k in ("bare_s", "collect_s", "share"))]
        for r in rows
    ]
    print_table(["", "pictures", "short side", "bare s", "collect s", "share"], cells)
    print_bars(result)
    write_result(result)
    return result


def measured(vae: lf.Vae, label: str, chosen: Sequence[Picture], size: int, n_rounds: int) -> dict[str, Any]:
    """Both on the same pictures, in turns."""
    batches = prepared(chosen, size, 2 * vae.cell_px)
    with tempfile.TemporaryDirectory() as folder:
        calls = {"collect": collecting(vae, chosen, size, Path(folder)), "bare": lambda: bare(vae, batches)}
        spent = timed_in_turns(calls, most_runs=n_rounds, least_runs=n_rounds, enough_s=1e3)
    return {
        "vae": label, "pictures": len(chosen), "size": size, "rounds": n_rounds,
        "bare_s": round(statistics.median(spent["bare"]), 3),
        "collect_s": round(statistics.median(spent["collect"]), 3),
        "share": round(ratio_in_turns(spent, "bare", "collect"), 4),
    }  # fmt: skip


def collecting(vae: lf.Vae, chosen: Sequence[Picture], size: int, folder: Path) -> Callable[[], object]:
    """collect() into a store that is not there yet, without its report."""

    def call() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            lf.collect(vae, chosen, folder / f"{time.monotonic_ns()}", size=size, keep="rgb", progress=False)

    return call


def prepared(chosen: Sequence[Picture], size: int, multiple_px: int) -> list[Tensor]:
    """The batches that collect() would make: equal sizes together, as many as it takes at once."""
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for picture in chosen:
        pixels, _ = crop_to_cells(picture.load()[0], size, multiple_px)
        by_shape.setdefault(pixels.shape, []).append(pixels)
    batches = []
    for (height, width, _), equal in by_shape.items():
        n = max(1, BATCH_PIXELS // (height * width))
        batches += [rgb_tensor(np.stack(equal[start : start + n])) for start in range(0, len(equal), n)]
    return batches


def bare(vae: lf.Vae, batches: Sequence[Tensor]) -> None:
    """Encode and decode, nothing else."""
    for rgb in batches:
        vae.decode(vae.encode(rgb))


def tiny_vae() -> tuple[lf.Vae, str]:
    """TAESD, or an untrained autoencoder of its size."""
    assets = os.environ.get("LATENTFIT_ASSETS", "")
    pair = Path(assets) / "weights" / "taesd" / "taesd"
    if assets and list(pair.parent.glob("taesd_decoder.*")):
        return lf.Vae.load(str(pair), space="sd1", device="cpu"), "TAESD"
    from diffusers.models import AutoencoderTiny

    torch.manual_seed(0)
    module = AutoencoderTiny().eval()
    return lf.Vae.from_module(module, name="untrained", space="sd1", device="cpu"), "AutoencoderTiny, random weights"


def kl_vae() -> lf.Vae:
    """diffusers' AutoencoderKL with SD's config and random weights."""
    from diffusers.models import AutoencoderKL

    torch.manual_seed(0)
    return lf.Vae.from_module(AutoencoderKL(**SD_CONFIG).eval(), name="untrained KL", space="sd1", device="cpu")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six pictures at 256 px; written to runs/bench")
    main(parser.parse_args().quick)
