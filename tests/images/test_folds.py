"""Folds of cross-validation and the held-out share are decided by parts of a hash that know nothing of each other."""

import hashlib
from collections import Counter

import pytest

from latentfit.images import TEST_SHARE, fold_of, is_test

HASHES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4000)]


@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_each_fold_has_its_share_of_what_is_fitted(n_folds: int) -> None:
    fitted = [sha256 for sha256 in HASHES if not is_test(sha256)]
    counts = Counter(fold_of(sha256, n_folds) for sha256 in fitted)
    assert sorted(counts) == list(range(n_folds))
    each = len(fitted) / n_folds
    assert all(abs(count - each) < 5 * each**0.5 for count in counts.values())
    assert abs(len(HASHES) - len(fitted) - len(HASHES) / TEST_SHARE) < 5 * (len(HASHES) / TEST_SHARE) ** 0.5


def test_which_digits_decide_stays_as_it_was() -> None:
    """Saved stores and cards hold hashes, and no sides or folds: other digits would be another split."""
    assert is_test("0000000a" + "f" * 56)
    assert not is_test("0000000b" + "0" * 56)
    assert fold_of("f" * 8 + "00000008" + "f" * 48, 5) == 3
    assert fold_of("0" * 8 + "ffffffff" + "0" * 48, 8) == 7
