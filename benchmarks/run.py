"""Every benchmark in turn: tables of ratios measured in one run, and their JSON in benchmarks/results.

    python -m benchmarks.run [--quick] [--only preview fit collect train decoders palettes calibration]

`--quick` takes a few minutes and writes to runs/bench, so that it never replaces what is committed.
"""

import argparse
import importlib
import time
from typing import Any

from benchmarks.measuring import print_bars

NAMES = ("preview", "fit", "collect", "train", "decoders", "palettes", "calibration")


def main() -> None:
    """Run them, then repeat all bars at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer runs; written to runs/bench")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    options = parser.parse_args()
    results = [ran(name, options.quick) for name in options.only]
    print("\nAll bars:")
    for result in results:
        if "bars" in result:
            print_bars(result)


def ran(name: str, quick: bool) -> dict[str, Any]:
    """One benchmark's result; each lies in its own script with a ``main(quick)``."""
    print(f"\n== {name}")
    started = time.perf_counter()
    result: dict[str, Any] = importlib.import_module(f"benchmarks.bench_{name}").main(quick)
    print(f"  {time.perf_counter() - started:.0f} s")
    return result


if __name__ == "__main__":
    main()
