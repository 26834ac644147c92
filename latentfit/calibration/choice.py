"""The choice of a form, a ridge and a weight against the prior, by leaving folds of pictures out, from sums alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentfit.calibration.prior import Prior
from latentfit.fit.basis import Basis, form_name

Floats = NDArray[np.float64]
FORMS = {form_name(kernels): kernels for kernels in ((1,), (3,), (3, 1), (5,), (5, 1))}
"""Forms that a calibration may take, the poorer first: name -> kernels."""
RIDGES = (1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
WEIGHTS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of what the pairs say, against the prior."""
FEWEST = 4
"""Pictures, in at least three folds, from which on folds are left out to choose."""
PICTURES_TO_TRUST = 12
"""From which on the pairs may outweigh a bundled prior wholly."""
DOUBT = 1.0
"""Standard errors over left-out folds that a gain over the prior has to pass, and 2 over the number of pictures."""
LONE_RIDGE, LONE_WEIGHT, LONE_WEIGHT_BUNDLED = 1e-2, 0.125, 0.05
"""Of pictures too few to leave some out: for each picture; and against a bundled prior for each after the first."""
LONE_GAIN = 3.0
"""dB on the very pictures that were learned from, below which so few speak for the prior."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what speaks for it.

    Attributes
    ----------
    form : str
    kernels : tuple of int
    coefficients : ndarray, (1 + n_terms, 3)
        Coefficients in the form's own basis, signed range.
    ridge, weight : float
        Towards the prior; weight 0 is the prior itself.
    prior : str
        The prior's name; "" for none.
    psnr : dict of str to float
        Form -> dB on pictures that were left out, unclamped, with that form's best ridge and weight, of the chosen form
        with the chosen ones; empty where no picture was left out.
    psnr_prior : float
        PSNR of the best prior alone on the same pictures; NaN without one.
    """

    form: str
    kernels: tuple[int, ...]
    coefficients: Floats
    ridge: float
    weight: float
    prior: str
    psnr: dict[str, float] = field(default_factory=dict)
    psnr_prior: float = float("nan")


@dataclass(frozen=True)
class _Form:
    """A form within the basis of the sums."""

    name: str
    kernels: tuple[int, ...]
    rows: NDArray[np.intp]
    prior: Floats
    prior_name: str
    is_bundled: bool = False

    @property
    def rank(self) -> int:
        """Terms that the prior knows."""
        return int((self.prior[1:] != 0).any(1).sum())


def choose(sums: Floats, basis: Basis, priors: Sequence[Prior], forms: Sequence[str], n_pictures: int) -> Choice:
    """The best of the forms for pictures that were left out; the prior itself where nothing beats it surely.

    Of fewer than `FEWEST` pictures none is left out: what the pairs say enters with a small, fixed weight; without a
    prior it is all there is.

    Parameters
    ----------
    sums : ndarray, (n_folds, side, side)
        Upper triangles, see `PictureSums`.
    basis : Basis
        Basis of the sums.
    priors : sequence of Prior
        Each form takes the one that knows most of its terms.
    forms : sequence of str
        Names in `FORMS`, the poorer first.
    """
    whole = np.stack([one + np.triu(one, 1).T for one in sums])
    filled = [fold for fold in range(len(whole)) if whole[fold, 0, 0] > 0]
    candidates = _worth_it([made for name in forms if (made := _form(name, basis, priors)) is not None])
    if n_pictures < FEWEST or len(filled) < 3:
        return _of_few(whole.sum(0), candidates, n_pictures)
    scored = [_left_out(one, whole, filled) for one in candidates]
    cells = whole[filled, 0, 0]
    known = [i for i, one in enumerate(candidates) if one.prior_name]
    base = max(known, key=lambda i: candidates[i].rank) if known else None  # few pictures cannot rank what many made
    best: tuple[float, int, int, int] | None = None
    for index, found in enumerate(scored):
        for r, w in np.ndindex(found.errors.shape[:2]):
            if not _is_allowed(candidates[index], w, n_pictures):
                continue
            sure = -_pooled(10 * np.log10(np.maximum(found.errors[r, w], 1e-12)), cells)
            if base is not None:
                sure = _sure_gain(scored[base].prior, found.errors[r, w], cells, n_pictures)
            if best is None or sure > best[0]:
                best = (sure, index, r, w)
    psnr = {
        one.name: _db(min(_pooled(e, cells) for e in found.errors.reshape(-1, len(filled))))
        for one, found in zip(candidates, scored, strict=True)
    }
    prior_db = float("nan") if base is None else _db(_pooled(scored[base].prior, cells))
    assert best is not None
    if base is not None and best[0] <= 0:
        one = candidates[base]
        return Choice(one.name, one.kernels, one.prior, 0.0, 0.0, one.prior_name, psnr, prior_db)
    _, index, r, w = best
    one = candidates[index]
    psnr[one.name] = _db(_pooled(scored[index].errors[r, w], cells))
    step = _towards(whole.sum(0), one, [RIDGES[r]])[0]
    weight = WEIGHTS[w] if one.prior_name else 1.0
    return Choice(one.name, one.kernels, one.prior + weight * step, RIDGES[r], weight, one.prior_name, psnr, prior_db)


