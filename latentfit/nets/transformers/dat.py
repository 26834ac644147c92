"""DAT: dual aggregation, attention in rectangles and attention among channels by turns (Chen et al. 2023)."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.tiny import conv3
from latentfit.nets.transformers.checkpoints import Weights, count_of, load_checked, window_of
from latentfit.nets.transformers.parts import (
    REFERENCE_CELLS,
    RectangleAttention,
    TransformerUpscaler,
    check_halves,
    first,
    last,
)
from latentfit.nets.transformers.windows import (
    Window,
    channels_attended,
    offset_index,
    offsets_of,
    shift_mask,
    shifted,
)

TAIL_WIDTH = 64


class Dat(TransformerUpscaler):
    """Raw latents ``(N, C, h, w)`` -> raw latents ``(N, C, 2h, 2w)``.

    What its rectangles do not divide it pads inside of its attention, with zeros: its checkpoints learned so.

    Parameters
    ----------
    n_channels, width : int
        C, and channels of the body, even for each head.
    depths : sequence of int
        Blocks of each group.
    n_heads : int
        Even.
    window : (int, int)
        Rows and columns of the first half's rectangles; the second half's stand upright.
    hidden : int
        Channels inside of the feed-forward parts, even.
    """

    def __init__(
        self,
        n_channels: int = 4,
        width: int = 270,
        depths: Sequence[int] = (6,) * 6,
        n_heads: int = 6,
        window: Sequence[int] = (8, 16),
        hidden: int = 540,
    ) -> None:
        check_halves(width, n_heads)
        super().__init__(n_channels, width, TAIL_WIDTH, multiple=1)
        self.depths, self.n_heads, self.hidden = tuple(depths), n_heads, hidden
        self.window: Window = (window[0], window[1])
        self.before_RG = nn.Sequential(nn.Identity(), nn.LayerNorm(width))
        self.layers = nn.ModuleList(
            [
                _Group(width, n_heads, self.window, hidden, [_is_shifted(group, block) for block in range(depth)])
                for group, depth in enumerate(depths)
            ]
        )
        self.norm = nn.LayerNorm(width)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        sizes = {name: getattr(self, name) for name in ("n_channels", "width", "n_heads", "hidden")}
        return {**sizes, "depths": list(self.depths), "window": list(self.window)}

    def body(self, x: Tensor) -> Tensor:
        x = self.before_RG(last(x))
        for layer in self.layers:
            x = layer(x)
        return first(self.norm(x))

    def buffers_of(self, side_cells: int = REFERENCE_CELLS) -> dict[str, Tensor]:
        """Offsets and indices of every attention in rectangles, and masks of those that are shifted."""
        found: dict[str, Tensor] = {}
        turned = [self.window, (self.window[1], self.window[0])]
        offsets, indices = [offsets_of(one) for one in turned], [offset_index(one) for one in turned]
        masks = [shift_mask((side_cells, side_cells), one, _shift(one)) for one in turned]
        for name, module in self.named_modules():
            if isinstance(module, _InRectangles):
                for half in range(2):
                    found[f"{name}.attns.{half}.rpe_biases"] = offsets[half]
                    found[f"{name}.attns.{half}.relative_position_index"] = indices[half]
                    if module.is_shifted:
                        found[f"{name}.attn_mask_{half}"] = masks[half]
        return found


def _is_shifted(group: int, block: int) -> bool:
    """Every second block with rectangles; in groups of even and of odd number another one."""
    return block % 4 == (0 if group % 2 else 2)


def _shift(window: Window) -> tuple[int, int]:
    return window[0] // 2, window[1] // 2


class _Group(nn.Module):
    """Blocks with rectangles and with channels by turns, a convolution, all added to what came."""

    def __init__(self, width: int, n_heads: int, window: Window, hidden: int, shifts: Sequence[bool]) -> None:
        super().__init__()
        attentions = [
            _AmongChannels(width, n_heads) if index % 2 else _InRectangles(width, n_heads, window, is_shifted=shift)
            for index, shift in enumerate(shifts)
        ]
        self.blocks = nn.Sequential(*[_Block(width, hidden, one) for one in attentions])
        self.conv = conv3(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + last(self.conv(first(self.blocks(x))))


class _Block(nn.Module):
    """Attention and a gated feed-forward part, each normalised first and added."""

    def __init__(self, width: int, hidden: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), attention
        self.ffn, self.norm2 = _GatedMlp(width, hidden), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        added: Tensor = x + self.ffn(self.norm2(x))
        return added


class _GatedMlp(nn.Module):
    """A feed-forward part one half of which gates the other, seen through its neighbourhood."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act = nn.Linear(width, hidden), nn.GELU()
        self.sg = _Gate(hidden // 2)
        self.fc2 = nn.Linear(hidden // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.fc2(self.sg(self.act(self.fc1(x))))
        return mapped


class _Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        kept, gate = x.chunk(2, -1)
        return kept * last(self.conv(first(self.norm(gate))))


class _Interacting(nn.Module):
    """What both attentions have: projections, a depthwise convolution of the values, how each weighs the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dwconv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.GELU()
        )
        self.channel_interaction = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // 8, 1), nn.BatchNorm2d(width // 8), nn.GELU(), nn.Conv2d(width // 8, width, 1),
        )  # fmt: skip
        self.spatial_interaction = nn.Sequential(
            nn.Conv2d(width, width // 16, 1), nn.BatchNorm2d(width // 16), nn.GELU(), nn.Conv2d(width // 16, 1, 1)
        )


class _InRectangles(_Interacting):
    """Half of the channels in lying rectangles, half in standing ones."""

    def __init__(self, width: int, n_heads: int, window: Window, *, is_shifted: bool) -> None:
        super().__init__(width)
        self.window, self.is_shifted = window, is_shifted
        self.attns = nn.ModuleList(
            [RectangleAttention(width // 2, n_heads // 2, one) for one in (window, (window[1], window[0]))]
        )

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:3]
        qkv = self.qkv(x)
        convolved = self.dwconv(first(qkv.chunk(3, -1)[2]))
        side = max(self.window)
        padded = nn.functional.pad(qkv, (0, 0, 0, -columns % side, 0, -rows % side))
        parts = [part.chunk(2, -1) for part in padded.chunk(3, -1)]
        halves = [
            self._half(attention, [part[half] for part in parts])[:, :rows, :columns]  # type: ignore[arg-type]
            for half, attention in enumerate(self.attns)
        ]
        seen = first(torch.cat(halves, -1))
        mixed = seen * self.channel_interaction(convolved).sigmoid()
        mixed = mixed + self.spatial_interaction(seen).sigmoid() * convolved
        projected: Tensor = self.proj(last(mixed))
        return projected

    def _half(self, attention: RectangleAttention, parts: list[Tensor]) -> Tensor:
        if not self.is_shifted:
            return attention(*parts)  # type: ignore[no-any-return]
        shift = _shift(attention.window)
        size = (parts[0].shape[1], parts[0].shape[2])
        mask = shift_mask(size, attention.window, shift).to(parts[0])
        seen = attention(*(shifted(part, shift) for part in parts), mask=mask)
        return shifted(seen, (-shift[0], -shift[1]))


class _AmongChannels(_Interacting):
    """Channels of a head attend to each other, over the whole picture."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__(width)
        self.temperature = nn.Parameter(torch.ones(n_heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = first(self.qkv(x)).chunk(3, 1)
        seen = channels_attended(q.flatten(2), k.flatten(2), v.flatten(2), self.temperature).reshape(v.shape)
        convolved = self.dwconv(v)
        mixed = seen * self.spatial_interaction(convolved).sigmoid()
        mixed = mixed + self.channel_interaction(seen).sigmoid() * convolved
        projected: Tensor = self.proj(last(mixed))
        return projected


_KEY = "layers.0.blocks.0.attn.attns.0.pos.pos_proj.weight"


def is_dat(keys: Collection[str]) -> bool:
    """Whether these are its keys, whole or not."""
    return _KEY in keys


def load_dat(weights: Weights) -> Dat:
    """The network that these weights belong to; see `load_checked`."""
    return load_checked(_sized, weights, "DAT")


def _sized(weights: Weights, buffers: Weights) -> Dat:
    """The network of these weights' sizes, not loaded."""
    width, n_channels = weights["conv_first.weight"].shape[:2]
    block, n_layers = "layers.0.blocks.0", count_of(weights, r"layers\.(\d+)\.")
    depths = [count_of(weights, rf"layers\.{layer}\.blocks\.(\d+)\.") for layer in range(n_layers)]
    n_heads = 2 * len(weights[f"{block}.attn.attns.0.pos.pos3.2.weight"])
    window = window_of(buffers, f"{block}.attn.attns.0.rpe_biases", (8, 16))
    return Dat(n_channels, width, depths, n_heads, window, len(weights[f"{block}.ffn.fc1.weight"]))


ARCHITECTURES = (
    Architecture(
        "dat", Dat, "DAT", "latents", {"width": 32, "depths": [2], "n_heads": 2, "window": [8, 16], "hidden": 48},
        recognise=is_dat, load=load_dat, keeps_space=True,
    ),
)  # fmt: skip
