"""Cells: one picture's variables and targets, where targets are bounds, and their rows for the moments."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from latentfit.fit.basis import Basis

Floats = NDArray[np.float64]
NEAR_BOUND = 0.06  # a cell this near 0 or 1 (of the range 0 to 1) is taken as "at least this far"; see docs/log.md


@dataclass(frozen=True)
class Cells:
    """One picture's cells, ready to fit.

    Attributes
    ----------
    variables : ndarray, (n_variables, n)
    targets : ndarray, (n_targets, n)
        Signed range.
    at_most, at_least : ndarray of bool, (n_targets, n), or None
        Where a target is an upper bound, and where a lower one.
    fold : int
    weight : float
        Of each cell.
    """

    variables: Floats
    targets: Floats
    at_most: NDArray[np.bool_] | None
    at_least: NDArray[np.bool_] | None
    fold: int
    weight: float = 1.0

    @classmethod
    def of(
        cls, latents: Tensor, target: Tensor, basis: Basis, scale: Fraction, fold: int, weight: float, *, bounds: bool
    ) -> "Cells":
        """One picture's: latents ``(1, C, h, w)`` and what they map to, ``(1, c, h * scale, w * scale)``.

        A fraction's denominator is how many cells, each way, make one of the fit's; `bounds`: targets near -1 and 1 are
        bounds.
        """
        blocks, targets = (
            pixel_unshuffle(picture, side) if side > 1 else picture
            for picture, side in ((latents, scale.denominator), (target, scale.numerator))
        )
        variables, outputs = basis.neighbourhoods(blocks).numpy(), targets[0].flatten(1).numpy()
        at_most, at_least = bounds_of(outputs) if bounds else (None, None)
        # numpy's casts, since for a picture's few cells torch would wake its threads
        return cls(variables.astype(np.float64), outputs.astype(np.float64), at_most, at_least, fold, weight)

    def bounded(self) -> "Cells":
        """Only the cells of which a target is a bound."""
        if self.at_most is None or self.at_least is None:
            raise ValueError("bounded: these targets are no colours and have no bounds")
        chosen = (self.at_most | self.at_least).any(0)
        return Cells(
            self.variables[:, chosen],
            self.targets[:, chosen],
            self.at_most[:, chosen],
            self.at_least[:, chosen],
            self.fold,
            self.weight,
        )

    def rows(self, basis: Basis) -> Iterator[tuple[Floats, slice]]:
        """Rows of ones, terms and targets, in chunks of cells so that memory stays flat."""
        for rows, where in basis.rows(self.variables, len(self.targets)):
            rows[1 + basis.n_terms :] = self.targets[:, where]
            if self.weight != 1:  # sums of products then carry the weight; predictions and targets stay comparable
                rows *= self.weight**0.5
            yield rows, where


def bounds_of(signed: NDArray[np.floating]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a signed target is an upper bound (near black) and where a lower one (near white).

    Near is enough: decoders bend before they clip, and what a cell's mean hides is clipped in some of its pixels.
    """
    return signed <= -1 + 2 * NEAR_BOUND, signed >= 1 - 2 * NEAR_BOUND
