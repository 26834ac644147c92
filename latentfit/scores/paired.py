"""Differences between two maps, picture by picture: their mean, its bootstrap interval, and how many are won."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentfit.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

LOWER_IS_BETTER = frozenset(
    {"rmse", "delta_e", "delta_e95", "photo_delta_e", "gmsd", "flip", "l1", "hue", "oklab", "usage_distance", "round"}
)
"""Scores of which less is better; of all others more is."""
LEVEL, N_RESAMPLES = 0.95, 9999


@dataclass(frozen=True)
class Difference:
    """The first minus the second, picture by picture.

    Attributes
    ----------
    mean, low, high : float
        Mean of the pictures' differences, and the interval that pictures drawn anew would give; in the score's unit.
    won : float
        Share of the pictures on which the first is better, 0 to 1; equal ones count half.
    n : int
        Pictures.
    level : float
        Confidence level of the interval.
    """

    mean: float
    low: float
    high: float
    won: float
    n: int
    level: float = LEVEL

    @property
    def is_tie(self) -> bool:
        """Whether the interval holds zero: which of the two is better, these pictures do not say."""
        return self.low <= 0 <= self.high

    @property
    def in_words(self) -> str:
        """Return the difference in words: ``+0.31 (0.12 to 0.49), better on 80 % of 40``; a tie is called one."""
        tie = ", a tie" if self.is_tie else ""
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f}{tie}), better on {self.won:.0%} of {self.n}"


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    *,
    level: float = LEVEL,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    lower_is_better: bool = False,
) -> Difference:
    """The mean difference of paired scores, with a percentile bootstrap interval over the pairs.

    Parameters
    ----------
    first, second : sequence of float, (n,)
        A score a picture of each, in the same order of pictures.
    level : float
        Confidence level of the interval, between 0 and 1.
    n_resamples : int
        How often n pairs are drawn anew, with replacement.
    seed : int
        The interval is the same for the same numbers.
    lower_is_better : bool
        Which of two scores wins.

    Raises
    ------
    ValueError
        When they differ in length, are fewer than two, are not finite, or `level` or `n_resamples` make no sense.

    Examples
    --------
    >>> paired_bootstrap([22.0, 24.5, 21.0], [21.0, 23.5, 20.0]).in_words
    '+1.00 (+1.00 to +1.00), better on 100% of 3'
    """
    import numpy as np

    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape or len(one) < 2:
        raise ValueError(f"expected two lists of equally many scores, two or more, got {one.shape} and {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("expected finite scores; leave out pictures for which one of the two has none")
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(f"expected a level between 0 and 1 and 1 or more resamples, got {level} and {n_resamples}")
    differences = one - other
    differences[np.isclose(one, other, rtol=1e-9, atol=0)] = 0  # equal but for the order of sums: not better, nor worse
    drawn = np.random.default_rng(seed).integers(0, len(one), (n_resamples, len(one)))
    tail = 50 * (1 - level)
    low, high = np.percentile(differences[drawn].mean(1), [tail, 100 - tail])
    better = -differences if lower_is_better else differences
    won = float((better > 0).mean() + 0.5 * (better == 0).mean())
    return Difference(float(differences.mean()), float(low), float(high), won, len(one), level)


def difference(
    frame: "pd.DataFrame",
    first: str,
    second: str,
    *,
    score: str = "psnr",
    reference: str = "photo",
    place: str = "seen",
    kind: str = "all",
    seed: int = 0,
) -> Difference:
    """Two maps of one table of scores, picture by picture.

    Parameters
    ----------
    frame : DataFrame
        Scores of `evaluate`, `evaluate_palettes` or `evaluate_latent_maps`, with its rows of single pictures.
    first, second : str
        Names of two maps in it.
    score : str
        A column; `LOWER_IS_BETTER` says which scores are better when lower.
    reference, place : str
        Where the table has these columns.
    kind : str
        "all", or pictures of one kind.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Difference
        Crops of one picture are averaged before: they are no pictures of their own.

    Raises
    ------
    StoreError
        When a name, the score, or rows of single pictures that both have are not there.
    """
    rows = frame[frame["image"] != "all"]
    for column, wanted in (("reference", reference), ("place", place), ("kind", kind)):
        if column in rows and (column, wanted) != ("kind", "all"):
            rows = rows[rows[column] == wanted]
    names = "approximation" if "approximation" in rows else "map"
    if score not in rows or not {first, second} <= set(rows[names]):
        raise StoreError(
            f"difference of {first!r} and {second!r} in {score}",
            expected=(
                f"maps among {', '.join(sorted(set(rows[names]))) or 'none'} and a score of the "
                "table's, with rows of single pictures"
            ),
        )
    wide = rows.pivot_table(index="image", columns=names, values=score, aggfunc="mean")[[first, second]].dropna()
    if len(wide) < 2:
        raise StoreError(f"difference of {first!r} and {second!r}", expected="2 or more pictures", got=f"{len(wide)}")
    return paired_bootstrap(
        wide[first].tolist(), wide[second].tolist(), seed=seed, lower_is_better=score in LOWER_IS_BETTER
    )
