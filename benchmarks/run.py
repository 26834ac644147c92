"""Every benchmark in turn: tables of ratios measured in one run, and their JSON in benchmarks/results.

    python benchmarks/run.py [--quick] [--only preview fit collect] [--markdown]

`--quick` takes a minute or two and writes to runs/bench, so that it never replaces what is committed. `--markdown`
measures nothing: it prints the committed results as the README shows them.
"""

import argparse
import importlib
import json
import time
from typing import Any

from measuring import ROOT, print_bars

NAMES = ("preview", "fit", "collect")
SHOWN = (512, 1024, 2048)


def main() -> None:
    """Run them, then repeat all bars at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer runs; written to runs/bench")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--markdown", action="store_true", help="print the committed results, measure nothing")
    options = parser.parse_args()
    if options.markdown:
        return print(markdown())
    results = [ran(name, options.quick) for name in options.only]
    print("\nAll bars:")
    for result in results:
        if "bars" in result:
            print_bars(result)


def ran(name: str, quick: bool) -> dict[str, Any]:
    """One benchmark's result; each lies in its own script with a ``main(quick)``."""
    print(f"\n== {name}")
    started = time.perf_counter()
    result: dict[str, Any] = importlib.import_module(f"bench_{name}").main(quick)
    print(f"  {time.perf_counter() - started:.0f} s")
    return result


def markdown() -> str:
    """The committed previews at two threads, C = 4, and every bar, as Markdown."""
    found = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "benchmarks/results").glob("*.json"))
    }
    if "preview" not in found:
        raise SystemExit("run.py: no committed results; make them with `make bench`")
    rows = [row for row in found["preview"]["rows"] if row["channels"] == 4 and row["threads"] == 2]
    machine = found["preview"]["machine"]
    lines = [
        f"Milliseconds a preview, JPEG included, C = 4, two threads of {machine['cpu']}; in brackets, peak extra MiB.",
        "",
        "| | " + " | ".join(f"{n}²" for n in SHOWN) + " |",
        "|---|" + "--:|" * len(SHOWN),
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        cells = {row["pixels"]: f"{row['ms']:.3g} ({_mib(row['extra_mib'])})" for row in rows if row["name"] == name}
        lines.append(f"| {name} | " + " | ".join(cells.get(n, "left out") for n in SHOWN) + " |")
    lines += ["", "| bar | measured | |", "|---|--:|---|"]
    for entry in (entry for result in found.values() for entry in result.get("bars", [])):
        sign, met = "≤" if entry["at_most"] else "≥", "met" if entry["met"] else "missed"
        lines.append(f"| {entry['bar']} {sign} {entry['limit']:g} | {entry['value']:.3g} | {met} |")
    return "\n".join(lines)


def _mib(extra: float | None) -> str:
    return "–" if extra is None else f"{extra:.3g}"


if __name__ == "__main__":
    main()
