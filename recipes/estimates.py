"""Score tables on simulated x0 estimates against the VAE's decode of the same estimates: data/estimates/SPACE.csv.

Reads LATENTFIT_ASSETS (weights/taesd, images/eval) and the pairs that `make tables` collected in runs/tables. Run by
`make estimates`; `--spaces sd1` does some only.
"""

import argparse
import os
import sys
from pathlib import Path

import pandas as pd

import latentfit as lf
from latentfit.pairs import PairStore
from latentfit.runtime import write_atomic
from latentfit.scores import scores_over_sigma, table
from recipes.tables import ROOT, VAES

COMFYUI = {"sd1": "comfyui/SD15", "sdxl": "comfyui/SDXL", "flux1": "comfyui/Flux"}
FORMS = ("affine", "cubic", "3", "3_1")
SIGMAS = (0.0, 0.25, 0.5, 1.0, 2.0)
GAINS = (1.3, 1.6)  # at sigma 0
N_PICTURES = 8


def main() -> None:
    """Score each space, write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=list(COMFYUI), choices=list(COMFYUI))
    options = parser.parse_args()
    assets = os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_estimates: set LATENTFIT_ASSETS (weights/, images/)")
    for space in options.spaces:
        frame = estimates_of(space, Path(assets))
        print(
            frame.pivot(index=["gain", "sigma"], columns="approximation", values="psnr").round(2).to_string(),
            flush=True,
        )
        write_atomic(
            ROOT / "data" / "estimates" / f"{space}.csv", frame.to_csv(index=False, float_format="%.5g", na_rep="")
        )


def estimates_of(space: str, assets: Path) -> pd.DataFrame:
    """Every sigma, and every gain without noise, for ComfyUI's table and ours."""
    vae = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space)
    store = PairStore(ROOT / "runs" / "tables" / f"{space}_eval")
    maps = {form: lf.load(ROOT / "data" / "tables" / space / f"{form}.safetensors") for form in FORMS}
    named = {COMFYUI[space]: table(COMFYUI[space]).approximation(), **{f"ours: {m.name}": m for m in maps.values()}}
    chosen = sorted(store.samples, key=lambda sample: sample.sha256)[:N_PICTURES]
    clean = scores_over_sigma(named, vae, store, SIGMAS, samples=chosen, progress=True)
    loud = scores_over_sigma(named, vae, store, (0.0,), GAINS, samples=chosen, progress=True)
    frame = pd.concat([clean, loud], ignore_index=True)
    kept = ["approximation", "place", "gain", "sigma", "psnr", "delta_e", "saturation", "flicker"]
    return frame[kept].assign(reference=clean.attrs["reference"], n_images=clean.attrs["n_images"])


if __name__ == "__main__":
    main()
