"""AnyUpscaler: ours for every factor from 1 to 2, told to it through an embedding."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.tiny import conv3
from latentfit.nets.upscaler import fine_convolutions, shuffled

N_WAVES = 8


class AnyUpscaler(nn.Module):
    """Latents ``(N, C, h, w)`` and a size ``(H, W)`` -> latents ``(N, C, H, W)``, model domain.

    The latents resampled bicubically, and what a residual network adds: blocks at the source's size that know the
    factor, features of a quarter of a cell, resampled to the target's size, a few narrow convolutions there. At a
    factor of 1 latents stay what they are.

    Parameters
    ----------
    n_channels : int
        C.
    width, n_blocks : int
        Residual blocks of two 3×3 convolutions.
    fine_width, n_fine : int
        Channels and number of the convolutions at the target's size.
    """

    factors = (1.0, 2.0)

    def __init__(
        self, n_channels: int, width: int = 96, n_blocks: int = 5, fine_width: int = 72, n_fine: int = 3
    ) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_blocks = n_channels, width, n_blocks
        self.fine_width, self.n_fine = fine_width, n_fine
        self.embed = nn.Sequential(nn.Linear(2 * N_WAVES, width), nn.SiLU())
        self.first = conv3(n_channels, width)
        self.blocks = nn.ModuleList([_FactorBlock(width) for _ in range(n_blocks)])
        self.shuffled = nn.Sequential(*shuffled(width, fine_width))
        self.fine = nn.Sequential(*fine_convolutions(fine_width, n_fine, n_channels))

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on, at a factor of 1: at larger ones it is less.

        Tiles that overlap by as much are exact where factor times their sides, and the picture's, are whole numbers.
        """
        return 1 + 2 * self.n_blocks + 2 + self.n_fine + 1

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {name: getattr(self, name) for name in ("n_channels", "width", "n_blocks", "fine_width", "n_fine")}

    def forward(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(size) == tuple(latents.shape[-2:]):
            return latents
        known = self.embed(waves((size[0] / latents.shape[-2], size[1] / latents.shape[-1])).to(latents))
        x = nn.functional.relu(self.first(latents))
        for block in self.blocks:
            x = block(x, known)
        fine = nn.functional.interpolate(self.shuffled(x), size=size, mode="bilinear")
        kept = nn.functional.interpolate(latents, size=size, mode="bicubic")
        enlarged: Tensor = kept + self.fine(fine)
        return enlarged


class _FactorBlock(nn.Module):
    """Two convolutions added to what came, the features between them gained and moved as the factor says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = conv3(width, width), conv3(width, width)
        self.told = nn.Linear(width, 2 * width)
        nn.init.zeros_(self.told.weight)  # it begins knowing nothing of factors
        nn.init.zeros_(self.told.bias)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        gain, shift = self.told(known)[..., None, None].chunk(2, 1)
        added: Tensor = x + self.leave(nn.functional.relu(self.enter(x) * (1 + gain) + shift))
        return added


def waves(factors: tuple[float, float]) -> Tensor:
    """Factors of rows and of columns, 1 to 2 -> their cosines, ``(1, 2 * N_WAVES)``."""
    angles = math.pi * torch.arange(1, N_WAVES + 1) * (torch.tensor(factors)[:, None] - 1)
    return angles.cos().flatten()[None]


_EXAMPLE = {"n_channels": 4, "width": 8, "n_blocks": 1, "fine_width": 4, "n_fine": 1}
ARCHITECTURES = (
    Architecture("any_upscaler", AnyUpscaler, "the upscaler of any factor", "latents", _EXAMPLE, keeps_space=True),
)
