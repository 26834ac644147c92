"""`latentfit comfyui`: the node pack of ComfyUI."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.cli.arguments import say


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

    say(install(path, copy=copy) if action == "install" else uninstall(path))
