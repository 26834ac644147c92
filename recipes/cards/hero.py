"""Draw figures/hero.png: one photograph's true decode, ComfyUI's table today, our affine, 3×3 and (5, 3).

Needs LATENTFIT_ASSETS. Our maps are fitted anew without this photograph, on what `make tables` collected
(runs/tables/sd1_fit); the latent comes from the bundled photograph skimage/coffee.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch

import latentfit as lf
from latentfit.compare import figures
from latentfit.images import delta_e2000, photographs, rgb_tensor
from latentfit.runtime import torch_threads, write_atomic
from latentfit.scores import table

ROOT = Path(__file__).resolve().parents[2]
PICTURE = "skimage/coffee"
FORMS = {"our affine": "affine", "our 3×3": "3", "our (5, 3)": "5,3"}


@torch_threads(1)
def main() -> None:
    """Fit without the picture, decode it, draw, and write the caption."""
    assets = os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_hero: set LATENTFIT_ASSETS to a folder with weights/")
    vae = lf.Vae.load(str(Path(assets) / "weights" / "taesd" / "taesd"), space="sd1")
    image, sha256 = next(picture for picture in photographs() if picture.name == PICTURE).load()
    latents = vae.encode(rgb_tensor(crop(image)))
    decode = vae.decode(latents)[0]
    store = lf.PairStore(ROOT / "runs" / "tables" / "sd1_fit")
    samples = [sample for sample in store.samples if sample.sha256 != sha256]
    maps = {"ComfyUI's table today": table("comfyui/SD15").approximation()}
    maps |= {name: lf.ChannelMap(form).fit(store, samples=samples).approximation(name) for name, form in FORMS.items()}
    pictures, captions = (
        {f"{vae.name}'s decode": decode},
        {f"{vae.name}'s decode": f"{milliseconds(vae.decode, latents):.0f} ms"},
    )
    for name, approximation in maps.items():
        seen = torch.nn.functional.interpolate(approximation(latents), decode.shape[-2:], mode="bilinear")[0]
        delta = float(delta_e2000(seen[None], decode[None]).mean())
        pictures[name] = seen
        captions[name] = f"ΔE {delta:.1f}   {milliseconds(approximation, latents):.2f} ms"
    figures.contact_sheet(pictures, captions, columns=5, height_in=2.2, path=ROOT / "figures" / "hero.png")
    text = (
        f"*{PICTURE}, {image.width}×{image.height}, which no map shown was fitted on; each enlarged to the picture's "
        f"size as ComfyUI's server does. Reference: {vae.reference}. ΔE: mean CIEDE2000 to the reference, as seen. "
        "Milliseconds: median of 9 of the map alone, one CPU thread.*"
    )
    write_atomic(
        ROOT / "figures" / "hero.json", json.dumps({"caption": text, **captions}, indent=1, ensure_ascii=False)
    )
    print(captions)


def crop(image: "object") -> "object":
    """The picture, cut to whole cells."""
    from latentfit.images import crop_to_cells

    return crop_to_cells(image, 512, 8)[0]


def milliseconds(function: "object", latents: torch.Tensor) -> float:
    """Median of nine runs after one that warms up."""
    function(latents)
    spent = []
    for _ in range(9):
        started = time.perf_counter()
        function(latents)
        spent.append(1e3 * (time.perf_counter() - started))
    return statistics.median(spent)


if __name__ == "__main__":
    main()
