"""Upscalers: latents -> larger latents of the same space. City96's two networks by their keys, and ours.

Theirs (github.com/city96/SD-Latent-Upscaler) speak raw latents and were trained for one factor each, which only the
file's name says; ours speak the model domain.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.cell import ResidualBlock
from latentfit.nets.state_dict import loaded
from latentfit.nets.tiny import conv3

FINE = 2  # cells a source cell where the fine convolutions work


class UpscalerV2(nn.Module):
    """City96's v2.0 and v2.1: raw latents ``(N, C, h, w)`` -> raw latents, `scale` times as large.

    Parameters
    ----------
    n_channels, width, n_convs : int
        C; channels and number of the 3×3 convolutions at the target's size.
    scale : float
        1.25, 1.5 or 2 in the released files.
    """

    def __init__(self, n_channels: int = 4, width: int = 64, n_convs: int = 16, scale: float = 2.0) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_convs, self.scale = n_channels, width, n_convs, scale
        core: list[nn.Module] = []
        for _ in range(n_convs):
            core += [conv3(width, width), nn.ReLU()]
        self.sequential = nn.Sequential(
            conv3(n_channels, width), nn.ReLU(),
            nn.Upsample(scale_factor=scale, mode="nearest"), nn.ReLU(),
            *core,
            conv3(width, n_channels),
        )  # fmt: skip

    @property
    def receptive_cells(self) -> int:
        """Source cells, each way, that an output depends on."""
        return 2 + math.ceil((self.n_convs + 1) / self.scale)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {name: getattr(self, name) for name in ("n_channels", "width", "n_convs", "scale")}

    def at_scale(self, scale: float) -> "UpscalerV2":
        """The same weights at another factor: files do not say it."""
        self.scale = scale
        self.sequential[2] = nn.Upsample(scale_factor=scale, mode="nearest")
        return self

    def forward(self, raw: Tensor) -> Tensor:
        enlarged: Tensor = self.sequential(raw)
        return enlarged


class UpscalerV1(nn.Module):
    """City96's v1.0: wide kernels. Raw latents ``(N, C, h, w)`` -> raw latents, `scale` times as large."""

    def __init__(self, n_channels: int = 4, scale: float = 2.0) -> None:
        super().__init__()
        self.n_channels, self.scale = n_channels, scale
        self.sequential = nn.Sequential(
            nn.Conv2d(n_channels, 64, 5, padding=2), nn.ReLU(),
            nn.Upsample(scale_factor=scale, mode="nearest"), nn.ReLU(),
            nn.Conv2d(64, 64, 7, padding=3), nn.ReLU(),
            nn.Conv2d(64, 64, 7, padding=3), nn.ReLU(),
            nn.Conv2d(64, 32, 7, padding=3), nn.ReLU(),
            nn.Conv2d(32, n_channels, 5, padding=2),
        )  # fmt: skip

    @property
    def receptive_cells(self) -> int:
        """Source cells, each way, that an output depends on."""
        return 3 + math.ceil(11 / self.scale)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"n_channels": self.n_channels, "scale": self.scale}

    def at_scale(self, scale: float) -> "UpscalerV1":
        """The same weights at another factor: files do not say it."""
        self.scale = scale
        self.sequential[2] = nn.Upsample(scale_factor=scale, mode="nearest")
        return self

    def forward(self, raw: Tensor) -> Tensor:
        enlarged: Tensor = self.sequential(raw)
        return enlarged


