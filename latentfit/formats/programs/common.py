"""What all programs share: the numbers of a single-degree map, its provenance in words, and rows of literals."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentfit.errors import BadTableError, ExportError, Remedy
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.latents.spaces import LatentSpace, list_spaces
from latentfit.maps.contracts import Approximation
from latentfit.runtime import escaping
from latentfit.runtime.escaping import Escape, one_line


@dataclass(frozen=True)
class Table:
    """A linear map's numbers in the signed range [-1, 1].

    Attributes
    ----------
    weights : Tensor, (C * side², 3) float64
        Rows by channel, row, column of the neighbourhood.
    bias : Tensor or None, (3,)
    side : int
        1 for a plain table.
    """

    weights: Tensor
    bias: Tensor | None
    side: int = 1

    def in_unit_range(self) -> "Table":
        """Return the table for consumers that want [0, 1]: exactly W / 2 and b / 2 + 1/2."""
        return Table(self.weights / 2, self._bias() / 2 + 0.5, self.side)

    def in_byte_range(self) -> "Table":
        """Return the table for consumers that want [0, 255]: exactly 127.5 W and 127.5 b + 127.5."""
        return Table(self.weights * 127.5, self._bias() * 127.5 + 127.5, self.side)

    def from_unit_range(self) -> "Table":
        """Undo `in_unit_range`."""
        return Table(self.weights * 2, self._bias() * 2 - 1, self.side)

    def from_byte_range(self) -> "Table":
        """Undo `in_byte_range`."""
        return Table(self.weights / 127.5, self._bias() / 127.5 - 1, self.side)

    def _bias(self) -> Tensor:
        return torch.zeros(3, dtype=torch.float64) if self.bias is None else self.bias


def identifier(space: LatentSpace) -> str:
    """A space's name as a variable's name: "hunyuan_video", "_7vae"."""
    return escaping.identifier(space.name)


def polynomial(approximation: Approximation, consumer: str, *, smooths: bool = False) -> PolynomialMap:
    """The fitted module inside, or an error that says what the consumer can be given."""
    if not isinstance(approximation.module, PolynomialMap):
        raise ExportError(
            f"{consumer}",
            expected="a map fitted by ChannelMap",
            got=f"{type(approximation.module).__name__}",
            remedy="fit one to pictures",
        )
    if approximation.module.smoothing is not None and not smooths:
        raise ExportError(
            f"{consumer} cannot run {approximation.name!r}: it was fitted for a program that smooths afterwards",
            remedy=Remedy("export it to that program, to json or to numpy, or fit without {}", smoothing=...),
        )
    return approximation.module


def linear_table(
    approximation: Approximation, consumer: str, *, largest_side: int = 1, has_bias: bool = True, smooths: bool = False
) -> Table:
    """The numbers of a linear or affine map, refused by name where the consumer cannot run the form."""
    module = polynomial(approximation, consumer, smooths=smooths)
    runs = "a linear or affine 1×1 map" if largest_side == 1 else "a linear or affine map, 1×1 or with one kernel"
    runs = runs if has_bias else "a linear 1×1 map without intercept"
    if len(module.kernels) > 1 or module.kernels[0] > largest_side or module.scale != 1:
        form = "affine" if has_bias else "linear"
        instead = " or 3" if largest_side > 1 else ""
        raise ExportError(
            f"{consumer} cannot run {approximation.name!r}: it runs {runs} at one pixel a cell",
            remedy=Remedy(f"fit one with {{}}{instead}, or export to json", kernels=form),
        )
    values = module.coefficients.double()
    return Table(values[1:], values[0] if module.intercept else None, module.kernels[0])


def pictures_only(approximation: Approximation, consumer: str) -> None:
    """Refuse a map of a space of video for a program whose latents have four dimensions."""
    space = approximation.space
    if space.dims == 3:
        raise ExportError(
            f"{consumer} runs latents of pictures, (N, C, h, w), those of {space.name!r} have five dimensions",
            remedy="export to comfyui, sdcpp, diffusers or json",
        )


def without_bias(
    approximation: Approximation, bias_free: Approximation | None, consumer: str, *, smooths: bool = False
) -> Approximation:
    """The map itself when it has no bias, else its bias-free refit: dropping a bias would tint every picture."""
    # a form that it cannot run is refused as such first
    linear_table(approximation, consumer, has_bias=False, smooths=smooths)
    if not polynomial(approximation, consumer, smooths=smooths).intercept:
        return approximation
    if bias_free is None or polynomial(bias_free, consumer, smooths=smooths).intercept:
        raise ExportError(
            f"{consumer} drops the bias",
            expected="a map without intercept",
            remedy=Remedy("fit one with {} and export that", kernels="linear"),
        )
    if bias_free.space != approximation.space:
        raise ExportError(
            f"{consumer}: the bias-free refit",
            expected=f"a map of space {approximation.space.name!r}",
            got=f"one of {bias_free.space.name!r}",
        )
    return bias_free


COLUMNS = 96
"""Of a line of provenance, without the mark that makes it a comment."""
_SCORED = {"reference", "psnr", "delta_e"}


def provenance(approximation: Approximation, escape: Escape = one_line) -> list[str]:
    """How a table was made, a line each: what every export carries as comments.

    Parameters
    ----------
    approximation : Approximation
    escape : callable
        A function of `latentfit.runtime.escaping`, which makes text of the map's file harmless in the language that is
        written.
    """
    card, space = approximation.card, approximation.space
    lines = [f"latentfit: {escape(approximation.name)} for {escape(space.title)} ({space.channels} channels)"]
    if space not in list_spaces() and not space.normalised_by_vae:
        origin = "measured on pictures" if space.measured else "from the autoencoder's own config"
        lines.append(
            f"wants latents as (raw - shift) * scale, {origin}: a program that shifts or scales them otherwise shows "
            "wrong colours"
        )
        lines += [f"{key}: {', '.join(f'{v:.6g}' for v in getattr(space, key))}" for key in ("shift", "scale")]
    if "reference" in card:
        counted = f"{_counted(card.get('n_images'))} pictures, {_counted(card.get('n_cells'))} cells"
        lines.append(f"fitted to: {escape(str(card['reference']))}, {counted}")
    for score in card["scores"] if isinstance(card.get("scores"), list | tuple) else ():
        if (score.get("kind"), score.get("place")) == ("all", "cells") and score.keys() >= _SCORED:
            against = "the VAE's decode" if score["reference"] == "vae" else "the photograph"
            psnr, delta_e = float(score["psnr"]), float(score["delta_e"])
            lines.append(f"held out, cells, against {against}: {psnr:.2f} dB, ΔE2000 {delta_e:.2f}")
    if "scored_on" in card:
        lines += textwrap.wrap(f"scored on: {escape(str(card['scored_on']))}", COLUMNS, subsequent_indent="  ")
    return lines


def _counted(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else "unknown"


def comments(approximation: Approximation, prefix: Literal["#", "//"]) -> str:
    """`provenance` as comment lines of Python or of C's family."""
    escape = escaping.python_comment if prefix == "#" else escaping.c_comment
    return "\n".join(f"{prefix} {line}" for line in provenance(approximation, escape))


