"""Arrays and tables in, figures out; no state, one style."""

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import torch
from cycler import cycler
from matplotlib.figure import Figure as MplFigure
from torch import Tensor

from latentfit.approx import Approximation
from latentfit.colour import delta_e2000
from latentfit.fit.module import PolynomialMap
from latentfit.resources import write_atomic

if TYPE_CHECKING:
    import pandas as pd

INK, SOFT, GRID = "#1d2330", "#5b6474", "#dfe4ec"
# Okabe and Ito's colours, told apart under every common colour blindness
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a6d3b")
SCREEN_DPI, FILE_DPI = 90, 120
ORIGINS = {"published": "#b9c2cf", "ours": "#0072b2", "oracle": "#e69f00"}


class Figure(MplFigure):
    """A figure that a notebook shows whichever backend is set, or none."""

    def _repr_png_(self) -> bytes:
        return _png(self, SCREEN_DPI)


def style() -> AbstractContextManager[None]:
    """The look of every figure, as a context."""
    settings: dict[str, Any] = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.edgecolor": SOFT,
        "axes.labelcolor": SOFT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": GRID,
        "axes.axisbelow": True,
        "text.color": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "legend.frameon": False,
        "figure.facecolor": "white",
        "axes.prop_cycle": cycler(color=COLOURS),
    }
    return mpl.rc_context(settings)