class Upscaler(nn.Module):
    """This project's upscaler: latents ``(N, C, h, w)`` -> latents ``(N, C, 2h, 2w)``, model domain.

    A frozen linear map from a neighbourhood to a patch of cells, which least squares found, and a residual network that
    learns what it leaves: blocks at the source's size, a pixel shuffle, a few narrow convolutions at the target's. No
    batch norm: its running statistics break on latents unlike those of the training.

    Parameters
    ----------
    n_channels : int
        C.
    width, n_blocks : int
        Residual blocks of two 3×3 convolutions.
    fine_width, n_fine : int
        Channels and number of the convolutions at the target's size.
    side : int
        Side of the skip's neighbourhood, odd.

    Attributes
    ----------
    skip : nn.Conv2d
        ``ChannelMap("5", scale=2)`` fits in exactly.
    """

    scale = FINE

    def __init__(
        self, n_channels: int, width: int = 96, n_blocks: int = 5, fine_width: int = 72, n_fine: int = 3, side: int = 5
    ) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_blocks = n_channels, width, n_blocks
        self.fine_width, self.n_fine, self.side = fine_width, n_fine, side
        self.skip = nn.Conv2d(n_channels, n_channels * FINE**2, side, padding=side // 2, padding_mode="replicate")
        self.body = nn.Sequential(
            conv3(n_channels, width), nn.ReLU(),
            *[ResidualBlock(width) for _ in range(n_blocks)],
            *shuffled(width, fine_width),
            *fine_convolutions(fine_width, n_fine, n_channels),
        )  # fmt: skip

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on: tiles that overlap by as much are exact."""
        return max(self.side // 2, 2 + 2 * self.n_blocks + (self.n_fine + FINE) // FINE)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        names = ("n_channels", "width", "n_blocks", "fine_width", "n_fine", "side")
        return {name: getattr(self, name) for name in names}

    def forward(self, latents: Tensor) -> Tensor:
        enlarged: Tensor = nn.functional.pixel_shuffle(self.skip(latents), FINE) + self.body(latents)
        return enlarged

    @torch.no_grad()
    def set_skip(self, weight: Tensor, bias: Tensor) -> "Upscaler":
        """Put a fitted linear map in: weight ``(4 * C, C, side, side)`` and bias ``(4 * C,)``."""
        self.skip.weight.copy_(weight)
        self.skip.bias.copy_(bias)  # type: ignore[union-attr]
        return self


def shuffled(width: int, fine_width: int) -> list[nn.Module]:
    """Features of cells -> features of a quarter of a cell."""
    return [conv3(width, fine_width * FINE**2), nn.PixelShuffle(FINE), nn.ReLU()]


def fine_convolutions(width: int, n_convs: int, n_channels: int) -> list[nn.Module]:
    """Fine features -> what is added to the skip; nothing at the beginning."""
    last = conv3(width, n_channels)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    fine: list[nn.Module] = []
    for _ in range(n_convs):
        fine += [conv3(width, width), nn.ReLU()]
    return [*fine, last]


def is_city96_upscaler(keys: Collection[str]) -> bool:
    """Nothing stands between the first convolution and the enlarged one: an interposer has ``sequential.2``."""
    return "sequential.0.weight" in keys and "sequential.4.weight" in keys and "sequential.2.weight" not in keys


def load_city96_upscaler(weights: Mapping[str, Tensor]) -> UpscalerV1 | UpscalerV2:
    """City96's network that these weights belong to, at a factor of 2 until it is told another.

    Raises
    ------
    BadFileError
        When keys or shapes are of neither.
    KeyError, IndexError, ValueError, RuntimeError
        When its sizes cannot be told.
    """
    first = weights["sequential.0.weight"]
    n_channels, width = int(first.shape[1]), int(first.shape[0])
    if first.shape[-1] == 5:
        return loaded(lambda: UpscalerV1(n_channels), weights, "city96's upscaler v1")
    n_convs = sum(key.startswith("sequential.") and key.endswith(".weight") for key in weights) - 2
    return loaded(lambda: UpscalerV2(n_channels, width, n_convs), weights, "city96's upscaler v2")


ARCHITECTURES = (
    Architecture(
        "upscaler", Upscaler, "the upscaler", "latents",
        {"n_channels": 4, "width": 8, "n_blocks": 1, "fine_width": 4, "n_fine": 1}, keeps_space=True,
    ),
    Architecture(
        "upscaler_v2", UpscalerV2, "city96's upscaler v2", "latents", {"width": 8, "n_convs": 2},
        recognise=is_city96_upscaler, load=load_city96_upscaler, keeps_space=True,
    ),
    Architecture(
        "upscaler_v1", UpscalerV1, "city96's upscaler v1", "latents",
        recognise=is_city96_upscaler, load=load_city96_upscaler, keeps_space=True,
    ),
)  # fmt: skip
