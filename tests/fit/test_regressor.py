"""The scikit-learn face of the solver: its checks, and its own features and least squares as the oracle."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import check_estimator

from latentfit.fit import PolynomialRegressor


@pytest.mark.parametrize("settings", [{}, {"degree": 2, "ridge": 1e-6}, {"degree": 3, "fit_intercept": False}])
def test_scikit_learns_own_checks_pass_with_no_expected_failure(settings: dict[str, object]) -> None:
    results = check_estimator(PolynomialRegressor(**settings), on_fail=None, on_skip=None)
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] in ("failed", "xfail")]
    assert not failed
    assert sum(r["status"] == "passed" for r in results) > 30


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_equal_to_polynomial_features_and_linear_regression(degree: int, n_targets: int, fit_intercept: bool) -> None:
    rng = np.random.default_rng(degree)
    rows = rng.standard_normal((4000, 4)) + 0.3
    y = rng.standard_normal((4000, n_targets)) + rows[:, :1] ** 2
    y = y if n_targets > 1 else y[:, 0]
    features = PolynomialFeatures(degree, include_bias=False)
    theirs = make_pipeline(features, LinearRegression(fit_intercept=fit_intercept)).fit(rows, y)
    ours = PolynomialRegressor(degree, fit_intercept).fit(rows, y)
    np.testing.assert_allclose(ours.coef_, theirs[-1].coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs[-1].intercept_, atol=1e-6)
    np.testing.assert_allclose(ours.predict(rows), theirs.predict(rows), atol=1e-6)
    assert ours.predict(rows).shape == y.shape


def test_rows_in_portions_are_as_good_as_all_at_once() -> None:
    rng = np.random.default_rng(1)
    rows, y = rng.standard_normal((900, 4)), rng.standard_normal((900, 2))
    whole, portions = PolynomialRegressor(3).fit(rows, y), PolynomialRegressor(3)
    for first, last in ((0, 7), (7, 500), (500, 900)):
        portions.partial_fit(rows[first:last], y[first:last])
    np.testing.assert_allclose(portions.coef_, whole.coef_, atol=1e-10)
    np.testing.assert_allclose(portions.fit(rows, y).intercept_, whole.intercept_, atol=1e-12)
    with pytest.raises(ValueError, match="expected 2 targets as before, got 1"):
        portions.partial_fit(rows, y[:, 0])


def test_memory_does_not_grow_with_rows_beyond_the_sums() -> None:
    rows = np.random.default_rng(2).standard_normal((200_000, 4))
    y = rows[:, 0] ** 3
    tracemalloc.start()
    try:
        PolynomialRegressor(3).fit(rows, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * 34 * rows[:, 0].nbytes  # half of the design matrix that is never formed


def test_a_ridge_shrinks() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 5))
    y = rows @ np.arange(5.0)
    plain, shrunk = (PolynomialRegressor(ridge=ridge).fit(rows, y) for ridge in (0.0, 1.0))
    assert np.linalg.norm(shrunk.coef_) < 0.7 * np.linalg.norm(plain.coef_)


@pytest.mark.parametrize("settings", [{"degree": 0}, {"ridge": -1.0}])
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"expected degree >= 1 and ridge >= 0"):
        PolynomialRegressor(**settings).fit(np.eye(3), np.ones(3))


def test_scikit_learn_is_not_imported_until_it_is_asked_for() -> None:
    code = "import sys, latentfit as lf; lf.ChannelMap; assert 'sklearn' not in sys.modules; lf.fit.PolynomialRegressor"
    subprocess.run([sys.executable, "-c", code], check=True)
