"""Interposers: latents of one space -> latents of another. City96's three generations by their keys, and ours.

Theirs (github.com/city96/SD-Latent-Interposer) speak raw latents, as ComfyUI hands them over; `Interposer`, ours,
speaks the model domain.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.state_dict import loaded
from latentfit.nets.tiny import conv3

LEAK = 0.1


class _Joined(nn.Module):
    """``relu(long(x) + short(x))``, as both later generations have it; `norm` comes first where there is one."""

    def __init__(self, long: nn.Sequential, *, short: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.long = long
        if norm is not None:
            self.norm = norm
        if short is not None:
            self.short = short

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x) if hasattr(self, "norm") else x
        kept = self.short(x) if hasattr(self, "short") else x
        joined: Tensor = nn.functional.relu(self.long(x) + kept)
        return joined


def _long(n_in: int, n_out: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv3(n_in, n_out), activation, conv3(n_out, n_out), activation, conv3(n_out, n_out))


class InterposerV4(nn.Module):
    """City96's v4.0: raw latents ``(N, C, h, w)`` -> raw latents ``(N, C', h * scale, w * scale)``.

    Parameters
    ----------
    n_channels, n_outputs : int
        C and C'.
    width, n_blocks : int
    scale : float
        Target cells a source cell: 0.5 from Stable Cascade's stage A.
    """

    def __init__(
        self, n_channels: int = 4, n_outputs: int = 4, width: int = 64, n_blocks: int = 12, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.n_channels, self.n_outputs, self.width, self.n_blocks = n_channels, n_outputs, width, n_blocks
        self.scale = scale
        self.head = _Joined(_long(n_channels, width, nn.SiLU()), short=conv3(n_channels, width))
        self.core = nn.Sequential(
            nn.Upsample(scale_factor=scale, mode="nearest"),
            *[_Joined(_long(width, width, nn.SiLU()), norm=nn.BatchNorm2d(width)) for _ in range(n_blocks)],
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.tail = conv3(width, n_outputs)

    @property
    def receptive_cells(self) -> int:
        """Source cells, each way, that an output depends on."""
        return 3 + int((3 * self.n_blocks + 1) / min(self.scale, 1.0))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {name: getattr(self, name) for name in ("n_channels", "n_outputs", "width", "n_blocks", "scale")}

    def at_scale(self, scale: float) -> "InterposerV4":
        """The same weights at another size: files do not say it."""
        self.scale = scale
        self.core[0] = nn.Upsample(scale_factor=scale, mode="nearest")
        return self

    def forward(self, raw: Tensor) -> Tensor:
        mapped: Tensor = self.tail(self.core(self.head(raw)))
        return mapped


class InterposerV3(nn.Module):
    """City96's v3.1, which Fooocus still ships: raw latents ``(N, 4, h, w)`` -> raw latents of the same size."""

    receptive_cells = 13

    def __init__(self, n_channels: int = 4, width: int = 128) -> None:
        super().__init__()
        self.n_channels, self.n_outputs, self.width = n_channels, n_channels, width
        self.head_short = conv3(n_channels, width)
        self.head_long = _long(n_channels, width, nn.LeakyReLU(LEAK))
        self.core = nn.Sequential(*[_Joined(_long(width, width, nn.LeakyReLU(LEAK))) for _ in range(3)])
        self.tail = nn.Sequential(nn.ReLU(), conv3(width, n_channels))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"n_channels": self.n_channels, "width": self.width}

    def forward(self, raw: Tensor) -> Tensor:
        mapped: Tensor = self.tail(self.core(nn.functional.relu(self.head_long(raw) + self.head_short(raw))))
        return mapped


class InterposerV1(nn.Module):
    """City96's v1: four convolutions. Raw latents ``(N, 4, h, w)`` -> raw latents of the same size."""

    receptive_cells = 10

    def __init__(self, n_channels: int = 4) -> None:
        super().__init__()
        self.n_channels = self.n_outputs = n_channels
        c = n_channels
        self.sequential = nn.Sequential(
            nn.Conv2d(c, 32, 5, padding=2), nn.ReLU(),
            nn.Conv2d(32, 128, 7, padding=3), nn.ReLU(),
            nn.Conv2d(128, 32, 7, padding=3), nn.ReLU(),
            nn.Conv2d(32, c, 5, padding=2),
        )  # fmt: skip

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"n_channels": self.n_channels}

    def forward(self, raw: Tensor) -> Tensor:
        mapped: Tensor = self.sequential(raw)
        return mapped


