"""LatentFit nodes for ComfyUI. This folder is what `latentfit comfyui install` links into ``custom_nodes/latentfit``.

ComfyUI imports it under a name of its own; everything else is imported from the installed package. Nothing here needs
ComfyUI until the mappings are asked for. Because of that foreign name there is no face here beside the mappings: each
module is a face of its own.

What may enter: nodes, and what ComfyUI alone needs of them. What may not: what a script could use without ComfyUI.
"""

from importlib import import_module
from typing import Any

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        nodes = import_module("latentfit.comfyui.nodes")
    except ModuleNotFoundError as error:
        import sys

        raise ImportError(
            f"LatentFit: its nodes are missing: the Python that runs ComfyUI ({sys.executable}) lacks the package "
            f'{error.name}. Install it there ("{sys.executable}" -m pip install; latentfit with --no-deps, from its '
            "wheel or checkout), and restart ComfyUI"
        ) from error
    if name == "NODE_CLASS_MAPPINGS":
        nodes.begin()
    return getattr(nodes, name)
