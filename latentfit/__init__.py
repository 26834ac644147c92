"""latentfit: cheap stand-ins for VAE decoders, solved in closed form, measured against the true VAE.

Names are imported on first use, so that ``import latentfit`` stays light.

>>> import latentfit as lf
>>> lf.get_space("sdxl").channels
4
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentfit.maps.contracts import Approximation, LatentMap, chain
    from latentfit.pairs.collector import collect
    from latentfit.compare.widgets import CompareSlider, StepScrubber, TableEditor, Workbench
    from latentfit.formats.exporter import export
    from latentfit.scores.simulated_estimates import simulate_x0
    from latentfit.formats.saved import load, save
    from latentfit.fit import ChannelMap
    from latentfit.previews import preview
    from latentfit.pairs.store import PairStore
    from latentfit.scores.table_audit import audit
    from latentfit.compare.reports.builder import report
    from latentfit.scores.evaluation import evaluate
    from latentfit.latents.spaces import LatentSpace, get_space, list_spaces
    from latentfit.vae.vae import Vae

__version__ = "0.1.0"

_HOMES = {
    "Approximation": "approx",
    "ChannelMap": "fit",
    "CompareSlider": "compare.widgets",
    "LatentMap": "approx",
    "LatentSpace": "spaces",
    "PairStore": "pairs",
    "StepScrubber": "compare.widgets",
    "TableEditor": "compare.widgets",
    "Vae": "vae",
    "Workbench": "compare.widgets",
    "audit": "ranking",
    "chain": "approx",
    "collect": "collector",
    "evaluate": "scores",
    "export": "dialects",
    "get_space": "spaces",
    "list_spaces": "spaces",
    "load": "files",
    "preview": "live",
    "report": "report",
    "save": "files",
    "simulate_x0": "estimates",
}

__all__ = [
    "Approximation",
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
