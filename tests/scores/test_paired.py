"""Paired bootstrap intervals against scipy's, and differences of two maps read off a table of scores."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from latentfit.errors import StoreError
from latentfit.scores import difference, paired_bootstrap


def scores(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    first = generator.normal(23, 3, n)
    return first, first - generator.normal(0.2, 0.8, n)


@pytest.mark.parametrize(("seed", "level"), [(0, 0.95), (1, 0.95), (2, 0.8)])
def test_the_interval_is_scipys_percentile_bootstrap(seed: int, level: float) -> None:
    first, second = scores(seed)
    found = paired_bootstrap(first, second, level=level, n_resamples=2000, seed=seed)
    theirs = bootstrap(
        (first, second), lambda a, b, axis: (a - b).mean(axis), paired=True, vectorized=True, method="percentile",
        confidence_level=level, n_resamples=2000, random_state=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found.mean == pytest.approx((first - second).mean(), abs=1e-12)
    assert found.won == pytest.approx((first > second).mean())
    assert found.n == 40


def test_the_interval_is_of_differences_and_not_of_the_pictures_own_spread() -> None:
    first, _ = scores(0)
    found = paired_bootstrap(first + 0.05, first)
    assert found.mean == pytest.approx(0.05)
    assert found.high - found.low < 1e-9, "every picture gains alike, however much pictures differ"
    assert not found.is_tie
    assert found.won == 1


def test_a_tie_is_called_one() -> None:
    found = paired_bootstrap([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 3.0, 4.0])
    assert found.is_tie
    assert found.won == 0.5
    assert found.in_words == f"+0.00 ({found.low:+.2f} to {found.high:+.2f}, a tie), better on 50% of 4"


def test_what_differs_by_rounding_alone_is_a_tie() -> None:
    first = [0.1 + 0.2, 20.3, 1.1 * 1.1]
    found = paired_bootstrap(first, [0.3, 20.3, 1.21])
    assert first[0] != 0.3
    assert (found.mean, found.low, found.high, found.won, found.is_tie) == (0, 0, 0, 0.5, True)


def test_the_same_numbers_give_the_same_interval_and_lower_may_be_better() -> None:
    first, second = scores(4)
    assert paired_bootstrap(first, second) == paired_bootstrap(first, second)
    assert paired_bootstrap(first, second, seed=1) != paired_bootstrap(first, second)
    assert paired_bootstrap(first, second, lower_is_better=True).won == pytest.approx((first < second).mean())


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ([1.0, 2.0], [1.0], {}),
        ([1.0], [1.0], {}),
        ([1.0, float("nan")], [1.0, 2.0], {}),
        ([1.0, 2.0], [1.0, 2.0], {"level": 1.0}),
        ([1.0, 2.0], [1.0, 2.0], {"n_resamples": 0}),
    ],
)
def test_what_cannot_be_compared_is_refused(first: list[float], second: list[float], options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        paired_bootstrap(first, second, **options)  # type: ignore[arg-type]


def table() -> pd.DataFrame:
    rows = [
        {"approximation": name, "reference": reference, "place": place, "kind": "drawing" if i > 2 else "photograph",
         "image": f"picture {i}", "sample": f"{i}/{crop}", "psnr": level + i + crop + (place == "cells"), "gmsd": level}
        for name, level in (("a", 1.0), ("b", 0.5))
        for reference in ("vae", "photo")
        for place in ("cells", "seen")
        for i in range(5)
        for crop in range(2 if name == "a" else 1)
    ]  # fmt: skip
    return pd.DataFrame([*rows, {**rows[0], "image": "all", "psnr": 99.0}])


def test_crops_of_a_picture_count_once_and_pooled_rows_do_not() -> None:
    found = difference(table(), "a", "b")
    assert found.n == 5
    assert found.mean == pytest.approx(1.0)  # 0.5, and the mean of two crops lies 0.5 higher
    assert difference(table(), "a", "b", kind="drawing").n == 2
    assert difference(table(), "a", "b", score="gmsd").won == 0, "less is better"


@pytest.mark.parametrize("wrong", [{"first": "c"}, {"score": "beauty"}, {"kind": "chart"}, {"place": "elsewhere"}])
def test_differences_of_what_is_not_there(wrong: dict[str, str]) -> None:
    with pytest.raises(StoreError, match="expected"):
        difference(table(), **{"first": "a", "second": "b", **wrong})
