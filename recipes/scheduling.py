"""Dividing hours between runs: the next slice goes to the run whose held-out curve still rises the most.

A run's score is taken to grow with the logarithm of the hours that it has had, which is how held-out decibels behave
once the first minutes are over. A straight line through the last points, scores over log hours, gives what an hour more
would bring: `gain_of_an_hour`. Runs with fewer than two points come first, and those whose needs are not there last.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recipes.development import Curve

LAST_POINTS = 5
"""Points of a curve that its slope is taken of: the course of the rate bends what came before."""


@dataclass(frozen=True)
class Job:
    """One network, trained in slices.

    Attributes
    ----------
    name : str
        ``"sd1:cell-large"``.
    slice : callable
        ``(CPU seconds)`` -> whether the run is at its end. It trains for so long, from its checkpoint, and saves.
    score : callable
        Nothing -> scores on the development pictures, by kind; the larger the better.
    curve : Curve
    needs : tuple of str
        Jobs whose results it reads.
    is_done : callable
        Nothing -> whether the run is at its end.
    unit : str
        Of the scores.
    worth : float
        Decibels that one unit of the score is taken for, so that runs of different kinds can be compared.
    """

    name: str
    slice: Callable[[float], bool]
    score: Callable[[], Mapping[str, float]]
    curve: Curve
    is_done: Callable[[], bool]
    needs: tuple[str, ...] = ()
    unit: str = "dB"
    worth: float = 1.0
    beside: tuple[str, ...] = field(default=("hours", "seen_images", "deviation"))

    def points(self) -> list[tuple[float, float]]:
        """(hours, mean of the scores over kinds) so far."""
        return [(row["hours"], mean_score(row, self.beside)) for row in self.curve.rows()]


def mean_score(row: Mapping[str, float], beside: Sequence[str]) -> float:
    """Every kind of pictures counts alike."""
    values = [value for name, value in row.items() if name not in beside]
    return sum(values) / len(values)


def slope_of(points: Sequence[tuple[float, float]]) -> float | None:
    """What the score gains when the hours grow e-fold, by the last points; None where that cannot be told.

    Examples
    --------
    >>> round(slope_of([(1.0, 20.0), (2.0, 20.0 + math.log(2)), (4.0, 20.0 + math.log(4))]), 6)
    1.0
    """
    last = [(hours, score) for hours, score in points if hours > 0][-LAST_POINTS:]
    if len({hours for hours, _ in last}) < 2:
        return None
    at = np.log([hours for hours, _ in last])
    return float(np.polyfit(at, [score for _, score in last], 1)[0])


def gain_of_an_hour(points: Sequence[tuple[float, float]]) -> float | None:
    """What one more hour is expected to bring, in units of the score; never below 0.

    Examples
    --------
    >>> round(gain_of_an_hour([(0.5, 20.0), (1.0, 21.0)]), 6)  # a doubling gave 1
    1.0
    >>> gain_of_an_hour([(1.0, 20.0)]) is None
    True
    """
    slope = slope_of(points)
    if slope is None:
        return None
    hours = points[-1][0]
    return max(0.0, slope * math.log((hours + 1) / hours))


def next_job(jobs: Sequence[Job], done: Callable[[Job], bool] | None = None) -> Job | None:
    """Whose turn it is: the first that has too few points to be judged, else the one of the largest gain.

    Jobs that are done, and those that need another one which has no result yet, wait. None: nothing is left to do.
    """
    is_done = done or (lambda job: job.is_done())
    begun = {job.name for job in jobs if job.curve.rows()}
    named = {job.name for job in jobs}
    ready = [job for job in jobs if not is_done(job) and all(n in begun or n not in named for n in job.needs)]
    if not ready:
        return None
    unknown = [job for job in ready if gain_of_an_hour(job.points()) is None]
    if unknown:
        return min(unknown, key=lambda job: len(job.points()))
    return max(ready, key=lambda job: (gain_of_an_hour(job.points()) or 0.0) * job.worth)


def table_of(jobs: Sequence[Job]) -> str:
    """A line a model, as Markdown: hours so far, its curve, and what an hour more would give."""
    lines = [
        "| model | hours | crops | held-out score, as it went on | by kind | an hour more |",
        "|---|--:|--:|---|---|--:|",
    ]  # fmt: skip
    for job in jobs:
        rows = job.curve.rows()
        if not rows:
            lines.append(f"| {job.name} | 0 | 0 | not begun | | |")
            continue
        points, last = job.points(), rows[-1]
        gain = gain_of_an_hour(points)
        said = "at its end" if job.is_done() else ("?" if gain is None else f"+{gain:.2g} {job.unit}")
        kinds = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if name not in job.beside)
        lines.append(
            f"| {job.name} | {last['hours']:.2f} | {last['seen_images']:,.0f} | {curve_in_words(points)} {job.unit} | "
            f"{kinds} | {said} |"
        )
    return "\n".join([*lines, ""])


def curve_in_words(points: Sequence[tuple[float, float]], most: int = 6) -> str:
    """At most so many of the scores, the first and the last among them: ``19.21 → 20.90 → 21.02``."""
    chosen = sorted({round(index) for index in np.linspace(0, len(points) - 1, min(most, len(points)))})
    return " → ".join(f"{points[index][1]:.2f}" for index in chosen)
