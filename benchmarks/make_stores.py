"""Collect the pair stores that are bundled in data/stores, from the bundled photographs and charts.

Needs LATENTFIT_ASSETS with weights/taesd. Run by `make stores`; a store that is there is completed, not made anew.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import latentfit as lf
from latentfit.images import pictures
from latentfit.walkthrough import collect_noise

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
    make_noise(Path(assets))


def make_noise(assets: Path) -> None:
    """Random latents and random pixels for SD1: what a map learns from no pictures at all."""
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / "taesd"), space="sd1")
    with tempfile.TemporaryDirectory() as folder:
        for noise, store in collect_noise(vae, Path(folder)).items():
            target = ROOT / "data" / "stores" / f"sd1_{noise}"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(store.path, target)
            print(f"{target.name}: {len(store.samples)} samples, {store.reference}")


if __name__ == "__main__":
    main()
