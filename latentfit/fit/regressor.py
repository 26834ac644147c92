"""PolynomialRegressor: the solver inside ChannelMap as a plain scikit-learn regressor."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from latentfit.fit.basis import Basis
from latentfit.fit.moments import FEW_TO_SUM, Moments
from latentfit.fit.solver import solve
from latentfit.runtime.threads import suitable_threads

Floats = NDArray[np.float64]


class PolynomialRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Least squares over all monomials up to a degree, from streamed moments: memory does not grow with rows.

    The same numbers as ``PolynomialFeatures`` before ``LinearRegression`` (or ``Ridge``), whose design matrix it never
    forms.

    Parameters
    ----------
    degree : int
        1 or more.
    fit_intercept : bool
    ridge : float
        0 or more, relative to the mean eigenvalue of the terms' correlation matrix. Choosing it by cross-validation
        belongs to `ChannelMap`, which knows the pictures.

    Attributes
    ----------
    coef_ : ndarray, (n_targets, n_terms), or (n_terms,) for one target
        In the order of ``PolynomialFeatures(include_bias=False)``.
    intercept_ : ndarray, (n_targets,), or float
    solution_ : Solution
        Rank, condition, residual.
    moments_ : Moments
        The sums so far, which `partial_fit` adds to.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(12.0).reshape(6, 2) % 5
    >>> PolynomialRegressor(degree=1).fit(X, X @ [1, 2] + 3).intercept_.round(6)
    np.float64(3.0)
    """

    moments_: Moments

    def __init__(self, degree: int = 1, fit_intercept: bool = True, ridge: float = 0.0) -> None:
        self.degree = degree
        self.fit_intercept = fit_intercept
        self.ridge = ridge

    def fit(self, X: ArrayLike, y: ArrayLike) -> "PolynomialRegressor":
        """Fit ``(n, n_features)`` to ``(n,)`` or ``(n, n_targets)``.

        Raises
        ------
        ValueError
            When degree or ridge is out of range, or the data is not finite numbers.
        """
        return self._add(X, y, anew=True)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> "PolynomialRegressor":
        """Add rows to those fitted before: the same as one `fit` on all of them.

        Raises
        ------
        ValueError
            As `fit` does, or when the number of features or targets is another than before.
        """
        return self._add(X, y, anew=not hasattr(self, "moments_"))

    def _add(self, X: ArrayLike, y: ArrayLike, *, anew: bool) -> "PolynomialRegressor":
        if self.degree < 1 or self.ridge < 0:
            raise ValueError(f"expected degree >= 1 and ridge >= 0, got degree {self.degree}, ridge {self.ridge}")
        rows, targets = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=anew)
        wanted = targets.astype(np.float64).reshape(len(targets), -1)
        basis = Basis(rows.shape[1], (1,) * self.degree)
        moments: Moments = Moments(basis.n_terms, wanted.shape[1]) if anew else self.moments_
        if moments.n_targets != wanted.shape[1]:
            raise ValueError(f"partial_fit: expected {moments.n_targets} targets as before, got {wanted.shape[1]}")
        with suitable_threads(basis.n_terms, FEW_TO_SUM):
            for terms, part in basis.rows(rows.T, wanted.shape[1]):
                terms[1 + basis.n_terms :] = wanted[part].T
                moments.add(terms)
            self.solution_ = solve(moments, intercept=self.fit_intercept, ridge=self.ridge)
        self.moments_ = moments
        constant, slopes = self.solution_.coefficients[0], self.solution_.coefficients[1:].T
        self.coef_ = slopes if targets.ndim > 1 else slopes[0]
        self.intercept_ = constant if targets.ndim > 1 else constant[0]
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """``(n, n_features)`` -> ``(n,)`` or ``(n, n_targets)``."""
        check_is_fitted(self)
        rows: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        slopes = np.atleast_2d(self.coef_)
        basis = Basis(rows.shape[1], (1,) * self.degree)
        found = np.empty((len(rows), len(slopes)))
        for terms, part in basis.rows(rows.T):
            found[part] = terms[1:].T @ slopes.T + self.intercept_
        return found if self.coef_.ndim > 1 else found[:, 0]