class Interposer(nn.Module):
    """This project's interposer: latents ``(N, C, h, w)`` -> ``(N, C', h, w)`` of another space, model domain.

    A frozen linear neighbourhood map, which least squares found, and a residual network that learns what it leaves. No
    batch norm: its running statistics break on latents unlike those of the training.

    Parameters
    ----------
    n_channels, n_outputs : int
        C and C'.
    width, n_blocks : int
        Residual blocks of two 3×3 convolutions.
    side : int
        Side of the skip's neighbourhood, odd.
    n_dilated : int
        So many blocks, the last, look with their first convolution at every second cell: sight at no cost. The others
        may come from a decoder, see `latentfit.nets.shared_trunk`.
    """

    def __init__(
        self, n_channels: int, n_outputs: int, width: int = 96, n_blocks: int = 7, side: int = 5, n_dilated: int = 2
    ) -> None:
        super().__init__()
        self.n_channels, self.n_outputs, self.width, self.n_blocks = n_channels, n_outputs, width, n_blocks
        self.n_dilated, self.side = min(n_dilated, n_blocks), side
        self.skip = nn.Conv2d(n_channels, n_outputs, side, padding=side // 2, padding_mode="replicate")
        last = conv3(width, n_outputs)
        nn.init.zeros_(last.weight)  # it begins as its skip
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.body = nn.Sequential(
            conv3(n_channels, width), nn.ReLU(),
            *[_Block(width, 2 if block >= n_blocks - self.n_dilated else 1) for block in range(n_blocks)],
            last,
        )  # fmt: skip

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on: tiles that overlap by as much are exact."""
        return max(self.side // 2, 2 + 2 * self.n_blocks + self.n_dilated)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        names = ("n_channels", "n_outputs", "width", "n_blocks", "side", "n_dilated")
        return {name: getattr(self, name) for name in names}

    def forward(self, latents: Tensor) -> Tensor:
        mapped: Tensor = self.skip(latents) + self.body(latents)
        return mapped

    @torch.no_grad()
    def set_skip(self, weight: Tensor, bias: Tensor) -> "Interposer":
        """Put a fitted linear map in: weight ``(C', C, side, side)`` and bias ``(C',)``."""
        self.skip.weight.copy_(weight)
        self.skip.bias.copy_(bias)  # type: ignore[union-attr]
        return self


class _Block(nn.Module):
    """Two convolutions added to what came."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv = nn.Sequential(first, nn.ReLU(), conv3(width, width))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.conv(x)
        return added


def is_interposer_v4(keys: Collection[str]) -> bool:
    """Whether these are the keys of v4.0, whole or not."""
    return "head.short.weight" in keys


def is_interposer_v3(keys: Collection[str]) -> bool:
    """Whether these are the keys of v3.1, whole or not."""
    return "head_short.weight" in keys


def is_interposer_v1(keys: Collection[str]) -> bool:
    """Whether these are the keys of v1, whole or not; city96's upscalers have ``sequential.6`` too, but no ``.2``."""
    is_upscaler = {"sequential.0.weight", "sequential.4.weight"} <= set(keys) and "sequential.2.weight" not in keys
    return "sequential.6.weight" in keys and not is_upscaler


def load_interposer_v4(weights: Mapping[str, Tensor]) -> InterposerV4:
    """City96's v4.0 that these weights belong to, at a factor of 1 until it is told another.

    Raises
    ------
    BadFileError
        When keys or shapes are not its.
    """
    head, tail = weights["head.short.weight"], weights["tail.weight"]
    n_blocks = sum(key.endswith(".long.0.weight") and key.startswith("core.") for key in weights)
    sizes = int(head.shape[1]), int(tail.shape[0]), int(head.shape[0]), n_blocks
    return loaded(lambda: InterposerV4(*sizes), weights, "city96's interposer v4.0")


def load_interposer_v3(weights: Mapping[str, Tensor]) -> InterposerV3:
    """City96's v3.1 that these weights belong to.

    Raises
    ------
    BadFileError
        When keys or shapes are not its.
    """
    head = weights["head_short.weight"]
    n_channels, width = int(head.shape[1]), int(head.shape[0])
    return loaded(lambda: InterposerV3(n_channels, width), weights, "city96's interposer v3.1")


def load_interposer_v1(weights: Mapping[str, Tensor]) -> InterposerV1:
    """City96's v1 that these weights belong to.

    Raises
    ------
    BadFileError
        When keys or shapes are not its.
    """
    n_channels = int(weights["sequential.0.weight"].shape[1])
    return loaded(lambda: InterposerV1(n_channels), weights, "city96's interposer v1")


ARCHITECTURES = (
    Architecture(
        "interposer", Interposer, "the interposer", "latents",
        {"n_channels": 4, "n_outputs": 16, "width": 8, "n_blocks": 2, "n_dilated": 1},
    ),
    Architecture(
        "interposer_v4", InterposerV4, "city96's interposer v4.0", "latents",
        {"n_channels": 4, "n_outputs": 16, "width": 8, "n_blocks": 2},
        recognise=is_interposer_v4, load=load_interposer_v4,
    ),
    Architecture(
        "interposer_v3", InterposerV3, "city96's interposer v3.1", "latents", {"width": 8},
        recognise=is_interposer_v3, load=load_interposer_v3,
    ),
    Architecture(
        "interposer_v1", InterposerV1, "city96's interposer v1", "latents",
        recognise=is_interposer_v1, load=load_interposer_v1,
    ),
)  # fmt: skip
