"""Palettes as pictures: their swatches, how much each colour is used, and what is drawn with them."""

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentfit.compare.figures.canvas import INK, SOFT, Figure, rows_of_axes, saved, something, style
from latentfit.fit.basis import form_in_words
from latentfit.palettes.palette import Palette

A_ROW = 32  # swatches
TITLE_CHARACTERS = 28  # in a line over a panel


def swatches(
    palettes: Sequence[Palette] | Palette, *, width_in: float = 8.0, path: str | os.PathLike[str] | None = None
) -> Figure:
    """Every palette's colours in their order, read as a text is, under its name and number of colours.

    Parameters
    ----------
    palettes : sequence of Palette, or one
    width_in : float
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is no palette.
    """
    rows = [palettes] if isinstance(palettes, Palette) else list(palettes)
    something(rows, "swatches: palettes")
    n_lines = [-(-len(palette) // A_ROW) for palette in rows]
    swatch_in, title_in, rim_in = (width_in - 0.2) / A_ROW, 0.26, 0.1
    height_in = sum(lines * swatch_in + title_in for lines in n_lines) + 2 * rim_in
    with style():
        figure, top_in = Figure(figsize=(width_in, height_in)), height_in - rim_in
        for palette, lines in zip(rows, n_lines, strict=True):
            top_in -= lines * swatch_in + title_in
            axis = figure.add_axes(
                (rim_in / width_in, top_in / height_in, 1 - 2 * rim_in / width_in, lines * swatch_in / height_in)
            )
            axis.axis("off")
            _draw_swatches(axis, palette, lines)
            axis.set_title(palette.name or "palette", fontsize=8.5, pad=3)
            axis.set_title(f"{len(palette)} colours", loc="right", fontsize=8, fontweight="normal", color=SOFT, pad=3)
    return saved(figure, path)


def palette_usage(
    indices: Mapping[str, Tensor],
    palette: Palette,
    *,
    most: int = 32,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """How much of each picture, or each model's output, has which colour: a row a colour, a panel an entry.

    Parameters
    ----------
    indices : mapping of str to Tensor of integers, any shape
        Such as ``{"target": ..., "network": ..., "closed form": ...}``. The dotted bars
        are the first entry's.
    palette : Palette
    most : int
        Most colours drawn: of more, those that are used most, in the palette's order.
    title : str
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is nothing to count, or an index is none of the palette's.
    """
    something(indices, "palette_usage: indices")
    shares = {name: usage(values, palette).numpy() for name, values in indices.items()}
    total = np.sum(list(shares.values()), axis=0)
    chosen = np.sort(np.argsort(-total, kind="stable")[:most])
    base, top = next(iter(shares.values()))[chosen], 100 * max(float(share.max()) for share in shares.values())
    left_out = "" if len(chosen) == len(palette) else f", the {len(chosen)} most used of {len(palette)}"
    places = np.arange(len(chosen))
    with style():
        figure = Figure(figsize=(1.1 + 2.2 * len(shares), 0.9 + 0.17 * len(chosen)), layout="constrained")
        panels = rows_of_axes(figure, 1, len(shares), sharex=True, sharey=True)[0]
        for axis, (name, share) in zip(panels, shares.items(), strict=True):
            axis.grid(False)
            axis.barh(
                places, 100 * share[chosen], height=0.8, color=palette.rgb.numpy()[chosen], edgecolor=SOFT, lw=0.4
            )
            if axis is not panels[0]:
                axis.barh(places, 100 * base, height=0.8, color="none", edgecolor=INK, lw=0.6, linestyle=":")
            lines = textwrap.fill(f"{form_in_words(name)}  {int((share > 0).sum())} in use", TITLE_CHARACTERS)
            axis.set_title(lines, fontsize=8.5)
            axis.set_xlabel("% of cells")
        panels[0].set_yticks(places, [palette.hex[index] for index in chosen], fontsize=6.5, family="monospace")
        panels[0].set_ylim(len(chosen) - 0.4, -0.6)
        panels[0].set_xlim(0, top * 1.05)
        figure.suptitle(f"{title or palette.name}{left_out}", x=0.01, ha="left", fontsize=9, fontweight="bold")
    return saved(figure, path)


def usage(indices: Tensor, palette: Palette) -> Tensor:
    """Indices of any shape -> each colour's share ``(K,)`` float64, which sum to 1.

    Raises
    ------
    ValueError
        When there are none, or one is not the palette's.
    """
    flat = indices.detach().cpu().long().flatten()
    if not len(flat) or int(flat.min()) < 0 or int(flat.max()) >= len(palette):
        got = f"{int(flat.min())} to {int(flat.max())}" if len(flat) else "none"
        raise ValueError(f"usage: expected indices of 0 to {len(palette) - 1}, got {got}")
    return torch.bincount(flat, minlength=len(palette)).double() / len(flat)


def _draw_swatches(axis: Any, palette: Palette, n_rows: int) -> None:
    """Squares, `A_ROW` a row."""
    grid = np.ones((n_rows * A_ROW, 3))
    grid[: len(palette)] = palette.rgb.numpy()
    axis.imshow(grid.reshape(n_rows, A_ROW, 3), interpolation="nearest", aspect="auto")
    for index in range(len(palette)):
        row, column = divmod(index, A_ROW)
        axis.plot(
            np.array([0, 1, 1, 0, 0]) + column - 0.5,
            np.array([0, 0, 1, 1, 0]) + row - 0.5,
            color=SOFT,
            lw=0.4,
            clip_on=False,
        )
    axis.set(xlim=(-0.5, A_ROW - 0.5), ylim=(n_rows - 0.5, -0.5))
