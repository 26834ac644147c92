"""DRCT: dense groups of Swin's blocks, each seeing what all before it in the group made (Hsu et al. 2024)."""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.transformers.checkpoints import Weights, count_of, load_checked
from latentfit.nets.transformers.fourier import LEAK, SpatialAndFourier
from latentfit.nets.transformers.parts import REFERENCE_CELLS, TransformerUpscaler, first, last
from latentfit.nets.transformers.swin import SwinBlock, swin_buffers

TAIL_WIDTH = 64
N_BLOCKS = 5
KEPT = 0.2  # of what a group adds


class Drct(TransformerUpscaler):
    """Raw latents ``(N, C, h, w)`` -> raw latents ``(N, C, 2h, 2w)``.

    Parameters
    ----------
    n_channels, width : int
        C, and channels of the body.
    n_groups : int
        Groups of five blocks each.
    n_heads : int
        Heads of a group's first block; the others have as many as divide their channels, by the authors' rule.
    window : int
        Side of the square windows.
    growth : int
        Channels that each block of a group adds to what the next one sees.
    mlp_ratio : float
        Channels inside of the feed-forward parts, relative to a block's; the last two of a group have 1.
    fourier : bool
        The body ends in SwinFIR's convolutions of picture and spectrum: DRCTFIR.
    """

    def __init__(
        self,
        n_channels: int = 4,
        width: int = 180,
        n_groups: int = 12,
        n_heads: int = 6,
        window: int = 16,
        growth: int = 32,
        mlp_ratio: float = 2.0,
        fourier: bool = False,
    ) -> None:
        super().__init__(n_channels, width, TAIL_WIDTH, multiple=window)
        self.n_groups, self.n_heads, self.window, self.growth = n_groups, n_heads, window, growth
        self.mlp_ratio, self.fourier = mlp_ratio, fourier
        if fourier:
            self.conv_after_body = SpatialAndFourier(width)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(width)})
        self.layers = nn.Sequential(*[_DenseGroup(width, n_heads, window, growth, mlp_ratio) for _ in range(n_groups)])
        self.norm = nn.LayerNorm(width)

    @property
    def title(self) -> str:
        """The name that its authors give this size."""
        return "DRCTFIR" if self.fourier else "DRCT"

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        names = ("n_channels", "width", "n_groups", "n_heads", "window", "growth", "mlp_ratio", "fourier")
        return {name: getattr(self, name) for name in names}

    def body(self, x: Tensor) -> Tensor:
        return first(self.norm(self.layers(self.patch_embed["norm"](last(x)))))

    def buffers_of(self, side_cells: int = REFERENCE_CELLS) -> dict[str, Tensor]:
        """The index of offsets of every attention, and masks of the shifted ones."""
        return swin_buffers(self, side_cells)


class _DenseGroup(nn.Module):
    """Five blocks, each followed by a pointwise layer to a few channels more; a fifth of the last is added."""

    def __init__(self, width: int, n_heads: int, window: int, growth: int, mlp_ratio: float) -> None:
        super().__init__()
        for index in range(N_BLOCKS):
            seen = width + index * growth
            heads = n_heads - seen % n_heads if index else n_heads
            hidden = int(seen * (mlp_ratio if index < 3 else 1))
            self.add_module(f"swin{index + 1}", SwinBlock(seen, heads, window, hidden, window // 2 if index % 2 else 0))
            self.add_module(f"adjust{index + 1}", nn.Conv2d(seen, growth if index < N_BLOCKS - 1 else width, 1))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for index in range(1, N_BLOCKS + 1):
            made = last(self.get_submodule(f"adjust{index}")(first(self.get_submodule(f"swin{index}")(seen))))
            if index < N_BLOCKS:
                seen = torch.cat([seen, nn.functional.leaky_relu(made, LEAK)], -1)
        return x + KEPT * made


_KEY, _FOURIER_KEY = "layers.0.swin1.attn.relative_position_bias_table", "conv_after_body.F.conv2.weight"


def is_drct(keys: Collection[str]) -> bool:
    """Whether these are its keys, whole or not."""
    return _KEY in keys


def load_drct(weights: Weights) -> Drct:
    """The network that these weights belong to; see `load_checked`."""
    return load_checked(_sized, weights, "DRCTFIR" if _FOURIER_KEY in weights else "DRCT")


def _sized(weights: Weights, buffers: Weights) -> Drct:
    """The network of these weights' sizes, not loaded."""
    width, n_channels = weights["conv_first.weight"].shape[:2]
    n_layers, table = count_of(weights, r"layers\.(\d+)\."), weights[_KEY]
    ratio = len(weights["layers.0.swin1.mlp.fc1.weight"]) / width
    growth, side = len(weights["layers.0.adjust1.weight"]), (math.isqrt(len(table)) + 1) // 2
    return Drct(n_channels, width, n_layers, table.shape[1], side, growth, ratio, _FOURIER_KEY in weights)


ARCHITECTURES = (
    Architecture(
        "drct", Drct, "DRCT", "latents", {"width": 24, "n_groups": 1, "n_heads": 2, "window": 4, "growth": 8},
        recognise=is_drct, load=load_drct, keeps_space=True,
    ),
)  # fmt: skip
