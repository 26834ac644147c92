"""censored(): least squares where some targets are only bounds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from latentfit.fit.basis import Basis
from latentfit.fit.examples import Cells
from latentfit.fit.moments import Moments
from latentfit.fit.solver import Solution, Solver
from latentfit.runtime import distributed as parallel

Floats = NDArray[np.float64]
PASSES = 16  # it stops earlier once coefficients stand still
KEPT_BYTES = 128 << 20  # rows of bounded cells that stay in memory between passes; more are read and expanded anew


def censored(
    cells: Callable[[], Iterable[Cells]], basis: Basis, moments: Moments, solver: Solver, start: Solution
) -> Solution:
    """Least squares where a target at a bound only says "at least": majorise and minimise, with one Gram matrix.

    Where a bounded target is overshot its residual is zero, so each pass puts the prediction in the target's place and
    solves again. The loss is convex and every pass lowers it.

    Returns
    -------
    Solution
        Its `residual` and `r2` are of the true targets, not of those that predictions took the place of; `converged`
        says whether the coefficients stood still within `PASSES`.
    """
    solution, ahead = start, start.coefficients
    ridge = start.ridge  # chosen anew at the end only: cross-validation takes longer than a pass
    n_rows = 1 + basis.n_terms
    plain = moments.sums[:, :, n_rows:].copy()
    passes = _BoundedRows(cells, basis)
    converged, n_passes = False, 0
    for index in range(PASSES):
        n_passes = index + 1
        change = np.zeros_like(plain)
        for part in passes:
            _replace_overshot(change[part.fold], part, ahead)
        parallel.sum_over_ranks(torch.from_numpy(change))
        moments.sums[:, :, n_rows:] = plain + change
        previous = solution.coefficients
        solution = solver.solve(ridge)
        # Nesterov's extrapolation: where half of the cells are clipped, plain passes creep
        ahead = solution.coefficients + index / (index + 3) * (solution.coefficients - previous)
        if np.abs(solution.coefficients - previous).max() <= 1e-3 * np.abs(previous).max() + 1e-9:
            converged = True
            break
    solution = solver.solve()
    found = _evidence(cells(), basis, plain, solution.coefficients, float(moments.counts.sum()))
    residual, r2 = found.tolist()
    return replace(solution, residual=residual, r2=r2, n_passes=n_passes, converged=converged)


def _evidence(cells: Iterable[Cells], basis: Basis, plain: Floats, coefficients: Floats, n: float) -> Floats:
    """Residual and r2 of the prediction held within [-1, 1] against the true targets, in one more pass.

    `plain` is the columns of targets of the moments, before any prediction took a target's place; `n` counts cells.
    """
    n_rows = len(coefficients)
    squared = np.zeros(1)
    for part in cells:
        root = part.weight**0.5  # every row carries it
        for rows, _ in part.rows(basis) if root else ():
            shown = np.clip(coefficients.T @ rows[:n_rows] / root, -1, 1) * root
            squared += np.square(shown - rows[n_rows:]).sum()
    parallel.sum_over_ranks(torch.from_numpy(squared))
    total = plain.sum(0)
    spread = total[n_rows:].diagonal().sum() - np.square(total[0]).sum() / n
    return np.array([np.sqrt(squared[0] / (n * plain.shape[2])), 1 - squared[0] / spread if spread > 0 else np.nan])


@dataclass(frozen=True)
class _Rows:
    """Rows of ones, terms and targets of some bounded cells of a fold, ``(1 + n_terms + n_targets, n)``."""

    rows: Floats
    at_most: NDArray[np.bool_]
    at_least: NDArray[np.bool_]
    fold: int


class _BoundedRows:
    """The bounded cells' rows, once for each pass: only they can overshoot. Few are kept, many are made anew."""

    def __init__(self, cells: Callable[[], Iterable[Cells]], basis: Basis) -> None:
        self._cells, self._basis = cells, basis
        self._kept: list[_Rows] | None = None

    def __iter__(self) -> Iterator[_Rows]:
        if self._kept is not None:
            yield from self._kept
            return
        kept, room = [], KEPT_BYTES
        for part in self._made():
            room -= part.rows.nbytes
            if room >= 0:
                kept.append(part)
            else:
                kept.clear()
            yield part
        self._kept = kept if room >= 0 else None

    def _made(self) -> Iterator[_Rows]:
        for cells in self._cells():
            part = cells.bounded()
            if part.at_most is not None and part.at_least is not None:
                for rows, where in part.rows(self._basis):
                    yield _Rows(rows, part.at_most[:, where], part.at_least[:, where], part.fold)


def _replace_overshot(change: Floats, part: _Rows, coefficients: Floats) -> None:
    """Add what the sums of products with targets gain when predictions beyond a bound take the targets' place."""
    n_rows = len(coefficients)
    targets = part.rows[n_rows:]
    ahead = coefficients.T @ part.rows[:n_rows] - targets
    over = np.where(part.at_least, np.maximum(ahead, 0), 0) + np.where(part.at_most, np.minimum(ahead, 0), 0)
    change[:n_rows] += part.rows[:n_rows] @ over.T
    mixed = over @ targets.T
    change[n_rows:] += np.triu(mixed + mixed.T + over @ over.T)
