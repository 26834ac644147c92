"""kinds: what a module is called in a saved map's header, and how it is built again from its config."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from latentfit.errors import BadFileError
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.maps.scales import AtScale, is_any_factor, network_of
from latentfit.nets.any_scale_upscaler import AnyUpscaler
from latentfit.nets.approx_cnn import ApproxCnn
from latentfit.nets.cell import CellDecoder
from latentfit.nets.interposer import Interposer, InterposerV1, InterposerV3, InterposerV4
from latentfit.nets.model_domain import ModelDomain
from latentfit.nets.palette import Palettized
from latentfit.nets.pixel_mlp import PixelMlp
from latentfit.nets.resampling import Resampling
from latentfit.nets.resizer import LatentResizer
from latentfit.nets.tiny import TinyDecoder, TinyDecoder32
from latentfit.nets.transformers.craft import Craft
from latentfit.nets.transformers.dat import Dat
from latentfit.nets.transformers.drct import Drct
from latentfit.nets.transformers.swinfir import SwinFir
from latentfit.nets.upscaler import Upscaler, UpscalerV1, UpscalerV2
from latentfit.palettes.decoder import palettized_of

# kind in the header -> how its module is rebuilt from the config
KINDS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "polynomial": PolynomialMap.from_config,
    "cell": lambda config: CellDecoder(**config),
    "pixel_mlp": lambda config: PixelMlp(**config),
    "approx_cnn": lambda config: ApproxCnn(**config),
    "tiny_decoder": lambda config: TinyDecoder(**config),
    "tiny_decoder_32": lambda config: TinyDecoder32(**config),
    "palettized": palettized_of,
    "interposer": lambda config: Interposer(**config),
    "interposer_v4": lambda config: InterposerV4(**config),
    "interposer_v3": lambda config: InterposerV3(**config),
    "interposer_v1": lambda config: InterposerV1(**config),
    "resampling": lambda config: Resampling(**config),
    "upscaler": lambda config: Upscaler(**config),
    "any_upscaler": lambda config: AnyUpscaler(**config),
    "upscaler_v2": lambda config: UpscalerV2(**config),
    "upscaler_v1": lambda config: UpscalerV1(**config),
    "latent_resizer": lambda config: LatentResizer(**config),
    "swinfir": lambda config: SwinFir(**config),
    "craft": lambda config: Craft(**config),
    "dat": lambda config: Dat(**config),
    "drct": lambda config: Drct(**config),
}
# kind in the header -> the class of its network
CLASSES: dict[str, type[nn.Module]] = {
    "polynomial": PolynomialMap,
    "cell": CellDecoder,
    "pixel_mlp": PixelMlp,
    "approx_cnn": ApproxCnn,
    "tiny_decoder": TinyDecoder,
    "tiny_decoder_32": TinyDecoder32,
    "palettized": Palettized,
    "interposer": Interposer,
    "interposer_v4": InterposerV4,
    "interposer_v3": InterposerV3,
    "interposer_v1": InterposerV1,
    "resampling": Resampling,
    "upscaler": Upscaler,
    "any_upscaler": AnyUpscaler,
    "upscaler_v2": UpscalerV2,
    "upscaler_v1": UpscalerV1,
    "latent_resizer": LatentResizer,
    "swinfir": SwinFir,
    "craft": Craft,
    "dat": Dat,
    "drct": Drct,
}
_NAMES = {made_by: kind for kind, made_by in CLASSES.items()}


def described(module: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
    """The network inside its wrappers, and what a header says of both: kind, config, domain, whether any factor.

    Raises
    ------
    BadFileError
        When the network has no reader, so that nobody could load the file.
    """
    header: dict[str, Any] = {}
    if is_any_factor(module):
        module, header = network_of(module), {"any_factor": True}
    if isinstance(module, ModelDomain):
        module, header = module.network, {**header, "domain": module.numbers}
    if type(module) not in _NAMES:
        raise BadFileError(
            "save",
            expected=f"a module of kind {', '.join(sorted(KINDS))}",
            got=f"{type(module).__name__}",
            remedy="save its state_dict yourself",
        )
    return module, {"kind": _NAMES[type(module)], "config": module.config(), **header}  # type: ignore[operator]


def wrapped(network: nn.Module, header: Mapping[str, Any]) -> nn.Module:
    """A network in the wrappers that `described` took off."""
    if "domain" in header:
        network = ModelDomain(network, **header["domain"])
    return AtScale(network, header["scale"]) if header.get("any_factor") else network
