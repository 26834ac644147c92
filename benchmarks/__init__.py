"""Ratios measured in one run, against rivals in their best layout: `python -m benchmarks.run`."""
