"""How latents and colours are distributed: channels as pictures, histograms, joint plots, and what is clipped."""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentfit.compare.figures.canvas import COLOURS, INK, RGB_COLOURS, SOFT, Figure, rows_of_axes, saved, style

MOST_VALUES = 200_000  # a channel: enough for any histogram, little enough for a video


def latent_channels(latents: Tensor, *, columns: int = 4, path: str | os.PathLike[str] | None = None) -> Figure:
    """Each channel of one picture's latents in grey, with its standard deviation.

    Parameters
    ----------
    latents : Tensor, (C, h, w)
        Model domain, about unit variance: black is -3 and below, white 3 and above.
    columns : int
        Channels in a line.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When the latents have another number of axes.
    """
    if latents.ndim != 3:
        raise ValueError(f"latent_channels: expected (C, h, w), got {tuple(latents.shape)}")
    n_rows = -(-latents.shape[0] // columns)
    with style():
        figure = Figure(figsize=(1.9 * columns, 2.1 * n_rows), layout="constrained")
        axes = [axis for row in rows_of_axes(figure, n_rows, columns) for axis in row]
        for axis in axes:
            axis.axis("off")
        for index, (axis, channel) in enumerate(zip(axes, latents.detach().float().cpu(), strict=False)):
            axis.imshow(channel.numpy(), cmap="gray", vmin=-3, vmax=3)
            axis.set_title(f"x{index}   σ {float(channel.std()):.2f}", fontweight="normal")
    return saved(figure, path)


def channel_histograms(
    channels: Tensor,
    names: Sequence[str] | None = None,
    *,
    normal: bool | None = None,
    columns: int = 4,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A histogram of each channel, with its mean and standard deviation.

    Parameters
    ----------
    channels : Tensor, (C, h, w) or (N, C, h, w)
        Latents in the model domain, or rgb in [0, 1].
    names : sequence of str or None
        None: R, G, B for three channels, x0, x1, … for any other number.
    normal : bool or None
        Draw the standard normal density that a denoiser expects beside each; None: for all but three channels.
    columns : int
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When a value is not finite, or the names do not fit the channels.
    """
    values, labels = _flat(channels, "channel_histograms"), _names(channels, names, "channel_histograms")
    is_rgb = len(labels) == 3 and names is None
    with_normal = not is_rgb if normal is None else normal
    low, high = (0.0, 1.0) if is_rgb else (float(values.min()), float(values.max()))
    n_columns = min(columns, len(labels))
    with style():
        n_rows = -(-len(labels) // n_columns)
        figure = Figure(figsize=(2.1 * n_columns + 0.4, 1.5 * n_rows + 0.4), layout="constrained")
        axes = [axis for row in rows_of_axes(figure, n_rows, n_columns, sharex=True) for axis in row]
        line = np.linspace(low, high, 200)
        for index, (axis, channel, name) in enumerate(zip(axes, values, labels, strict=False)):
            axis.hist(
                channel, bins=64, range=(low, high), density=True, color=RGB_COLOURS[index] if is_rgb else COLOURS[0]
            )
            if with_normal:
                axis.plot(
                    line, np.exp(-(line**2) / 2) / math.sqrt(2 * math.pi), color=INK, linewidth=0.8, linestyle="--"
                )
            axis.set_title(f"{name}  μ {channel.mean():+.2f}  σ {channel.std():.2f}", fontsize=8, fontweight="normal")
            axis.set_yticks([])
            axis.tick_params(labelsize=7.5)
            if is_rgb:
                axis.set_xticks([0, 0.5, 1])
        for axis in axes[len(labels) :]:
            axis.axis("off")
    return saved(figure, path)


def joint_channels(
    across: Tensor,
    up: Tensor,
    names: tuple[Sequence[str] | None, Sequence[str] | None] = (None, None),
    *,
    most: int = 8,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Each channel of one against each channel of the other, as densities with their correlation.

    Latents against the colours of their cells say what a linear table can know; latents against themselves say which
    channels repeat each other.

    Parameters
    ----------
    across, up : Tensor, (C, h, w) or (N, C, h, w)
        Two arrays of equal N, h and w: latents and `cells`, for example.
    names : tuple of sequence of str or None
        Names of the channels across and up; None: as `channel_histograms` names them.
    most : int
        Most channels on a side: of more, those that correlate most with the other side are drawn, in their order.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When the sizes differ or a value is not finite.
    """
    columns, rows = _flat(across, "joint_channels: across"), _flat(up, "joint_channels: up")
    if columns.shape[1] != rows.shape[1]:
        raise ValueError(
            f"joint_channels: expected as many places on both sides, got {tuple(across.shape)} and {tuple(up.shape)}; "
            "average the larger over its cells"
        )
    labels = (_names(across, names[0], "joint_channels"), _names(up, names[1], "joint_channels"))
    correlation = _correlation(columns, rows)
    chosen = [_strongest(np.abs(correlation), axis, most) for axis in (1, 0)]
    with style():
        figure = Figure(figsize=(1.35 * len(chosen[0]) + 0.5, 1.35 * len(chosen[1]) + 0.4), layout="constrained")
        grid = rows_of_axes(figure, len(chosen[1]), len(chosen[0]), sharex="col", sharey="row")
        for axes, row in zip(grid, chosen[1], strict=True):
            for axis, column in zip(axes, chosen[0], strict=True):
                counts, *edges = np.histogram2d(columns[column], rows[row], bins=48)
                axis.pcolormesh(*edges, np.log1p(counts.T), cmap="Blues", rasterized=True)
                axis.set_title(f"{correlation[column, row]:+.2f}", fontsize=7.5, fontweight="normal", pad=2)
                axis.grid(False)
                axis.tick_params(labelsize=7, colors=SOFT)
            axes[0].set_ylabel(labels[1][row])
        for axis, column in zip(grid[-1], chosen[0], strict=True):
            axis.set_xlabel(labels[0][column])
    return saved(figure, path)


def clipping(
    predicted: Tensor,
    target: Tensor,
    *,
    title: str = "",
    seed: int = 0,
    most: int = 4000,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Targets against unclamped predictions, one panel a colour: where targets stop at 0 and 1.

    Parameters
    ----------
    predicted : Tensor, (N, 3, h, w)
        Before clamping; drawn from -0.4 to 1.4.
    target : Tensor, (N, 3, h, w) in [0, 1]
        The VAE's decode at the same places, `cells` for example.
    title : str
        Before each panel's R, G, B.
    seed : int
        Seed of the draw of places.
    most : int
        Places that are drawn, of all N × h × w.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When the two differ in shape, or are no colours.
    """
    if predicted.shape != target.shape or predicted.ndim != 4 or predicted.shape[1] != 3:
        raise ValueError(
            f"clipping: expected two tensors (N, 3, h, w) of equal shape, got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}"
        )
    predicted, target = predicted.detach().float().cpu(), target.detach().float().cpu()
    chosen = torch.randperm(predicted[:, 0].numel(), generator=torch.Generator().manual_seed(seed))[:most]
    with style():
        figure = Figure(figsize=(9, 3), layout="constrained")
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        for axis, index, colour, name in zip(axes, range(3), RGB_COLOURS, "RGB", strict=True):
            x, y = target[:, index].flatten()[chosen], predicted[:, index].flatten()[chosen]
            axis.scatter(x, y, s=3, alpha=0.25, color=colour, linewidths=0)
            axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
            axis.set(title=f"{title} {name}".strip(), xlabel="the VAE's decode", xlim=(-0.05, 1.05), ylim=(-0.4, 1.4))
        axes[0].set_ylabel("prediction before clamping")
    return saved(figure, path)


def _flat(channels: Tensor, who: str) -> np.ndarray[Any, Any]:
    """``(C, h, w)`` or ``(N, C, h, w)`` -> ``(C, n)``, thinned evenly to at most `MOST_VALUES`."""
    if channels.ndim not in (3, 4):
        raise ValueError(f"{who}: expected (C, h, w) or (N, C, h, w), got {tuple(channels.shape)}")
    batch = channels.detach().float().cpu()
    flat = (batch if batch.ndim == 4 else batch[None]).movedim(1, 0).flatten(1)
    flat = flat[:, :: -(-flat.shape[1] // MOST_VALUES) or 1]
    if not flat.numel() or not bool(flat.isfinite().all()):
        raise ValueError(f"{who}: expected finite values, got {'NaN or Inf' if flat.numel() else 'none'}")
    values: np.ndarray[Any, Any] = flat.numpy()
    return values


def _names(channels: Tensor, names: Sequence[str] | None, who: str) -> list[str]:
    n_channels = channels.shape[-3]
    if names is None:
        return list("RGB") if n_channels == 3 else [f"x{index}" for index in range(n_channels)]
    if len(names) != n_channels:
        raise ValueError(f"{who}: expected {n_channels} names, got {len(names)}")
    return list(names)


def _correlation(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pearson's, ``(C, n)`` and ``(K, n)`` -> ``(C, K)``; 0 where a channel stands still."""
    sides = []
    for side in (first, second):
        centred = side.astype(np.float64) - side.mean(1, keepdims=True, dtype=np.float64)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        sides.append(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-12))
    product: np.ndarray[Any, Any] = sides[0] @ sides[1].T
    return product


def _strongest(correlation: np.ndarray[Any, Any], axis: int, most: int) -> list[int]:
    """Places of the `most` largest along the other axis, in their order."""
    order = np.argsort(-correlation.max(axis), kind="stable")[:most]
    return sorted(int(place) for place in order)
