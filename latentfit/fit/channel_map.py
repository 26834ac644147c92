"""ChannelMap: the one estimator for every closed form."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor

from latentfit import parallel
from latentfit.approx import Approximation, LatentMap
from latentfit.errors import FitError, NotFittedError
from latentfit.fit.cells import Cells, bounds_of
from latentfit.fit.censored import censored
from latentfit.fit.module import Kernel, PolynomialMap, smoothed
from latentfit.fit.moments import FEW_TO_SOLVE, Moments, refuse_if_too_large, suitable_threads
from latentfit.fit.monomials import Basis, form_name, parse_kernels
from latentfit.fit.solve import Solver
from latentfit.images import fold_of
from latentfit.pairs import Batch, PairStore, Sample, Split
from latentfit.spaces import LatentSpace, get_space, rgb_to_signed

if TYPE_CHECKING:
    from tqdm.auto import tqdm


class ChannelMap:
    """A closed-form map from latents to rgb, or to other latents.

    Parameters
    ----------
    kernels : tuple of int or str
        One odd side a degree, or a form's name: "linear", "affine", "quadratic", "cubic", "5,3".
    scale : int
        Pixels per latent cell: 1 for a table, the space's `cell_px` for a full-size decoder.
    intercept : bool
        With False, and with "linear", the map goes through mid-grey at latent zero: targets are fitted in [-1, 1].
    ridge : float or None
        None: chosen by cross-validation over image folds, from the moments alone.
    censored : bool
        Treat targets at 0 and 1 as bounds: a prediction beyond them is right. Plain least squares is biased there.
    n_folds : int
        Image folds.
    weights : mapping of str to float, or None
        Kind of picture -> weight of each of its cells, such as ``{"chart": 0.25}``; 1 where it is not named.
    smoothing : 3×3 tuple of float, or None
        For "linear" only: the kernel that the program which will run the table runs over its picture afterwards. What
        is fitted is the picture that it then shows.

    Attributes
    ----------
    solution_ : Solution
        Coefficients in the signed range, with evidence.
    plain_ : Solution
        The uncensored answer, for comparison.
    module_ : PolynomialMap
    provenance_ : dict
        What `approximation` puts into the card.

    Examples
    --------
    >>> latents = torch.randn(4, 4, 8, 8)
    >>> rgb = latents[:, :3] * 0.1 + 0.5
    >>> ChannelMap("affine").fit_arrays(latents, rgb, space="sd1").solution_.r2 > 0.999
    True
    """

    def __init__(
        self,
        kernels: tuple[int, ...] | str = (1,),
        scale: int = 1,
        intercept: bool = True,
        ridge: float | None = None,
        censored: bool = True,
        n_folds: int = 5,
        weights: Mapping[str, float] | None = None,
        smoothing: Kernel | None = None,
    ) -> None:
        self.kernels = kernels
        self.scale = scale
        self.intercept = intercept
        self.ridge = ridge
        self.censored = censored
        self.n_folds = n_folds
        self.weights = weights
        self.smoothing = smoothing

    def n_terms(self, n_channels: int) -> int:
        """Terms for that many channels, the intercept counted; nothing is allocated."""
        kernels, _ = parse_kernels(self.kernels)
        return 1 + Basis(n_channels, kernels).n_terms

    def fit(
        self,
        store: PairStore,
        split: Split = "train",
        samples: Sequence[Sample] | None = None,
        *,
        progress: bool = False,
    ) -> "ChannelMap":
        """Fit on a store's pictures; every rank of a distributed run takes its share.

        Parameters
        ----------
        store : PairStore
        split : {"train", "test", "all"}
        samples : sequence of Sample or None
            Fit on exactly these instead of a split.
        progress : bool
            Show a bar for each pass over the store, when it takes more than a second.

        Raises
        ------
        FitError
            When there are no pictures, or the basis does not fit in memory.
        """
        parallel.start()
        if not 1 <= self.scale <= store.space.cell_px:
            raise FitError(
                f"scale: expected 1 to {store.space.cell_px} pixels a cell, which the store's pictures have, got "
                f"{self.scale}"
            )
        chosen = list(store.split(split) if samples is None else samples)
        if not chosen:
            raise FitError(f"{store.path}: no pictures in split {split!r}; collect more, or fit with split 'all'")
        columns = ["latents", "cells", *(["rgb"] if self.scale > 1 else [])]
        n_cells = sum(sample.size_cells[0] * sample.size_cells[1] for sample in chosen)
        n_terms = self.n_terms(store.space.channels)
        if n_cells < n_terms:
            raise FitError(
                f"{store.path}: {n_cells} cells in {len(chosen)} samples for {n_terms} terms: "
                "the fit would say nothing of other pictures; collect more, or take a form of fewer terms"
            )
        mine = parallel.share(chosen)

        def cells() -> Iterator[Cells]:
            with _bar(len(mine), f"fit {self.name}", progress) as bar:
                for batch in store.batches(mine, columns):
                    yield from self._cells_of(batch)
                    bar.update(len(batch.samples))

        self._solve(cells, store.space.channels, "rgb", 3)
        self.space_ = store.space
        hashes = sorted({sample.sha256 for sample in chosen})
        self.provenance_ = {
            "vae": store.vae_name,
            "fingerprint": store.fingerprint,
            "reference": store.reference,
            "size_px": store.origin.size,
            "split": split if samples is None else "chosen samples",
            "n_images": len(hashes),
            "n_cells": n_cells,
            "weights": dict(self.weights or {}),
            "train_hashes": hashes,
        }
        return self

    def fit_arrays(
        self,
        latents: Tensor,
        target: Tensor,
        groups: Sequence[int] | None = None,
        *,
        space: LatentSpace | str,
        target_space: LatentSpace | str | None = None,
    ) -> "ChannelMap":
        """Fit on tensors.

        Parameters
        ----------
        latents : Tensor, (N, C, h, w)
            Model domain.
        target : Tensor, (N, 3, h * scale, w * scale) in [0, 1], or (N, C', h * scale, w * scale)
            Rgb; or latents of `target_space` when that is given.
        groups : sequence of int or None
            Picture of each of the N, for the folds; None: each its own.
        space, target_space : LatentSpace or str
        """
        target_name: Literal["rgb", "latents"] = "rgb" if target_space is None else "latents"
        n = latents.shape[0]
        expected = (n, target.shape[1], latents.shape[2] * self.scale, latents.shape[3] * self.scale)
        if tuple(target.shape) != expected:
            raise FitError(f"target: expected {expected} for scale {self.scale}, got {tuple(target.shape)}")
        folds = [index % self.n_folds for index in (range(n) if groups is None else groups)]

        def cells() -> Iterator[Cells]:
            for index in range(n):
                part = slice(index, index + 1)
                wanted = rgb_to_signed(target[part]) if target_name == "rgb" else target[part]
                yield self._one(latents[part], wanted, target_name, folds[index])

        self._solve(cells, latents.shape[1], target_name, target.shape[1])
        self.space_ = get_space(space)
        self.target_space_ = None if target_space is None else get_space(target_space)
        self.provenance_ = {
            "vae": "arrays",
            "n_images": len(set(folds if groups is None else groups)),
            "train_hashes": [],
        }
        return self

    def approximation(self, name: str = "") -> Approximation:
        """The fitted map with its contract and its card.

        Raises
        ------
        NotFittedError
            Before `fit`, or when it was fitted to latents.
        """
        self._check_fitted("rgb")
        return Approximation(self.module_, self.space_, self.scale, name=name or self.name, card=self._card())

    def latent_map(self, name: str = "") -> LatentMap:
        """The fitted map between two latent spaces."""
        self._check_fitted("latents")
        if self.target_space_ is None:
            raise NotFittedError("latent_map: fitted to rgb; use approximation()")
        return LatentMap(
            self.module_, self.space_, self.target_space_, self.scale, name=name or self.name, card=self._card()
        )

    @property
    def name(self) -> str:
        """Its form: "affine", "3×3 affine", "(5, 3)"."""
        kernels, has_intercept = parse_kernels(self.kernels)
        name = form_name(kernels, self.intercept and has_intercept, self.scale)
        return name if self.smoothing is None else f"{name}, smoothed"

    def _check_fitted(self, target: str) -> None:
        module = getattr(self, "module_", None)
        if module is None:
            raise NotFittedError("this ChannelMap is not fitted; call fit(store) first")
        if module.target != target:
            raise NotFittedError(f"this ChannelMap was fitted to {module.target}, not to {target}")

    def _card(self) -> dict[str, Any]:
        solution, plain = self.solution_, self.plain_
        return {
            "form": self.name,
            "kernels": list(self.module_.kernels),
            "scale": self.scale,
            "intercept": self.module_.intercept,
            "smoothing": self.module_.config()["smoothing"],
            "ridge": solution.ridge,
            "censored": self.censored,
            "rank": solution.rank,
            "condition": solution.condition,
            "residual": solution.residual,
            "r2": solution.r2,
            "plain_residual": plain.residual,
            "n_cells": solution.n_cells,
            **self.provenance_,
        }

    def _cells_of(self, batch: Batch) -> Iterator[Cells]:
        target = rgb_to_signed(batch.target(self.scale))
        for index, sample in enumerate(batch.samples):
            part = slice(index, index + 1)
            fold, weight = fold_of(sample.sha256, self.n_folds), (self.weights or {}).get(sample.kind, 1.0)
            yield self._one(batch.latents[part], target[part], "rgb", fold, weight)

    def _one(self, latents: Tensor, target: Tensor, target_name: str, fold: int, weight: float = 1.0) -> Cells:
        kernels, _ = parse_kernels(self.kernels)
        variables = Basis(latents.shape[1], kernels).neighbourhoods(smoothed(latents, self.smoothing)).numpy()
        targets = self._outputs(target).numpy()
        at_most, at_least = bounds_of(targets) if self.censored and target_name == "rgb" else (None, None)
        # numpy's casts, since for a picture's few cells torch would wake its threads
        return Cells(variables.astype(np.float64), targets.astype(np.float64), at_most, at_least, fold, weight)

    def _outputs(self, picture: Tensor) -> Tensor:
        """``(1, c, h * scale, w * scale)`` -> ``(c * scale², h * w)``."""
        cells = torch.nn.functional.pixel_unshuffle(picture, self.scale) if self.scale > 1 else picture
        return cells[0].flatten(1)

    def _solve(
        self, cells: Callable[[], Iterable[Cells]], n_channels: int, target: Literal["rgb", "latents"], n_outputs: int
    ) -> None:
        kernels, has_intercept = parse_kernels(self.kernels)
        intercept = self.intercept and has_intercept
        if self.ridge is not None and not 0 <= self.ridge < float("inf"):
            raise FitError(f"ridge: expected None or a finite number of 0 or more, got {self.ridge}")
        if self.smoothing is not None:
            _check_smoothing(self.smoothing, self.name, linear=kernels == (1,) and not intercept and self.scale == 1)
        basis = Basis(n_channels, kernels)
        n_out = n_outputs * self.scale**2
        refuse_if_too_large(n_channels, kernels, n_out, self.n_folds)
        with suitable_threads(basis.n_terms):
            moments = Moments(basis.n_terms, n_out, self.n_folds)
            for part in cells():
                for rows, _ in part.rows(basis):
                    moments.add(rows, part.fold)
            moments.sum_over_ranks()
        with suitable_threads(basis.n_terms, FEW_TO_SOLVE):
            solver = Solver(moments, intercept=intercept, ridge=self.ridge)
            self.plain_ = self.solution_ = solver.solve()
            if self.censored and target == "rgb":
                self.solution_ = censored(cells, basis, moments, solver, self.plain_)
        self.module_ = PolynomialMap(n_channels, kernels, self.scale, intercept, target, n_outputs, self.smoothing)
        self.module_.set_coefficients(self.solution_.coefficients)


def _check_smoothing(kernel: Kernel, name: str, *, linear: bool) -> None:
    if not linear:
        raise FitError(
            f"smoothing: expected the form 'linear' at one pixel a cell, got {name!r}: no program smooths another; fit "
            "with kernels 'linear', or without smoothing"
        )
    if [len(row) for row in kernel] != [3, 3, 3] or not np.isfinite(np.asarray(kernel)).all():
        raise FitError(f"smoothing: expected 3 rows of 3 finite numbers, got {kernel}")


def _bar(total: int, title: str, progress: bool) -> "tqdm[NoReturn]":
    """One pass over a store; nothing is shown of a pass that takes less than a second."""
    from tqdm.auto import tqdm

    hidden = not progress or parallel.rank() > 0
    bar: tqdm[NoReturn] = tqdm(total=total, unit="sample", desc=title, delay=1, leave=False, disable=hidden)
    return bar
