"""The whole road in one command: collect, fit every form, score, export, and one page that shows it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from latentfit.autofit.config import AutofitConfig
from latentfit.autofit.plan import Clock, Plan, collected
from latentfit.autofit.steps import Exports, export_all, fit_every_form, learning_curve, learning_in_words
from latentfit.autofit.verdict import Verdict, score_published, verdicts
from latentfit.errors import FitError, StoreError
from latentfit.maps.contracts import Approximation
from latentfit.pairs.config import MOST_CROPS, MOST_SIDE
from latentfit.pairs.store import PairStore, Sample
from latentfit.runtime.escaping import csv_cell
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.threads import one_thread
from latentfit.vae.vae import Vae

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AutofitConfig", "AutofitResult", "autofit"]

MOST_MINUTES = 100_000  # ten weeks
SHARE_FOR_WRITING = 0.06  # of the minutes: tables and the page, which nothing can shorten
SHARE_FOR_FITTING, SHARE_FOR_SCORING = 0.5, 0.6  # of the time that is left then, without that for writing
SHARE_FOR_PUBLISHED = 0.6  # of what is left after these: the rest is for the learning curve


@dataclass
class AutofitResult:
    """Everything that a run of `autofit` wrote and measured.

    Attributes
    ----------
    store : PairStore
    plan : Plan
        What was collected, and how fast the VAE is.
    maps : dict of str to Approximation
        By form: "affine", "3", "decoder 3", ...
    scores : DataFrame
        Tidy, as `evaluate` gives it.
    learning : DataFrame
        Columns n_pictures, form, psnr: would more pictures help?
    exports : Exports
        Files by program, and what each program cannot run.
    left_out : dict of str to str
        Forms that were not fitted, with the reason.
    seconds : dict of str to float
        Time of each step.
    no_time_for : list of str
        What was left out to keep to the minutes, besides forms.
    page : Path
        index.html
    published : DataFrame or None
        Scores of the tables that programs ship for the space; None where none is published.
    minutes : float or None
        The time that it was to keep to.
    """

    store: PairStore
    plan: Plan
    maps: dict[str, Approximation]
    scores: "pd.DataFrame"
    learning: "pd.DataFrame"
    exports: Exports
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    page: Path = Path()
    no_time_for: list[str] = field(default_factory=list)
    published: "pd.DataFrame | None" = None
    minutes: float | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """What each program that can show the space should be given, best previews first."""
        return verdicts(self.exports, self.scores, self.published)


def autofit(config: AutofitConfig, now: Callable[[], float] = time.monotonic) -> AutofitResult:
    """Collect, fit every form, score on held-out pictures, export, and write a page, within `config.minutes`.

    The clock is watched all the time: on a machine that becomes busy fewer pictures, forms and points of the learning
    curve are made, and what was left out is said.

    Parameters
    ----------
    config : AutofitConfig
    now : callable
        Seconds of a clock that only goes forward.

    Returns
    -------
    AutofitResult
        Everything that was made; the files lie in `config.out`.

    Raises
    ------
    NoPicturesError, StoreError, VaeError
        As `collect` and `Vae.load` raise them.
    FitError
        When not even the smallest form can be fitted.
    """
    from latentfit.autofit.page import write_page

    _check(config)
    clock = Clock(config.minutes, now)
    vae = Vae.load(config.vae, space=config.space, device=config.device, dtype=config.dtype)
    clock.lap("load")
    store, plan = collected(vae, config, clock)
    clock.lap("collect")
    with one_thread():  # crops are small
        maps, left_out = fit_every_form(store, seconds=SHARE_FOR_FITTING * _left(clock), now=now)
        if not maps:
            raise FitError(
                f"no form could be fitted: {'; '.join(left_out.values())}",
                place=store.path,
                remedy="collect more pictures, or take smaller forms",
            )
        clock.lap("fit")
        scores = _scored(maps, store, clock)
        exports = export_all(maps, scores, config.out)
        published = _published(maps, exports, scores, store, clock)
        learning = learning_curve(store, seconds=_left(clock), now=now)
        if learning.attrs["n_left_out"]:
            clock.left_out.append(f"learning curve: no time for {learning.attrs['n_left_out']} of its points")
        clock.lap("score")
    for name, frame in (("scores", scores), ("published", published), ("learning", learning)):
        if frame is not None:
            text = frame.map(csv_cell).to_csv(index=False, float_format="%.6g")
            write_atomic(config.out / f"{name}.csv", text)
    result = AutofitResult(
        store, plan, maps, scores, learning, exports, left_out, clock.seconds,
        no_time_for=clock.left_out, published=published, minutes=config.minutes,
    )  # fmt: skip
    result.page = write_page(result, config.out / "index.html")
    clock.lap("write")
    print(report(result))
    return result


def _left(clock: Clock) -> float:
    """Seconds until it is time to write."""
    return clock.left(1 - SHARE_FOR_WRITING)


def _scored(maps: dict[str, Approximation], store: PairStore, clock: Clock) -> "pd.DataFrame":
    """Scores on the held-out crops, each picture's first ones first; one crop in any case."""
    from latentfit.scores.evaluation import evaluate

    held_out = _first_crops_first(store.split("test"))
    end = clock.now() + SHARE_FOR_SCORING * _left(clock)
    scores = evaluate(maps, store, samples=held_out, progress=True, until=lambda: clock.now() >= end)
    n_scored = scores["sample"].nunique()
    if n_scored < len(held_out):
        clock.left_out.append(
            f"scores: {n_scored} of {len(held_out)} held-out crops, of {scores.attrs['n_images']} pictures; allow more "
            "minutes for the others"
        )
    return scores


