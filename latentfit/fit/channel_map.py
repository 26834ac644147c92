"""ChannelMap: the one estimator for every closed form."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args

import numpy as np
from torch import Tensor

from latentfit.errors import FitError, NotFittedError
from latentfit.fit.basis import Basis, form_name, parse_kernels
from latentfit.fit.censored import censored
from latentfit.fit.examples import Cells, Examples, Target, of_arrays, of_joined, of_store
from latentfit.fit.moments import FEW_TO_SOLVE, FEW_TO_SUM, Moments, refuse_if_too_large
from latentfit.fit.polynomial_map import Kernel, PolynomialMap, smoothed
from latentfit.fit.solver import Solver
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.maps.scales import Scale, as_scale
from latentfit.pairs.joined import JoinedStores, SamplePair
from latentfit.pairs.store import PairStore, Sample, Split
from latentfit.runtime import distributed as parallel
from latentfit.runtime.threads import suitable_threads

if TYPE_CHECKING:
    from tqdm.auto import tqdm


class ChannelMap:
    """A closed-form map from latents to rgb, or to other latents.

    Parameters
    ----------
    kernels : tuple of int or str
        One odd side a degree, or a form's name: "linear", "affine", "quadratic", "cubic", "5,3".
    scale : int, Fraction or str
        Pixels per latent cell: 1 for a table, the space's `cell_px` for a full-size decoder. To latents: target cells
        per source cell, also "3/2" or "1/2": the denominator says how many cells, each way, are one to the fit.
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
    target : {"vae", "photo"}
        Targets from a store: what its VAE decoded, or the photographs that it was given, which is all there is to learn
        from where the VAE has no decoder. What the VAE loses counts as noise then: data/tables/README.md has what that
        costs.

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
    >>> import torch
    >>> latents = torch.randn(4, 4, 8, 8)
    >>> rgb = latents[:, :3] * 0.1 + 0.5
    >>> ChannelMap("affine").fit_arrays(latents, rgb, space="sd1").solution_.r2 > 0.999
    True
    """

    def __init__(
        self,
        kernels: tuple[int, ...] | str = (1,),
        scale: Scale = 1,
        intercept: bool = True,
        ridge: float | None = None,
        censored: bool = True,
        n_folds: int = 5,
        weights: Mapping[str, float] | None = None,
        smoothing: Kernel | None = None,
        target: Target = "vae",
    ) -> None:
        self.target = target
        self.kernels = kernels
        self.scale = scale
        self.intercept = intercept
        self.ridge = ridge
        self.censored = censored
        self.n_folds = n_folds
        self.weights = weights
        self.smoothing = smoothing

    @property
    def ratio(self) -> Fraction:
        """The scale as an exact fraction."""
        return as_scale(self.scale)

    def n_terms(self, n_channels: int) -> int:
        """Terms for that many channels, the intercept counted; nothing is allocated."""
        return 1 + self._basis(n_channels).n_terms

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
        parallel.start_ranks()
        chosen = list(store.split(split) if samples is None else samples)
        ratio = Fraction(self.scale).limit_denominator(64)  # `of_store` says which the store's pictures have
        if self.target not in get_args(Target):
            raise FitError("target", expected="'vae' or 'photo'", got=f"{self.target!r}")
        examples = of_store(store, chosen, ratio, self.n_folds, self.target)
        return self._fit(examples, split if samples is None else "chosen samples", progress)

    def fit_joined(
        self,
        joined: JoinedStores,
        split: Split = "train",
        pairs: Sequence[SamplePair] | None = None,
        *,
        progress: bool = False,
    ) -> "ChannelMap":
        """Fit one store's latents to the other's: an interposer, or an upscaler; `latent_map` gives it.

        Parameters
        ----------
        joined : JoinedStores
            Two stores joined; their scale must be this map's.
        split : {"train", "test", "all"}
        pairs : sequence of Pair or None
            Fit on exactly these instead of a split.
        progress : bool
            Show a bar, when it takes more than a second.

        Raises
        ------
        FitError
            When there are no pictures, the scales differ, or the basis does not fit in memory.
        """
        parallel.start_ranks()
        chosen = list(joined.split(split) if pairs is None else pairs)
        examples = of_joined(joined, chosen, self.ratio, self.n_folds)
        return self._fit(examples, split if pairs is None else "chosen samples", progress)

    def fit_arrays(
        self,
        latents: Tensor,
        target: Tensor,
        groups: Sequence[int] | None = None,
        *,
        space: LatentSpace | str,
        target_space: LatentSpace | str | None = None,
    ) -> "ChannelMap":
        """Fit on tensors that are in memory.

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
        target_at = None if target_space is None else get_space(target_space)
        return self._fit(of_arrays(latents, target, groups, get_space(space), target_at, self.ratio, self.n_folds))

    def approximation(self, name: str = "") -> Approximation:
        """The fitted map with its contract and its card.

        Raises
        ------
        NotFittedError
            Before `fit`, or when it was fitted to latents.
        """
        self._check_fitted("rgb")
        return Approximation(self.module_, self.space_, self.ratio, name=name or self.name, card=self._card())

    def latent_map(self, name: str = "") -> LatentMap:
        """The fitted map between two latent spaces."""
        self._check_fitted("latents")
        if self.target_space_ is None:
            raise NotFittedError("latent_map: fitted to rgb", remedy="use approximation()")
        return LatentMap(
            self.module_, self.space_, self.target_space_, self.ratio, name=name or self.name, card=self._card()
        )

    @property
    def name(self) -> str:
        """The name of its form: "affine", "3×3 affine", "5×5 linear + 3×3 quadratic"."""
        kernels, has_intercept = parse_kernels(self.kernels)
        name = form_name(kernels, self.intercept and has_intercept, self.ratio)
        return name if self.smoothing is None else f"{name}, smoothed"

    def _check_fitted(self, target: str) -> None:
        module = getattr(self, "module_", None)
        if module is None:
            raise NotFittedError("this ChannelMap is not fitted", remedy="call fit(store) first")
        if module.target != target:
            raise NotFittedError(
                f"this ChannelMap was fitted to {module.target}, not to {target}", remedy="fit it anew"
            )

    def _card(self) -> dict[str, Any]:
        solution, plain = self.solution_, self.plain_
        return {
            "form": self.name,
            "kernels": list(self.module_.kernels),
            "scale": int(self.ratio) if self.ratio.denominator == 1 else str(self.ratio),
            "intercept": self.module_.intercept,
            "smoothing": self.module_.config()["smoothing"],
            "ridge": solution.ridge,
            "censored": self.censored,
            "rank": solution.rank,
            "condition": solution.condition,
            "residual": solution.residual,
            "r2": solution.r2,
            **({} if solution.converged else {"converged": False, "n_passes": solution.n_passes}),
            "plain_residual": plain.residual,
            "n_cells": solution.n_cells,
            **self.provenance_,
        }

    def _basis(self, n_channels: int) -> Basis:
        kernels, _ = parse_kernels(self.kernels)
        return Basis(n_channels * self.ratio.denominator**2, kernels)

    def _fit(self, examples: Examples, split: str = "", progress: bool = False) -> "ChannelMap":
        """Moments, the solution and the module."""
        kernels, has_intercept = parse_kernels(self.kernels)
        intercept = self.intercept and has_intercept
        if self.ridge is not None and not 0 <= self.ridge < float("inf"):
            raise FitError("ridge", expected="None or a finite number of 0 or more", got=f"{self.ridge}")
        if self.smoothing is not None:
            _check_smoothing(self.smoothing, self.name, linear=kernels == (1,) and not intercept and self.ratio == 1)
        n_channels, (up, down) = examples.space.channels, self.ratio.as_integer_ratio()
        basis, n_out = self._basis(n_channels), examples.n_outputs * up**2
        refuse_if_too_large(n_channels * down**2, kernels, n_out, self.n_folds)
        n_terms = 1 + basis.n_terms
        if split and examples.n_cells < n_terms * down**2:
            raise FitError(
                f"{examples.n_cells // down**2} cells in {examples.n_examples} samples for "
                f"{n_terms} terms: the fit would say nothing of other pictures",
                remedy="collect more, or take a form of fewer terms",
            )
        of_colours = examples.target_space is None

        def cells() -> Iterator[Cells]:
            with _bar(examples.n_examples, f"fit {self.name}", progress) as bar:
                for example in examples.read():
                    latents, weight = smoothed(example.latents, self.smoothing), self._weight(example.kind)
                    yield Cells.of(
                        latents, example.target, basis, self.ratio, example.fold, weight,
                        bounds=self.censored and of_colours,
                    )  # fmt: skip
                    bar.update()

        with suitable_threads(basis.n_terms, FEW_TO_SUM):
            moments = Moments(basis.n_terms, n_out, self.n_folds)
            for part in cells():
                for rows, _ in part.rows(basis):
                    moments.add(rows, part.fold)
            moments.sum_over_ranks()
        with suitable_threads(basis.n_terms, FEW_TO_SOLVE):
            solver = Solver(moments, intercept=intercept, ridge=self.ridge)
            self.plain_ = self.solution_ = solver.solve()
            if self.censored and of_colours:
                self.solution_ = censored(cells, basis, moments, solver, self.plain_)
        target: Literal["rgb", "latents"] = "rgb" if of_colours else "latents"
        self.module_ = PolynomialMap(
            n_channels, kernels, up, intercept, target, examples.n_outputs, self.smoothing, down
        )
        self.module_.set_coefficients(self.solution_.coefficients)
        self.space_, self.target_space_ = examples.space, examples.target_space
        self.provenance_ = dict(examples.provenance)
        if split:
            self.provenance_ |= {"split": split, "weights": dict(self.weights or {})}
        return self

    def _weight(self, kind: str) -> float:
        return (self.weights or {}).get(kind, 1.0)


def _check_smoothing(kernel: Kernel, name: str, *, linear: bool) -> None:
    if not linear:
        raise FitError(
            "smoothing",
            expected="the form 'linear' at one pixel a cell",
            got=f"{name!r}: no program smooths another",
            remedy="fit with kernels 'linear', or without smoothing",
        )
    if [len(row) for row in kernel] != [3, 3, 3] or not np.isfinite(np.asarray(kernel)).all():
        raise FitError("smoothing", expected="3 rows of 3 finite numbers", got=f"{kernel}")


def _bar(total: int, title: str, progress: bool) -> "tqdm[NoReturn]":
    """One pass over a store; nothing is shown of a pass that takes less than a second."""
    from tqdm.auto import tqdm

    hidden = not progress or parallel.rank() > 0
    bar: tqdm[NoReturn] = tqdm(total=total, unit="sample", desc=title, delay=1, leave=False, disable=hidden)
    return bar
