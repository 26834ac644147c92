"""Windows: pictures cut into rectangles, attention inside them, where tokens of one lie to each other.

Pictures here are channels last, ``(N, h, w, C)``; windows ``(N, n, T, C)``, row by row, T tokens each.
"""

import torch
from torch import Tensor, nn

Window = tuple[int, int]
MASKED = -100.0  # what is added to the score of tokens that no window would hold together but for the shift


def windows_of(picture: Tensor, window: Window) -> Tensor:
    """``(N, h, w, C)``, sides multiples of the window's -> ``(N, n, T, C)``."""
    n_images, rows, columns, channels = picture.shape
    high, wide = window
    cut = picture.reshape(n_images, rows // high, high, columns // wide, wide, channels)
    return cut.transpose(2, 3).reshape(n_images, -1, high * wide, channels)


def picture_of(windows: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """``(N, n, T, C)`` -> ``(N, h, w, C)``; inverse of `windows_of`."""
    (high, wide), (rows, columns) = window, size
    cut = windows.reshape(len(windows), rows // high, columns // wide, high, wide, -1)
    return cut.transpose(2, 3).reshape(len(windows), rows, columns, -1)


def attended(q: Tensor, k: Tensor, v: Tensor, n_heads: int, bias: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute attention inside windows.

    Parameters
    ----------
    q, k, v : Tensor, (N, n, T, C)
    n_heads : int
    bias : Tensor, (n_heads, T, T)
        Added to the scores of every window.
    mask : Tensor, (n, T, T), or None
        Added to those of each.
    """
    q, k, v = (one.reshape(*one.shape[:3], n_heads, -1).transpose(2, 3) for one in (q, k, v))
    added = bias if mask is None else bias + mask[:, None]
    seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=added.expand(*q.shape[:-1], -1))
    return seen.transpose(2, 3).flatten(-2)


def channels_attended(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor) -> Tensor:
    """Attention among a head's channels, over the whole picture: ``(N, C, T)`` each -> the same.

    `temperature` is ``(n_heads, 1, 1)``.
    """
    q, k, v = (one.reshape(len(one), len(temperature), -1, one.shape[-1]) for one in (q, k, v))
    q, k = (nn.functional.normalize(one, dim=-1) for one in (q, k))
    scores: Tensor = (q @ k.transpose(-2, -1)) * temperature
    return (scores.softmax(-1) @ v).flatten(1, 2)


def offsets_of(window: Window) -> Tensor:
    """All offsets between tokens of a window, ``((2 * high - 1) * (2 * wide - 1), 2)``, float32, row by row."""
    down, across = (torch.arange(1 - side, side, dtype=torch.float32) for side in window)
    return torch.cartesian_prod(down, across)


def offset_index(window: Window) -> Tensor:
    """Return which of `offsets_of` leads from each token to each, ``(T, T)`` int64."""
    high, wide = window
    places = torch.cartesian_prod(torch.arange(high), torch.arange(wide))
    down, across = (places[:, None] - places[None]).unbind(-1)
    return (down + high - 1) * (2 * wide - 1) + across + wide - 1


def shift_mask(size: tuple[int, int], window: Window, shift: tuple[int, int]) -> Tensor:
    """``(n, T, T)``: 0 between tokens of a window that a cyclic shift left together, `MASKED` between others."""
    sides = [torch.arange(side) for side in size]
    parts = [
        (side >= n - edge).int() + (side >= n - moved).int()
        for side, n, edge, moved in zip(sides, size, window, shift, strict=True)
    ]
    regions = windows_of((3 * parts[0][:, None] + parts[1])[None, ..., None], window)[0, ..., 0]
    apart = regions[:, None] != regions[:, :, None]
    return torch.where(apart, MASKED, 0.0)


def shifted(picture: Tensor, shift: tuple[int, int]) -> Tensor:
    """Moved up and left, what leaves coming in at the other side; negative numbers move it back."""
    return picture if shift == (0, 0) else picture.roll((-shift[0], -shift[1]), (1, 2))
