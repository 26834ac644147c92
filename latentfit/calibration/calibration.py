"""Calibration: a map that grows by a pair at a time."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from latentfit.calibration.choice import FORMS, Choice, choose, mean_squared, rows_of
from latentfit.calibration.moment_file import MomentFile
from latentfit.calibration.moment_schema import MOST_ROWS, Identity
from latentfit.calibration.observing import observed
from latentfit.calibration.prior import Prior, prior_of, priors_of, published_priors
from latentfit.errors import CalibrationError
from latentfit.fit.basis import Basis, parse_kernels
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation

Floats = NDArray[np.float64]
MOST_BYTES = 2 << 20
"""Of one fold's triangle: which of the forms the sums hold follows from it."""
SUMMED = ((5, 1), (3, 1), (3,), (1,))
"""Kernels of the sums, the richest first."""


@dataclass(frozen=True)
class Observation:
    """What came of one call of `Calibration.observe`.

    Attributes
    ----------
    n_new : int
        Pictures that entered.
    refused : dict of str to int
        Reason -> pictures.
    """

    n_new: int
    refused: dict[str, int]


class Calibration:
    """A map from latents to colours that learns from pairs as they come: a latent and its full decode.

    Only sums of products are kept, of the cells of each picture, by eight folds of pictures: memory and file do not
    grow with the pictures, and the answer does not depend on their order. `approximation` solves them anew, towards
    what is bundled or published for the space; how far, and in which form, is chosen on pictures that are left out.

    Parameters
    ----------
    space : LatentSpace or str
    form : str
        "auto", or one of the forms: "affine", "3", "3,1", "5", "5,1".
    path : path or None
        A file, made where there is none; several processes may observe into it at once. None: in memory.
    fingerprint, vae : str
        Fingerprint and name of the VAE that decodes; pairs of another are refused. "": taken from the first pair that
        says it.
    prior : "auto", Approximation or None
        "auto": what is bundled for the space, or else published. A map of your own: a polynomial of at most the forms
        above at one pixel a cell. None: nothing is known before the first pair.

    Raises
    ------
    CalibrationError
        When the form or the prior cannot be used, or the file holds pairs of another space or VAE.
    BadFileError
        When the file is no calibration.

    Examples
    --------
    >>> import torch
    >>> calibration = Calibration("sd1", prior=None)
    >>> latents = torch.randn(1, 4, 16, 16)
    >>> calibration.observe(latents, latents[:, :3] * 0.1 + 0.5).n_new
    1
    >>> calibration.approximation().name
    '3×3 affine, learned from 1 picture'
    """

    def __init__(
        self,
        space: LatentSpace | str,
        form: str = "auto",
        *,
        path: str | os.PathLike[str] | None = None,
        fingerprint: str = "",
        vae: str = "",
        prior: Approximation | Literal["auto"] | None = "auto",
    ) -> None:
        self.space = get_space(space)
        self.form = form
        identity = Identity(self.space, _summed(self.space), fingerprint, vae)
        self._priors = _priors(self.space, prior, identity.basis)
        self._forms = _forms_of(form, identity.basis)
        beyond = _beyond(self._priors, identity.basis)
        self._file = MomentFile(None if path is None else Path(path), identity, beyond)
        self._fingerprint, self._vae = fingerprint, vae

    @classmethod
    def open(cls, path: str | os.PathLike[str], form: str = "auto") -> "Calibration":
        """The calibration of a file that is there.

        Raises
        ------
        BadFileError
            When there is none.
        """
        there = MomentFile(Path(path), None).identity
        return cls(there.space, form, path=path)

    @property
    def path(self) -> Path | None:
        """The file; None in memory."""
        return self._file.path

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the VAE whose decodes were observed; "" where no pair said it."""
        return self._file.identity.fingerprint

    @property
    def vae(self) -> str:
        """The name of that VAE, or ""."""
        return self._file.identity.vae

    @property
    def n_pictures(self) -> int:
        """Different pictures that entered."""
        return self._file.n_pictures()

    @property
    def has_prior(self) -> bool:
        """Whether something is known before the first picture."""
        return bool(self._priors)

    @property
    def refused(self) -> dict[str, int]:
        """Reason -> pictures that did not enter, over all calls."""
        return self._file.refused()

    def observe(self, latents: Tensor, rgb: Tensor, *, fingerprint: str = "", vae: str = "") -> Observation:
        """Take pairs; what is known already, black, or not finite is refused and counted.

        When it returns the pairs are on the disk. A picture counts once, and so does a part of it that another shares
        with it, such as what an inpainting left.

        Parameters
        ----------
        latents : Tensor, (N, C, h, w)
            Model domain.
        rgb : Tensor, (N, 3, H, W) in [0, 1]
            Their full decodes, uncropped.
        fingerprint, vae : str
            Fingerprint and name of the VAE that decoded, where they are known.

        Raises
        ------
        CalibrationError
            When the shapes do not go together, or the pairs are another VAE's.
        SpaceMismatchError
            When the latents are not of this space.
        """
        fingerprint, vae = (fingerprint, vae) if fingerprint else (self._fingerprint, self._vae)
        identity = replace(self._file.identity, fingerprint=fingerprint, vae=vae) if fingerprint else None
        if identity is not None:
            self._file.check_same(identity)
        found = observed(latents, rgb, self.space, self._basis, self._file.known_blocks(), self._file.beyond)
        n_new = self._file.add(found.pictures, found.refused, identity)
        return Observation(n_new, dict(found.refused))

    def approximation(self) -> Approximation:
        """The map, solved now.

        Raises
        ------
        CalibrationError
            When no picture has entered and nothing is known of the space.
        """
        return self.solve()[0]

    def solve(self) -> tuple[Approximation, Choice]:
        """The map, and why it is this one."""
        n = self.n_pictures
        if n == 0 and not self._priors:
            raise CalibrationError(
                f"no picture of space {self.space.name!r} has been observed, and no table of it is known",
                remedy="observe a pair first",
            )
        chosen = self._chosen(self._file.sums())
        kernels, _ = parse_kernels(chosen.kernels)
        module = PolynomialMap(self.space.channels, kernels)
        module.set_coefficients(chosen.coefficients)
        name = f"{chosen.form}, learned from {n} picture{'' if n == 1 else 's'}" if chosen.weight else chosen.prior
        return Approximation(module, self.space, Fraction(1), name=name, card=self._card(chosen, n)), chosen

    def gain_over(self, other: Approximation | None = None) -> float:
        """How much better than another table the map is on pictures that were left out, in dB; NaN where none can be.

        Parameters
        ----------
        other : Approximation or None
            None: the published table of the space that is in use.

        Returns
        -------
        float
            Peak signal-to-noise ratio at the cells, unclamped, minus that of `other`.
        """
        compared = next(iter(published_priors(self.space)), None) if other is None else prior_of(other)
        within = None if compared is None else compared.within(self._basis)
        sums = self._file.sums()
        if within is None or not sums.any():
            return math.nan
        chosen = self._chosen(sums)
        ours = chosen.psnr.get(chosen.form, math.nan) if chosen.weight else chosen.psnr_prior
        whole = sums.sum(0)
        whole += np.triu(whole, 1).T
        theirs = mean_squared(whole, within, np.arange(len(within)))
        return ours + 10 * math.log10(max(theirs, 1e-12))

    def merge(self, other: "Calibration") -> int:
        """Add what another has learned; gives how many pictures both had, which count twice from now on.

        Raises
        ------
        CalibrationError
            When it is another space's or VAE's.
        """
        return self._file.merge(other._file)

    def forget(self) -> None:
        """Leave nothing of any picture."""
        self._file.forget()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """A copy in a file, whole or not there."""
        return self._file.copy_to(Path(path))

    def __repr__(self) -> str:
        n = self.n_pictures
        return (
            f"Calibration({self.space.name!r}, {n} picture{'' if n == 1 else 's'}{f', {self.vae}' if self.vae else ''})"
        )

    @property
    def _basis(self) -> Basis:
        return self._file.identity.basis

    def _chosen(self, sums: Floats) -> Choice:
        return choose(sums, self._basis, self._priors, self._forms, self.n_pictures)

    def _card(self, chosen: Choice, n_pictures: int) -> dict[str, Any]:
        return {
            "form": chosen.form, "kernels": list(chosen.kernels), "n_images": n_pictures, "ridge": chosen.ridge,
            "weight": chosen.weight, "prior": chosen.prior, "vae": self.vae, "fingerprint": self.fingerprint,
            "psnr_left_out": {name: round(value, 2) for name, value in chosen.psnr.items()}, "train_hashes": [],
            **({} if math.isnan(chosen.psnr_prior) else {"psnr_prior": round(chosen.psnr_prior, 2)}),
        }  # fmt: skip


def _summed(space: LatentSpace) -> tuple[int, ...]:
    """Kernels of the richest basis whose sums stay small."""
    for kernels in SUMMED:
        side = 4 + Basis(space.channels, kernels).n_terms
        if side * (side + 1) // 2 * 8 <= MOST_BYTES and side <= MOST_ROWS:
            return kernels
    raise CalibrationError(
        f"space {space.name!r}",
        expected="a space of few channels",
        got=f"{space.channels}",
        remedy="fit a store instead",
    )


def _beyond(priors: Sequence[Prior], basis: Basis) -> Floats | None:
    """The bundled map that says how far a clipped colour would go; published ones say it worse than a constant."""
    fitting = [found for one in priors if one.is_bundled and (found := one.within(basis)) is not None]
    return max(fitting, key=lambda found: int((found != 0).any(1).sum()), default=None)


def _forms_of(form: str, basis: Basis) -> list[str]:
    """The forms to choose from."""
    able = [name for name, kernels in FORMS.items() if rows_of(kernels, basis) is not None]
    if form == "auto":
        return able
    kernels, _ = parse_kernels(form)
    found = [name for name in able if FORMS[name] == kernels]
    if not found:
        raise CalibrationError(
            "form",
            expected=f"'auto', {', '.join(repr(','.join(map(str, FORMS[name]))) for name in able)}",
            got=repr(form),
            remedy="take one of these, or fit a store instead",
        )
    return found


def _priors(space: LatentSpace, prior: Approximation | Literal["auto"] | None, basis: Basis) -> Sequence[Prior]:
    if prior is None:
        return []
    if isinstance(prior, str):
        return priors_of(space)
    if prior.space != space:
        raise CalibrationError(
            "prior",
            expected=f"a map of space {space.name!r}",
            got=f"one of {prior.space.name!r}",
            remedy="take one of that space",
        )
    made = prior_of(prior)
    if made is None or made.within(basis) is None:
        raise CalibrationError(
            "prior", expected=f"a polynomial within kernels {basis.kernels} at one pixel a cell", got=f"{prior.name!r}",
            remedy="take a fitted table of such a form",
        )  # fmt: skip
    return [made]
