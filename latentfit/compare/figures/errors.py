"""Where a picture is wrong: signed brightness, ΔE, the difference amplified, and what remains per channel."""

import os
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentfit.compare.figures.canvas import RGB_COLOURS, SOFT, Figure, as_image, rows_of_axes, saved, something, style
from latentfit.images.colour import delta_e2000, rgb_to_lab
from latentfit.scores.held_out import as_seen

MOST_SIGNED, MOST_DELTA_E, MOST_LIGHTNESS = 0.4, 30.0, 20.0
"""Where the colour scales end, in every map, so that maps compare."""


def brightness_error(predicted: Tensor, reference: Tensor) -> Tensor:
    """Mean signed error over the channels of ``(3, H, W)`` pictures -> ``(H, W)``: above 0 too bright."""
    return (_fitted(predicted, reference) - reference.float()).mean(0)


def lightness_error(predicted: Tensor, reference: Tensor) -> Tensor:
    """Signed error of CIELAB's L* of ``(3, H, W)`` pictures -> ``(H, W)``: above 0 too light, of 100."""
    both = torch.stack([_fitted(predicted, reference), reference.float()])
    lightness = rgb_to_lab(both)[:, 0]
    return lightness[0] - lightness[1]


def delta_e(predicted: Tensor, reference: Tensor) -> Tensor:
    """CIEDE2000 of ``(3, H, W)`` pictures -> ``(H, W)``."""
    return delta_e2000(_fitted(predicted, reference)[None], reference[None].float())[0]


def amplified(predicted: Tensor, reference: Tensor, gain: float = 4.0) -> Tensor:
    """The difference of ``(3, H, W)`` pictures times `gain` about middle grey, in [0, 1]: grey where they are equal.

    Raises
    ------
    ValueError
        When `gain` is not above 0.
    """
    if not gain > 0:
        raise ValueError(f"amplified: gain: expected a number above 0, got {gain}")
    return (0.5 + gain * (_fitted(predicted, reference) - reference.float())).clamp(0, 1)


def error_map(
    predicted: Tensor, reference: Tensor, *, title: str = "", path: str | os.PathLike[str] | None = None
) -> Figure:
    """A picture beside its reference, its signed brightness error and its ΔE, each with its scale.

    Parameters
    ----------
    predicted : Tensor, (3, h, w) in [0, 1]
        Enlarged to the reference's size, as seen.
    reference : Tensor, (3, H, W) in [0, 1]
    title : str
        Title of the picture; "": "approximation".
    path : path or None
        Also save as PNG.

    Returns
    -------
    Figure
        Brightness error is the mean over the channels, of 1, from -`MOST_SIGNED` (blue, too dark) to `MOST_SIGNED`
        (red, too bright); ΔE is CIEDE2000, from 0 to `MOST_DELTA_E`.

    Raises
    ------
    ValueError
        When one is no picture of three colours.
    """
    signed = brightness_error(predicted, reference).numpy()
    delta = delta_e(predicted, reference).numpy()
    with style():
        high, wide = reference.shape[-2:]
        figure = Figure(figsize=(10, min(0.5 + 2.25 * high / wide, 6)), layout="constrained")
        axes = figure.subplots(1, 4)
        pictures = (("reference", reference), (title or "approximation", _fitted(predicted, reference)))
        for axis, (name, picture) in zip(axes, pictures, strict=False):
            axis.imshow(as_image(picture))
            axis.set_title(name)
        bright = axes[2].imshow(signed, cmap="RdBu_r", vmin=-MOST_SIGNED, vmax=MOST_SIGNED)
        colour = axes[3].imshow(delta, cmap="magma", vmin=0, vmax=MOST_DELTA_E)
        axes[2].set_title("brightness error")
        axes[3].set_title(f"ΔE, mean {delta.mean():.1f}")
        for axis, image in ((axes[2], bright), (axes[3], colour)):
            figure.colorbar(image, ax=axis, shrink=0.7)
        for axis in axes:
            axis.axis("off")
    return saved(figure, path)


