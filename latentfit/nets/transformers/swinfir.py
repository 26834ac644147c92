"""SwinFIR: shifted square windows, and groups that end in a Fourier branch (Zhang et al. 2022)."""

import math
from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.transformers.checkpoints import Weights, count_of, load_checked
from latentfit.nets.transformers.fourier import SpatialAndFourier
from latentfit.nets.transformers.parts import REFERENCE_CELLS, TransformerUpscaler, first, last
from latentfit.nets.transformers.swin import SwinBlock, swin_buffers

TAIL_WIDTH = 64


class SwinFir(TransformerUpscaler):
    """Raw latents ``(N, C, h, w)`` -> raw latents ``(N, C, 2h, 2w)``.

    Parameters
    ----------
    n_channels, width : int
        C, and channels of the body.
    depths : sequence of int
        Blocks of each group; every second one is shifted.
    n_heads : int
    window : int
        Side of the square windows.
    hidden : int
        Channels inside of the feed-forward parts.
    """

    def __init__(
        self,
        n_channels: int = 4,
        width: int = 96,
        depths: Sequence[int] = (6,) * 4,
        n_heads: int = 6,
        window: int = 8,
        hidden: int = 384,
    ) -> None:
        super().__init__(n_channels, width, TAIL_WIDTH, multiple=window)
        self.depths, self.n_heads, self.window, self.hidden = tuple(depths), n_heads, window, hidden
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(width)})
        self.layers = nn.ModuleList([_Group(width, n_heads, window, hidden, depth) for depth in depths])
        self.norm = nn.LayerNorm(width)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        sizes = {name: getattr(self, name) for name in ("n_channels", "width", "n_heads", "window", "hidden")}
        return {**sizes, "depths": list(self.depths)}

    def body(self, x: Tensor) -> Tensor:
        x = self.patch_embed["norm"](last(x))
        for layer in self.layers:
            x = layer(x)
        return first(self.norm(x))

    def buffers_of(self, side_cells: int = REFERENCE_CELLS) -> dict[str, Tensor]:
        """The index of offsets of every attention, and masks of the shifted ones."""
        return swin_buffers(self, side_cells)


class _Group(nn.Module):
    """Blocks, then convolutions of the picture and of its spectrum, added to what came."""

    def __init__(self, width: int, n_heads: int, window: int, hidden: int, depth: int) -> None:
        super().__init__()
        shifts = [window // 2 if index % 2 else 0 for index in range(depth)]
        blocks = [SwinBlock(width, n_heads, window, hidden, shift) for shift in shifts]
        self.residual_group = nn.ModuleDict({"blocks": nn.Sequential(*blocks)})
        self.conv = SpatialAndFourier(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + last(self.conv(first(self.residual_group["blocks"](x))))


_KEY = "layers.0.conv.S.body.0.weight"


def is_swinfir(keys: Collection[str]) -> bool:
    """Whether these are its keys, whole or not."""
    return _KEY in keys


def load_swinfir(weights: Weights) -> SwinFir:
    """The network that these weights belong to; see `load_checked`."""
    return load_checked(_sized, weights, "SwinFIR")


def _sized(weights: Weights, buffers: Weights) -> SwinFir:
    """The network of these weights' sizes, not loaded."""
    width, n_channels = weights["conv_first.weight"].shape[:2]
    block = "layers.0.residual_group.blocks.0"
    table = weights[f"{block}.attn.relative_position_bias_table"]
    n_layers = count_of(weights, r"layers\.(\d+)\.")
    depths = [count_of(weights, rf"layers\.{layer}\.residual_group\.blocks\.(\d+)\.") for layer in range(n_layers)]
    hidden, side = len(weights[f"{block}.mlp.fc1.weight"]), (math.isqrt(len(table)) + 1) // 2
    return SwinFir(n_channels, width, depths, table.shape[1], side, hidden)


ARCHITECTURES = (
    Architecture(
        "swinfir", SwinFir, "SwinFIR", "latents",
        {"width": 12, "depths": [2], "n_heads": 2, "window": 4, "hidden": 16},
        recognise=is_swinfir, load=load_swinfir, keeps_space=True,
    ),
)  # fmt: skip
