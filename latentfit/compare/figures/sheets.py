"""Pictures side by side: contact sheets, sheets of scores, and strips along a setting."""

import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentfit.compare.figures.canvas import (
    INK,
    SOFT,
    SURROUND,
    Figure,
    as_image,
    placed,
    rows_of_axes,
    saved,
    something,
    style,
)
from latentfit.runtime.numbers import significant
from latentfit.scores.colour_errors import ColourSums
from latentfit.scores.held_out import as_seen

MOST_ACROSS = 5  # approximations in a line of a score sheet: more would shrink it below the width of a page

Shown = Tensor | str
"""A picture ``(3, H, W)`` in [0, 1], or the reason why there is none, which then stands in its place."""


def contact_sheet(
    pictures: Mapping[str, Shown],
    captions: Mapping[str, str] | None = None,
    *,
    columns: int | None = None,
    smooth: bool = True,
    height_in: float = 2.4,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Pictures at equal size, each under its name, its caption below.

    Parameters
    ----------
    pictures : mapping of str to Tensor, (3, H, W) in [0, 1], or str
        Smaller ones are enlarged to the largest and keep their shape; a reason stands where a picture would be.
    captions : mapping of str to str or None
    columns : int or None
        None: all in one row, at most four.
    smooth : bool
        Enlarge bilinearly, as a preview is shown; False: show pixels as blocks.
    height_in : float
        Height of a picture, inches.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is no picture.
    """
    something(pictures, "contact_sheet: pictures")
    size = _largest(pictures.values())
    n_columns = columns or min(4, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    with style():
        width = height_in * size[1] / size[0]
        below = 0.6 if captions else 0.4
        figure = Figure(figsize=(n_columns * (width + 0.1), n_rows * (height_in + below)), layout="constrained")
        axes = [axis for row in rows_of_axes(figure, n_rows, n_columns) for axis in row]
        for axis in axes:
            axis.axis("off")
        for axis, (name, picture) in zip(axes, pictures.items(), strict=False):
            _draw(axis, picture, size, width, smooth)
            axis.set_title(name, fontsize=10 if width > 1.8 else 8)
            if captions and captions.get(name):
                axis.text(0, -0.03, captions[name], transform=axis.transAxes, va="top", color=SOFT)
    return saved(figure, path)


def score_sheet(
    pictures: Mapping[str, Mapping[str, Shown]],
    reference: str | None,
    *,
    milliseconds: Mapping[str, float] | None = None,
    captions: Mapping[str, str] | None = None,
    smooth: bool = True,
    width_in: float = 1.9,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Pictures down, approximations across, each with its PSNR and mean ΔE against the reference's column.

    More approximations than `MOST_ACROSS` go on in further lines below each picture.

    Parameters
    ----------
    pictures : mapping of str to mapping of str to Tensor, (3, H, W) in [0, 1], or str
        Picture's name -> approximation's name -> output, in the order they are drawn. Outputs are enlarged to the
        reference's size, as seen, before they are scored; a reason stands where a picture would be.
    reference : str or None
        The approximation's name that the others are scored against, in every row. None: nothing is scored; each row
        has the size of its largest picture.
    milliseconds : mapping of str to float or None
        Beside the approximations' names.
    captions : mapping of str to str or None
        Captions of approximations, below their pictures where nothing is scored.
    smooth : bool
        Enlarge bilinearly, as a preview is shown; False: show pixels as blocks.
    width_in : float
        Width of a picture, inches.
    path : path or None
        Also save as PNG, or as WebP.

    Raises
    ------
    ValueError
        When there is no picture, or a row lacks the reference.
    """
    something(pictures, "score_sheet: pictures")
    columns = list(dict.fromkeys(name for row in pictures.values() for name in row))
    sizes = {row: _size_of_row(row, outputs, reference) for row, outputs in pictures.items()}
    n_lines = -(-len(columns) // MOST_ACROSS)
    n_across = -(-len(columns) // n_lines)
    lines = [(row, columns[start : start + n_across]) for row in pictures for start in range(0, len(columns), n_across)]
    above = 0.5 if n_lines > 1 else 0.22  # names stand above every line then
    heights = [width_in * sizes[row][0] / sizes[row][1] + above for row, _ in lines]
    with style():
        size_in = (n_across * (width_in + 0.08) + 0.3, sum(heights) + 0.35)
        figure = Figure(figsize=size_in, layout="constrained")
        grid = rows_of_axes(figure, len(lines), n_across, gridspec_kw={"height_ratios": heights})
        for index, (axes, (row, names)) in enumerate(zip(grid, lines, strict=True)):
            for axis in axes:
                axis.axis("off")
            for axis, name in zip(axes, names, strict=False):
                output = pictures[row].get(name, "not given")
                _draw(axis, output, sizes[row], width_in, smooth)
                words = _below(name, output, pictures[row].get(reference or ""), reference, captions or {})
                axis.text(0, -0.02, words, transform=axis.transAxes, va="top", fontsize=8, color=SOFT)
                if n_lines > 1 or index == 0:
                    spent = f"\n{significant(milliseconds[name])} ms" if milliseconds and name in milliseconds else ""
                    axis.set_title(_wrapped(name, width_in) + spent, fontsize=9 if width_in > 1.8 else 7.5)
            if names[0] == columns[0]:
                axes[0].text(
                    -0.03, 0.5, row, transform=axes[0].transAxes, rotation=90, va="center", ha="right", fontsize=8
                )
    return saved(figure, path)


def _size_of_row(row: str, outputs: Mapping[str, Shown], reference: str | None) -> tuple[int, ...]:
    """Rows and columns that a row's pictures are shown at: the reference's, or the largest's."""
    if reference is None:
        return _largest(outputs.values())
    truth = outputs.get(reference)
    if not isinstance(truth, Tensor):
        raise ValueError(f"score_sheet: expected {reference!r} as a picture in every row, row {row!r} lacks it")
    return tuple(truth.shape[-2:])


def _below(name: str, output: Shown, truth: Shown | None, reference: str | None, captions: Mapping[str, str]) -> str:
    """What stands below a picture: its scores, or its caption where nothing is scored."""
    if reference is None:
        return captions.get(name, "")
    if not isinstance(output, Tensor) or not isinstance(truth, Tensor):
        return ""
    return "reference" if name == reference else score_words(output, truth)


def sweep_strip(
    strips: Mapping[str, Sequence[Shown]],
    values: Sequence[float],
    *,
    label: str = "σ",
    reference: str | None = None,
    width_in: float = 1.6,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A row an approximation, a column a value of one setting: noise, gain, exposure, or a run's step.

    Parameters
    ----------
    strips : mapping of str to sequence of Tensor, (3, H, W) in [0, 1], or str
        Pictures of each row, as many as there are values.
    values : sequence of float
    label : str
        What the values are.
    reference : str or None
        The row that the others are scored against, column by column.
    width_in : float
        Width of a picture, inches.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is nothing to draw, a row has another number of pictures than there are values, or `reference`
        names no row.
    """
    something(strips, "sweep_strip: strips")
    something(values, "sweep_strip: values")
    for name, strip in strips.items():
        if len(strip) != len(values):
            raise ValueError(f"sweep_strip: expected {len(values)} pictures in row {name!r}, got {len(strip)}")
    if reference is not None and reference not in strips:
        raise ValueError(f"sweep_strip: reference: expected one of {', '.join(map(repr, strips))}, got {reference!r}")
    size = _largest(picture for strip in strips.values() for picture in strip)
    with style():
        height = width_in * size[0] / size[1] + (0.22 if reference else 0.06)
        figure = Figure(
            figsize=(len(values) * (width_in + 0.06) + 0.3, len(strips) * height + 0.3), layout="constrained"
        )
        for axes, (name, strip) in zip(rows_of_axes(figure, len(strips), len(values)), strips.items(), strict=True):
            for place, (axis, picture) in enumerate(zip(axes, strip, strict=True)):
                axis.axis("off")
                _draw(axis, picture, size, width_in)
                truth = strips[reference][place] if reference not in (None, name) else None
                if isinstance(picture, Tensor) and isinstance(truth, Tensor):
                    words = score_words(picture, truth)
                    axis.text(0, -0.02, words, transform=axis.transAxes, va="top", fontsize=7.5, color=SOFT)
            axes[0].text(
                -0.04, 0.5, name, transform=axes[0].transAxes, rotation=90, va="center", ha="right", fontsize=8
            )
        for axis, value in zip(figure.axes, values, strict=False):
            axis.set_title(f"{label} {value:g}".strip(), fontsize=9)
    return saved(figure, path)


def score_words(predicted: Tensor, reference: Tensor) -> str:
    """PSNR and mean ΔE of a picture ``(3, H, W)`` at the reference's size: "24.1 dB  ΔE 5.6"."""
    seen = as_seen(predicted[None].float(), (reference.shape[-2], reference.shape[-1]))
    if not bool(seen.isfinite().all()):
        return "not finite"
    scores = ColourSums().add(seen.cpu(), reference[None].float().cpu()).scores()
    if scores["rmse"] == 0:
        return "equal"
    return f"{scores['psnr']:.1f} dB  ΔE {scores['delta_e']:.1f}"


def _largest(pictures: Iterable[Shown]) -> tuple[int, ...]:
    """Size of the largest; of a sheet of reasons alone, a square."""
    sizes = [tuple(picture.shape[-2:]) for picture in pictures if isinstance(picture, Tensor)]
    return max(sizes, key=lambda size: size[0] * size[1], default=(64, 64))


def _draw(axis: Any, picture: Shown, size: tuple[int, ...], width_in: float, smooth: bool = True) -> None:
    """The picture; or its reason on an empty one."""
    if isinstance(picture, Tensor):
        blocks = not smooth and tuple(picture.shape[-2:]) != tuple(size)  # their edges stay sharp in print, too
        axis.imshow(as_image(picture, size, smooth=smooth), interpolation="nearest" if blocks else None)
        return
    axis.imshow(np.full((*size, 3), SURROUND))
    words = _wrapped(picture, width_in)
    axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center", fontsize=7.5, color=INK)


def _wrapped(text: str, width_in: float) -> str:
    """Text in lines that fit a picture's width."""
    return textwrap.fill(text, max(10, int(12 * width_in)))


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
        Height of the picture, inches.
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
