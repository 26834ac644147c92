"""Moments: the mergeable sums that a least-squares fit needs; constant memory however many cells."""

import os
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from latentfit.errors import FitError
from latentfit.fit.basis import Basis, form_name
from latentfit.runtime import distributed as parallel

Floats = NDArray[np.float64]
FEW_TO_SUM, FEW_TO_SOLVE = 256, 1024  # terms below which one BLAS thread is as fast as several, or faster


@dataclass
class Moments:
    """Raw float64 sums of products of ``[1, terms, targets]``, one set for each image fold.

    Order, chunking and the number of workers do not change them beyond rounding: `merge` adds.

    Parameters
    ----------
    n_terms, n_targets, n_folds : int

    Attributes
    ----------
    sums : ndarray, (n_folds, 1 + n_terms + n_targets, the same)
        Upper triangles.
    """

    n_terms: int
    n_targets: int
    n_folds: int = 1
    sums: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        side = 1 + self.n_terms + self.n_targets
        if self.n_folds * side * side * 8 > memory_budget():
            raise FitError(
                f"moments: {self.n_terms} terms need {self.n_folds * side * side * 8 / 2**30:.1f} "
                f"GiB, half of this machine's memory is {memory_budget() / 2**30:.1f} GiB",
                remedy="lower the degree or the neighbourhood",
            )
        self.sums = np.zeros((self.n_folds, side, side))

    def add(self, rows: Floats, fold: int = 0) -> None:
        """Add cells; `rows` is C-contiguous ``(1 + n_terms + n_targets, n)``, its first row ones."""
        if rows.shape[0] != self.sums.shape[1]:
            raise FitError(
                "moments", expected=f"{self.sums.shape[1]} rows of ones, terms and targets", got=f"{rows.shape[0]}"
            )
        # a C-ordered triangle is BLAS's other one: lower here is upper there
        total = self.sums[fold].T
        dsyrk(1.0, rows.T, beta=1.0, c=total, trans=1, lower=1, overwrite_c=1)

    def merge(self, other: "Moments") -> "Moments":
        """Add another worker's sums to these."""
        if other.sums.shape != self.sums.shape:
            raise FitError("moments", expected=f"sums of shape {self.sums.shape}", got=f"{other.sums.shape}")
        self.sums += other.sums
        return self

    def sum_over_ranks(self) -> "Moments":
        """Add the sums of all ranks, on each of them."""
        parallel.sum_over_ranks(torch.from_numpy(self.sums))
        return self

    @property
    def counts(self) -> Floats:
        """The number of cells in each fold."""
        counted: Floats = self.sums[:, 0, 0]
        return counted

    def gram(self, without: int | None = None) -> Floats:
        """Symmetric sums of ones and terms with each other, over all folds or all but one: a new array."""
        n_rows = 1 + self.n_terms
        gram = np.zeros((n_rows, n_rows))
        for fold in range(self.n_folds):
            if fold != without:
                gram += self.sums[fold, :n_rows, :n_rows]
        gram += np.triu(gram, 1).T
        return gram

    def cross(self) -> Floats:
        """Sums of ones and terms with targets in each fold, ``(n_folds, 1 + n_terms, n_targets)``."""
        return self.sums[:, : 1 + self.n_terms, 1 + self.n_terms :]

    def power(self) -> Floats:
        """Sums of squared targets in each fold, ``(n_folds, n_targets)``."""
        squared: Floats = self.sums.diagonal(axis1=1, axis2=2)[:, 1 + self.n_terms :]
        return squared


def memory_budget() -> int:
    """Bytes that a fit may take: half of the machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def refuse_if_too_large(n_channels: int, kernels: tuple[int, ...], n_targets: int, n_folds: int) -> None:
    """Count a basis before anything is allocated, and say which form would fit."""

    def n_bytes(degree: int) -> int:
        side = 1 + Basis(n_channels, kernels[:degree]).n_terms + n_targets
        # each fold's sums, each fold's eigenvectors and those of all folds, and what taking one of them apart needs
        return 8 * (2 * n_folds + 1 + 4) * side**2

    budget, degree = memory_budget(), len(kernels)
    if n_bytes(degree) <= budget:
        return
    fitting = next((d for d in range(degree - 1, 0, -1) if n_bytes(d) <= budget), 0)
    advice = (
        f"the largest degree that fits is {fitting}: {form_name(kernels[:fitting])}, kernels {kernels[:fitting]}"
        if fitting
        else "no degree fits"
    )
    raise FitError(
        f"basis of {Basis(n_channels, kernels).n_terms} terms for {n_channels} channels and "
        f"kernels {kernels}: fitting it takes {n_bytes(degree) / 2**30:.1f} GiB, half of "
        f"this machine's memory is {budget / 2**30:.1f} GiB; {advice}",
        remedy="take that, or a smaller neighbourhood" if fitting else "take a smaller neighbourhood",
    )
