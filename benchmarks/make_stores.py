"""Collect the pair stores that are bundled in data/stores, from the bundled photographs and charts.

Needs LATENTFIT_ASSETS with weights/taesd. Run by `make stores`; a store that is there is completed, not made anew.
"""

import os
import sys
from pathlib import Path

import latentfit as lf
from latentfit.images import pictures

ROOT = Path(__file__).resolve().parents[1]
# sd1 keeps full-size decodes and photographs for the closed-form decoders; the others keep cells, within 12 MB in all
STORES = (("sd1", "taesd", 176, "photo"), ("sdxl", "taesdxl", 192, "cells"), ("flux1", "taef1", 192, "cells"))


def main() -> None:
    """Collect all three, in place."""
    assets = os.environ.get("LATENTFIT_ASSETS") or sys.exit(
        "make_stores: set LATENTFIT_ASSETS to a folder with weights/"
    )
    for space, weights, size, keep in STORES:
        vae = lf.Vae.load(str(Path(assets) / "weights" / "taesd" / weights), space=space)
        store = lf.collect(
            vae, pictures("bundled"), ROOT / "data" / "stores" / space, size=size, keep=keep, square=True
        )
        n_bytes = sum(path.stat().st_size for path in (ROOT / "data" / "stores" / space).iterdir())
        print(f"{space}: {len(store.samples)} samples, {n_bytes / 1e6:.1f} MB, {store.reference}")


if __name__ == "__main__":
    main()
