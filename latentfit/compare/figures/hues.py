"""Hues before and after: where each colour goes, in OKLab's plane of hue and chroma, and by how much."""

import math
import os
from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.compare.figures.canvas import INK, LOOKS, SOFT, Figure, rows_of_axes, saved, something, style
from latentfit.compare.figures.labels import name_ends
from latentfit.compare.figures.plots import draw_line
from latentfit.fit.basis import form_in_words
from latentfit.images.colour import LEAST_CHROMA, oklab_to_rgb, rgb_to_oklab

if TYPE_CHECKING:
    import pandas as pd

N_RINGS = 3
_LIGHTNESS = 0.72  # of the colours that stand for a hue

Floats = NDArray[np.float64]


def turns_by_hue(shown: Tensor, truth: Tensor, *, n_hues: int = 24) -> "pd.DataFrame":
    """How far a picture's colours are turned and paled, by the hue that they should have.

    Parameters
    ----------
    shown, truth : Tensor, (3, H, W) in [0, 1]
        Two pictures of equal size, sRGB.
    n_hues : int
        Equal parts of OKLab's circle of hues.

    Returns
    -------
    DataFrame
        A row for each part that the truth has colours of: ``hue``, its middle in degrees; ``turn`` of the mean colour,
        signed degrees; ``chroma``, the mean colour's over the truth's.

    Raises
    ------
    ValueError
        When the sizes differ or the truth is grey.
    """
    import pandas as pd

    made, true = (means[:, 0] for means in _means(shown, truth, n_hues, 1))
    there = np.flatnonzero(~np.isnan(true))
    ratio = made[there] / true[there]
    return pd.DataFrame(
        {"hue": (there + 0.5) * 360 / n_hues, "turn": np.degrees(np.angle(ratio)), "chroma": np.abs(ratio)}
    )


