"""What every notebook begins with: the pairs it works on."""

import os
from pathlib import Path

from latentfit.pairs import PairStore
from latentfit.resources import data_path
from latentfit.spaces import get_space


def open_pairs(vae: str | None, space: str, images: str, out: str | os.PathLike[str]) -> PairStore:
    """The bundled pairs of a space, or, when a VAE is named, pairs collected with it into ``out/store``.

    Raises
    ------
    FileNotFoundError
        When no pairs are bundled for the space and no VAE is named.
    """
    if vae is None:
        store = PairStore(data_path(f"stores/{get_space(space).name}"))
        print(f"no VAE named: the bundled pairs, collected with {store.reference}")
        return store
    from latentfit.collector import collect
    from latentfit.vae import Vae

    folder = Path(out) / "store"
    return collect(Vae.load(vae, space=space), images, folder, size=256, keep="photo", square=True)
