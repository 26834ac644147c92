"""Priors: what is known of a space before the first pair: the bundled tables, or else the published one."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from latentfit.errors import SpaceMismatchError
from latentfit.fit.basis import Basis
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.formats.bundled import bundled_tables
from latentfit.formats.saved import load_approximation
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.scores.published import tables

Floats = NDArray[np.float64]
PREFERRED = ("current", "superseded")
"""Statuses of published tables that a prior may be, the better first."""


@dataclass(frozen=True)
class Prior:
    """A map that stands in one row of terms.

    Attributes
    ----------
    name : str
    terms : tuple of str
        Names of its terms, the constant not among them.
    coefficients : ndarray, (1 + len(terms), 3)
        Signed range, the constant first.
    is_bundled : bool
        Fitted here rather than published.
    """

    name: str
    terms: tuple[str, ...]
    coefficients: Floats
    is_bundled: bool = False

    def within(self, basis: Basis) -> Floats | None:
        """The coefficients in a basis that has all its terms, ``(1 + n_terms, 3)``; None where it lacks one."""
        place = {name: 1 + index for index, name in enumerate(basis.names)}
        if not set(self.terms) <= set(place):
            return None
        found = np.zeros((1 + basis.n_terms, 3))
        found[0] = self.coefficients[0]
        found[[place[name] for name in self.terms]] = self.coefficients[1:]
        return found


def priors_of(space: LatentSpace) -> list[Prior]:
    """The bundled tables of a space that are polynomials at one pixel a cell, else its published one."""
    bundled = [
        prior_of(one, is_bundled=True)
        for one in map(load_approximation, bundled_tables(space.name))
        if isinstance(one.module, PolynomialMap) and one.space == space
    ]
    return [one for one in bundled if one is not None] or published_priors(space)[:1]


def published_priors(space: LatentSpace) -> list[Prior]:
    """The published tables of a space that are affine, those in use first."""
    found = [one for one in tables(space) if one.status in PREFERRED and not one.obstacle]
    found.sort(key=lambda one: PREFERRED.index(one.status))
    made = [prior_of(one.approximation()) for one in found]
    return [one for one in made if one is not None]


def prior_of(approximation: Approximation, is_bundled: bool = False) -> Prior | None:
    """Any map as a prior, where it is a polynomial of its cells or affine in each; None where it is neither."""
    module, name = approximation.module, approximation.name
    if approximation.scale != 1:
        return None
    if isinstance(module, PolynomialMap):
        if module.smoothing is not None or module.shrink != 1 or module.target != "rgb":
            return None
        return Prior(name, tuple(module.basis.names), module.coefficients.double().cpu().numpy(), is_bundled)
    coefficients = _probed(approximation)
    if coefficients is None:
        return None
    return Prior(name, tuple(Basis(approximation.space.channels, (1,)).names), coefficients, is_bundled)


def _probed(approximation: Approximation) -> Floats | None:
    """Coefficients of a map that is affine in each cell alone, read off unit latents; None where it is not."""
    n = approximation.space.channels
    probes = torch.cat([torch.zeros(1, n), torch.eye(n), torch.randn(8, n, generator=torch.Generator().manual_seed(0))])
    try:
        seen = approximation.unclamped(probes[:, :, None, None].repeat(1, 1, 3, 3))[..., 1, 1].double() * 2 - 1
    except SpaceMismatchError:
        return None
    constant, slopes = seen[0], seen[1 : 1 + n] - seen[0]
    if not torch.allclose(constant + probes[1 + n :].double() @ slopes, seen[1 + n :], atol=1e-3):
        return None
    return torch.cat([constant[None], slopes]).numpy()
