"""Decoders that may be of another space, or raise: out comes a picture, or the reason why there is none."""

import math
import statistics
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from latentfit.errors import LatentfitError, WidgetError
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime.devices import device_of
from latentfit.scores.colour_errors import ColourSums
from latentfit.scores.held_out import as_seen
from latentfit.vae.vae import Vae

_MOST_TIMES = 9
_REST, _LONGEST_REST_S = 5, 10.0  # a decoder that failed rests so many times as long as that took, at most so long


@dataclass(frozen=True)
class Side:
    """What one decoder makes of some latents.

    Attributes
    ----------
    rgb : Tensor or None, (3, H, W) in [0, 1], on the CPU
    reason : str
        Why there is no picture.
    ms : float or None
        Milliseconds of a call, the median of the last few.
    scores : dict of str to float
        psnr (dB) and delta_e against a reference; empty where there is none.
    """

    rgb: Tensor | None
    reason: str = ""
    ms: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    def against(self, truth: "Side | None") -> "Side":
        """The same side with scores against a reference, as seen at its size."""
        if self.rgb is None or truth is None or truth.rgb is None or truth is self:
            return self
        size = (truth.rgb.shape[-2], truth.rgb.shape[-1])
        scores = ColourSums().add(as_seen(self.rgb[None], size), truth.rgb[None]).scores()
        kept = {name: scores[name] for name in ("psnr", "delta_e") if math.isfinite(scores[name])}
        return replace(self, scores=kept)

    @property
    def score_words(self) -> str:
        """``"24.1 dB  ΔE 5.6"``; "" without a reference."""
        if not self.scores:
            return ""
        psnr = self.scores.get("psnr", 0.0)
        return "equal" if psnr >= 100 else f"{psnr:.1f} dB  ΔE {self.scores.get('delta_e', 0.0):.1f}"


class Decoders:
    """Named decoders of one space, their times, and what they made lately.

    A failure is not kept, so that a decoder that was mended is seen; but one that takes long to fail is not asked again
    at once for latents of that size: a drag would wait for it at each of its stops.

    Parameters
    ----------
    named : mapping of str to Approximation
    space : LatentSpace
        Space of the latents that will be decoded.
    n_kept : int
        Decodes that are kept.
    """

    def __init__(self, named: Mapping[str, Approximation], space: LatentSpace, n_kept: int = 32) -> None:
        self.named, self.space = dict(named), space
        self._times: dict[tuple[str, tuple[int, ...]], deque[float]] = {}
        self._kept: OrderedDict[tuple[str, str], Side] = OrderedDict()
        self._failed: dict[tuple[str, tuple[int, ...]], tuple[Side, float]] = {}  # and until when it rests
        self._n_kept = n_kept
        self.n_decoded = 0

    def decode(self, name: str, latents: Tensor, key: str) -> Side:
        """What `name` makes of latents ``(1, C, h, w)``; `key` tells these latents from all others."""
        if (name, key) in self._kept:
            self._kept.move_to_end((name, key))
            return self._kept[name, key]
        place = (name, tuple(latents.shape))
        failed, until = self._failed.get(place, (None, 0.0))
        started = time.monotonic()
        if failed is not None and started < until:
            return failed
        side = self._made(name, latents)
        if side.rgb is None:
            ended = time.monotonic()
            self._failed[place] = (side, ended + min(_LONGEST_REST_S, _REST * (ended - started)))
            return side
        self._kept[name, key] = side
        while len(self._kept) > self._n_kept:
            self._kept.popitem(last=False)
        return side

    def _made(self, name: str, latents: Tensor) -> Side:
        if name not in self.named:
            return Side(None, f"no decoder is called {name!r}")
        approximation = self.named[name]
        if approximation.space != self.space:
            return Side(
                None,
                f"{name} is of space {approximation.space.name!r}, these latents are of {self.space.name!r}: its "
                "numbers mean something else here",
            )
        self.n_decoded += 1
        try:
            there = latents.to(device_of(approximation))
            started = time.perf_counter()
            picture = approximation(there).cpu()
            spent = 1e3 * (time.perf_counter() - started)
            rgb = picture[0].float()
        except LatentfitError as error:
            return Side(None, str(error))
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything; the others are still to be seen
            return Side(None, f"{name} raised {type(error).__name__}: {error}")
        if not bool(rgb.isfinite().all()):
            return Side(None, f"{name} gave NaN or Inf for these latents")
        return Side(rgb, ms=self._median(name, latents, spent))

    def _median(self, name: str, latents: Tensor, spent: float) -> float:
        """Of this call and those before it; the first of a size only warms up."""
        place = (name, tuple(latents.shape))
        if place not in self._times:
            self._times[place] = deque(maxlen=_MOST_TIMES)
            return spent
        self._times[place].append(spent)
        return statistics.median(self._times[place])


def named_decoders(
    given: Mapping[str, Approximation | Vae] | Sequence[Approximation | Vae] | Approximation | Vae,
) -> dict[str, Approximation]:
    """Decoders by name, a `Vae` as its decoder; equal names are told apart by a number.

    Raises
    ------
    WidgetError
        When something is no decoder.
    """
    if isinstance(given, Approximation | Vae):
        given = [given]
    pairs = list(given.items()) if isinstance(given, Mapping) else [(getattr(one, "name", ""), one) for one in given]
    named: dict[str, Approximation] = {}
    for name, one in pairs:
        if not isinstance(one, Approximation | Vae):
            raise WidgetError(
                "approximations",
                expected="Approximations (ChannelMap's .approximation(), lf.load) or a Vae",
                got=f"{type(one).__name__}",
            )
        unique, count = str(name), 2
        while unique in named:
            unique, count = f"{name} #{count}", count + 1
        named[unique] = one.approximation() if isinstance(one, Vae) else one
    return named
