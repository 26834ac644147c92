"""What a ridge counts: the share of the mean eigenvalue of the terms' correlations, which is one."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from latentfit.fit import Moments, solve

N_ROWS = 300


def correlated(rng: np.random.Generator) -> np.ndarray:
    """Terms of very unequal spreads, whose correlations have eigenvalues from about 0.01 to about 4."""
    common = rng.standard_normal((N_ROWS, 1))
    return (common + 0.15 * rng.standard_normal((N_ROWS, 4))) * [1, 10, 0.1, 3] + [0, 5, -1, 2]


def moments_of(features: np.ndarray, targets: np.ndarray) -> Moments:
    moments = Moments(features.shape[1], targets.shape[1])
    moments.add(np.vstack([np.ones(len(features)), features.T, targets.T]))
    return moments


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 2.0])
def test_it_is_that_of_standardised_terms_however_they_correlate(ridge: float) -> None:
    rng = np.random.default_rng(11)
    features, targets = correlated(rng), rng.standard_normal((N_ROWS, 2))
    standard = (features - features.mean(0)) / features.std(0)
    oracle = Ridge(alpha=ridge * N_ROWS).fit(standard, targets).coef_ / features.std(0)
    found = solve(moments_of(features, targets), ridge=ridge).coefficients[1:]
    np.testing.assert_allclose(found, oracle.T, rtol=1e-9)


def test_without_an_intercept_terms_are_divided_by_their_root_mean_square() -> None:
    rng = np.random.default_rng(12)
    features, targets = correlated(rng), rng.standard_normal((N_ROWS, 2)) + 1
    size = np.sqrt(np.square(features).mean(0))
    oracle = Ridge(alpha=0.1 * N_ROWS, fit_intercept=False).fit(features / size, targets).coef_ / size
    found = solve(moments_of(features, targets), intercept=False, ridge=0.1).coefficients
    np.testing.assert_allclose(found[1:], oracle.T, rtol=1e-9)
    assert not found[0].any()


def test_constant_terms_and_other_units_change_nothing() -> None:
    rng = np.random.default_rng(13)
    features, targets = correlated(rng), rng.standard_normal((N_ROWS, 2))
    plain = solve(moments_of(features, targets), ridge=0.1).coefficients
    levels = np.pi * 10.0 ** rng.uniform(-2, 4, 40)  # whose variance is not zero, but what rounding leaves
    solution = solve(moments_of(np.column_stack([features, np.tile(levels, (N_ROWS, 1))]), targets), ridge=0.1)
    assert solution.rank == 4
    np.testing.assert_allclose(solution.coefficients[:5], plain, rtol=1e-9)
    assert not solution.coefficients[5:].any()
    thousandfold = solve(moments_of(1000 * features, 10 * targets), ridge=0.1).coefficients
    np.testing.assert_allclose(thousandfold[1:], plain[1:] / 100, rtol=1e-9)