def contact_sheet(
    pictures: Mapping[str, Tensor],
    captions: Mapping[str, str] | None = None,
    *,
    columns: int | None = None,
    height_in: float = 2.4,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Pictures at equal size, each under its name, its caption below.

    Parameters
    ----------
    pictures : mapping of str to Tensor, (3, H, W) in [0, 1]
        Smaller ones are enlarged bilinearly to the largest, as a preview is shown.
    captions : mapping of str to str or None
    columns : int or None
        None: all in one row, at most four.
    height_in : float
        Of a picture.
    path : path or None
        Also save as PNG.
    """
    size = max((tuple(picture.shape[-2:]) for picture in pictures.values()), key=lambda s: s[0] * s[1])
    n_columns = columns or min(4, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    with style():
        width = height_in * size[1] / size[0]
        below = 0.6 if captions else 0.4
        figure = Figure(figsize=(n_columns * (width + 0.1), n_rows * (height_in + below)), layout="constrained")
        axes = np.atleast_1d(np.asarray(figure.subplots(n_rows, n_columns))).ravel()
        for axis in axes:
            axis.axis("off")
        for axis, (name, picture) in zip(axes, pictures.items(), strict=False):
            axis.imshow(_shown(picture, size))
            axis.set_title(name, fontsize=10 if width > 1.8 else 8)
            if captions and captions.get(name):
                axis.text(0, -0.03, captions[name], transform=axis.transAxes, va="top", color=SOFT)
    return saved(figure, path)


def coefficient_heatmap(
    approximation: Approximation, *, most_terms: int = 45, path: str | os.PathLike[str] | None = None
) -> Figure:
    """Coefficients, a row a term and a column a colour, red up and blue down; the largest terms when there are many."""
    module = approximation.module
    if not isinstance(module, PolynomialMap):
        raise TypeError(f"coefficient_heatmap: expected a map fitted by ChannelMap, got {type(module).__name__}")
    values, names = module.coefficients[:, :3].numpy(), module.terms
    largest = np.sort(np.argsort(-np.abs(values).max(1), kind="stable")[:most_terms])
    values, names = values[largest], [names[index] for index in largest]
    limit = float(np.abs(values).max())
    with style():
        figure = Figure(figsize=(3.4, 0.8 + 0.2 * len(names)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False)
        image = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axis.set(xticks=range(3), xticklabels=["R", "G", "B"], title=approximation.name)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        for (row, column), value in np.ndenumerate(values):
            ink = "white" if abs(value) > 0.6 * limit else INK
            axis.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=7, color=ink)
        axis.set_xlabel("in [-1, 1], per unit of latent", fontsize=8)
        figure.colorbar(image, ax=axis, shrink=0.8)
    return saved(figure, path)


def curves(
    frame: "pd.DataFrame",
    x: str,
    y: str,
    hue: str,
    *,
    title: str = "",
    labels: tuple[str, str] | None = None,
    logarithmic: bool = False,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """A line for each value of `hue`, named at the right."""
    with style():
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axis = figure.subplots()
        for name, rows in frame.groupby(hue, sort=False):
            axis.plot(rows[x], rows[y], marker="o", markersize=4, label=str(name))
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        axis.set(xlabel=labels[0] if labels else x, ylabel=labels[1] if labels else y)
        if logarithmic or x == "n_pictures":
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return saved(figure, path)


def ranking(
    frame: "pd.DataFrame", *, title: str = "", score: str = "psnr", path: str | os.PathLike[str] | None = None
) -> Figure:
    """An audit's rows as bars, best on top, coloured by origin: published, ours, oracle."""
    ordered = frame.sort_values(score)
    with style():
        figure = Figure(figsize=(7, 0.9 + 0.23 * len(ordered)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False)
        places = range(len(ordered))
        axis.barh(places, ordered[score], color=[ORIGINS[origin] for origin in ordered["origin"]], height=0.75)
        axis.set_yticks(places, ordered["approximation"], fontsize=8)
        axis.set_ylim(-0.6, len(ordered) - 0.4)
        axis.margins(x=0.1)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        axis.set(xlabel={"psnr": "dB", "delta_e": "ΔE (CIEDE2000)"}.get(score, score))
        for place, value in zip(places, ordered[score], strict=True):
            axis.text(value, place, f" {value:.1f}", va="center", fontsize=8, color=SOFT)
        there = {name: colour for name, colour in ORIGINS.items() if name in set(ordered["origin"])}
        handles = [mpl.patches.Patch(color=colour, label=name) for name, colour in there.items()]
        axis.legend(handles=handles, loc="lower right")
    return saved(figure, path)


def latent_channels(latents: Tensor, *, columns: int = 4, path: str | os.PathLike[str] | None = None) -> Figure:
    """Each channel of ``(C, h, w)`` latents in grey from -3 to 3, with its standard deviation."""
    n_rows = -(-latents.shape[0] // columns)
    with style():
        figure = Figure(figsize=(1.9 * columns, 2.1 * n_rows), layout="constrained")
        axes = np.atleast_1d(np.asarray(figure.subplots(n_rows, columns))).ravel()
        for axis in axes:
            axis.axis("off")
        for index, (axis, channel) in enumerate(zip(axes, latents, strict=False)):
            axis.imshow(channel.numpy(), cmap="gray", vmin=-3, vmax=3)
            axis.set_title(f"x{index}   σ {float(channel.std()):.2f}", fontweight="normal")
    return saved(figure, path)


def error_map(
    predicted: Tensor, reference: Tensor, *, title: str = "", path: str | os.PathLike[str] | None = None
) -> Figure:
    """Signed luma error and ΔE of ``(3, H, W)`` pictures, beside both."""
    signed = (predicted - reference).mean(0).numpy()
    delta = delta_e2000(predicted[None], reference[None])[0].numpy()
    with style():
        figure = Figure(figsize=(10, 2.9), layout="constrained")
        axes = figure.subplots(1, 4)
        for axis, picture, name in zip(
            axes, (reference, predicted), ("reference", title or "approximation"), strict=False
        ):
            axis.imshow(_shown(picture, tuple(picture.shape[-2:])))
            axis.set_title(name)
        bright = axes[2].imshow(signed, cmap="RdBu_r", vmin=-0.4, vmax=0.4)
        colour = axes[3].imshow(delta, cmap="magma", vmin=0, vmax=30)
        axes[2].set_title("brightness error")
        axes[3].set_title(f"ΔE, mean {delta.mean():.1f}")
        for axis, image in ((axes[2], bright), (axes[3], colour)):
            figure.colorbar(image, ax=axis, shrink=0.7)
        for axis in axes:
            axis.axis("off")
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
    """Targets against unclamped predictions, one panel a colour: where targets stop at 0 and 1."""
    chosen = torch.randperm(predicted[:, 0].numel(), generator=torch.Generator().manual_seed(seed))[:most]
    with style():
        figure = Figure(figsize=(9, 3), layout="constrained")
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        for axis, index, colour, name in zip(axes, range(3), ("#c23b3b", "#2b8a3e", "#2f5fb3"), "RGB", strict=True):
            x, y = target[:, index].flatten()[chosen], predicted[:, index].flatten()[chosen]
            axis.scatter(x, y, s=3, alpha=0.25, color=colour, linewidths=0)
            axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
            axis.set(title=f"{title} {name}".strip(), xlabel="the VAE's decode", xlim=(-0.05, 1.05), ylim=(-0.4, 1.4))
        axes[0].set_ylabel("prediction before clamping")
    return saved(figure, path)


def bars(
    values: Mapping[str, float] | Sequence[tuple[str, float]],
    *,
    title: str = "",
    label: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Named values as horizontal bars, in the given order from the top."""
    items = list(values.items()) if isinstance(values, Mapping) else list(values)
    with style():
        figure = Figure(figsize=(6.4, 0.8 + 0.3 * len(items)), layout="constrained")
        axis = figure.subplots()
        axis.grid(False)
        places = range(len(items))
        axis.barh(places, [value for _, value in items], color=COLOURS[0], height=0.7)
        axis.set_yticks(places, [name for name, _ in items])
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.set(title=title, xlabel=label)
        for place, (_, value) in zip(places, items, strict=True):
            axis.text(value, place, f" {value:.2f}", va="center", fontsize=8, color=SOFT)
    return saved(figure, path)


def _shown(picture: Tensor, size: tuple[int, ...]) -> np.ndarray[Any, Any]:
    rgb = picture.detach().float().clamp(0, 1)[None]
    if tuple(rgb.shape[-2:]) != tuple(size):
        rgb = torch.nn.functional.interpolate(rgb, (size[0], size[1]), mode="bilinear", align_corners=False)
    shown: np.ndarray[Any, Any] = rgb[0].permute(1, 2, 0).numpy()
    return shown


def saved(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, written as PNG too when there is a path: whole or not at all."""
    if path is not None:
        write_atomic(path, _png(figure, FILE_DPI))
    return figure


def _png(figure: Figure, dpi: int) -> bytes:
    """PNG without a date, so that equal data gives equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
