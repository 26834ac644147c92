"""SwinFIR: shifted square windows, and groups that end in a Fourier branch (Zhang et al. 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.tiny import conv3
from latentfit.nets.transformers.parts import REFERENCE_CELLS, Mlp, TransformerUpscaler, first, last
from latentfit.nets.transformers.windows import attended, offset_index, picture_of, shift_mask, shifted, windows_of

TAIL_WIDTH = 64
LEAK = 0.2


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
        """Constructor arguments, JSON-able."""
        sizes = {name: getattr(self, name) for name in ("n_channels", "width", "n_heads", "window", "hidden")}
        return {**sizes, "depths": list(self.depths)}

    def body(self, x: Tensor) -> Tensor:
        x = self.patch_embed["norm"](last(x))
        for layer in self.layers:
            x = layer(x)
        return first(self.norm(x))

    def buffers_of(self, side_cells: int = REFERENCE_CELLS) -> dict[str, Tensor]:
        """The index of offsets of every attention, and masks of the shifted ones."""
        square = (self.window, self.window)
        index = offset_index(square)
        mask = shift_mask((side_cells, side_cells), square, (self.window // 2, self.window // 2))
        found: dict[str, Tensor] = {}
        for name, module in self.named_modules():
            if isinstance(module, _Block):
                found[f"{name}.attn.relative_position_index"] = index
                if module.shift:
                    found[f"{name}.attn_mask"] = mask
        return found


class _Group(nn.Module):
    """Blocks, then convolutions of the picture and of its spectrum, added to what came."""

    def __init__(self, width: int, n_heads: int, window: int, hidden: int, depth: int) -> None:
        super().__init__()
        shifts = [window // 2 if index % 2 else 0 for index in range(depth)]
        blocks = [_Block(width, n_heads, window, hidden, shift) for shift in shifts]
        self.residual_group = nn.ModuleDict({"blocks": nn.Sequential(*blocks)})
        self.conv = _SpatialAndFourier(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + last(self.conv(first(self.residual_group["blocks"](x))))


class _Block(nn.Module):
    """Attention in windows and a feed-forward part, each normalised first and added."""

    def __init__(self, width: int, n_heads: int, window: int, hidden: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1, self.attn = nn.LayerNorm(width), _SquareAttention(width, n_heads, window)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        square, shift = (self.window, self.window), (self.shift, self.shift)
        size = (x.shape[1], x.shape[2])
        mask = shift_mask(size, square, shift).to(x) if self.shift else None
        seen = self.attn(windows_of(shifted(self.norm1(x), shift), square), mask)
        x = x + shifted(picture_of(seen, square, size), (-self.shift, -self.shift))
        added: Tensor = x + self.mlp(self.norm2(x))
        return added


class _SquareAttention(nn.Module):
    """Attention inside square windows, with a learned bias for every offset."""

    index: Tensor

    def __init__(self, width: int, n_heads: int, window: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, n_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("index", offset_index((window, window)), persistent=False)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)
        q, k, v = self.qkv(windows).chunk(3, -1)
        seen: Tensor = self.proj(attended(q, k, v, self.n_heads, bias, mask))
        return seen


class _SpatialAndFourier(nn.Module):
    """``fusion(S(x), F(x))``: what a neighbourhood tells, and what the whole picture's spectrum does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        near = nn.Sequential(conv3(width, width), nn.LeakyReLU(LEAK), conv3(width, width))
        self.S = nn.ModuleDict({"body": near})
        self.F = _Fourier(width)
        self.fusion = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.S["body"](x) + x
        fused: Tensor = self.fusion(torch.cat([near, self.F(x)], 1))
        return fused


class _Fourier(nn.Module):
    """Half of the channels, and what a pointwise layer makes of their spectrum, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(width, width // 2, 1), nn.LeakyReLU(LEAK))
        self.fu = _FourierUnit(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        half = self.conv1(x)
        seen: Tensor = self.conv2(half + self.fu(half))
        return seen


class _FourierUnit(nn.Module):
    """Real and imaginary parts of each channel's spectrum, one after the other, through a pointwise layer and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # half precision has no transform for most sizes
        spectrum = torch.view_as_real(torch.fft.rfft2(x.float(), norm="ortho"))
        parts = spectrum.movedim(-1, 2).flatten(1, 2).to(x.dtype)
        parts = nn.functional.leaky_relu(self.conv_layer(parts), LEAK)
        made = parts.reshape(len(x), -1, 2, *parts.shape[2:]).movedim(2, -1).float().contiguous()
        seen: Tensor = torch.fft.irfft2(torch.view_as_complex(made), s=x.shape[-2:], norm="ortho")
        return seen.to(x.dtype)
