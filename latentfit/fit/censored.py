"""censored(): least squares where some targets are only bounds."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from latentfit import parallel
from latentfit.fit.cells import Cells
from latentfit.fit.moments import Moments
from latentfit.fit.monomials import Basis
from latentfit.fit.solve import Solution, Solver

Floats = NDArray[np.float64]
PASSES = 16  # it stops earlier once coefficients stand still


def censored(
    cells: Callable[[], Iterable[Cells]],
    basis: Basis,
    moments: Moments,
    start: Solution,
    intercept: bool,
    ridge: float | None,
) -> Solution:
    """Least squares where a target at a bound only says "at least": majorise and minimise, with one Gram matrix.

    Where a bounded target is overshot its residual is zero, so each pass puts the prediction in the target's place and
    solves again. The loss is convex and every pass lowers it.
    """
    solver = Solver(intercept=intercept, ridge=ridge)
    solution, ahead = start, start.coefficients
    plain = moments.sums[:, :, 1 + basis.n_terms :].copy()
    n_rows = 1 + basis.n_terms
    for index in range(PASSES):
        moments.sums[:, :, n_rows:] = plain
        for part in cells():
            _replace_overshot(moments, basis, part, ahead)
        change = moments.sums[:, :, n_rows:] - plain
        if parallel.world_size() > 1:
            parallel.sum_over_ranks(torch.from_numpy(change))
            moments.sums[:, :, n_rows:] = plain + change
        previous = solution.coefficients
        solution = solver.solve(moments)
        # Nesterov's extrapolation: where half of the cells are clipped, plain passes creep
        ahead = solution.coefficients + index / (index + 3) * (solution.coefficients - previous)
        if np.abs(solution.coefficients - previous).max() < 1e-3 * np.abs(previous).max():
            break
    return solution


def _replace_overshot(moments: Moments, basis: Basis, part: Cells, coefficients: Floats) -> None:
    """Move the moments from the targets to the predictions wherever those lie beyond a bound."""
    n_rows = 1 + basis.n_terms
    for rows, where in part.rows(basis):
        predicted = coefficients.T @ rows[:n_rows]
        over = np.zeros_like(predicted)
        for bound, beyond in ((part.at_least, np.greater), (part.at_most, np.less)):
            if bound is not None:
                targets = rows[n_rows:]
                over = np.where(bound[:, where] & beyond(predicted, targets), predicted - targets, over)
        columns = np.flatnonzero(over.any(0))
        if len(columns):
            old, moved = rows[n_rows:, columns], over[:, columns]
            moments.sums[part.fold, :n_rows, n_rows:] += rows[:n_rows, columns] @ moved.T
            square = (old + moved) @ (old + moved).T - old @ old.T
            moments.sums[part.fold, n_rows:, n_rows:] += np.triu(square)
