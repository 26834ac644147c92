"""Two pictures under one curtain."""

import os

import torch
from torch import Tensor

from latentfit.compare.figures.canvas import Figure, as_image, placed, saved, style


def curtain(
    left: Tensor,
    right: Tensor,
    at: float = 0.5,
    *,
    names: tuple[str, str] = ("left", "right"),
    smooth: bool = True,
    height_in: float = 4.0,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Two pictures under one curtain: what `CompareSlider` shows with its handle at `at`.

    Parameters
    ----------
    left, right : Tensor, (3, H, W) in [0, 1]
        The smaller is enlarged; one of another shape keeps it, in the middle.
    at : float
        Share of the width that shows `left`, in [0, 1].
    names : tuple of str
    smooth : bool
        Enlarge bilinearly; False: show pixels as blocks.
    height_in : float
        Of the picture.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When `at` is outside [0, 1].
    """
    joined = under_curtain(left, right, at, smooth=smooth)
    _, high, wide = joined.shape
    with style():
        figure = Figure(figsize=(height_in * wide / high, height_in + 0.3), layout="constrained")
        axis = figure.subplots()
        axis.axis("off")
        axis.imshow(as_image(joined))
        axis.axvline(round(at * wide) - 0.5, color="white", linewidth=1.5)
        axis.set_title(names[0], fontsize=9)
        axis.set_title(names[1], fontsize=9, loc="right")
    return saved(figure, path)


def under_curtain(left: Tensor, right: Tensor, at: float = 0.5, *, smooth: bool = True) -> Tensor:
    """``left`` up to the column nearest to ``at`` of the width, ``right`` from there: ``(3, H, W)`` of the larger."""
    if not 0 <= at <= 1:
        raise ValueError(f"curtain: at: expected a share of the width in [0, 1], got {at}")
    size = max((tuple(picture.shape[-2:]) for picture in (left, right)), key=lambda size: size[0] * size[1])
    first, second = (placed(picture.float(), (size[0], size[1]), smooth=smooth) for picture in (left, right))
    column = round(at * size[1])
    return torch.cat([first[..., :column], second[..., column:]], -1)
