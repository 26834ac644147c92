"""Public checkpoints of the transformers: their sizes, and whether their buffers are what we compute."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from latentfit.errors import BadFileError
from latentfit.nets.state_dict import loaded
from latentfit.nets.transformers.parts import REFERENCE_CELLS, TransformerUpscaler

Weights = Mapping[str, Tensor]
Network = TypeVar("Network", bound=TransformerUpscaler)

_BUFFER = re.compile(r"(.*\.)?(attn_mask(_[01])?|relative_position_index(_[hv])?|rpe_biases|biases_[hv])$")


def load_checked(sized: Callable[[Weights, Weights], Network], weights: Weights, title: str) -> Network:
    """The network that these weights belong to, float32, in evaluation mode; its buffers are those we compute.

    Parameters
    ----------
    sized : callable
        Weights without buffers, and the buffers -> the network of their sizes.
    weights : mapping of str to Tensor
    title : str
        For errors.

    Raises
    ------
    BadFileError
        When keys, shapes or buffers are not its.
    KeyError, IndexError, ValueError, RuntimeError
        When its sizes cannot be told.
    """
    buffers = {key: tensor for key, tensor in weights.items() if _BUFFER.match(key)}
    rest = {key: tensor for key, tensor in weights.items() if key not in buffers}
    network = loaded(lambda: sized(rest, buffers), rest, title)
    _check_buffers(title, network, buffers)
    return network


def count_of(keys: Iterable[str], pattern: str) -> int:
    """How many numbers stand there, from 0 on."""
    found = {int(match[1]) for key in keys if (match := re.match(pattern, key))}
    if found != set(range(len(found))) or not found:
        raise BadFileError(
            "weights",
            expected=f"keys {pattern!r} numbered from 0",
            got=f"{sorted(found)[:8]}",
            remedy="fetch them again",
        )
    return len(found)


def window_of(buffers: Weights, key: str, usual: tuple[int, int]) -> tuple[int, int]:
    """Return the window's side by the largest offset; weights alone do not tell it."""
    if key not in buffers:
        return usual
    rows, columns = (int(side) + 1 for side in buffers[key].amax(0).tolist())
    if len(buffers[key]) != (2 * rows - 1) * (2 * columns - 1):
        raise BadFileError(
            f"weights: buffer {key!r} disagrees with itself, {len(buffers[key])} offsets of "
            f"which the largest are {rows - 1} down and {columns - 1} across",
            remedy="fetch them again",
        )
    return rows, columns


def _check_buffers(title: str, network: TransformerUpscaler, buffers: Weights) -> None:
    """What a checkpoint brings beside its weights is exactly what we compute."""
    masks = [tensor for key, tensor in buffers.items() if "attn_mask" in key and tensor.ndim == 3]
    side = math.isqrt(masks[0].shape[0] * masks[0].shape[1]) if masks else REFERENCE_CELLS
    try:
        computed = network.buffers_of(side)
    except RuntimeError:  # no windows fill a square of that side
        computed = network.buffers_of()
    for key, given in buffers.items():
        expected = computed.get(key)
        if expected is None:
            raise BadFileError(
                f"weights of {title}: buffer {key!r} belongs to none of its attentions", remedy="fetch them again"
            )
        if given.shape != expected.shape or not torch.equal(given.to(expected.dtype), expected):
            raise BadFileError(
                f"weights of {title}: buffer {key!r} disagrees with what its windows "
                f"give, expected {_summary(expected)}, got {_summary(given)}",
                remedy="fetch it again: it was made for another network or changed since",
            )


def _summary(tensor: Tensor) -> str:
    numbers = tensor.double()
    low, high, mean = float(numbers.min()), float(numbers.max()), float(numbers.mean())
    return f"{tuple(tensor.shape)} from {low:g} to {high:g}, mean {mean:.5g}"
