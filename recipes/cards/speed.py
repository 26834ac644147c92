"""Markdown of what `make bench` measured, from benchmarks/results."""

import json
from pathlib import Path
from typing import Any

from benchmarks import bench_decoders, bench_fit, bench_palettes, bench_preview
from benchmarks.measuring import bars_table

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def bench_block() -> str:
    """Previews, fitting, collecting and training, the shipped decoders, palettes."""
    decoders, palettes = measured("decoders"), measured("palettes")
    parts = [
        bench_preview.markdown(measured("preview")),
        bench_fit.markdown(measured("fit")),
        bars_table("collecting, training", [*measured("collect")["bars"], *measured("train")["bars"]]),
        bench_decoders.markdown(decoders),
        bars_table("decoders", decoders["bars"]),
        bench_palettes.markdown(palettes),
    ]
    return "\n\n".join(parts)


def measured(name: str) -> dict[str, Any]:
    """A result as it was written."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return result
