"""Fit, measure and export cheap stand-ins for diffusion VAEs.

With a new VAE at hand begin with `latentfit ladder --vae your_vae.safetensors --out runs/yours`: it does all of the
rest. `latentfit COMMAND --help` explains a command.
"""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.cli_comfyui import comfyui
from latentfit.cli_files import decode, export, info, report
from latentfit.cli_latents import convert, same_space
from latentfit.cli_support import (
    Device,
    Dtype,
    Files,
    Folder,
    MaybeFile,
    MaybeFiles,
    Name,
    OutFile,
    Store,
    check_out,
    evaluate_classes,
    solution_line,
    tables_unless_fitted_on,
    write_csv,
)
from latentfit.cli_train import train
from latentfit.errors import LatentfitError, StoreError
from latentfit.ladder_config import LadderConfig


def collect(
    vae: Annotated[str, tyro.conf.arg(metavar="REF")],
    out: Annotated[Path, tyro.conf.arg(metavar="STORE")],
    images: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DIR...")] = ("bundled",),
    space: Name = None,
    size: int = 512,
    keep: Literal["cells", "rgb", "photo"] = "rgb",
    crops: int = 1,
    limit: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Collect latents beside what the VAE made of them; the same command goes on where a killed run stopped.

    Parameters
    ----------
    vae : str
        Preset, hub id, diffusers folder, single file, or the common start of a TAESD pair's names.
    out : Path
        Folder of the pair store to write or to complete.
    images : tuple of str
        Folders of pictures or latents; or "bundled", "photographs", "charts", "hf:ID[:split[:column]]".
    space : str or None
        Latent space of the VAE, such as sdxl; left out: from the VAE itself. Single files may need it.
    size : int
        Pixels of the short side, shrunk to and never enlarged; with crops, the side of a crop.
    keep : str
        "cells": latents and one colour a cell; "rgb": also what the VAE decoded; "photo": also what it was given.
    crops : int
        Square crops a picture; 1: the centre of the picture, not square.
    limit : int or None
        Use at most this many pictures.
    device : str
        Where the VAE runs.
    dtype : str
        In what precision the VAE runs.
    """
    if out.is_file():
        raise StoreError(f"--out {out}: expected a folder for the store, got a file")
    from latentfit.collector import collect as run
    from latentfit.vae import Vae

    loaded = Vae.load(vae, space=space, device=device, dtype=dtype)
    store = run(loaded, list(images), out, size=size, keep=keep, crops=crops, limit=limit)
    print(f"{out}: {len(store.samples)} samples of {store.space.name} from {store.reference}")


def fit(
    store: Folder,
    kernels: Annotated[str, tyro.conf.arg(metavar="FORM")],
    out: OutFile,
    scale: int = 1,
    intercept: bool = True,
    split: Literal["train", "all"] = "train",
    censored: bool = True,
    ridge: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")] = None,
    smoothing: Annotated[str | None, tyro.conf.arg(metavar="PROGRAM", help_behavior_hint="")] = None,
) -> None:
    """Fit a map in closed form.

    Parameters
    ----------
    store : Path
        A pair store that `collect` wrote.
    kernels : str
        linear, affine, quadratic, cubic, or the odd sides of the neighbourhoods, one a degree: 3 or 5,3.
    out : Path
        File to write, .safetensors.
    scale : int
        Pixels per latent cell: 1 for a table, the space's cell size for a full-size decoder.
    intercept : bool
        Fit a constant term.
    split : str
        "train": four pictures in five, by their hash, so that the others can be scored; "all": every picture.
    censored : bool
        Treat targets clipped at 0 or 1 as bounds.
    ridge : float or None
        Fixed ridge; left out: chosen by cross-validation over pictures.
    smoothing : str or None
        invokeai: fit a linear table to what that program shows, which smooths its previews of SDXL.
    """
    from latentfit.files import save
    from latentfit.fit import ChannelMap, parse_kernels
    from latentfit.pairs import PairStore
    from latentfit.parallel import rank
    from latentfit.published import smoothing_of

    check_out(out, ".safetensors", or_none=True)
    sides, form_intercept = parse_kernels(kernels)
    opened = PairStore(store)
    channel_map = ChannelMap(
        kernels=sides,
        scale=scale,
        intercept=intercept and form_intercept,
        ridge=ridge,
        censored=censored,
        smoothing=None if smoothing is None else smoothing_of(smoothing, opened.space),
    )
    channel_map.fit(opened, split=split, progress=True)
    fitted = channel_map.approximation()
    if rank() == 0:
        path = save(fitted, out)
        print(f"{path}: {fitted.name}, {fitted.n_parameters} numbers")
        print(solution_line(fitted.card))


def evaluate(
    files: Files,
    store: Store,
    csv: MaybeFile = None,
    split: Literal["test", "train", "all"] = "all",
    palette: Name = None,
) -> None:
    """Score saved maps on the pictures of a store that none of them was fitted on.

    Palettized decoders are scored by their classes too, beside the nearest colours of the other maps, or of the bundled
    3×3 table where there are none.

    Parameters
    ----------
    files : tuple of Path
        Maps written by `fit`, or exported JSON tables.
    store : Path
        A pair store that `collect` wrote.
    csv : Path or None
        Also write every row, per picture too, as CSV.
    split : str
        Which pictures to consider before those that were fitted are left out.
    palette : str or None
        Of pixelvae's decoders, whose files do not hold it.
    """
    from latentfit.named_maps import load_named
    from latentfit.pairs import PairStore
    from latentfit.palettized import is_palettized
    from latentfit.scores import evaluate as run
    from latentfit.scores import summary

    check_out(csv, ".csv")
    opened = PairStore(store)
    named = load_named(files, opened.space, palette)
    frame = run(named, opened, split=split, progress=True)
    print(summary(frame))
    if csv is not None:
        print(write_csv(frame, csv))
    if any(map(is_palettized, named.values())):
        evaluate_classes(named, opened, split, csv)


def audit(store: Store, files: MaybeFiles = (), csv: MaybeFile = None) -> None:
    """Rank every published table of the store's space, and your own maps, on the same held-out pairs.

    Parameters
    ----------
    store : Path
        A pair store; with the column "photo" the photograph is a second reference.
    files : tuple of Path
        Maps to rank among the published ones; none: the bundled tables of this space.
    csv : Path or None
        Also write every row as CSV.
    """
    from latentfit.named_maps import load_named
    from latentfit.pairs import PairStore
    from latentfit.ranking import audit as run
    from latentfit.ranking import summary

    check_out(csv, ".csv")
    opened = PairStore(store)
    paths = files or tables_unless_fitted_on(opened.space.name, {sample.sha256 for sample in opened.samples})
    frame = run(opened, list(load_named(paths, opened.space).values()), progress=True)
    print(summary(frame))
    if csv is not None:
        print(write_csv(frame, csv))


def ladder(config: Annotated[LadderConfig, tyro.conf.arg(name="")]) -> None:
    """From a VAE to tables in one command: collect, fit every form, score on held-out pictures, export, write a page.

    Killed, the same command goes on where it was. Open DIR/index.html afterwards.
    """
    from latentfit.ladder import ladder as run

    run(config)


COMMANDS: dict[str, Callable[..., object]] = {
    "ladder": ladder,
    "collect": collect,
    "fit": fit,
    "train": train,
    "evaluate": evaluate,
    "audit": audit,
    "report": report,
    "export": export,
    "decode": decode,
    "convert": convert,
    "same-space": same_space,
    "info": info,
    "comfyui": comfyui,
}


def _note(message: Warning | str, *rest: object) -> None:
    """A warning as a line for people, without the source line that raised it."""
    print(f"latentfit: note: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 on an error that says what to do, 130 when interrupted."""
    warnings.showwarning = _note  # type: ignore[assignment]
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="latentfit", description=__doc__, args=arguments, sort_subcommands=False
        )
        sys.stdout.flush()
        if "WORLD_SIZE" in os.environ:
            from latentfit import parallel

            parallel.stop()
    except BrokenPipeError:  # `latentfit … | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LatentfitError as error:
        print(f"latentfit: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"latentfit: {where}{error.strerror or error}; check the path and the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("latentfit: interrupted; `collect`, `train` and `ladder` go on where they stopped", file=sys.stderr)
        return 130
    return 0
