"""CRAFT: rectangles for low frequencies, max pooling for high ones, attention between both (Li et al. 2023)."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.tiny import conv3
from latentfit.nets.transformers.checkpoints import Weights, count_of, load_checked, window_of
from latentfit.nets.transformers.parts import (
    REFERENCE_CELLS,
    Mlp,
    RectangleAttention,
    TransformerUpscaler,
    check_halves,
    first,
    last,
)
from latentfit.nets.transformers.windows import Window, channels_attended, offset_index, offsets_of, shifted


class Craft(TransformerUpscaler):
    """Raw latents ``(N, C, h, w)`` -> raw latents ``(N, C, 2h, 2w)``.

    Shifted rectangles are not masked where the picture's sides meet: its checkpoints for latents learned so.

    Parameters
    ----------
    n_channels, width : int
        C, and channels of the body.
    depths : sequence of int
        Blocks of each group: two attentions, a high-frequency part and a fusion each.
    n_heads : int
        Even.
    window : (int, int)
        Rows and columns of the first half's rectangles; the second half's stand upright.
    hidden, gated : int
        Channels inside of the attentions' and of the fusions' feed-forward parts.
    """

    def __init__(
        self,
        n_channels: int = 4,
        width: int = 180,
        depths: Sequence[int] = (6,) * 7,
        n_heads: int = 6,
        window: Sequence[int] = (4, 16),
        hidden: int = 360,
        gated: int = 478,
    ) -> None:
        check_halves(width, n_heads)
        super().__init__(n_channels, width, None, multiple=max(window))
        self.depths, self.n_heads, self.hidden, self.gated = tuple(depths), n_heads, hidden, gated
        self.window: Window = (window[0], window[1])
        self.layers = nn.ModuleList([_Group(width, n_heads, self.window, hidden, gated, depth) for depth in depths])
        self.norm = _ChannelNorm(width)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        sizes = {name: getattr(self, name) for name in ("n_channels", "width", "n_heads", "hidden", "gated")}
        return {**sizes, "depths": list(self.depths), "window": list(self.window)}

    def body(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        normed: Tensor = self.norm(x)
        return normed

    def buffers_of(self, side_cells: int = REFERENCE_CELLS) -> dict[str, Tensor]:
        """Offsets and indices of lying and of standing rectangles; no masks."""
        turned = {"h": self.window, "v": (self.window[1], self.window[0])}
        return {f"biases_{name}": offsets_of(one) for name, one in turned.items()} | {
            f"relative_position_index_{name}": offset_index(one) for name, one in turned.items()
        }


class _Group(nn.Module):
    """Blocks and a convolution, added to what came."""

    def __init__(self, width: int, n_heads: int, window: Window, hidden: int, gated: int, depth: int) -> None:
        super().__init__()
        self.residual_group = _Blocks(width, n_heads, window, hidden, gated, depth)
        self.conv = conv3(width, width)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.conv(self.residual_group(x)) + x
        return added


class _Blocks(nn.Module):
    """Low frequencies by two attentions, high ones from the same features, fused; again and again."""

    def __init__(self, width: int, n_heads: int, window: Window, hidden: int, gated: int, depth: int) -> None:
        super().__init__()
        self.srwa_blocks = nn.ModuleList(
            [_LowBlock(width, n_heads, window, hidden, is_shifted=bool(index % 2)) for index in range(2 * depth)]
        )
        self.hfer_blocks = nn.ModuleList([_HighBlock(width) for _ in range(depth)])
        self.hf_blocks = nn.ModuleList([_Fusion(width, n_heads, gated) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        for index, (high_block, fusion) in enumerate(zip(self.hfer_blocks, self.hf_blocks, strict=True)):
            low = last(x)
            for block in self.srwa_blocks[2 * index : 2 * index + 2]:
                low = block(low)
            x = fusion(first(low), high_block(x))
        return x


class _LowBlock(nn.Module):
    """Half of the channels in lying rectangles, half in standing ones, and what a neighbourhood adds to both."""

    def __init__(self, width: int, n_heads: int, window: Window, hidden: int, *, is_shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.get_v = nn.Conv2d(width, width, 3, padding=1, groups=width)
        turned = (window, (window[1], window[0]))
        self.attns = nn.ModuleList([RectangleAttention(width // 2, n_heads // 2, one) for one in turned])
        self.shifts = [(one[0] // 2, one[1] // 2) if is_shifted else (0, 0) for one in turned]
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        near = last(self.get_v(first(parts[2])))
        halves = []
        for half, (attention, (down, across)) in enumerate(zip(self.attns, self.shifts, strict=True)):
            seen = attention(*(shifted(part.chunk(2, -1)[half], (down, across)) for part in parts))
            halves.append(shifted(seen, (-down, -across)))
        x = x + self.proj(torch.cat(halves, -1) + near)
        added: Tensor = x + self.mlp(self.norm2(x))
        return added


class _HighBlock(nn.Module):
    """Half of the channels through a convolution, half through the maximum of their neighbourhood."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv, self.fc, self.last_fc = conv3(half, half), nn.Conv2d(half, half, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        local, sharp = x.chunk(2, 1)
        peaks = self.fc(nn.functional.max_pool2d(sharp, 3, 1, 1))
        made: Tensor = x + self.last_fc(nn.functional.gelu(torch.cat([self.conv(local), peaks], 1)))
        return made