@dataclass(frozen=True)
class _Scored:
    """Mean squared errors on each left-out fold: of the prior ``(folds,)``, and ``(ridges, weights, folds)``."""

    prior: Floats
    errors: Floats


def _left_out(form: _Form, whole: Floats, filled: Sequence[int]) -> _Scored:
    total = whole.sum(0)
    weights = WEIGHTS if form.prior_name else (1.0,)
    errors = np.empty((len(RIDGES), len(weights), len(filled)))
    prior = np.empty(len(filled))
    for n, fold in enumerate(filled):
        here = whole[fold]
        prior[n] = mean_squared(here, form.prior, form.rows)
        gram = here[np.ix_(form.rows, form.rows)]
        cross = here[np.ix_(form.rows, colours_of(here))] - gram @ form.prior
        for r, step in enumerate(_towards(total - here, form, RIDGES)):
            slope, curve = float((step * cross).sum()), float((step * (gram @ step)).sum())
            for w, weight in enumerate(weights):
                errors[r, w, n] = max(0.0, prior[n] + (weight**2 * curve - 2 * weight * slope) / (12 * here[0, 0]))
    return _Scored(prior, errors)


def _worth_it(candidates: list[_Form]) -> list[_Form]:
    """Those to choose from: where nothing is known beforehand, a map of single cells loses from the first picture on.

    It is left out there, since of few pictures one odd one would choose it.
    """
    wider = [one for one in candidates if one.kernels[0] > 1]
    return wider if wider and not any(one.prior_name for one in candidates) else candidates


def _of_few(total: Floats, candidates: Sequence[_Form], n_pictures: int) -> Choice:
    known = [one for one in candidates if one.prior_name]
    simple = [one for one in candidates if len(one.kernels) == 1 and one.kernels[0] <= 3]
    one = max(known or simple or candidates, key=lambda one: len(one.rows) if not known else one.rank)
    if total[0, 0] == 0:
        return Choice(one.name, one.kernels, one.prior, 0.0, 0.0, one.prior_name)
    step, weight = _towards(total, one, [LONE_RIDGE])[0], 1.0
    if one.prior_name:
        gain = _db(mean_squared(total, one.prior + step, one.rows)) - _db(mean_squared(total, one.prior, one.rows))
        weight = LONE_WEIGHT_BUNDLED * (n_pictures - 1) if one.is_bundled else LONE_WEIGHT * n_pictures
        weight *= min(1.0, max(0.0, gain / LONE_GAIN)) ** 2
    return Choice(one.name, one.kernels, one.prior + weight * step, LONE_RIDGE, weight, one.prior_name)


def _is_allowed(form: _Form, weight: int, n_pictures: int) -> bool:
    """Whether so few pictures may say so much."""
    return not form.is_bundled or WEIGHTS[weight] <= n_pictures / PICTURES_TO_TRUST


