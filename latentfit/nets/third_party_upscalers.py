"""Other projects' upscalers, recognised by their weights' keys and shapes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from latentfit.errors import BadFileError
from latentfit.nets.resizer import PRIVATE_FACTORS, TITLE, LatentResizer, load_resizer
from latentfit.nets.state_dict import loaded
from latentfit.nets.transformers.files import Transformer, is_transformer, load_transformer
from latentfit.nets.upscaler import UpscalerV1, UpscalerV2

Upscaling = UpscalerV1 | UpscalerV2 | LatentResizer | Transformer


@dataclass(frozen=True)
class Known:
    """An upscaler of another project.

    Attributes
    ----------
    title : str
    network : nn.Module
        Loaded, float32, in evaluation mode.
    times : float
        It wants raw latents times this, and gives such.
    """

    title: str
    network: Upscaling
    times: float = 1.0


def is_upscaler(keys: Collection[str]) -> bool:
    """Whether these keys are one of theirs, whole or not."""
    return _is_city96s(keys) or _is_ttls(keys) or is_transformer(keys)


def load_upscaler(weights: Mapping[str, Tensor]) -> Known:
    """The upscaler that these weights belong to; city96's at a factor of 2 until it is told another.

    Raises
    ------
    BadFileError
        When keys, shapes or buffers are of none of them.
    """
    try:
        return _loaded(weights)
    except BadFileError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise BadFileError(
            f"an upscaler's keys, but its sizes cannot be told ({error!r})", remedy="is the file whole?"
        ) from error


def _loaded(weights: Mapping[str, Tensor]) -> Known:
    if is_transformer(weights):
        return Known(*load_transformer(weights))
    if _is_ttls(weights):
        resizer = load_resizer(weights)
        times = PRIVATE_FACTORS.get(resizer.n_channels)
        if times is None:
            raise BadFileError(
                f"{TITLE} of {resizer.n_channels} channels", expected="4 or 16, whose private factors are known"
            )
        return Known(TITLE, resizer, times)
    first = weights["sequential.0.weight"]
    n_channels, width = int(first.shape[1]), int(first.shape[0])
    if first.shape[-1] == 5:
        return Known("city96's upscaler v1", loaded(lambda: UpscalerV1(n_channels), weights, "city96's upscaler v1"))
    n_convs = sum(key.startswith("sequential.") and key.endswith(".weight") for key in weights) - 2
    v2 = loaded(lambda: UpscalerV2(n_channels, width, n_convs), weights, "city96's upscaler v2")
    return Known("city96's upscaler v2", v2)


def _is_city96s(keys: Collection[str]) -> bool:
    """Nothing stands between the first convolution and the enlarged one: an interposer has ``sequential.2``."""
    return "sequential.0.weight" in keys and "sequential.4.weight" in keys and "sequential.2.weight" not in keys


def _is_ttls(keys: Collection[str]) -> bool:
    return "conv_in.weight" in keys and "in_blocks.0.in_layers.0.weight" in keys
