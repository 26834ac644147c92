"""solve(): moments -> coefficients with their evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentfit.errors import FitError, Remedy
from latentfit.fit.moments import Moments

Floats = NDArray[np.float64]
RIDGES = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Solution:
    """Coefficients and what speaks for them.

    Attributes
    ----------
    coefficients : ndarray, (1 + n_terms, n_targets)
        The first row is the intercept (zeros without one).
    ridge : float
        Added to the eigenvalues of the terms' correlation matrix, whose mean is 1.
    rank : int
        Directions above rounding, of n_terms.
    condition : float
        Condition number of the standardised terms: largest over smallest kept singular value. Normal equations square
        it.
    residual : float
        Root mean square over cells and targets, in the targets' units. Of a bounded fit: between the true targets and
        the prediction held within [-1, 1], as it is shown.
    r2 : float
        Share of the targets' variance explained, on the fitted cells, by the same prediction.
    cv_mse : dict of float to float
        Ridge -> mean squared error on left-out folds; empty when the ridge was given.
    n_cells : int
    n_passes : int
        How often a bounded fit was solved; 0 for plain least squares, which needs no passes.
    converged : bool
        False for a bounded fit whose coefficients still moved by a thousandth of the largest in the last pass.
    """

    coefficients: Floats
    ridge: float
    rank: int
    condition: float
    residual: float
    r2: float
    cv_mse: dict[float, float]
    n_cells: int
    n_passes: int = 0
    converged: bool = True


def solve(
    moments: Moments, *, intercept: bool = True, ridge: float | None = None, ridges: Sequence[float] = RIDGES
) -> Solution:
    """Least squares from moments, in float64; terms are standardised, the intercept is never penalised.

    Parameters
    ----------
    moments : Moments
    intercept : bool
    ridge : float or None
        None: the one of `ridges` with the smallest error on left-out folds, from the moments alone.
    ridges : sequence of float

    Raises
    ------
    FitError
        When there are no cells, or sums are not finite.
    """
    return Solver(moments, intercept=intercept, ridge=ridge, ridges=ridges).solve()


class Solver:
    """Decomposes the terms' moments once, at the first `solve`; later ones may find other targets, not other terms.

    Parameters
    ----------
    moments, intercept, ridge, ridges
        The arguments of `solve`.
    """

    def __init__(
        self,
        moments: Moments,
        *,
        intercept: bool = True,
        ridge: float | None = None,
        ridges: Sequence[float] = RIDGES,
    ) -> None:
        self._moments, self._intercept, self._ridge, self._ridges = moments, intercept, ridge, ridges
        self._spectra: dict[int | None, _Spectrum] = {}

    def solve(self, ridge: float | None = None) -> Solution:
        """Coefficients for what the moments say of the targets now; `ridge` holds for this once, without a search."""
        moments = self._moments
        n_cells, n_targets = float(moments.counts.sum()), moments.n_targets
        if n_cells < 1:
            raise FitError("solve: no cells were added", expected="at least one picture in this split")
        cross, power = moments.cross(), moments.power()
        if not np.isfinite(cross).all() or not np.isfinite(moments.sums.diagonal(axis1=1, axis2=2)).all():
            raise FitError(
                "solve: latents or targets hold NaN or Inf",
                remedy=Remedy("load the VAE with {}, collect anew", dtype="float32"),
            )
        given = self._ridge if ridge is None else ridge
        cv_mse = self._cross_validated(cross, power) if given is None else {}
        chosen = min(cv_mse, key=lambda r: cv_mse[r]) if cv_mse else given or 0.0
        spectrum, total = self._spectrum(None), cross.sum(0)
        coefficients = spectrum.coefficients(total, [chosen])
        squared = sum(
            float(_squared_errors(moments, fold, cross, power, coefficients)[0]) for fold in range(moments.n_folds)
        )
        spread = float((power.sum(0) - total[0] ** 2 / n_cells).sum())
        return Solution(
            coefficients=coefficients[:, 0],
            ridge=chosen,
            rank=spectrum.rank,
            condition=spectrum.condition,
            residual=float(np.sqrt(max(0.0, squared) / (n_cells * n_targets))),
            r2=1 - squared / spread if spread > 0 else float("nan"),
            cv_mse=cv_mse,
            n_cells=int(n_cells),
        )

    def _spectrum(self, left_out: int | None) -> "_Spectrum":
        if left_out not in self._spectra:
            self._spectra[left_out] = _Spectrum(self._moments.gram(without=left_out), self._intercept)
        return self._spectra[left_out]

    def _cross_validated(self, cross: Floats, power: Floats) -> dict[float, float]:
        """Ridge -> mean squared error on left-out folds; empty when fewer than two folds hold cells."""
        moments = self._moments
        filled = [fold for fold in range(moments.n_folds) if moments.counts[fold] > 0]
        if len(filled) < 2:
            return {}
        squared = np.zeros(len(self._ridges))
        for fold in filled:
            coefficients = self._spectrum(fold).coefficients(cross.sum(0) - cross[fold], self._ridges)
            squared += _squared_errors(moments, fold, cross, power, coefficients)
        n = float(moments.counts.sum()) * moments.n_targets
        return {ridge: float(value) / n for ridge, value in zip(self._ridges, squared, strict=True)}


class _Spectrum:
    """Eigenvectors of the standardised terms, from which every ridge's coefficients for any targets follow."""

    def __init__(self, gram: Floats, intercept: bool) -> None:
        self._count, self._intercept = gram[0, 0], intercept
        n_terms = gram.shape[0] - 1
        self._mean = gram[0, 1:] / self._count if intercept else np.zeros(n_terms)
        square = gram[1:, 1:].diagonal() / self._count
        centred = gram[1:, 1:] / self._count - np.outer(self._mean, self._mean)
        variance = np.maximum(centred.diagonal(), 0)
        # below this share of its mean square, a term's spread is rounding: it is constant
        varies = variance > 1e-12 * np.maximum(square, np.finfo(float).tiny)
        self._inverse_spread = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0.0)
        correlation = centred * np.outer(self._inverse_spread, self._inverse_spread)
        self._values, self._vectors = np.linalg.eigh(correlation)
        largest = max(float(self._values[-1]), 0.0) if n_terms else 0.0
        self._kept = self._values > max(n_terms, 1) * np.finfo(float).eps * 10 * max(largest, 1e-300)
        self.rank = int(self._kept.sum())
        smallest = float(self._values[self._kept].min()) if self.rank else 0.0
        self.condition = float(np.sqrt(largest / smallest)) if self.rank else float("inf")

    def coefficients(self, cross: Floats, ridges: Sequence[float]) -> Floats:
        """Sums of ones and terms with targets, ``(1 + n_terms, t)`` -> coefficients ``(1 + n_terms, n_ridges, t)``."""
        mean = cross[0] / self._count if self._intercept else np.zeros(cross.shape[1])
        centred = cross[1:] / self._count - np.outer(self._mean, mean)
        right = self._vectors.T @ (centred * self._inverse_spread[:, None])
        shrunk = self._values[:, None] + np.asarray(ridges)  # of a correlation matrix, whose mean eigenvalue is 1
        inverse = np.where(self._kept[:, None], 1 / np.where(self._kept[:, None], shrunk, 1), 0.0)
        side_by_side = (inverse[:, :, None] * right[:, None]).reshape(len(right), -1)
        slopes = (self._vectors @ side_by_side) * self._inverse_spread[:, None]
        constants = np.tile(mean, len(ridges)) - self._mean @ slopes
        return np.vstack([constants, slopes]).reshape(1 + len(slopes), len(ridges), -1)


def _squared_errors(moments: Moments, fold: int, cross: Floats, power: Floats, coefficients: Floats) -> Floats:
    """Sum of squared residuals on a fold, for each ridge's coefficients ``(1 + n_terms, n_ridges, t)``."""
    upper = moments.sums[fold, : len(coefficients), : len(coefficients)]
    flat = coefficients.reshape(len(coefficients), -1)
    # x'Gx from the upper triangle alone
    quadratic = flat * (2 * (upper @ flat) - upper.diagonal()[:, None] * flat)
    linear = 2 * coefficients * cross[fold][:, None]
    squared: Floats = power[fold].sum() + (quadratic.reshape(coefficients.shape) - linear).sum((0, 2))
    return squared