def _pooled(errors: Floats, cells: Floats) -> float:
    return float((errors * cells).sum() / cells.sum())


def _sure_gain(prior: Floats, errors: Floats, cells: Floats, n_pictures: int) -> float:
    """dB over the prior that remain after the doubt: of folds, so that one odd picture does not decide, and pooled."""
    gains = 10 * np.log10(np.maximum(prior, 1e-12) / np.maximum(errors, 1e-12))
    over_folds = _pooled(gains, cells) - (DOUBT + 2 / n_pictures) * _standard_error(gains, cells)
    return min(over_folds, _db(_pooled(errors, cells)) - _db(_pooled(prior, cells)))


def _standard_error(gains: Floats, cells: Floats) -> float:
    shares = cells / cells.sum()
    mean = float((gains * shares).sum())
    n = len(gains)
    return float(np.sqrt((shares**2 * (gains - mean) ** 2).sum() * n / (n - 1)))


def _db(error: float) -> float:
    return -10 * float(np.log10(max(error, 1e-12)))


def colours_of(sums: Floats) -> NDArray[np.intp]:
    """The rows of the three colours, which are the last."""
    return np.arange(len(sums) - 3, len(sums))


def mean_squared(sums: Floats, coefficients: Floats, rows: NDArray[np.intp]) -> float:
    """Mean squared error of unclamped colours, of the range 0 to 1, of coefficients in rows of symmetric sums."""
    cross, n_terms = sums[np.ix_(rows, colours_of(sums))], len(rows)
    power = sums.diagonal()[-3:].sum()
    quadratic = float((coefficients * (sums[np.ix_(rows, rows)] @ coefficients)).sum())
    assert coefficients.shape == (n_terms, 3)
    return max(0.0, float(power) - 2 * float((coefficients * cross).sum()) + quadratic) / (4 * 3 * float(sums[0, 0]))


def rows_of(kernels: tuple[int, ...], basis: Basis) -> NDArray[np.intp] | None:
    """Rows of the constant and a form's terms in sums over a basis; None where it lacks one of them."""
    place = {term: 1 + index for index, term in enumerate(basis.names)}
    terms = Basis(basis.n_channels, kernels).names
    return np.array([0, *(place[term] for term in terms)]) if set(terms) <= set(place) else None


def _form(name: str, basis: Basis, priors: Sequence[Prior]) -> _Form | None:
    """A form's rows in the sums, and what is known of it; None where the sums do not hold its terms."""
    own = Basis(basis.n_channels, FORMS[name])
    rows = rows_of(FORMS[name], basis)
    if rows is None:
        return None
    known = [(one, found) for one in priors if (found := one.within(own)) is not None]
    if not known:
        return _Form(name, FORMS[name], rows, np.zeros((len(rows), 3)), "")
    best, coefficients = max(known, key=lambda pair: len(pair[0].terms))
    return _Form(name, FORMS[name], rows, coefficients, best.name, best.is_bundled)


def _towards(sums: Floats, form: _Form, ridges: Sequence[float]) -> Floats:
    """Least squares with a ridge towards the prior, ``(n_ridges, n_rows, 3)``; the constant is free."""
    gram = sums[np.ix_(form.rows, form.rows)]
    left = sums[np.ix_(form.rows, colours_of(sums))] - gram @ form.prior
    count = gram[0, 0]
    mean, left_mean = gram[0, 1:] / count, left[0] / count
    spread = np.sqrt(np.maximum(gram.diagonal()[1:] / count - mean**2, 1e-12))
    correlation = (gram[1:, 1:] / count - np.outer(mean, mean)) / np.outer(spread, spread)
    values, vectors = np.linalg.eigh(correlation)
    right = vectors.T @ ((left[1:] / count - np.outer(mean, left_mean)) / spread[:, None])
    found = []
    for ridge in ridges:
        slopes = vectors @ (right / (np.maximum(values, 0) + ridge)[:, None]) / spread[:, None]
        found.append(np.vstack([left_mean - mean @ slopes, slopes]))
    return np.array(found)
