"""What a preview sees on the way: simulated x0 estimates of noised latents, and how maps do on them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from latentfit.errors import StoreError
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore, Sample, Split
from latentfit.runtime.devices import device_of
from latentfit.scores.colour_errors import ColourSums, FlickerSums
from latentfit.scores.held_out import Place, by_name, placed, samples_to_score
from latentfit.scores.similarity import PictureFeatures
from latentfit.scores.spectrum import Spectrum, spectrum_of
from latentfit.vae.vae import Vae

if TYPE_CHECKING:
    import pandas as pd

Schedule = Literal["ve", "vp", "flow"]

COLUMNS = {
    "sigma": "noise that the estimate was made from, as a standard deviation beside the clean latents",
    "gain": "factor on the estimate's latents, which the decoder is given too; above 1 as strong guidance does",
    "flicker": (
        "energy of the change of the error since the previous sigma, over that of the decode's own change: 0 moves "
        "exactly as the decode, 1 is as far off as a picture that stands still"
    ),
}
"""What the columns of `scores_over_sigma` mean."""


@runtime_checkable
class Decoder(Protocol):
    """Anything that decodes latents: a `Vae`, or what holds one."""

    def decode(self, latents: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Estimates:
    """Simulated x0 estimates of a store's samples at one noise level; each is made when it is asked for.

    Attributes
    ----------
    store : PairStore
    samples : list of Sample
    spectrum : Spectrum
    sigma, gain : float
    seed : int
    schedule : {"ve", "vp", "flow"}
    """

    store: PairStore
    samples: list[Sample]
    spectrum: Spectrum
    sigma: float
    gain: float = 1.0
    seed: int = 0
    schedule: Schedule = "ve"

    @property
    def label(self) -> str:
        """Says that they are simulated, and how."""
        return (
            f"simulated x0 (Wiener estimate from {self.store.path.name}'s spectrum), {self.schedule} "
            f"sigma {self.sigma:g}, gain {self.gain:g}"
        )

    @property
    def noise(self) -> float:
        """Standard deviation of the noise beside x0, in units of the model domain."""
        return noise_beside_x0(self.sigma, self.schedule)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[tuple[Sample, Tensor]]:
        """Samples and their estimates ``(1, C, h, w)`` float32, model domain."""
        for batch in self.store.batches(self.samples, ("latents",), n_cells=1):
            yield batch.samples[0], self.of(batch.samples[0], batch.latents)

    def of(self, sample: Sample, latents: Tensor) -> Tensor:
        """The estimate of one sample's clean latents ``(1, C, h, w)``."""
        noise = unit_noise(latents.shape, sample, self.seed)
        return self.gain * self.spectrum.wiener(latents + self.noise * noise, self.noise)

    @property
    def latents(self) -> list[Tensor]:
        """All estimates at once: for small stores."""
        return [latents for _, latents in self]


def simulate_x0(
    store: PairStore,
    sigma: float,
    *,
    gain: float = 1.0,
    seed: int = 0,
    schedule: Schedule = "ve",
    samples: Sequence[Sample] | None = None,
    spectrum: Spectrum | None = None,
) -> Estimates:
    """Wiener estimates of noised latents, from the store's own spectrum: what could be known at `sigma`.

    The noised latents are ``x_t = x0 + sigma * n`` ("ve", in the model domain; also k-diffusion's sigma for any model),
    ``sqrt(1 - sigma²) * x0 + sigma * n`` ("vp") or ``(1 - sigma) * x0 + sigma * n`` ("flow"). Divided by the weight of
    x0, all are x0 beside white noise of strength sigma, ``sigma / sqrt(1 - sigma²)`` or ``sigma / (1 - sigma)``. The
    noise n of a sample is the same at every sigma, as along the path of a deterministic sampler. A real denoiser knows
    more than a spectrum: these are labelled simulated.

    Parameters
    ----------
    store : PairStore
    sigma : float
        0 or more; below 1 for "vp" and "flow".
    gain : float
        Multiplies the estimates, as strong guidance does.
    seed : int
    schedule : {"ve", "vp", "flow"}
    samples : sequence of Sample or None
        None: the test split, or all where that is empty.
    spectrum : Spectrum or None
        None: measured on the training split, or on all where that is empty.

    Raises
    ------
    StoreError
        When sigma or gain is out of range.
    """
    noise_beside_x0(sigma, schedule)
    if not (math.isfinite(gain) and gain > 0):
        raise StoreError("gain", expected="a finite number above 0", got=f"{gain}")
    chosen = list(samples if samples is not None else store.split("test") or store.samples)
    known = spectrum or spectrum_of(store, store.split("train") or None)
    return Estimates(store, chosen, known, float(sigma), float(gain), seed, schedule)


