"""What a workbench knows without a page: subjects, decoders, estimates at a noise level, and any view as a figure."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import torch
from torch import Tensor

from latentfit.compare.figures.canvas import Figure, placed
from latentfit.compare.figures.errors import MOST_DELTA_E, MOST_SIGNED, amplified, brightness_error, delta_e
from latentfit.compare.figures.sheets import contact_sheet, curtain
from latentfit.compare.widgets.decoders import Decoders, Side
from latentfit.compare.widgets.workbench_pictures import Subject, torch_noise
from latentfit.errors import LatentfitError, WidgetError
from latentfit.images.colour import linear_to_srgb, srgb_to_linear
from latentfit.pairs.store import PairStore
from latentfit.scores.simulated_estimates import simulate_x0
from latentfit.scores.spectrum import Spectrum, spectrum_of, spectrum_of_latents

Mode = Literal["picture", "brightness", "delta_e", "difference"]
MODES: dict[str, str] = {
    "picture": "",
    "brightness": f"brightness error, −{MOST_SIGNED} blue to +{MOST_SIGNED} red",
    "delta_e": f"ΔE, 0 black to {MOST_DELTA_E:g} white",
    "difference": "difference × 4 about grey",
}
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
    mode : {"picture", "brightness", "delta_e", "difference"}
        The pictures, or their errors against the reference.
    sigma, gain : float
        Noise and gain of the simulated x0 estimate that is decoded; see `latentfit.simulate_x0`.
    exposure : float
        Stops, in linear light; of pictures only.
    position : float
        Place of the curtain, in percent of the width.
    smooth : bool
        Smaller pictures are enlarged bilinearly; False: shown as blocks. Errors are of what is enlarged bilinearly.
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

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise WidgetError("mode", expected=f"one of {', '.join(MODES)}", got=f"{self.mode!r}")
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

    def figure(self, view: View) -> Figure:
        """A view as the page shows it; a reason stands where there is no picture."""
        wanted = dict.fromkeys([view.left, view.right, *([self.reference] if self.reference else [])])
        sides = self.sides(view.picture, wanted, view.sigma, view.gain)
        truth = sides[self.reference].rgb if self.reference else None
        first, second = self._compared(view)
        left, right = (_shown(sides[name], truth, view) for name in (first, second))
        words = [
            "\n".join(filter(None, (name, "the reference" if name == self.reference else sides[name].score_words)))
            for name in (first, second)
        ]
        words[1] = "" if first == second else words[1]
        subject = self.subjects[view.picture]
        about = filter(None, (subject.name, self.label(view.sigma, view.gain), MODES[view.mode]))
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            figure = curtain(left, right, view.position / 100, names=(words[0], words[1]), smooth=view.smooth)
        else:
            figure = contact_sheet(
                {words[0]: left, **({} if first == second else {words[1]: right})}, smooth=view.smooth
            )
        figure.supxlabel("\n".join(about), fontsize=8, x=0.01, ha="left")
        return figure

    def _compared(self, view: View) -> tuple[str, str]:
        """Both names; of errors the other's alone where one is the reference, whose own is nothing to see."""
        others = [name for name in (view.left, view.right) if name != self.reference]
        alone = view.mode != "picture" and len(others) == 1
        return (others[0], others[0]) if alone else (view.left, view.right)

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


def _shown(side: Side, truth: Tensor | None, view: View) -> Tensor | str:
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
    if view.mode == "brightness":
        return _coloured(brightness_error(side.rgb, truth) / (2 * MOST_SIGNED) + 0.5, "RdBu_r")
    return _coloured(delta_e(side.rgb, truth) / MOST_DELTA_E, "magma")


def _coloured(levels: Tensor, colours: str) -> Tensor:
    """``(H, W)`` in [0, 1] -> ``(3, H, W)`` in the colours of that name."""
    painted = mpl.colormaps[colours](levels.clamp(0, 1).numpy())[..., :3]
    return torch.from_numpy(painted).movedim(-1, 0).float()