def _published(
    maps: dict[str, Approximation], exports: Exports, scores: "pd.DataFrame", store: PairStore, clock: Clock
) -> "pd.DataFrame | None":
    """Scores of what programs ship today, on the samples of ours; the first of them in any case."""
    end = clock.now() + SHARE_FOR_PUBLISHED * _left(clock)
    published = score_published(maps, exports, scores, store, until=lambda: clock.now() >= end)
    n_scored = scores["sample"].nunique()
    if published is not None and published["sample"].nunique() < n_scored:
        clock.left_out.append(
            f"published tables: scored on {published['sample'].nunique()} of {n_scored} crops, of "
            f"{published.attrs['n_images']} pictures; allow more minutes for the others"
        )
    return published


def _first_crops_first(samples: list[Sample]) -> list[Sample]:
    """However soon the scoring ends, it has seen as many pictures as it could."""
    seen: dict[str, int] = {}
    ranks = {}
    for sample in samples:
        ranks[sample.key] = seen[sample.sha256] = seen.get(sample.sha256, 0) + 1
    return sorted(samples, key=lambda sample: ranks[sample.key])


def report(result: AutofitResult) -> str:
    """What was made, for a terminal: ranking, learning curve, what was left out, times and where to look."""
    from latentfit.scores.evaluation import score_summary

    scores = result.scores
    shown = scores[scores["reference"] == "vae"].drop(columns=["gmsd", "flip"], errors="ignore")
    shown.attrs = scores.attrs
    lines = ["", score_summary(shown), ""]
    for form, rows in result.learning.groupby("form", sort=False):
        points = (f"{n} → {psnr:.2f}" for n, psnr in zip(rows["n_pictures"], rows["psnr"], strict=True))
        lines.append(f"learning curve, {form}, pictures → dB: {', '.join(points)}")
    lines += [learning_in_words(result.learning), ""]
    lines += [f"not fitted: {form}: {reason}" for form, reason in result.left_out.items()]
    lines += [f"left out to keep to the time: {what}" for what in result.no_time_for]
    lines += [f"tables for {name}: {'; '.join(files)}" for name, files in result.exports.files.items()]
    lines.append(", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.seconds.items()))
    return "\n".join([*lines, f"open {result.page}"])


def _check(config: AutofitConfig) -> None:
    crops = 1 if config.crops is None else config.crops
    if not 0 < config.minutes <= MOST_MINUTES or not 1 <= crops <= MOST_CROPS or not 1 <= config.size <= MOST_SIDE:
        raise StoreError(
            "autofit",
            expected=(f"minutes > 0, crops >= 1 and size >= 1, at most {MOST_MINUTES}, {MOST_CROPS} and {MOST_SIDE}"),
            got=f"{config.minutes:g}, {config.crops} and {config.size}",
        )
    if config.out.is_file():
        raise StoreError("out", place=config.out, expected="a folder to write", got="a file", remedy="name another")
