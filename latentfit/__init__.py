"""latentfit: cheap stand-ins for VAE decoders, solved in closed form, measured against the true VAE.

Names are imported on first use, so that ``import latentfit`` stays light.

>>> import latentfit as lf
>>> lf.get_space("sdxl").channels
4
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentfit.calibration import Calibration
    from latentfit.compare.reports import report
    from latentfit.compare.widgets import CompareSlider, StepScrubber, TableEditor, Workbench
    from latentfit.fit import ChannelMap
    from latentfit.formats import export, load, save
    from latentfit.latents import LatentSpace, get_space, list_spaces
    from latentfit.maps import Approximation, LatentMap, chain
    from latentfit.pairs import PairStore, collect
    from latentfit.previews import preview
    from latentfit.runtime.version import __version__
    from latentfit.scores import audit, evaluate, simulate_x0
    from latentfit.vae import Vae

_HOMES = {
    "Approximation": "maps",
    "Calibration": "calibration",
    "ChannelMap": "fit",
    "CompareSlider": "compare.widgets",
    "LatentMap": "maps",
    "LatentSpace": "latents",
    "PairStore": "pairs",
    "StepScrubber": "compare.widgets",
    "TableEditor": "compare.widgets",
    "Vae": "vae",
    "Workbench": "compare.widgets",
    "__version__": "runtime.version",
    "audit": "scores",
    "chain": "maps",
    "collect": "pairs",
    "evaluate": "scores",
    "export": "formats",
    "get_space": "latents",
    "list_spaces": "latents",
    "load": "formats",
    "preview": "previews",
    "report": "compare.reports",
    "save": "formats",
    "simulate_x0": "scores",
}

__all__ = [
    "Approximation",
    "Calibration",
    "ChannelMap",
    "CompareSlider",
    "LatentMap",
    "LatentSpace",
    "PairStore",
    "StepScrubber",
    "TableEditor",
    "Vae",
    "Workbench",
    "__version__",
    "audit",
    "chain",
    "collect",
    "evaluate",
    "export",
    "get_space",
    "list_spaces",
    "load",
    "preview",
    "report",
    "save",
    "simulate_x0",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'latentfit' has no attribute {name!r}")
    value = getattr(import_module(f"latentfit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
