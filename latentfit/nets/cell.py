"""Cell decoders: all work at latent resolution, and a pixel shuffle at the end.

Ours. What costs TAESD most is its last level, at full size; here a 3×3 neighbourhood of features becomes a whole cell
of pixels at once, on top of the closed form that least squares found.
"""

from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.tiny import conv3


class ResidualBlock(nn.Module):
    """Two convolutions added to what came."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv3(width, width), nn.ReLU(), conv3(width, width))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.conv(x)
        return added


class CellDecoder(nn.Module):
    """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, h * cell_px, w * cell_px)``, about [0, 1], not clamped.

    Parameters
    ----------
    n_channels : int
        C.
    width : int
        Channels of the blocks.
    n_blocks : int
        Residual blocks of two 3×3 convolutions.
    cell_px : int
        Pixels of a cell's side.

    Attributes
    ----------
    skip : nn.Conv2d
        A linear 3×3 decoder: `ChannelMap("3", scale=cell_px)` fits in exactly, see `latentfit.train.recipes`.
    """

    def __init__(self, n_channels: int, width: int = 64, n_blocks: int = 5, cell_px: int = 8) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_blocks, self.cell_px = n_channels, width, n_blocks, cell_px
        n_out = 3 * cell_px**2
        self.skip = nn.Conv2d(n_channels, n_out, 3, padding=1, padding_mode="replicate")
        last = conv3(width, n_out)
        nn.init.zeros_(last.weight)  # it begins as its skip
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.body = nn.Sequential(
            conv3(n_channels, width), nn.ReLU(),
            *[ResidualBlock(width) for _ in range(n_blocks)],
            nn.ReLU(), last,
        )  # fmt: skip

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on: tiles that overlap by as much are exact."""
        return 2 + 2 * self.n_blocks

    def config(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {
            "n_channels": self.n_channels,
            "width": self.width,
            "n_blocks": self.n_blocks,
            "cell_px": self.cell_px,
        }

    def forward(self, latents: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.skip(latents) + self.body(latents), self.cell_px)

    @torch.no_grad()
    def set_skip(self, weight: Tensor, bias: Tensor) -> "CellDecoder":
        """Put a fitted linear decoder in: weight ``(3 * cell_px², C, 3, 3)`` and bias, in the range [0, 1]."""
        self.skip.weight.copy_(weight)
        self.skip.bias.copy_(bias)  # type: ignore[union-attr]
        return self
