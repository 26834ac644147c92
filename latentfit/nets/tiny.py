"""The TAESD family: tiny autoencoders that speak the model domain, with the public checkpoints' key names.

Ollin Boer Bohan's TAESD (https://github.com/madebyollin/taesd, MIT). Latents in the model domain, pictures in [0, 1]:
no scaling factor and no [-1, 1] may touch them. Built here from the published layout; the layout of a checkpoint is
recovered from its keys and shapes.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.state_dict import loaded

ENCODER_BLOCKS = (1, 3, 3, 3)
DECODER_BLOCKS = (3, 3, 3, 1)
"""Blocks of TAESD's own networks, level by level in the order of the data."""


def conv3(n_in: int, n_out: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """3 x 3 convolution, zero padding."""
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=bias)


class SoftClamp(nn.Module):
    """Latents -> latents in (-3, 3), almost unchanged near 0."""

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(latents / 3) * 3


class Block(nn.Module):
    """Three convolutions and a skip; with `pool`, a group-normalised branch that sees the whole picture first."""

    def __init__(self, width: int, *, pool: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv3(width, width), nn.ReLU(), conv3(width, width), nn.ReLU(), conv3(width, width)
        )  # fmt: skip
        self.pool = _pool(width) if pool else None
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        fused: Tensor = self.fuse(self.conv(x) + x)
        return fused


def _pool(width: int) -> nn.Sequential:
    """GroupNorm over the whole picture: this is why tiling the flux2 variant can never be exact."""
    return nn.Sequential(
        nn.Conv2d(width, 4 * width, 1, bias=False),
        nn.GroupNorm(4, 4 * width),
        nn.ReLU(),
        nn.Conv2d(4 * width, width, 1, bias=False),
    )


def blocks(width: int, n_blocks: int = 3, *, pool: bool = False) -> list[nn.Module]:
    """Return the blocks of a level, one after another."""
    return [Block(width, pool=pool) for _ in range(n_blocks)]


def down(width: int) -> nn.Conv2d:
    """Return the layer that halves the sides."""
    return conv3(width, width, stride=2, bias=False)


def up(n_in: int, n_out: int) -> list[nn.Module]:
    """Twice the size, nearest, then a convolution."""
    return [nn.Upsample(scale_factor=2), conv3(n_in, n_out, bias=False)]


class TinyEncoder(nn.Sequential):
    """rgb ``(N, 3, 8h, 8w)`` in [0, 1] -> latents ``(N, C, h, w)``, model domain.

    Parameters
    ----------
    n_channels : int
        C.
    width : int
        Channels of all levels.
    pool : bool
        flux2's variant.
    n_blocks : sequence of 4 int
        Blocks of each level, from full size to latent size.
    """

    cell_px = 8

    def __init__(
        self, n_channels: int = 4, width: int = 64, *, pool: bool = False, n_blocks: Sequence[int] = ENCODER_BLOCKS
    ) -> None:
        full, half, quarter, eighth = n_blocks
        super().__init__(
            conv3(3, width), *blocks(width, full),
            down(width), *blocks(width, half),
            down(width), *blocks(width, quarter),
            down(width), *blocks(width, eighth, pool=pool),
            conv3(width, n_channels),
        )  # fmt: skip
        self.n_channels, self.width, self.pool, self.n_blocks = n_channels, width, pool, tuple(n_blocks)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {
            "n_channels": self.n_channels, "width": self.width, "pool": self.pool, "n_blocks": list(self.n_blocks)
        }  # fmt: skip


class TinyDecoder(nn.Sequential):
    """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, 8h, 8w)``, about [0, 1], not clamped.

    Parameters
    ----------
    n_channels : int
        C.
    width : int
        Channels of all levels.
    pool : bool
        flux2's variant.
    n_blocks : sequence of 4 int
        Blocks of each level, from latent size to full size.
    """

    cell_px = 8

    def __init__(
        self, n_channels: int = 4, width: int = 64, *, pool: bool = False, n_blocks: Sequence[int] = DECODER_BLOCKS
    ) -> None:
        eighth, quarter, half, full = n_blocks
        super().__init__(
            SoftClamp(), conv3(n_channels, width), nn.ReLU(),
            *blocks(width, eighth, pool=pool), *up(width, width),
            *blocks(width, quarter), *up(width, width),
            *blocks(width, half), *up(width, width),
            *blocks(width, full), conv3(width, 3),
        )  # fmt: skip
        self.n_channels, self.width, self.pool, self.n_blocks = n_channels, width, pool, tuple(n_blocks)

    @property
    def receptive_cells(self) -> int | None:
        """Cells, each way, that an output depends on; None with `pool`, whose group norm sees the whole picture."""
        return None if self.pool else receptive_cells(self.n_blocks)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {
            "n_channels": self.n_channels, "width": self.width, "pool": self.pool, "n_blocks": list(self.n_blocks)
        }  # fmt: skip


def receptive_cells(n_blocks: Sequence[int] = DECODER_BLOCKS) -> int:
    """Cells, each way, that an output of a decoder with so many blocks depends on; tiles with such overlaps are exact.

    Examples
    --------
    >>> receptive_cells()
    19
    """
    *before, full = n_blocks
    reach_px = 1 + 3 * full  # of the last convolution and the blocks at full size
    for level, blocks_there in enumerate(reversed(before)):
        cell = 2 ** (level + 1)
        reach_px += cell // 2  # the convolution after the enlargement
        reach_px = -(-reach_px // cell) * cell + 3 * blocks_there * cell
    return reach_px // 8 + 1  # the first convolution


class TinyEncoder32(nn.Sequential):
    """rgb ``(N, 3, 32h, 32w)`` in [0, 1] -> latents ``(N, C, h, w)``: the variant for Sana."""

    cell_px = 32

    def __init__(self, n_channels: int = 32) -> None:
        super().__init__(
            conv3(3, 32, stride=2), nn.ReLU(),
            conv3(32, 64, stride=2), nn.ReLU(), Block(64),
            down(64), *blocks(64),
            down(64), *blocks(64),
            down(64), *blocks(64),
            conv3(64, n_channels),
        )  # fmt: skip
        self.n_channels = n_channels

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"n_channels": self.n_channels}


