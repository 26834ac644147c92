"""Public checkpoints of the transformers: which one it is, its sizes, and whether its buffers are what we compute."""

import math
import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

from latentfit.errors import BadFileError
from latentfit.nets.state_dict import loaded
from latentfit.nets.transformers.craft import Craft
from latentfit.nets.transformers.dat import Dat
from latentfit.nets.transformers.drct import Drct
from latentfit.nets.transformers.parts import REFERENCE_CELLS
from latentfit.nets.transformers.swinfir import SwinFir

Transformer = SwinFir | Craft | Dat | Drct
Weights = Mapping[str, Tensor]

_SWINFIR = "layers.0.conv.S.body.0.weight"
_CRAFT = "layers.0.residual_group.srwa_blocks.0.qkv.weight"
_DAT = "layers.0.blocks.0.attn.attns.0.pos.pos_proj.weight"
_DRCT = "layers.0.swin1.attn.relative_position_bias_table"
_BUFFER = re.compile(r"(.*\.)?(attn_mask(_[01])?|relative_position_index(_[hv])?|rpe_biases|biases_[hv])$")


def is_transformer(keys: Collection[str]) -> bool:
    """Whether these keys are one of theirs, whole or not."""
    return any(key in keys for key in (_SWINFIR, _CRAFT, _DAT, _DRCT))


def load_transformer(weights: Weights) -> tuple[str, Transformer]:
    """Its name and the network that these weights belong to, float32, in evaluation mode.

    Raises
    ------
    BadFileError
        When keys, shapes or buffers are not its.
    KeyError, IndexError, ValueError, RuntimeError
        When its sizes cannot be told.
    """
    buffers = {key: tensor for key, tensor in weights.items() if _BUFFER.match(key)}
    rest = {key: tensor for key, tensor in weights.items() if key not in buffers}
    with torch.device("meta"):
        title = _sized(rest, buffers)[0]
    network = loaded(lambda: _sized(rest, buffers)[1], rest, title)
    _check_buffers(title, network, buffers)
    return title, network


def _sized(weights: Weights, buffers: Weights) -> tuple[str, Transformer]:
    """The network of these weights' sizes, not loaded."""
    width, n_channels = weights["conv_first.weight"].shape[:2]
    n_layers = _count(weights, r"layers\.(\d+)\.")
    if _SWINFIR in weights:
        block = "layers.0.residual_group.blocks.0"
        table = weights[f"{block}.attn.relative_position_bias_table"]
        depths = [_count(weights, rf"layers\.{layer}\.residual_group\.blocks\.(\d+)\.") for layer in range(n_layers)]
        hidden, side = len(weights[f"{block}.mlp.fc1.weight"]), (math.isqrt(len(table)) + 1) // 2
        return "SwinFIR", SwinFir(n_channels, width, depths, table.shape[1], side, hidden)
    if _CRAFT in weights:
        part = "layers.0.residual_group"
        depths = [_count(weights, rf"layers\.{layer}\.residual_group\.hf_blocks\.(\d+)\.") for layer in range(n_layers)]
        n_heads = len(weights[f"{part}.hf_blocks.0.attn.temperature"])
        hidden = len(weights[f"{part}.srwa_blocks.0.mlp.fc1.weight"])
        gated = weights[f"{part}.hf_blocks.0.ffn.project_out.weight"].shape[1]
        window = _window(buffers, "biases_h", (4, 16))
        return "CRAFT", Craft(n_channels, width, depths, n_heads, window, hidden, gated)
    if _DRCT in weights:
        block, table = "layers.0.swin1", weights[_DRCT]
        ratio, growth = len(weights[f"{block}.mlp.fc1.weight"]) / width, len(weights["layers.0.adjust1.weight"])
        fourier = "conv_after_body.F.conv2.weight" in weights
        side = (math.isqrt(len(table)) + 1) // 2
        title = "DRCTFIR" if fourier else "DRCT"
        return title, Drct(n_channels, width, n_layers, table.shape[1], side, growth, ratio, fourier)
    block = "layers.0.blocks.0"
    depths = [_count(weights, rf"layers\.{layer}\.blocks\.(\d+)\.") for layer in range(n_layers)]
    n_heads = 2 * len(weights[f"{block}.attn.attns.0.pos.pos3.2.weight"])
    window = _window(buffers, f"{block}.attn.attns.0.rpe_biases", (8, 16))
    return "DAT", Dat(n_channels, width, depths, n_heads, window, len(weights[f"{block}.ffn.fc1.weight"]))


def _count(keys: Iterable[str], pattern: str) -> int:
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


def _window(buffers: Weights, key: str, usual: tuple[int, int]) -> tuple[int, int]:
    """As the largest offset says; weights alone do not tell."""
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


def _check_buffers(title: str, network: Transformer, buffers: Weights) -> None:
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
