"""What `latentfit autofit` is told: its flags and their defaults, apart from the work so that ``--help`` is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.pairs.config import QUICK_PX


@dataclass(frozen=True)
class AutofitConfig:
    """The settings of `autofit`.

    Attributes
    ----------
    vae : str
        Preset, hub id, diffusers folder, single file, or the common start of a TAESD pair's names.
    out : Path
        Folder to write: store, maps, tables and index.html. The same command goes on where it was stopped.
    images : tuple of str
        Folders of pictures; "bundled": the photographs and charts that come along.
    space : str or None
        Latent space of the VAE, such as sdxl; left out: from the VAE itself. Single files may need it.
    size : int
        Side of a crop, pixels.
    minutes : float
        Time for all of it on this machine: decides how many crops are collected and which forms are fitted.
    crops : int or None
        Crops a picture; left out: as many as fit in the time, at most 8.
    device : str
        Where the VAE runs.
    dtype : str
        In what precision the VAE runs.
    """

    vae: Annotated[str, tyro.conf.arg(metavar="REF")]
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    images: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DIR...")] = ("bundled",)
    space: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    size: int = QUICK_PX
    minutes: float = 5.0
    crops: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
