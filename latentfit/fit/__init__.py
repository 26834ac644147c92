"""Closed form: the basis, its moments, the solver, and the estimators over them."""

from typing import TYPE_CHECKING, Any

from latentfit.fit.channel_map import ChannelMap
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.fit.moments import Moments
from latentfit.fit.basis import Basis, form_name, parse_kernels
from latentfit.fit.solver import Solution, solve

if TYPE_CHECKING:
    from latentfit.fit.regressor import PolynomialRegressor

__all__ = [
    "Basis",
    "ChannelMap",
    "Moments",
    "PolynomialMap",
    "PolynomialRegressor",
    "Solution",
    "form_name",
    "parse_kernels",
    "solve",
]


def __getattr__(name: str) -> Any:
    """scikit-learn is imported when its regressor is asked for, not before."""
    if name == "PolynomialRegressor":
        from latentfit.fit.regressor import PolynomialRegressor

        return PolynomialRegressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