class _Fusion(nn.Module):
    """Low frequencies, asked by the high ones."""

    def __init__(self, width: int, n_heads: int, gated: int) -> None:
        super().__init__()
        self.norm1, self.attn = _ChannelNorm(width), _CrossAttention(width, n_heads)
        self.norm2, self.ffn = _ChannelNorm(width), _GatedConvolutions(width, gated)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        x = low + self.attn(self.norm1(low), high)
        added: Tensor = x + self.ffn(self.norm2(x))
        return added


class _ChannelNorm(nn.Module):
    """LayerNorm over the channels of ``(N, C, h, w)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return first(self.body(last(x)))


class _CrossAttention(nn.Module):
    """Channels of high frequencies attend to those of low ones, over the whole picture."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(n_heads, 1, 1))
        self.q, self.q_dwconv = _pointwise(width, width), _depthwise(width)
        self.kv, self.kv_dwconv = _pointwise(width, 2 * width), _depthwise(2 * width)
        self.project_out = _pointwise(width, width)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        q, (k, v) = self.q_dwconv(self.q(high)), self.kv_dwconv(self.kv(low)).chunk(2, 1)
        seen = channels_attended(q.flatten(2), k.flatten(2), v.flatten(2), self.temperature).reshape(low.shape)
        projected: Tensor = self.project_out(seen)
        return projected


class _GatedConvolutions(nn.Module):
    """A feed-forward part one half of which gates the other."""

    def __init__(self, width: int, gated: int) -> None:
        super().__init__()
        self.project_in, self.dwconv = _pointwise(width, 2 * gated), _depthwise(2 * gated)
        self.project_out = _pointwise(gated, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, kept = self.dwconv(self.project_in(x)).chunk(2, 1)
        made: Tensor = self.project_out(nn.functional.gelu(gate) * kept)
        return made


def _pointwise(n_in: int, n_out: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 1, bias=False)


def _depthwise(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)


_KEY = "layers.0.residual_group.srwa_blocks.0.qkv.weight"


def is_craft(keys: Collection[str]) -> bool:
    """Whether these are its keys, whole or not."""
    return _KEY in keys


def load_craft(weights: Weights) -> Craft:
    """The network that these weights belong to; see `load_checked`."""
    return load_checked(_sized, weights, "CRAFT")


def _sized(weights: Weights, buffers: Weights) -> Craft:
    """The network of these weights' sizes, not loaded."""
    width, n_channels = weights["conv_first.weight"].shape[:2]
    part, n_layers = "layers.0.residual_group", count_of(weights, r"layers\.(\d+)\.")
    blocks = [rf"layers\.{layer}\.residual_group\.hf_blocks\.(\d+)\." for layer in range(n_layers)]
    n_heads = len(weights[f"{part}.hf_blocks.0.attn.temperature"])
    hidden = len(weights[f"{part}.srwa_blocks.0.mlp.fc1.weight"])
    gated = weights[f"{part}.hf_blocks.0.ffn.project_out.weight"].shape[1]
    window = window_of(buffers, "biases_h", (4, 16))
    return Craft(n_channels, width, [count_of(weights, one) for one in blocks], n_heads, window, hidden, gated)


ARCHITECTURES = (
    Architecture(
        "craft", Craft, "CRAFT", "latents",
        {"width": 32, "depths": [1], "n_heads": 2, "window": [4, 16], "hidden": 64, "gated": 80},
        recognise=is_craft, load=load_craft, keeps_space=True,
    ),
)  # fmt: skip
