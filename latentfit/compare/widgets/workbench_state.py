"""What a workbench knows without a page: subjects, decoders, estimates at a noise level, and any view as a figure."""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import torch
from torch import Tensor

from latentfit.compare.figures.canvas import Figure, placed
from latentfit.compare.figures.errors import MOST_DELTA_E, MOST_LIGHTNESS, amplified, delta_e, lightness_error
from latentfit.compare.figures.sheets import contact_sheet, curtain
from latentfit.compare.widgets.decoders import Decoders, Side
from latentfit.compare.widgets.workbench_pictures import Subject, torch_noise
from latentfit.errors import LatentfitError, WidgetError
from latentfit.images.colour import linear_to_srgb, srgb_to_linear
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore
from latentfit.scores.held_out import are_fitted
from latentfit.scores.simulated_estimates import simulate_x0
from latentfit.scores.spectrum import Spectrum, spectrum_of, spectrum_of_latents

Mode = Literal["picture", "lightness", "delta_e", "difference"]
Layout = Literal["split", "grid", "blink"]
Scale = Literal["fixed", "auto"]
Standing = Literal["held_out", "fitted_on"]
MODES: dict[str, str] = {
    "picture": "",
    "lightness": "lightness error ΔL*, −{0:g} blue to +{0:g} red",
    "delta_e": "ΔE, 0 black to {0:g} white",
    "difference": "difference × 4 about grey",
}
LAYOUTS, SCALES = ("split", "grid", "blink"), ("fixed", "auto")
STANDINGS: dict[Standing, str] = {"held_out": "held out", "fitted_on": "fitted on this"}
MOST_IN_GRID = 6
_FORMER_MODES = {"brightness": "lightness"}  # in code that was printed before 2026-12
_AUTO_LIMITS = (1, 2, 3, 5, 10, 15, 20, 30, 50, 100)
_HIGH_SHARE = 0.995  # of the pixels lies below what "auto" reaches to
_MOST_SCORED = 64


@dataclass(frozen=True)
class View:
    """The state of a workbench's view.

    Attributes
    ----------
    picture : int
        Number of the subject.
    left, right : str
        Names of decoders, or of the picture itself.
    mode : {"picture", "lightness", "delta_e", "difference"}
        The pictures, or their errors against the reference: of CIELAB's L*, in CIEDE2000, or four times over.
    sigma, gain : float
        Noise and gain of the simulated x0 estimate that is decoded; see `latentfit.simulate_x0`.
    exposure : float
        Stops, in linear light; of pictures only.
    position : float
        Place of the split line, in percent of the width.
    smooth : bool
        Smaller pictures are enlarged bilinearly; False: shown as blocks. Errors are of what is enlarged bilinearly.
    layout : {"split", "grid", "blink"}
        Left and right under a movable line, several beside each other, or left and right in turns at one place.
    grid : tuple of str
        Names in the grid, at most `MOST_IN_GRID`; empty: the reference, then the others.
    scale : {"fixed", "auto"}
        Where the colours of errors end: at the same number for every picture, or at a round one that 99.5 % of the
        pixels that are shown stay below.
    """

    picture: int = 0
    left: str = ""
    right: str = ""
    mode: Mode = "picture"
    sigma: float = 0.0
    gain: float = 1.0
    exposure: float = 0.0
    position: float = 50.0
    smooth: bool = True
    layout: Layout = "split"
    grid: tuple[str, ...] = ()
    scale: Scale = "fixed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", _FORMER_MODES.get(self.mode, self.mode))
        object.__setattr__(self, "grid", tuple(self.grid))
        for name, known in (("mode", MODES), ("layout", LAYOUTS), ("scale", SCALES)):
            if getattr(self, name) not in known:
                raise WidgetError(name, expected=f"one of {', '.join(known)}", got=f"{getattr(self, name)!r}")
        if len(self.grid) > MOST_IN_GRID:
            raise WidgetError("grid", expected=f"at most {MOST_IN_GRID} names", got=f"{len(self.grid)}")
        if not (0 <= self.sigma < float("inf") and 0 < self.gain < float("inf")):
            raise WidgetError(
                "view", expected="a finite sigma of 0 or more and a gain above 0", got=f"{self.sigma} and {self.gain}"
            )
        if not (0 <= self.position <= 100 and abs(self.exposure) <= 16):
            raise WidgetError(
                "view",
                expected="a position in [0, 100] and at most 16 stops",
                got=f"{self.position} and {self.exposure}",
            )


