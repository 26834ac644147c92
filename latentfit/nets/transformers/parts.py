"""Parts that more than one of the transformers has."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from latentfit.nets.tiny import conv3
from latentfit.nets.transformers.windows import Window, attended, offset_index, offsets_of, picture_of, windows_of

REFERENCE_CELLS = 64  # side of the latents that the public checkpoints' masks were computed for


class TransformerUpscaler(nn.Module, ABC):
    """Raw latents ``(N, C, h, w)`` -> raw latents ``(N, C, 2h, 2w)``: what is around a transformer's body.

    Sizes that its windows do not divide are padded once, here, by replicating the last row and column, and cut again.

    Parameters
    ----------
    n_channels, width : int
        C, and channels of the body.
    tail_width : int or None
        Channels that are shuffled; None: those of the result themselves.
    multiple : int
        Sides of pictures that the body takes are multiples of this.
    """

    scale = 2

    def __init__(self, n_channels: int, width: int, tail_width: int | None, multiple: int) -> None:
        super().__init__()
        self.n_channels, self.width, self.multiple = n_channels, width, multiple
        self.conv_first = conv3(n_channels, width)
        self.conv_after_body: nn.Module = conv3(width, width)
        self.conv_before_upsample: nn.Module = nn.Identity()
        self.conv_last: nn.Module = nn.Identity()
        if tail_width is not None:
            self.conv_before_upsample = nn.Sequential(conv3(width, tail_width), nn.LeakyReLU())
            self.conv_last = conv3(tail_width, n_channels)
        before, after = (width, n_channels) if tail_width is None else (tail_width, tail_width)
        self.upsample = nn.Sequential(conv3(before, after * self.scale**2), nn.PixelShuffle(self.scale))

    @abstractmethod
    def body(self, x: Tensor) -> Tensor:
        """Features ``(N, width, h, w)`` -> features of the same shape."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""

    @abstractmethod
    def buffers_of(self, side_cells: int = REFERENCE_CELLS) -> dict[str, Tensor]:
        """What a public checkpoint holds beside its weights, by key, for masks of square latents of that side."""

    def forward(self, raw: Tensor) -> Tensor:
        rows, columns = raw.shape[-2:]
        if not len(raw):
            return raw.new_zeros(0, self.n_channels, rows * self.scale, columns * self.scale)
        down, right = -rows % self.multiple, -columns % self.multiple
        first = self.conv_first(nn.functional.pad(raw, (0, right, 0, down), mode="replicate"))
        x = self.conv_after_body(self.body(first)) + first
        enlarged: Tensor = self.conv_last(self.upsample(self.conv_before_upsample(x)))
        return enlarged[..., : rows * self.scale, : columns * self.scale]


class Mlp(nn.Module):
    """Two linear layers over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.fc2(self.act(self.fc1(x)))
        return mapped


class PositionBias(nn.Module):
    """A bias for each head, from the offset between two tokens: CrossFormer's dynamic position bias."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.pos_proj = nn.Linear(2, width)
        self.pos1, self.pos2, self.pos3 = (
            nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, n_out)) for n_out in (width, width, n_heads)
        )

    def forward(self, offsets: Tensor) -> Tensor:
        biases: Tensor = self.pos3(self.pos2(self.pos1(self.pos_proj(offsets))))
        return biases


class RectangleAttention(nn.Module):
    """Attention in rectangles, with a bias from offsets: q, k, v ``(N, h, w, C)`` each -> ``(N, h, w, C)``."""

    offsets: Tensor
    index: Tensor

    def __init__(self, width: int, n_heads: int, window: Window) -> None:
        super().__init__()
        self.n_heads, self.window = n_heads, window
        self.pos = PositionBias(width // 4 // 4, n_heads)
        self.register_buffer("offsets", offsets_of(window), persistent=False)
        self.register_buffer("index", offset_index(window), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        bias = self.pos(self.offsets.to(q.dtype))[self.index].permute(2, 0, 1)
        size = (q.shape[1], q.shape[2])
        q, k, v = (windows_of(one, self.window) for one in (q, k, v))
        return picture_of(attended(q, k, v, self.n_heads, bias, mask), self.window, size)


def check_halves(width: int, n_heads: int) -> None:
    """Both halves of the channels have half of the heads, and enough channels for a bias from offsets."""
    if width < 32 or n_heads < 2 or n_heads % 2 or width % n_heads:
        raise ValueError(
            f"expected 32 channels or more, a multiple of an even number of heads, got {width} channels and {n_heads} "
            "heads; take others"
        )


def last(x: Tensor) -> Tensor:
    """``(N, C, h, w)`` -> ``(N, h, w, C)``."""
    return x.permute(0, 2, 3, 1)


def first(x: Tensor) -> Tensor:
    """``(N, h, w, C)`` -> ``(N, C, h, w)``."""
    return x.permute(0, 3, 1, 2)
