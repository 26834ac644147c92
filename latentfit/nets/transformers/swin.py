"""Swin's block: attention in square windows, shifted or not, with a learned bias for every offset."""

import torch
from torch import Tensor, nn

from latentfit.nets.transformers.parts import Mlp
from latentfit.nets.transformers.windows import attended, offset_index, picture_of, shift_mask, shifted, windows_of


class SwinBlock(nn.Module):
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


def swin_buffers(network: nn.Module, side_cells: int) -> dict[str, Tensor]:
    """What public checkpoints hold of these blocks beside weights: indices of offsets, masks of the shifted ones."""
    found: dict[str, Tensor] = {}
    masks: dict[tuple[int, int], Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, SwinBlock):
            found[f"{name}.attn.relative_position_index"] = module.attn.index
            if module.shift:
                key = (module.window, module.shift)
                if key not in masks:
                    window, shift = ((side, side) for side in key)
                    masks[key] = shift_mask((side_cells, side_cells), window, shift)
                found[f"{name}.attn_mask"] = masks[key]
    return found
