"""What the notebooks begin with: a VAE, the pairs they work on, and pairs of noise to compare with."""

import os
from pathlib import Path

import torch

from latentfit.collector import collect
from latentfit.latent_files import write_latents
from latentfit.pairs import PairStore
from latentfit.pixels import save_png
from latentfit.spaces import get_space
from latentfit.vae import Vae
from latentfit.vae_spaces import slug

NOISES = ("random_latents", "random_pixels")
SIZE_PX = 256


def open_vae(vae: str | None, space: str) -> Vae:
    """The named VAE, or the bundled mini VAE of the space: with the network as without.

    Raises
    ------
    VaeError
        When none is named and none is bundled for the space.
    """
    return Vae.load(f"mini-{get_space(space).name}") if vae is None else Vae.load(vae, space=space)


def open_pairs(vae: str | None, space: str, images: str, out: str | os.PathLike[str]) -> PairStore:
    """Pairs of these pictures, collected with `open_vae`'s into ``out/runs``; what is there is not collected again."""
    loaded = open_vae(vae, space)
    store = collect(loaded, images, _pairs(loaded, out), size=SIZE_PX, keep="photo", square=True, progress=False)
    n_test = len(store.split("test"))
    print(f"{len(store)} samples of {store.space.title}: {len(store) - n_test} to fit, {n_test} held out by their hash")
    print(f"encoded and decoded by {store.reference}")
    return store


def noise_pairs(vae: str | None, space: str, out: str | os.PathLike[str]) -> dict[str, PairStore]:
    """Pairs of random latents and of random pixels, by `NOISES`, collected likewise."""
    loaded = open_vae(vae, space)
    return collect_noise(loaded, _pairs(loaded, out).with_suffix(".noise"))


def _pairs(vae: Vae, out: str | os.PathLike[str]) -> Path:
    return Path(out) / "runs" / "pairs" / f"{slug(vae.name)}-{vae.fingerprint[:8]}"


def collect_noise(vae: Vae, out: Path, n_files: int = 8, cells: int = 24) -> dict[str, PairStore]:
    """Draw standard normal latents and uniform pixels, seeded, and collect their cells.

    Parameters
    ----------
    vae : Vae
    out : Path
        Folder for the drawn files (``drawn/``) and a store for each of `NOISES`.
    n_files, cells : int
        Files of each kind, and the side of each in latent cells.
    """
    generator = torch.Generator().manual_seed(0)
    for index in range(n_files):
        latents = torch.randn(1, vae.space.channels, cells, cells, generator=generator)
        path = out / "drawn" / "random_latents" / f"{index}.latent"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_latents(path, latents, vae.space)
        side = cells * vae.space.cell_px
        save_png(torch.rand(3, side, side, generator=generator), out / "drawn" / "random_pixels" / f"{index}.png")
    return {
        noise: collect(vae, str(out / "drawn" / noise), out / noise, keep="cells", progress=False) for noise in NOISES
    }
