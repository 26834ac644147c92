"""Latents of several spaces: side by side, what is explained of them, and the noise that would hide their errors."""

import math
import os
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from torch import Tensor

from latentfit.compare.figures.canvas import LOOKS, SOFT, Figure, rows_of_axes, saved, something, style
from latentfit.compare.figures.labels import name_ends
from latentfit.compare.figures.plots import draw_line
from latentfit.fit.basis import form_in_words
from latentfit.latents.space_facts import Schedule
from latentfit.scores.noise_masking import ErrorBands, masking_strength, sigma_at

MOST = 3.0
"""Latents from minus so much to plus so much: black to white."""


def latent_sheet(
    latents: Mapping[str, Tensor],
    reference: str | None = None,
    *,
    errors: bool = False,
    title: str = "",
    width_in: float = 1.05,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Latents of one picture as small grey maps, a row an entry, a column a channel.

    Parameters
    ----------
    latents : mapping of str to Tensor, (C, h, w)
        Model domain, from -3 (black) to 3 (white); of any number of channels.
    reference : str or None
        The entry that later ones of its shape are held against: R² stands over each of their channels.
    errors : bool
        Below each of those, a row of what it is off by, on the same scale.
    title : str
    width_in : float
        Width of a map, inches.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there are no latents, they have another number of axes, or `reference` names none.
    """
    something(latents, "latent_sheet: latents")
    for name, one in latents.items():
        if one.ndim != 3:
            raise ValueError(f"latent_sheet: expected (C, h, w), got {tuple(one.shape)} for {name!r}")
    if reference is not None and reference not in latents:
        raise ValueError(f"latent_sheet: reference: expected one of {', '.join(latents)}, got {reference!r}")
    rows = _rows_of_maps(latents, reference, errors)
    n_columns = max(one.shape[0] for _, one, _ in rows)
    high, wide = rows[0][1].shape[-2:]
    height = width_in * high / wide + 0.17
    with style():
        size_in = (n_columns * (width_in + 0.04) + 0.3, len(rows) * height + (0.3 if title else 0.05))
        close = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.02)
        figure = Figure(figsize=size_in, layout=close)
        for axes, (name, one, words) in zip(rows_of_axes(figure, len(rows), n_columns), rows, strict=True):
            for axis in axes:
                axis.axis("off")
            for axis, channel, said in zip(axes, one, words, strict=False):
                axis.imshow(channel.numpy(), cmap="gray", vmin=-MOST, vmax=MOST, interpolation="nearest")
                axis.set_title(said, fontsize=7, fontweight="normal", pad=1.5, color=SOFT)
            axes[0].text(
                -0.06,
                0.5,
                form_in_words(name),
                transform=axes[0].transAxes,
                rotation=90,
                va="center",
                ha="right",
                fontsize=7.5,
            )
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    return saved(figure, path)


def _rows_of_maps(
    latents: Mapping[str, Tensor], reference: str | None, errors: bool
) -> list[tuple[str, Tensor, list[str]]]:
    """Name, maps and words over them of each row."""
    rows: list[tuple[str, Tensor, list[str]]] = []
    truth: Tensor | None = None
    for name, given in latents.items():
        one = given.detach().float().cpu()
        plain = [f"x{index}" for index in range(one.shape[0])]
        if truth is None or truth.shape != one.shape:
            rows.append((name, one, plain))
        else:
            shares = [_r2(made, true) for made, true in zip(one, truth, strict=True)]
            rows.append((name, one, [f"R² {share:.2f}".replace("-", "−") for share in shares]))
            if errors:
                rows.append(("its error", one - truth, [""] * len(plain)))
        truth = one if name == reference else truth
    return rows


def explained(
    r2: Mapping[str, Tensor],
    frequencies: Tensor,
    *,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """How much of each channel is explained, by spatial frequency: a panel a map.

    Parameters
    ----------
    r2 : mapping of str to Tensor, (C, n)
        R² by channel and band, as `latentfit.scores.explained_by_band` gives it; drawn from 0 to 1.
    frequencies : Tensor, (n,)
        Middles of the bands, cycles a cell.
    title : str
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is nothing to draw, or a table has another number of bands.
    """
    something(r2, "explained: r2")
    for name, table in r2.items():
        if table.ndim != 2 or table.shape[1] != len(frequencies):
            raise ValueError(f"explained: expected (C, {len(frequencies)}) of {name!r}, got {tuple(table.shape)}")
    most_channels = max(table.shape[0] for table in r2.values())
    edges = edges_of(frequencies)
    with style():
        figure = Figure(figsize=(3.1 * len(r2) + 0.8, 1.15 + 0.17 * max(6, most_channels)), layout="constrained")
        axes = rows_of_axes(figure, 1, len(r2))[0]
        for axis, (name, table) in zip(axes, r2.items(), strict=True):
            axis.grid(False)
            n_channels = table.shape[0]
            shares = table.clamp(0, 1).double().numpy()
            mesh = axis.pcolormesh(edges, np.arange(n_channels + 1) - 0.5, shares, cmap="viridis", vmin=0, vmax=1)
            axis.set_yticks(range(n_channels), [f"x{index}" for index in range(n_channels)], fontsize=7)
            axis.invert_yaxis()
            axis.set_title(form_in_words(name), fontsize=9)
            axis.set_xlabel("spatial frequency, cycles a cell")
        figure.colorbar(mesh, ax=axes, shrink=0.8, label="R²: share explained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    return saved(figure, path)


def edges_of(middles: Tensor) -> NDArray[np.float64]:
    """Middles of bands ``(n,)`` -> their edges ``(n + 1,)``: halfway between, the outer ones as far again."""
    inner = middles.double().numpy()
    if len(inner) == 1:
        return np.array([inner[0] - 0.5, inner[0] + 0.5])
    between = (inner[1:] + inner[:-1]) / 2
    return np.concatenate([[2 * inner[0] - between[0]], between, [2 * inner[-1] - between[-1]]])


def noise_masking(
    errors: Mapping[str, ErrorBands],
    schedule: Schedule | None,
    *,
    strengths: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Each map's error by spatial frequency, against the noise that refining at some strengths lays over it.

    Parameters
    ----------
    errors : mapping of str to ErrorBands
        A line each; the least strength that hides all of it stands with its name at its end.
    schedule : {"sd", "flow"}
        Noise schedule of the target's models, such as `latentfit.scores.schedule_of` says; None, an unknown one, is
        refused.
    strengths : sequence of float
        A line each, at the energy of the noise.
    title : str
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is no error, or a strength is none.
    DomainError
        When the schedule is none of the two.
    """
    something(errors, "noise_masking: errors")
    with style():
        figure = Figure(figsize=(8.6, 4), layout="constrained")
        axis = figure.subplots()
        ends = []
        for (name, bands), look in zip(errors.items(), cycle(LOOKS), strict=False):
            least = masking_strength(bands.sigma, schedule)
            energy = bands.energy.clamp(min=1e-6)
            draw_line(axis, bands.frequencies, energy, look)
            words = f"{form_in_words(name)}: hidden from {math.ceil(100 * least - 1e-9) / 100:.2f}"
            ends.append((float(energy[-1]), words, look[0]))
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for strength in strengths:
            level = sigma_at(strength, schedule) ** 2
            axis.axhline(level, color=SOFT, linewidth=0.9, linestyle=":")
            axis.annotate(
                f"noise of refining at strength {strength:g}", (0, level), (4, 2),
                xycoords=axis.get_yaxis_transform(), textcoords="offset points", fontsize=7.5, color=SOFT,
            )  # fmt: skip
        axis.set(xlabel="spatial frequency, cycles a cell", ylabel="energy of the error; noise of σ 1 has 1")
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        name_ends(figure, axis, ends)
    return saved(figure, path)


def _r2(made: Tensor, true: Tensor) -> float:
    """Share of one channel's variance that is explained."""
    return 1 - float((made - true).square().mean() / true.var(correction=0).clamp(min=1e-12))