def number(value: float) -> str:
    """A literal that reads back to the same float32 within rounding, of fixed width."""
    return f"{value: .7f}"


def rows(matrix: Sequence[Sequence[float]] | Tensor, left: str, right: str, indent: str) -> str:
    """Rows of literals between brackets."""
    listed = matrix.tolist() if isinstance(matrix, Tensor) else matrix
    return "\n".join(f"{indent}{left}{', '.join(number(value) for value in row)}{right}," for row in listed)


def output_names(module: PolynomialMap) -> list[str]:
    """What the columns of coefficients give: R, G and B, at a scale above 1 of each row and column of the cell."""
    channels = ("R", "G", "B") if module.target == "rgb" else tuple(f"y{i}" for i in range(module.n_outputs))
    if module.scale == 1:
        return list(channels)
    return [f"{c}[{row},{column}]" for c in channels for row in range(module.scale) for column in range(module.scale)]


def short(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(np.format_float_positional(np.float32(value), unique=True))


def from_table(table: Table, space: LatentSpace, name: str) -> Approximation:
    """A table that was read back, as a map."""
    n_rows = table.weights.shape[0]
    channels, rest = divmod(n_rows, table.side**2)
    if rest or channels != space.channels or table.weights.shape[1] != 3:
        raise BadTableError(
            name,
            expected=f"{space.channels * table.side**2} rows of 3 for space {space.name!r}",
            got=f"{tuple(table.weights.shape)}",
        )
    module = PolynomialMap(space.channels, (table.side,), intercept=table.bias is not None)
    bias = torch.zeros(3, dtype=torch.float64) if table.bias is None else table.bias
    module.set_coefficients(torch.cat([bias[None], table.weights]))
    return Approximation(module, space, name=name)