def scores_over_sigma(
    approximations: Mapping[str, Approximation] | Sequence[Approximation],
    decoder: Decoder | Approximation,
    store: PairStore,
    sigmas: Sequence[float] = (0.0, 0.25, 0.5, 1.0, 2.0),
    gains: Sequence[float] = (1.0,),
    *,
    schedule: Schedule = "ve",
    places: Sequence[Place] = ("cells",),
    samples: Sequence[Sample] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> "pd.DataFrame":
    """Scores of maps on simulated estimates, against the decoder's decode of the *same* estimates.

    *Gain* is the factor on the estimates' latents: 1 as they are; strong guidance makes latents larger than a VAE's
    own, which is simulated with 1.3 or 1.6. The decoder is given the same larger latents, whose picture has more
    contrast and clips more, so a map that was fitted on clean latents is asked beyond what it has seen. *Flicker* is
    what the error does from one sigma to the next: 0 where a map moves exactly as the decoder does, 1 where it is as
    far off as a picture that stands still, more where it moves the wrong way.

    Parameters
    ----------
    approximations : mapping of str to Approximation, or sequence
    decoder : Vae or Approximation
        The store's own VAE. Each estimate is decoded once, whatever the number of maps.
    store : PairStore
        One sample is in memory at a time.
    sigmas, gains : sequence of float
        Every gain with every sigma; `simulate_x0` explains both.
    schedule : {"ve", "vp", "flow"}
    places : sequence of {"cells", "seen"}
    samples : sequence of Sample or None
        None: the test split, or all where that is empty, without pictures that a map was fitted on.

    Returns
    -------
    DataFrame
        A row for each approximation, place, gain and sigma: the scores of `ColourSums`, and ``flicker`` (energy of the
        change of the error since the previous sigma, over that of the reference's own change; NaN at the first).
        `attrs` hold label, reference, n_images, n_left_out, n_copies and ``columns``, a sentence on each of gain, sigma
        and flicker, to be shown below the table.

    Raises
    ------
    StoreError
        When the decoder is another VAE than the store's, or no picture is left.
    SpaceMismatchError
        When a map is of another space.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    decode, reference = _decoding(decoder, store)
    named = by_name(approximations, store)
    split: Split = "test" if store.split("test") else "all"
    chosen, n_left_out, n_copies = samples_to_score(named.values(), store, split, samples)
    first = simulate_x0(store, sigmas[0], seed=seed, schedule=schedule, samples=chosen)
    levels = {
        gain: [simulate_x0(store, s, gain=gain, seed=seed, schedule=schedule, spectrum=first.spectrum) for s in sigmas]
        for gain in gains
    }
    course = _Course(named, decode, places)
    with tqdm(total=len(chosen), unit="picture", desc="x0 estimates", disable=not progress) as bar:
        for batch in store.batches(chosen, ("latents",), n_cells=1):
            for gain, estimates in levels.items():
                course.follow(gain, ((each.sigma, each.of(batch.samples[0], batch.latents)) for each in estimates))
            bar.update()
    frame = pd.DataFrame(course.rows())
    frame.attrs = {
        "label": f"simulated x0 (Wiener estimates from {store.path.name}'s spectrum, {schedule})",
        "reference": reference,
        "n_images": len({sample.sha256 for sample in chosen}),
        "n_left_out": n_left_out,
        "n_copies": n_copies,
        "columns": dict(COLUMNS),
    }
    return frame


def noise_beside_x0(sigma: float, schedule: Schedule = "ve") -> float:
    """Strength of the noise when x_t is divided by the weight of x0 in it."""
    limit = math.inf if schedule == "ve" else 1.0
    if schedule not in ("ve", "vp", "flow"):
        raise StoreError("schedule", expected="'ve', 'vp' or 'flow'", got=f"{schedule!r}")
    if not 0 <= sigma < limit:
        raise StoreError("sigma", expected=f"a finite sigma in [0, {limit:g}) for {schedule!r}", got=f"{sigma}")
    if schedule == "ve":
        return sigma
    return sigma / (1 - sigma) if schedule == "flow" else sigma / math.sqrt(1 - sigma**2)


def unit_noise(shape: Sequence[int], sample: Sample, seed: int) -> Tensor:
    """White noise that a sample's key and the seed decide: the same in every batch and at every sigma."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + int(sample.key[:12], 16))
    return torch.randn(tuple(shape), generator=generator)


@dataclass
class _Course:
    """Maps judged along paths of estimates, one picture at a time."""

    named: Mapping[str, Approximation]
    decode: Callable[[Tensor], Tensor]
    places: Sequence[Place]
    sums: dict[tuple[str, Place, float, float], tuple[ColourSums, FlickerSums]] = field(default_factory=dict)

    def follow(self, gain: float, path: Iterable[tuple[float, Tensor]]) -> None:
        """Add one picture's estimates, each with its sigma, in their order."""
        before: dict[tuple[str, Place], tuple[Tensor, Tensor]] = {}
        for sigma, latents in path:
            decoded = self.decode(latents)
            truths = {place: PictureFeatures(_placed(decoded, latents, decoded, place)) for place in self.places}
            for name, approximation in self.named.items():
                output = approximation.unclamped(latents.to(device_of(approximation))).float().cpu()
                for place, truth in truths.items():
                    now = (_placed(output, latents, decoded, place), truth.rgb)
                    colour, flicker = self.sums.setdefault((name, place, gain, sigma), (ColourSums(), FlickerSums()))
                    colour.add(PictureFeatures(now[0]), truth, unclamped=output)
                    if (name, place) in before:
                        flicker.add(before[name, place], now)
                    before[name, place] = now

    def rows(self) -> list[dict[str, object]]:
        return [
            {"approximation": name, "place": place, "gain": gain, "sigma": sigma, **colour.scores()}
            | {"flicker": flicker.ratio}
            for (name, place, gain, sigma), (colour, flicker) in self.sums.items()
        ]


def _placed(output: Tensor, latents: Tensor, decoded: Tensor, place: Place) -> Tensor:
    (rows, columns), (high, wide) = latents.shape[-2:], decoded.shape[-2:]
    return placed(output, (rows, columns), (high, wide), place)


def _decoding(decoder: Decoder | Approximation, store: PairStore) -> tuple[Callable[[Tensor], Tensor], str]:
    """How to decode, and whom the scores are against."""
    if isinstance(decoder, Approximation):
        decode, reference, fingerprint = decoder.__call__, decoder.name, decoder.card.get("fingerprint")
    elif isinstance(decoder, Vae):
        decode, reference, fingerprint = decoder.decode, decoder.reference, decoder.fingerprint
    else:
        decode, reference, fingerprint = decoder.decode, "the given decoder", None
    if fingerprint not in (None, store.fingerprint):
        raise StoreError(
            "decoder",
            expected=f"the store's own VAE ({store.reference}, {store.fingerprint[:8]})",
            got=f"{reference} ({str(fingerprint)[:8]})",
            remedy="take that one: estimates are judged against the decode of the VAE that the store is of",
        )
    return decode, reference