class TinyDecoder32(nn.Sequential):
    """Latents ``(N, C, h, w)`` -> rgb ``(N, 3, 32h, 32w)``, about [0, 1]: the variant for Sana."""

    cell_px = 32
    receptive_cells = 20

    def __init__(self, n_channels: int = 32) -> None:
        super().__init__(
            SoftClamp(), conv3(n_channels, 256), nn.ReLU(),
            *blocks(256), *up(256, 128),
            *blocks(128), *up(128, 64),
            *blocks(64), *up(64, 64),
            *blocks(64), *up(64, 64),
            *blocks(64), *up(64, 64),
            Block(64), conv3(64, 3),
        )  # fmt: skip
        self.n_channels = n_channels

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"n_channels": self.n_channels}


def load_tiny_encoder(weights: Mapping[str, Tensor]) -> TinyEncoder | TinyEncoder32:
    """The encoder that these weights belong to, float32, loaded.

    Raises
    ------
    BadFileError
        When keys and shapes are those of no known variant.
    """
    first = weights.get("0.weight")
    second = weights.get("2.weight")
    if "17.weight" in weights and second is not None and tuple(second.shape[:2]) == (64, 32):
        return loaded(lambda: TinyEncoder32(_n_rows(weights, "17.weight")), weights, "a TAESD encoder")
    width = int(first.shape[0]) if first is not None and first.ndim == 4 else 64
    n_blocks, last = _layout(weights, ENCODER_BLOCKS)
    pool = any(".pool." in key for key in weights)
    n_channels = _n_rows(weights, f"{last}.weight")
    return loaded(lambda: TinyEncoder(n_channels, width, pool=pool, n_blocks=n_blocks), weights, "a TAESD encoder")


def load_tiny_decoder(weights: Mapping[str, Tensor]) -> TinyDecoder | TinyDecoder32:
    """The decoder that these weights belong to, float32, loaded.

    Raises
    ------
    BadFileError
        When keys and shapes are those of no known variant.
    """
    first = weights.get("1.weight")
    width, n_channels = (int(n) for n in first.shape[:2]) if first is not None and first.ndim == 4 else (64, 4)
    n_blocks, _ = _layout(weights, DECODER_BLOCKS)
    if len(n_blocks) == 6:
        return loaded(lambda: TinyDecoder32(n_channels), weights, "a TAESD decoder")
    pool = any(".pool." in key for key in weights)
    return loaded(lambda: TinyDecoder(n_channels, width, pool=pool, n_blocks=n_blocks), weights, "a TAESD decoder")


def _layout(weights: Mapping[str, Tensor], usual: Sequence[int]) -> tuple[Sequence[int], int]:
    """Blocks between each plain convolution and the next, and the last one's place; `usual` where it is no layout."""
    places: dict[str, bool] = {}
    for key in weights:
        place, _, rest = key.partition(".")
        if place.isdigit():
            places[place] = places.get(place, False) or rest.startswith(("conv.", "pool."))
    counts: list[int] = []
    for place in sorted(places, key=int):
        if places[place]:
            counts[-1:] = [counts[-1] + 1] if counts else [0]
        else:
            counts.append(0)
    last = max((int(place) for place, is_block in places.items() if not is_block), default=0)
    between = counts[:-1]
    return (between if len(between) == 4 or (last == 29 and len(between) == 6) else usual), last


def _n_rows(weights: Mapping[str, Tensor], key: str) -> int:
    return int(weights[key].shape[0]) if key in weights and weights[key].ndim else 4


def is_tiny_decoder(keys: Collection[str]) -> bool:
    """Whether these are the keys of a decoder, whole or not: the clamp, which has none, a convolution, then blocks."""
    return "1.weight" in keys and "3.conv.0.weight" in keys and "0.weight" not in keys


def is_tiny_encoder(keys: Collection[str]) -> bool:
    """Whether these are the keys of an encoder, whole or not; pixelvae's decoder has blocks at 2, and nothing at 1."""
    is_other = "2.conv.0.weight" in keys and not any(key.startswith("1.") for key in keys)
    return "0.weight" in keys and any(".conv." in key for key in keys) and not is_other


ARCHITECTURES = (
    Architecture(
        "tiny_decoder", TinyDecoder, "TAESD's decoder", "colours", {"width": 8, "n_blocks": [1, 1, 0, 0]},
        recognise=is_tiny_decoder, load=load_tiny_decoder,
    ),
    Architecture(
        "tiny_decoder_32", TinyDecoder32, "TAESD's decoder", "colours",
        recognise=is_tiny_decoder, load=load_tiny_decoder,
    ),
    Architecture(
        "tiny_encoder", TinyEncoder, "TAESD's encoder", "encoding", {"width": 8, "n_blocks": [0, 1, 0, 1]},
        recognise=is_tiny_encoder, load=load_tiny_encoder,
    ),
    Architecture(
        "tiny_encoder_32", TinyEncoder32, "TAESD's encoder", "encoding",
        recognise=is_tiny_encoder, load=load_tiny_encoder,
    ),
)  # fmt: skip
