"""What the notebooks begin with: the pairs they work on, and pairs of noise to compare with."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from latentfit.latent_files import write_latents
from latentfit.pairs import PairStore
from latentfit.pixels import save_png
from latentfit.resources import data_path
from latentfit.spaces import get_space

if TYPE_CHECKING:
    from latentfit.vae import Vae

NOISES = ("random_latents", "random_pixels")


def open_pairs(vae: str | None, space: str, images: str, out: str | os.PathLike[str]) -> PairStore:
    """The bundled pairs of a space, or, when a VAE is named, pairs collected with it into ``out/store``.

    Raises
    ------
    StoreError
        When no pairs are bundled for the space and no VAE is named.
    """
    if vae is None:
        store = PairStore(data_path(f"stores/{get_space(space).name}"))
        print(f"no VAE named: the bundled pairs, collected with {store.reference}")
    else:
        from latentfit.collector import collect
        from latentfit.vae import Vae

        loaded = Vae.load(vae, space=space)
        store = collect(loaded, images, Path(out) / "store", size=256, keep="photo", square=True)
    n_test = len(store.split("test"))
    print(f"{len(store)} samples of {store.space.title}: {len(store) - n_test} to fit, {n_test} held out by their hash")
    return store


def noise_pairs(vae: str | None, space: str, out: str | os.PathLike[str]) -> dict[str, PairStore]:
    """Pairs of random latents and of random pixels: bundled, or collected with the named VAE into ``out/noise``.

    Returns
    -------
    dict of str to PairStore
        By `NOISES`; empty when none are bundled for the space.
    """
    if vae is None:
        folders = {noise: data_path("stores") / f"{get_space(space).name}_{noise}" for noise in NOISES}
        return {noise: PairStore(folder) for noise, folder in folders.items() if folder.is_dir()}
    from latentfit.vae import Vae

    return collect_noise(Vae.load(vae, space=space), Path(out) / "noise")


def collect_noise(vae: "Vae", out: Path, n_files: int = 8, cells: int = 24) -> dict[str, PairStore]:
    """Draw standard normal latents and uniform pixels, seeded, and collect their cells.

    Parameters
    ----------
    vae : Vae
    out : Path
        Folder for the drawn files (``drawn/``) and a store for each of `NOISES`.
    n_files, cells : int
        Files of each kind, and the side of each in latent cells.
    """
    from latentfit.collector import collect

    generator = torch.Generator().manual_seed(0)
    for index in range(n_files):
        latents = torch.randn(1, vae.space.channels, cells, cells, generator=generator)
        path = out / "drawn" / "random_latents" / f"{index}.latent"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_latents(path, latents, vae.space)
        side = cells * vae.space.cell_px
        save_png(torch.rand(3, side, side, generator=generator), out / "drawn" / "random_pixels" / f"{index}.png")
    return {noise: collect(vae, str(out / "drawn" / noise), out / noise, keep="cells") for noise in NOISES}