class Bench:
    """Subjects and decoders, decoded on request; calls from several threads take turns.

    Parameters
    ----------
    subjects : list of Subject
    decoders : Decoders
    reference : str or None
        The name that scores and errors are against.
    store : PairStore or None
        Whose spectrum the estimates are made from; None: the spectrum of these subjects, without those added later.
    """

    def __init__(
        self, subjects: Sequence[Subject], decoders: Decoders, reference: str | None, store: PairStore | None = None
    ) -> None:
        self.subjects, self.decoders, self.reference, self.store = list(subjects), decoders, reference, store
        self._measured_on = tuple(self.subjects)  # not those dropped in later: an estimate stays what it was
        self._spectrum: Spectrum | None = None
        self._scored: OrderedDict[tuple[str, str], Side] = OrderedDict()
        self._lock = threading.RLock()
        self._fitted_on: dict[int, set[str]] = {}  # by decoder: keys of the store's samples

    @property
    def names(self) -> list[str]:
        """Everything that can be shown: approximations, the reference, then pictures that are no decode."""
        decoders = [name for name in self.decoders.named if name != self.reference]
        fixed = dict.fromkeys(name for subject in self.subjects for name in subject.fixed if name != self.reference)
        return [*decoders, *([self.reference] if self.reference else []), *fixed]

    def sides(self, at: int, names: Iterable[str], sigma: float = 0.0, gain: float = 1.0) -> dict[str, Side]:
        """Decodes of one subject's estimate, with scores against the reference.

        Parameters
        ----------
        at : int
            Number of the subject.
        names : iterable of str
        sigma, gain : float
        """
        with self._lock:
            subject, key = self.subjects[at], self.key(at, sigma, gain)
            truth = self._scored_side(subject, self.reference, key, sigma, gain, None) if self.reference else None
            return {name: self._scored_side(subject, name, key, sigma, gain, truth) for name in names}

    def key(self, at: int, sigma: float, gain: float) -> str:
        """Tells one subject's estimate from all others."""
        return f"{self.subjects[at].key[:24]} {sigma:g} {gain:g}"

    def label(self, sigma: float, gain: float) -> str:
        """What the latents are, where they are not the picture's own."""
        if sigma == 0:
            return "" if gain == 1 else f"latents × {gain:g}"
        source = (
            f"{self.store.path.name}'s spectrum" if self.store else f"the spectrum of these {len(self._measured_on)}"
        )
        return f"simulated x0, σ {sigma:g}, gain {gain:g} (Wiener estimate from {source})"

    def estimate(self, subject: Subject, sigma: float, gain: float) -> Tensor:
        """Latents ``(1, C, h, w)`` that a preview would see at this noise."""
        if sigma == 0:
            return gain * subject.latents
        if self._spectrum is None:
            self._spectrum = self._measured()
        if self.store is not None and subject.sample is not None:
            estimates = simulate_x0(self.store, sigma, gain=gain, samples=[subject.sample], spectrum=self._spectrum)
            return estimates.of(subject.sample, subject.latents)
        noised = subject.latents + sigma * torch_noise(subject.key, subject.latents.shape)
        return gain * self._spectrum.wiener(noised, sigma)

    def grid_names(self, view: View) -> list[str]:
        """Names in the grid of a view: those that it names, else the reference and the first of the others."""
        first = [self.reference] if self.reference else []
        others = [name for name in self.names if name != self.reference]
        return list(view.grid) or [*first, *others][:MOST_IN_GRID]

    def standings(self, at: int) -> dict[str, Standing | None]:
        """Tell for each name whether its decoder was fitted on a subject's picture, or a copy of it; None: unknown."""
        subject = self.subjects[at]
        return {name: self._standing(subject, self.decoders.named.get(name)) for name in self.names}

    def standing(self, at: int) -> Standing | None:
        """The standing of a subject as a whole: what all decoders agree on, else what the store's split says."""
        sample = self.subjects[at].sample
        by_split: Standing | None = None if sample is None else "held_out" if sample.is_test else "fitted_on"
        known = {each for each in self.standings(at).values() if each}
        if len(known) == 1:
            return known.pop()
        if known:
            return by_split or "fitted_on"
        return "held_out" if by_split == "held_out" else None

    def figure(self, view: View) -> Figure:
        """A view as the page shows it; a reason stands where there is no picture."""
        names = self._compared(view)
        wanted = dict.fromkeys([*names, view.left, view.right, *([self.reference] if self.reference else [])])
        sides = self.sides(view.picture, wanted, view.sigma, view.gain)
        truth = sides[self.reference].rgb if self.reference else None
        limit = _limit([sides[name] for name in names], truth, view)
        shown = {name: _shown(sides[name], truth, view, limit) for name in names}
        standings = self.standings(view.picture)
        words = {name: self._words(name, sides[name], standings.get(name)) for name in names}
        pictures = [picture for picture in shown.values() if isinstance(picture, Tensor)]
        if view.layout == "split" and len(pictures) == len(names):
            left, right = (f"{name}\n{words[name]}".strip() for name in (names[0], names[-1]))
            figure = curtain(
                pictures[0],
                pictures[-1],
                view.position / 100,
                names=(left, right if len(names) > 1 else ""),
                smooth=view.smooth,
            )
        else:
            figure = contact_sheet(shown, words, columns=min(3, len(shown)), smooth=view.smooth)
        subject = self.subjects[view.picture]
        about = filter(None, (subject.name, self.label(view.sigma, view.gain), MODES[view.mode].format(limit)))
        figure.supxlabel("\n".join(about), fontsize=8, x=0.01, ha="left")
        return figure

    def _words(self, name: str, side: Side, standing: Standing | None) -> str:
        if name == self.reference:
            return "the reference"
        return ", ".join(filter(None, (side.score_words, STANDINGS[standing] if standing else "")))

    def _standing(self, subject: Subject, decoder: Approximation | None) -> Standing | None:
        hashes = decoder.card.get("train_hashes") if decoder is not None else None
        if decoder is None or not hashes or not subject.sha256:
            return None
        if self.store is None or subject.sample is None:
            return "fitted_on" if subject.sha256 in hashes else "held_out"
        key = id(decoder)
        if key not in self._fitted_on:
            told = are_fitted([decoder.card], self.store.samples)
            self._fitted_on[key] = {
                sample.key for sample, (_, either) in zip(self.store.samples, told, strict=True) if either
            }
        return "fitted_on" if subject.sample.key in self._fitted_on[key] else "held_out"

    def _compared(self, view: View) -> list[str]:
        """The names that are looked at; of errors the reference's own is nothing to see, where there is another."""
        names = self.grid_names(view) if view.layout == "grid" else list(dict.fromkeys((view.left, view.right)))
        others = [name for name in names if name != self.reference]
        return others if view.mode != "picture" and others else names

    def _measured(self) -> Spectrum:
        if self.store is not None:
            return spectrum_of(self.store, self.store.split("train") or None)
        found = spectrum_of_latents(lambda: (one.latents for one in self._measured_on), self.decoders.space.channels)
        if found is None:
            raise WidgetError("sigma", expected="at least one picture to take a spectrum of", got="none")
        return found

    def _scored_side(
        self, subject: Subject, name: str, key: str, sigma: float, gain: float, truth: Side | None
    ) -> Side:
        if (name, key) in self._scored:
            self._scored.move_to_end((name, key))
            return self._scored[name, key]
        side = self._side(subject, name, key, sigma, gain).against(truth)
        if side.rgb is not None and (truth is None or truth.rgb is not None):  # what failed may be mended by then
            self._scored[name, key] = side
            while len(self._scored) > _MOST_SCORED:
                self._scored.popitem(last=False)
        return side

    def _side(self, subject: Subject, name: str, key: str, sigma: float, gain: float) -> Side:
        if name in subject.fixed:
            if name == self.reference and (sigma, gain) != (0, 1):
                return Side(None, "the store keeps no decode of noised latents; give the workbench its VAE")
            return Side(subject.fixed[name].float() / 255)
        if name not in self.decoders.named and name in self.names:
            return Side(None, f"{subject.name} is given as latents: there is no {name}")
        try:
            latents = self.estimate(subject, sigma, gain)
        except LatentfitError as error:
            return Side(None, str(error))
        return self.decoders.decode(name, latents, key)


