"""Put the trained AutoencoderKL where it ships: data/vaes/mini-kl, float16, with its card and its scores by kind.

    python -m recipes.cards.mini_kl [--of mini-kl-fine]

Reads runs/train (`recipes.mini_kl`) and LATENTFIT_ASSETS. Round trips are scored on the development pictures, which
choices are made by, and on the sets of scored_sets.py, which nothing is chosen by; TAESD's stand beside them.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import latentfit as lf
from latentfit.runtime import write_atomic
from latentfit.scores import ms_ssim
from latentfit.train import card_of
from latentfit.vae import save_autoencoder_folder
from recipes.cards.models import run_in_words
from recipes.development import psnr_of, square, squares
from recipes.jobs import RUNS
from recipes.scored_sets import ROOT, SETS, SIZE, assets_folder, pictures_of

SHIPPED = ROOT / "data" / "vaes" / "mini-kl"
BESIDE = ("taesd", "sd1")
"""What stands beside it, and its space: as many channels and pixels a cell."""


def main() -> None:
    """Save, score, write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", default="mini-kl-fine", choices=["mini-kl", "mini-kl-fine"])
    options = parser.parse_args()
    assets = assets_folder()
    folder = RUNS / options.of
    ship(folder, SHIPPED)
    pictures = {f"development, {kind}": members for kind, members in squares(assets).items()}
    pictures |= {title: [square(one, SIZE) for one in pictures_of(name, assets)] for name, title in SETS.items()}
    ours = lf.Vae.load(SHIPPED, device="cpu")
    taesd = lf.Vae.load(str(assets / "weights" / "taesd" / BESIDE[0]), space=BESIDE[1], device="cpu")
    scores = {name: scores_of(vae, pictures) for name, vae in (("mini-kl", ours), ("TAESD", taesd))}
    write_atomic(SHIPPED / "scores.json", json.dumps(scores, indent=1) + "\n")
    courses = [RUNS / "mini-kl.run", *([RUNS / "mini-kl-fine.run"] if options.of == "mini-kl-fine" else [])]
    trained = ", then ".join(run_in_words(run) for run in courses)
    write_atomic(SHIPPED / "README.md", card_text(SHIPPED, scores, trained))
    print((SHIPPED / "README.md").read_text("utf-8"))


def ship(trained: Path, folder: Path) -> None:
    """The trained autoencoder as it ships: float16, with what it learned from in the weights' header."""
    network: Any = lf.Vae.load(trained, device="cpu").network
    save_autoencoder_folder(network.module, folder, dtype=torch.float16, about=card_of(trained))


def scores_of(vae: lf.Vae, pictures: Mapping[str, Sequence[Tensor]]) -> dict[str, dict[str, float]]:
    """Set -> PSNR pooled over pixels and mean MS-SSIM of decode(encode(x)) against x, and the latents' deviation."""
    found = {}
    for name, members in pictures.items():
        latents = [vae.encode(one) for one in members]
        made = [vae.decode(one) for one in latents]
        similar = [ms_ssim(a, b) for a, b in zip(made, members, strict=True)]
        spread = torch.cat([one.flatten() for one in latents])
        found[name] = {
            "pictures": float(len(members)), "psnr": psnr_of(made, members), "ms_ssim": sum(similar) / len(similar),
            "deviation": float(spread.std()),
        }  # fmt: skip
    return found


def card_text(folder: Path, scores: Mapping[str, Mapping[str, Mapping[str, float]]], trained: str) -> str:
    """README.md."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    about = card_of(folder) or {}
    size = (folder / "diffusion_pytorch_model.safetensors").stat().st_size
    network: Any = lf.Vae.load(folder, device="cpu").network
    n_numbers = sum(parameter.numel() for parameter in network.module.parameters())
    widths = ", ".join(map(str, config["block_out_channels"]))
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in about.get("shares", {}).items())
    rows = [
        f"| {name} ({row['pictures']:.0f}) | {row['psnr']:.2f} | {row['ms_ssim']:.3f} | {beside['psnr']:.2f} | "
        f"{beside['ms_ssim']:.3f} |"
        for (name, row), beside in zip(scores["mini-kl"].items(), scores["TAESD"].values(), strict=True)
    ]
    return f"""# mini-kl

A true `AutoencoderKL` of diffusers' class in a latent space of its own: attention in the middle, group norms, a
posterior, a scaling factor. Everything that holds of a model's KL-VAE and not of a TAESD can be tried on it, without a
download: tiles that are not exact, the posterior's mode, raw latents.

- **Loads as** `latentfit.Vae.load("mini-kl")`, or diffusers' `AutoencoderKL.from_pretrained(folder)`:
  {n_numbers:,} numbers, {size / 1e6:.2f} MB, float16, widths {widths}, {config["latent_channels"]} channels,
  8 px a cell, scaling factor {config["scaling_factor"]:.5f}.
- **Trained** from pictures alone, {about.get("n_images", 0)} of them, all CC0 or in the public domain ({shares}),
  in crops of 0.3 to 1 times the original's scale: {trained}.

| decode(encode(x)) against x | PSNR, dB | MS-SSIM | TAESD's PSNR, dB | TAESD's MS-SSIM |
|---|--:|--:|--:|--:|
{chr(10).join(rows)}

Development pictures were there to choose by; nothing was chosen by the others. None was trained on. Trained by
`recipes/mini_kl.py`, scored by `python -m recipes.cards.mini_kl`.
"""


if __name__ == "__main__":
    main()