def error_sheet(
    predicted: Mapping[str, Tensor],
    reference: Tensor,
    *,
    gain: float = 4.0,
    width_in: float = 1.9,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Approximations across; down: the picture, its amplified difference, signed brightness error, and ΔE.

    Parameters
    ----------
    predicted : mapping of str to Tensor, (3, h, w) in [0, 1]
        Enlarged to the reference's size, as seen.
    reference : Tensor, (3, H, W) in [0, 1]
    gain : float
        Factor of the amplified difference.
    width_in : float
        Width of a picture, inches.
    path : path or None
        Also save as PNG.

    Raises
    ------
    ValueError
        When there is no approximation.
    """
    something(predicted, "error_sheet: predicted")
    size = reference.shape[-2:]
    height = width_in * size[0] / size[1] + 0.12
    with style():
        figure = Figure(figsize=(len(predicted) * (width_in + 0.06) + 1.0, 4 * height + 0.2), layout="constrained")
        grid = rows_of_axes(figure, 4, len(predicted))
        for axis in figure.axes:
            axis.axis("off")
        for column, (name, picture) in enumerate(predicted.items()):
            delta = delta_e(picture, reference)
            signed = brightness_error(picture, reference)
            grid[0][column].imshow(as_image(_fitted(picture, reference)))
            grid[1][column].imshow(as_image(amplified(picture, reference, gain)))
            bright = grid[2][column].imshow(signed.numpy(), cmap="RdBu_r", vmin=-MOST_SIGNED, vmax=MOST_SIGNED)
            colour = grid[3][column].imshow(delta.numpy(), cmap="magma", vmin=0, vmax=MOST_DELTA_E)
            grid[0][column].set_title(name, fontsize=9)
            words = f"mean {float(delta.mean()):.1f}"
            grid[3][column].text(0, -0.02, words, transform=grid[3][column].transAxes, va="top", fontsize=8, color=SOFT)
        for row, words in enumerate(("as seen", f"difference × {gain:g}", "brightness error", "ΔE")):
            first = grid[row][0]
            first.text(-0.04, 0.5, words, transform=first.transAxes, rotation=90, va="center", ha="right", fontsize=8)
        figure.colorbar(bright, ax=grid[2], shrink=0.8)
        figure.colorbar(colour, ax=grid[3], shrink=0.8)
    return saved(figure, path)


def amplified_differences(
    predicted: Mapping[str, Tensor],
    reference: Tensor,
    *,
    gain: float = 4.0,
    height_in: float = 2.4,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """The difference of each from the reference, times `gain` about middle grey.

    Parameters
    ----------
    predicted : mapping of str to Tensor, (3, h, w) in [0, 1]
    reference : Tensor, (3, H, W) in [0, 1]
    gain : float
    height_in : float
        Height of a picture, inches.
    path : path or None
        Also save as PNG.
    """
    from latentfit.compare.figures.sheets import contact_sheet

    something(predicted, "amplified_differences: predicted")
    shown = {f"{name} × {gain:g}": amplified(picture, reference, gain) for name, picture in predicted.items()}
    return contact_sheet({"reference": reference, **shown}, height_in=height_in, path=path)


def channel_residuals(
    predicted: Mapping[str, Tensor], reference: Tensor, *, path: str | os.PathLike[str] | None = None
) -> Figure:
    """What remains in red, green and blue, in 8-bit levels: RMSE as bars, the mean signed error as a mark.

    Parameters
    ----------
    predicted : mapping of str to Tensor, (3, h, w) in [0, 1]
    reference : Tensor, (3, H, W) in [0, 1]
    path : path or None
        Also save as PNG.
    """
    something(predicted, "channel_residuals: predicted")
    with style():
        figure = Figure(figsize=(1.4 + 1.1 * len(predicted), 3), layout="constrained")
        axis = figure.subplots()
        for place, picture in enumerate(predicted.values()):
            error = 255 * (_fitted(picture, reference) - reference.float()).flatten(1)
            at = place + 0.25 * (np.arange(3) - 1)
            axis.bar(at, error.square().mean(1).sqrt().numpy(), width=0.22, color=RGB_COLOURS)
            axis.plot(at, error.mean(1).numpy(), "_", color="black", markersize=11)
        axis.axhline(0, color=SOFT, linewidth=0.8)
        axis.set_xticks(range(len(predicted)), list(predicted), fontsize=8)
        axis.set(ylabel="8-bit levels", title="RMSE (bar) and bias (line) by channel")
        axis.grid(False, axis="x")
    return saved(figure, path)


def _fitted(predicted: Tensor, reference: Tensor) -> Tensor:
    """A picture as seen at the reference's size, on the CPU."""
    for picture in (predicted, reference):
        if picture.ndim != 3 or picture.shape[0] != 3:
            raise ValueError(f"errors: expected pictures (3, H, W), got {tuple(picture.shape)}")
    return as_seen(predicted.detach().float().cpu()[None], (reference.shape[-2], reference.shape[-1]))[0]
