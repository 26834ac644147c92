"""Fit, measure and export cheap stand-ins for diffusion VAEs.

With a new VAE at hand begin with `latentfit autofit --vae your_vae.safetensors --out runs/yours`: it does all of the
rest. `latentfit COMMAND --help` explains a command.
"""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.autofit.config import AutofitConfig
from latentfit.cli.arguments import Device, Dtype, MaybeDomain, Name, check_at_least, check_without, open_streams, say
from latentfit.cli.calibrations import calibrations
from latentfit.cli.files import decode, export, info, report
from latentfit.cli.fit import fit
from latentfit.cli.latents import convert, same_space, upscale
from latentfit.cli.scores import audit, evaluate
from latentfit.cli.train import name_presets, train
from latentfit.cli.usage import command, held_until_a_command, in_one_line
from latentfit.errors import LatentfitError, LatentfitWarning, ScaleError, StoreError, as_flag
from latentfit.pairs.config import CollectConfig, Keep
from latentfit.runtime.escaping import one_line


def collect(
    vae: Annotated[str, tyro.conf.arg(metavar="REF")],
    out: Annotated[Path, tyro.conf.arg(metavar="STORE")],
    images: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DIR...")] = ("bundled",),
    space: Name = None,
    size: int = CollectConfig.size,
    keep: Keep = CollectConfig.keep,
    crops: int = CollectConfig.crops,
    limit: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = CollectConfig.limit,
    scales: Annotated[tuple[str, ...], tyro.conf.arg(metavar="S...", help_behavior_hint="")] = (),
    random_scales: int = 0,
    domain: MaybeDomain = CollectConfig.domain,
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
    scales : tuple of str
        Such as 1 1.5 2: a store a scale, STORE/x1, STORE/x1.5, STORE/x2, of the same crops, for upscalers.
    random_scales : int
        So many scales more, drawn between the least and the largest.
    domain : str or None
        What the numbers of latent files are: "raw", as a VAE emits them and ComfyUI stores them, or "model", as a
        denoiser sees them. Left out: raw, and files that look otherwise are skipped; said, they are noted and kept.
    device : str
        Where the VAE runs.
    dtype : str
        In what precision the VAE runs.
    """
    if out.is_file():
        raise StoreError(f"--out {out}", expected="a folder for the store", got="a file")
    from latentfit.pairs.collector import collect as run
    from latentfit.vae.vae import Vae

    check_at_least("collect", 1, limit=limit, crops=crops, size=size)
    check_at_least("collect", 0, random_scales=random_scales)
    if random_scales and not scales:
        raise ScaleError("--random-scales: lie between those of --scales", remedy="name these, such as 1 2")
    if scales:
        check_without("collect", "stores of several scales are made of pictures, never of latent files", domain=domain)
    loaded = Vae.load(vae, space=space, device=device, dtype=dtype)
    if scales:
        from latentfit.pairs.scaled import collect_scales

        every = collect_scales(
            loaded, list(images), out, scales, n_random=random_scales, size=size, keep=keep, crops=crops, limit=limit
        )
        say(f"{out}: {every}")
        say(f"train on it: latentfit train upscaler --store {out} --preset upscaler --out FILE")
        return
    store = run(loaded, list(images), out, size=size, keep=keep, crops=crops, limit=limit, domain=domain)
    say(f"{out}: {len(store.samples)} samples of {store.space.name} from {store.reference}")


def autofit(config: Annotated[AutofitConfig, tyro.conf.arg(name="")]) -> None:
    """Go from a VAE to tables in one command: collect, fit every form, score on held-out pictures, export, draw a page.

    Killed, the same command goes on where it was. Open DIR/index.html afterwards.
    """
    from latentfit.autofit.run import autofit as run

    run(config)


def comfyui(
    action: Annotated[Literal["install", "uninstall"], tyro.conf.Positional],
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH_TO_COMFYUI")],
    copy: bool = False,
) -> None:
    """Put the node pack into a ComfyUI, or take it away.

    Parameters
    ----------
    action : str
        install: link the pack into custom_nodes/latentfit. uninstall: take the link or the copy away.
    path : Path
        The folder with ComfyUI's main.py, or a base directory of its own.
    copy : bool
        Copy instead of linking.
    """
    from latentfit.comfyui.installing import install, uninstall

    if action == "uninstall":
        check_without("comfyui uninstall", "a link and a copy are taken away alike", copy=copy)
    say(install(path, copy=copy) if action == "install" else uninstall(path))


COMMANDS: dict[str, Callable[..., object]] = {
    "autofit": autofit,
    "collect": collect,
    "fit": fit,
    "train": train,
    "evaluate": evaluate,
    "audit": audit,
    "report": report,
    "export": export,
    "decode": decode,
    "convert": convert,
    "upscale": upscale,
    "same-space": same_space,
    "info": info,
    "calibrations": calibrations,
    "comfyui": comfyui,
}


def _note(message: Warning | str, *rest: object) -> None:
    """A warning as a line for people, without the source line that raised it."""
    said = message.worded(as_flag) if isinstance(message, LatentfitWarning) else message
    _complain(f"note: {one_line(said, 4000)}")


def _complain(said: str) -> None:
    print(f"latentfit: {one_line(said, 4000)}", file=sys.stderr)


def _parse(arguments: Sequence[str]) -> object:
    """Parse a command line, and run its command."""
    if arguments[:1] == ["train"]:
        name_presets()
    every = {name: command(function) for name, function in COMMANDS.items()}
    return tyro.extras.subcommand_cli_from_dict(
        every, prog="latentfit", description=__doc__, args=arguments, sort_subcommands=False
    )


def _run(arguments: Sequence[str]) -> None:
    """Run a command; one that cannot be parsed is an error of one line, and leaves by SystemExit."""
    said = ""
    try:
        with held_until_a_command() as page:
            try:
                _parse(arguments)
            finally:
                said = page()
    except SystemExit as error:
        if error.code == 2 and said:
            _complain(in_one_line(said, arguments, _parse))
        raise
    sys.stdout.flush()
    if "WORLD_SIZE" in os.environ:
        from latentfit.runtime import distributed as parallel

        parallel.stop_ranks()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 on an error that says what to do, 130 when interrupted.

    Raises
    ------
    SystemExit
        After help, and after a line about arguments that are no command's (2).
    """
    open_streams()
    warnings.showwarning = _note  # type: ignore[assignment]
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:  # `latentfit … | head`: the reader has what it wanted
        _drop_output()
        return 0
    except LatentfitError as error:
        _complain(error.worded(as_flag))
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}; check the path and the disk")
        if not error.filename:
            _drop_output()
        return 2
    except MemoryError:
        _complain("not enough memory; use fewer or smaller pictures, or a smaller form")
        return 2
    except KeyboardInterrupt:
        _complain("interrupted; `collect`, `train` and `autofit` go on where they stopped")
        return 130
    return 0


def _drop_output() -> None:
    """What is still to be written to a standard output that is closed or full is dropped."""
    with suppress(OSError, ValueError):  # a stream without a file has nothing to drop
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
