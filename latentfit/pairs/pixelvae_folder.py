"""A folder of latents as vmedea/pixelvae has it: ``set1_train/0001.latent``, "test" in the path of what is held out.

https://github.com/vmedea/pixelvae (MIT) decodes them in a running ComfyUI; here any VAE does, and sizes may differ.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from latentfit.errors import NoPicturesError, Remedy, TrainError
from latentfit.latents.files import latent_folder
from latentfit.maps.autoencoder import Autoencoder
from latentfit.pairs.collector import collect
from latentfit.pairs.preparation import SavedLatents
from latentfit.pairs.store import PairStore, Sample

MARK = "test"


@dataclass(frozen=True)
class PixelvaeFolder:
    """A folder of pixelvae: latents beside their decodes, split as their paths say.

    Attributes
    ----------
    store : PairStore
    train, test : list of Sample
    """

    store: PairStore
    train: list[Sample]
    test: list[Sample]


def collect_pixelvae(
    folder: str | os.PathLike[str], vae: Autoencoder, out: str | os.PathLike[str], *, progress: bool = True
) -> PixelvaeFolder:
    """Decode the folder's ``.latent`` files into a store; the same call goes on where a killed one stopped.

    Parameters
    ----------
    folder : path
        Files at any depth; those without ComfyUI's version marker are read as ComfyUI reads them.
    vae : Vae
        A VAE of the latents' space.
    out : path
        Folder of the store.
    progress : bool

    Raises
    ------
    TrainError
        When there is no such folder, no latent file, no test set or nothing but one, or no latent is of the VAE's
        space.
    StoreError
        When the store is of another VAE, or cannot be written.
    """
    root = Path(folder)
    if not root.is_dir():
        raise TrainError("no such folder", place=root, expected="one that holds set1_train and set1_test")
    files = [path for path in latent_folder(root) if path.suffix.lower() == ".latent"]
    if not files:
        raise TrainError(
            "holds no .latent file", place=root, expected="some in folders such as set1_train and set1_test"
        )
    saved = [SavedLatents(path.relative_to(root).as_posix(), path) for path in files]
    _both_there(root, sum(MARK in one.name for one in saved), len(saved), "")
    try:
        store = collect(vae, saved, out, domain="raw", progress=progress)
    except NoPicturesError as error:
        raise error.as_(TrainError, remedy=Remedy("name the VAE of their space with {}", vae=...)).at(root) from error
    names = {one.name for one in saved}
    samples = [sample for sample in store.samples if sample.name in names]
    test = [sample for sample in samples if MARK in sample.name]
    _both_there(root, len(test), len(samples), " that could be used")
    return PixelvaeFolder(store, [sample for sample in samples if MARK not in sample.name], test)


def _both_there(root: Path, n_test: int, n_all: int, of_which: str) -> None:
    if n_test == 0:
        raise TrainError(
            f"no test set: none of its {n_all} latents{of_which} has {MARK!r} in its path",
            place=root,
            remedy=("pixelvae tells them by that word: move some into a folder such as set1_test"),
        )
    if n_test == n_all:
        raise TrainError(
            f"nothing to train on: all of its {n_all} latents{of_which} have {MARK!r} in their path, "
            "which is what tells the test set (also within a word, such as 'latest')",
            place=root,
            remedy="rename the folder of the others",
        )
