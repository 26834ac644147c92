"""The basis: one table of exponents drives expansion, names, evaluation and export."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.errors import FitError

CACHE_BYTES = 4 << 20  # a chunk that stays in the cache between being written and being multiplied
CHUNK_BYTES = 48 << 20
CHUNK_CELLS = 2048  # fewer make a matrix product slow
FORMS: dict[str, tuple[tuple[int, ...], bool]] = {
    "linear": ((1,), False),
    "affine": ((1,), True),
    "quadratic": ((1, 1), True),
    "cubic": ((1, 1, 1), True),
}


def parse_kernels(form: str | tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    """``"linear"``, ``"affine"``, ``"quadratic"``, ``"cubic"``, ``"5,3"`` or ``(5, 3)`` -> kernels, intercept.

    Examples
    --------
    >>> parse_kernels("cubic")
    ((1, 1, 1), True)
    >>> parse_kernels("5,3")
    ((5, 3), True)
    """
    if isinstance(form, str) and form.lower() in FORMS:
        return FORMS[form.lower()]
    try:
        sides = tuple(int(part) for part in form.split(",")) if isinstance(form, str) else tuple(form)
    except ValueError:
        sides = ()
    if not sides or any(side < 1 or side % 2 == 0 for side in sides):
        raise FitError("kernels", expected=f"{', '.join(FORMS)}, or odd sides such as '3' or '5,3'", got=f"{form!r}")
    return sides, True


def form_name(kernels: tuple[int, ...], intercept: bool = True, scale: int | Fraction = 1) -> str:
    """What people call it: "affine", "cubic", "3×3 affine", "(5, 3)", with ", no intercept", " → 8×8 patch"."""
    named = {(1,): "affine", (1, 1): "quadratic", (1, 1, 1): "cubic"}
    if kernels == (1,) and not intercept:
        name = "linear"
    else:
        single = f"{kernels[0]}×{kernels[0]} affine"
        name = named.get(kernels) or (single if len(kernels) == 1 else f"({', '.join(map(str, kernels))})")
        name += "" if intercept else ", no intercept"
    if scale == 1:
        return name
    up, down = Fraction(scale).as_integer_ratio()
    return f"{name}{f' of {down}×{down} cells' if down > 1 else ''} → {up}×{up} patch"


@dataclass(frozen=True)
class Basis:
    """Monomials of latents and their neighbours.

    Variables are numbered as ``torch.nn.functional.unfold`` lays them out: channel, then row, then column of the
    largest neighbourhood. Terms are ordered as scikit-learn's ``PolynomialFeatures``: by degree, then by variable.

    Parameters
    ----------
    n_channels : int
        C, 1 or more.
    kernels : tuple of int
        ``kernels[d - 1]`` is the odd side of the neighbourhood whose monomials of degree d enter.

    Examples
    --------
    >>> Basis(4, (1, 1, 1)).n_terms, Basis(4, (3,)).n_terms, Basis(4, (5, 3)).n_terms
    (34, 36, 766)
    """

    n_channels: int
    kernels: tuple[int, ...]

    def __post_init__(self) -> None:
        parse_kernels(self.kernels)
        if self.n_channels < 1:
            raise FitError("basis", expected="1 or more channels", got=f"{self.n_channels}")

    @property
    def side(self) -> int:
        """Side of the largest neighbourhood."""
        return max(self.kernels)

    @property
    def n_variables(self) -> int:
        """Latent values in the largest neighbourhood."""
        return self.n_channels * self.side**2

    @property
    def n_terms(self) -> int:
        """Monomials, the constant not counted."""
        return sum(self.n_terms_of(degree) for degree in range(1, len(self.kernels) + 1))

    def n_terms_of(self, degree: int) -> int:
        """Monomials of one degree."""
        return comb(self.n_channels * self.kernels[degree - 1] ** 2 + degree - 1, degree)

    def variables_of(self, degree: int) -> list[int]:
        """Variables whose monomials of this degree enter: the inner neighbourhood of side ``kernels[degree - 1]``."""
        inner = self.kernels[degree - 1]
        margin = (self.side - inner) // 2
        line = range(margin, margin + inner)
        return [
            (c * self.side + row) * self.side + column
            for c in range(self.n_channels)
            for row in line
            for column in line
        ]

    @cached_property
    def factors(self) -> NDArray[np.int64]:
        """The table: ``(n_terms, degree)`` variable numbers of each term, -1 where a term is of lower degree."""
        table = np.full((self.n_terms, len(self.kernels)), -1, dtype=np.int64)
        start = 0
        for degree in range(1, len(self.kernels) + 1):
            rows = list(combinations_with_replacement(self.variables_of(degree), degree))
            table[start : start + len(rows), :degree] = rows
            start += len(rows)
        return table

    @property
    def exponents(self) -> NDArray[np.int64]:
        """``(n_terms, n_variables)`` powers: scikit-learn's ``powers_`` without the constant."""
        powers = np.zeros((self.n_terms, self.n_variables), dtype=np.int64)
        for column in self.factors.T:
            rows = np.flatnonzero(column >= 0)
            np.add.at(powers, (rows, column[rows]), 1)
        return powers

    @property
    def names(self) -> list[str]:
        """A name for each term: ``"x0"``, ``"x0*x1"``, ``"x2[-1,+1]"`` (row and column offset of a neighbour)."""
        return ["*".join(self._variable_name(v) for v in row if v >= 0) for row in self.factors]

    def expand(self, variables: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Variables ``(n_variables, n)`` -> terms ``(n_terms, n)``, written into `out`.

        The terms of degree d that begin with variable i are that variable times the terms of degree d - 1 that begin
        at i or later, and those lie together: one multiplication of a block for each variable.
        """
        start = 0
        for degree in range(1, len(self.kernels) + 1):
            block = variables if self.kernels[degree - 1] == self.side else variables[self.variables_of(degree)]
            stop = start + self.n_terms_of(degree)
            previous = block
            for d in range(2, degree + 1):
                target = out[start:stop] if d == degree else np.empty((comb(len(block) + d - 1, d), block.shape[1]))
                _products(block, previous, d - 1, target)
                previous = target
            if degree == 1:
                out[start:stop] = block
            start = stop

    def rows(self, variables: NDArray[np.float64], n_more: int = 0) -> Iterator[tuple[NDArray[np.float64], slice]]:
        """Variables ``(n_variables, n)`` -> rows of ones, terms and room for `n_more`, in chunks of cells.

        Memory stays flat; each chunk is an array of its own, with the cells it stands for.
        """
        n_rows, n_cells = 1 + self.n_terms + n_more, variables.shape[1]
        step = max(256, min(CHUNK_CELLS, CHUNK_BYTES // (8 * n_rows)), CACHE_BYTES // (8 * n_rows))
        for first in range(0, n_cells, step):
            where = slice(first, min(first + step, n_cells))
            rows = np.empty((n_rows, where.stop - where.start))
            rows[0] = 1
            self.expand(np.ascontiguousarray(variables[:, where]), rows[1 : 1 + self.n_terms])
            yield rows, where

    def neighbourhoods(self, latents: Tensor) -> Tensor:
        """Latents ``(N, C, h, w)`` -> variables ``(n_variables, N * h * w)``; borders replicate."""
        return neighbourhoods(latents, self.side)

    def _variable_name(self, variable: int) -> str:
        channel, place = divmod(variable, self.side**2)
        row, column = (offset - self.side // 2 for offset in divmod(place, self.side))
        return f"x{channel}" if row == column == 0 else f"x{channel}[{row:+d},{column:+d}]"


def neighbourhoods(latents: Tensor, side: int) -> Tensor:
    """``(N, C, h, w)`` -> ``(C * side², N * h * w)``, channel, row, column; borders replicate."""
    n_channels = latents.shape[1]
    if side == 1:
        return latents.movedim(1, 0).reshape(n_channels, -1)
    margin = side // 2
    padded = torch.nn.functional.pad(latents, (margin,) * 4, mode="replicate")
    return torch.nn.functional.unfold(padded, side).movedim(1, 0).reshape(n_channels * side * side, -1)


def _products(block: NDArray[np.float64], previous: NDArray[np.float64], degree: int, out: NDArray[np.float64]) -> None:
    """All products of a variable and the terms of `degree` that begin at it or later."""
    n, length, start = len(block), len(previous), 0
    for index in range(n):
        first = length - comb(n - index + degree - 1, degree)
        np.multiply(block[index], previous[first:], out=out[start : start + length - first])
        start += length - first