def _shown(side: Side, truth: Tensor | None, view: View, limit: float) -> Tensor | str:
    """A side as the mode has it, or the reason why there is none."""
    if side.rgb is None:
        return side.reason
    if view.mode == "picture":
        size = None if truth is None else (truth.shape[-2], truth.shape[-1])
        seen = side.rgb if size is None else placed(side.rgb, size, smooth=view.smooth)
        return linear_to_srgb(srgb_to_linear(seen) * 2**view.exposure).clamp(0, 1) if view.exposure else seen
    if truth is None:
        return "there is no reference to compare with"
    if view.mode == "difference":
        return amplified(side.rgb, truth)
    if view.mode == "lightness":
        return _coloured(lightness_error(side.rgb, truth) / (2 * limit) + 0.5, "RdBu_r")
    return _coloured(delta_e(side.rgb, truth) / limit, "magma")


def _limit(sides: Sequence[Side], truth: Tensor | None, view: View) -> float:
    """Where the colours of an error end; "auto": at a round number that nearly all errors stay below."""
    measures = {"lightness": (lightness_error, MOST_LIGHTNESS), "delta_e": (delta_e, MOST_DELTA_E)}
    if view.mode not in measures:
        return 0.0
    measure, fixed = measures[view.mode]
    pictures = [side.rgb for side in sides if side.rgb is not None]
    if view.scale == "fixed" or truth is None or not pictures:
        return fixed
    errors = [measure(rgb, truth).abs().flatten().sort().values for rgb in pictures]
    high = max(float(each[math.ceil(_HIGH_SHARE * len(each)) - 1]) for each in errors)
    return next((float(limit) for limit in _AUTO_LIMITS if limit >= high), float(_AUTO_LIMITS[-1]))


def _coloured(levels: Tensor, colours: str) -> Tensor:
    """``(H, W)`` in [0, 1] -> ``(3, H, W)`` in the colours of that name."""
    painted = mpl.colormaps[colours](levels.clamp(0, 1).numpy())[..., :3]
    return torch.from_numpy(painted).movedim(-1, 0).float()