def hue_rings(
    pictures: Mapping[str, Tensor],
    truth: Tensor,
    *,
    n_hues: int = 24,
    columns: int = 4,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw where each colour of a wheel goes: a panel a picture, from the truth's place (ring) to its own (dot).

    Pixels are gathered by the truth's hue and, in each hue, by thirds of its chroma.

    Parameters
    ----------
    pictures : mapping of str to Tensor, (3, H, W) in [0, 1]
    truth : Tensor, (3, H, W) in [0, 1]
        The reference, of the pictures' size.
    n_hues, columns : int
    title : str
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is no picture, the sizes differ or the truth is grey.
    """
    something(pictures, "hue_rings: pictures")
    n_columns = min(columns, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    with style():
        figure = Figure(figsize=(2.9 * n_columns, 3.2 * n_rows + 0.3), layout="constrained")
        axes = [axis for row in rows_of_axes(figure, n_rows, n_columns) for axis in row]
        for axis in axes:
            axis.axis("off")
        both = {name: _means(picture, truth, n_hues, N_RINGS) for name, picture in pictures.items()}
        everywhere = np.concatenate([np.stack(means).ravel() for means in both.values()])
        everywhere = everywhere[~np.isnan(everywhere)]
        edges = [(float(part.min()), float(part.max())) for part in (everywhere.real, everywhere.imag)]
        limits = [(low - 0.05 * (high - low), high + 0.05 * (high - low)) for low, high in edges]
        for axis, (name, (made, true)) in zip(axes, both.items(), strict=False):
            _draw_rings(axis, made, true)
            axis.set(xlim=limits[0], ylim=limits[1], aspect="equal")
            frame = turns_by_hue(pictures[name], truth, n_hues=n_hues)
            axis.set_title(form_in_words(name), fontsize=9)
            words = f"turned by {frame.turn.abs().mean():.1f}°, chroma × {frame.chroma.mean():.2f}"
            axis.text(0, -0.02, words, transform=axis.transAxes, va="top", fontsize=8, color=SOFT)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    return saved(figure, path)


def hue_turns(
    pictures: Mapping[str, Tensor],
    truth: Tensor,
    *,
    n_hues: int = 24,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Turn of hue and share of chroma, hue by hue, a line a picture; `turns_by_hue` drawn.

    Parameters
    ----------
    pictures : mapping of str to Tensor, (3, H, W) in [0, 1]
    truth : Tensor, (3, H, W) in [0, 1]
        The reference, of the pictures' size.
    n_hues : int
    title : str
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is no picture, the sizes differ or the truth is grey.
    """
    something(pictures, "hue_turns: pictures")
    with style():
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        axes = figure.subplots(1, 2, sharex=True)
        ends = []
        for (name, picture), look in zip(pictures.items(), cycle(LOOKS), strict=False):
            frame = turns_by_hue(picture, truth, n_hues=n_hues)
            for axis, column in zip(axes, ("turn", "chroma"), strict=True):
                draw_line(axis, frame["hue"], frame[column], look, most_markers=8)
            ends.append((float(frame["chroma"].iloc[-1]), form_in_words(name), look[0]))
        for axis, still in zip(axes, (0.0, 1.0), strict=True):
            axis.axhline(still, color=INK, linewidth=0.8, linestyle=":")
            _hue_strip(axis)
            axis.set(xlim=(0, 360), xticks=range(0, 361, 60), xlabel="hue of the truth, degrees in OKLab")
        axes[0].set_title("turn of hue, degrees")
        axes[1].set_title("chroma over the truth's")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        name_ends(figure, axes[1], ends)
    return saved(figure, path)


def _means(shown: Tensor, truth: Tensor, n_hues: int, n_rings: int) -> tuple[Any, Any]:
    """Mean colours ``a + bi`` of both by the truth's hue and ring, ``(n_hues, n_rings)`` complex; NaN: none."""
    if shown.shape != truth.shape or truth.ndim != 3:
        raise ValueError(
            f"hues: expected two pictures (3, H, W) of one size, got {tuple(shown.shape)} and {tuple(truth.shape)}"
        )
    made, true = (_plane(picture) for picture in (shown, truth))
    coloured = np.abs(true) > LEAST_CHROMA
    if not coloured.any():
        raise ValueError("hues: the truth is grey; expected colours to follow")
    made, true = made[coloured], true[coloured]
    part = np.floor(np.angle(true) / (2 * math.pi) % 1 * n_hues).astype(int).clip(0, n_hues - 1)
    means = np.full((2, n_hues, n_rings), np.nan, dtype=complex)
    for hue in range(n_hues):
        inside = np.flatnonzero(part == hue)
        rings = np.array_split(inside[np.argsort(np.abs(true[inside]), kind="stable")], n_rings)
        for ring, members in enumerate(rings):
            if len(members):
                means[:, hue, ring] = made[members].mean(), true[members].mean()
    return means[0], means[1]


def _plane(picture: Tensor) -> Any:
    """``(3, H, W)`` -> ``a + bi`` of OKLab, ``(n,)`` complex."""
    lab = rgb_to_oklab(picture.detach().cpu().double()[None].clamp(0, 1))[0].flatten(1).numpy()
    return lab[1] + 1j * lab[2]


def _colours_of(plane: Any) -> Any:
    """``a + bi`` -> sRGB ``(n, 3)`` at one lightness, in [0, 1]."""
    lab = torch.from_numpy(np.stack([np.full(plane.shape, _LIGHTNESS), plane.real, plane.imag])).double()
    return oklab_to_rgb(lab[None])[0].clamp(0, 1).T.numpy()


def _draw_rings(axis: Any, made: Any, true: Any) -> None:
    axis.plot(0, 0, marker="+", color=SOFT, markersize=5)
    for ring in range(true.shape[1]):
        there = ~np.isnan(true[:, ring])
        ends, starts = made[there, ring], true[there, ring]
        for values, look in ((starts, {"color": SOFT, "lw": 0.7, "ls": ":"}), (ends, {"color": INK, "lw": 0.8})):
            closed = np.append(values, values[:1])
            axis.plot(closed.real, closed.imag, **look)
        axis.plot(
            np.stack([starts.real, ends.real]), np.stack([starts.imag, ends.imag]), color=SOFT, linewidth=0.8, zorder=1
        )
        colours = _colours_of(starts)
        axis.scatter(starts.real, starts.imag, s=13, facecolors="white", edgecolors=colours, linewidths=1, zorder=2)
        axis.scatter(ends.real, ends.imag, s=14, c=colours, edgecolors=INK, linewidths=0.4, zorder=3)


def _hue_strip(axis: Any) -> None:
    """What colours the degrees are, along the lower edge."""
    angle = np.radians(np.linspace(0, 360, 181))
    strip = _colours_of(0.11 * np.exp(1j * angle))[None]
    inset = axis.inset_axes([0, 0, 1, 0.035])
    inset.imshow(strip, aspect="auto", extent=(0, 360, 0, 1))
    inset.axis("off")
