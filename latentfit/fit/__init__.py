"""Closed form: the basis, its moments, the solver, and the estimator over them."""

from latentfit.fit.channel_map import ChannelMap
from latentfit.fit.module import PolynomialMap
from latentfit.fit.moments import Moments
from latentfit.fit.monomials import Basis, form_name, parse_kernels
from latentfit.fit.solve import Solution, solve

__all__ = ["Basis", "ChannelMap", "Moments", "PolynomialMap", "Solution", "form_name", "parse_kernels", "solve"]
