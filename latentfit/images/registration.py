"""Whether one picture's slow waves are another's, trimmed by up to six hundredths at each side.

A trimmed picture's waves (DCT) are a linear map of the whole one's, for rows and for columns apart, so that trims are
tried without pixels. What two pictures of one layout share, margins and lines of text or the frame of a plot, is an
outer product of a profile down and one across, nearly: copies agree in the rest as well.
"""

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Waves = NDArray[np.float32]
N_WAVES = 16  # down and across
LEAST_WHOLE, LEAST_REST = 0.70, 0.68
"""Two pictures are one where all waves correlate so, and also what is left without the two strongest outer products.

Of 352 photographs, drawings, sprites, pages of text and plots, copies trimmed by 2 to 5 % of up to four sides mostly
have more, but for sprites of few pixels and repeating textures; distinct ones have at most 0.97 (pages) and 0.57.
"""
LEAST_REST_ALIKE, LEAST_REST_UNTRIMMED = 0.86, 0.92
"""The latter where pictures lie on one another as they are, without a trim; the former where their signs agree."""
MOST_CONTRAST = 1.35  # times that one picture's waves are as large as the other's
LEAST_SLOW = 0.6  # correlation of the slowest waves as they are: with less, trims are not tried
_N_SLOW = 6
_SAMPLES = 64
_TRIMS = (0.0, 0.02, 0.04, 0.06)
_POWER = 0.5  # waves are weighted by their frequency to this, as pictures have most in the slowest
_STEPS = 12.0  # of a wave's logarithm to an octave: 6 % each


def packed(waves: NDArray[np.float64]) -> bytes:
    """Amplitudes ``(16, 16)`` in levels -> a byte each: sign and logarithm, from an eighth to 191 levels."""
    steps = np.clip(np.round(np.sign(waves) * _STEPS * np.log2(1 + 8 * np.abs(waves))), -127, 127)
    raw: bytes = steps.astype(np.int8).tobytes()
    return raw


def unpacked(raw: bytes) -> Waves:
    """Waves as `packed` wrote them: ``(n, 16, 16)`` of n · 256 bytes."""
    steps = np.frombuffer(raw, np.int8).astype(np.float32).reshape(-1, N_WAVES, N_WAVES)
    found: Waves = (np.sign(steps) * (2 ** (np.abs(steps) / _STEPS) - 1) / 8).astype(np.float32)
    return found


class Registration:
    """Pictures, to be compared with others by their waves.

    Parameters
    ----------
    waves : ndarray, (n, 16, 16)
        Waves; of pictures that have none zeros, which are like no other.
    """

    def __init__(self, waves: Waves) -> None:
        self._waves = waves
        self._flat = waves.reshape(len(waves), -1)

    @cached_property
    def slow(self) -> Waves:
        """The slowest waves, weighted, of length 1: ``(n, 6, 6)``, zeros where there are none."""
        part = (self._waves * _WEIGHT)[:, :_N_SLOW, :_N_SLOW]
        length = np.sqrt(np.square(part).sum((1, 2), keepdims=True))
        found: Waves = part / np.where(length > 0, length, 1)
        return found

    @cached_property
    def _trimmed_norms(self) -> Waves:
        """Weighted length of each picture at each trim: ``(n, 256)``, worked out where it is asked for."""
        return np.full((len(self._waves), len(_TRIMS) ** 4), np.nan, np.float32)

    def _norms(self, rows: NDArray[np.int64]) -> Waves:
        for row in rows[np.isnan(self._trimmed_norms[rows, 0])]:
            self._trimmed_norms[row] = np.sqrt(np.square(_trims(self._waves[row]) * _FLAT).sum(1))
        found: Waves = self._trimmed_norms[rows]
        return found

    def matches(
        self, row: int, others: "Registration", rows: NDArray[np.int64], are_alike: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Tell which of others' `rows` are picture `row` trimmed, or what that was trimmed of, or mirrored.

        Those that `are_alike` by signs and colours already need agree less.
        """
        found = np.zeros(len(rows), bool)
        if not self._flat[row].any():
            return found
        theirs = others._flat[rows]
        length = np.maximum(np.sqrt(np.square(theirs * _FLAT).sum(1)), 1e-6)
        norms = np.maximum(others._norms(rows), 1e-6)
        for sign in (np.ones(N_WAVES, np.float32), _MIRROR):
            own = self._waves[row] * sign
            trims = _trims(own) * _FLAT
            own_length = np.maximum(np.sqrt(np.square(own * _WEIGHT).sum()), 1e-6)
            inner = (trims / np.maximum(np.sqrt(np.square(trims).sum(1, keepdims=True)), 1e-6) * _FLAT) @ theirs.T
            inner /= length
            outer = _trims(own * _WEIGHT**2, is_adjoint=True) @ theirs.T / norms.T / own_length
            for score, is_inner in ((inner, True), (outer, False)):
                best = score.argmax(0)
                for index in np.nonzero((score[best, np.arange(len(rows))] >= LEAST_WHOLE) & ~found)[0]:
                    there = others._waves[rows[index]]
                    one = _trim(own, best[index]) if is_inner else own
                    other = there if is_inner else _trim(there, best[index])
                    least = LEAST_REST if best[index] else LEAST_REST_UNTRIMMED
                    found[index] = _agree(one, other, min(least, LEAST_REST_ALIKE) if are_alike[index] else least)
        return found


def _agree(one: Waves, other: Waves, least: float) -> bool:
    """Whether two pictures' weighted waves are as large, and agree without the two outer products they share most."""
    first, second = one * _WEIGHT, other * _WEIGHT
    lengths = np.maximum([np.linalg.norm(first), np.linalg.norm(second)], 1e-6)
    if lengths.max() > MOST_CONTRAST * lengths.min():
        return False
    first, second = first / lengths[0], second / lengths[1]
    left, _, right = np.linalg.svd(first + second)
    down = np.eye(N_WAVES) - left[:, :2] @ left[:, :2].T
    across = np.eye(N_WAVES) - right[:2].T @ right[:2]
    first, second = down @ first @ across, down @ second @ across
    rest = (first * second).sum() / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-9)
    return bool(rest >= least)


def _basis(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal waves at places in [0, 1]: ``(places, 16)``."""
    length = np.where(np.arange(N_WAVES) == 0, math.sqrt(1 / _SAMPLES), math.sqrt(2 / _SAMPLES))
    return np.cos(math.pi * np.arange(N_WAVES) * places[:, None]) * length


def _map_of(low: float, high: float) -> NDArray[np.float64]:
    """Waves along one side -> waves of what is left without these shares of its ends."""
    places = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    return _basis(places).T @ _basis(low + places * (1 - low - high))


_MAPS = np.array([_map_of(low, high) for low in _TRIMS for high in _TRIMS], np.float32)
_ADJOINT = np.ascontiguousarray(_MAPS.transpose(0, 2, 1))
_WEIGHT = (np.hypot(*np.mgrid[0:N_WAVES, 0:N_WAVES]) ** _POWER).astype(np.float32)
_FLAT = _WEIGHT.reshape(-1)
_MIRROR = np.where(np.arange(N_WAVES) % 2, -1, 1).astype(np.float32)


def _trims(waves: Waves, *, is_adjoint: bool = False) -> Waves:
    """All trims of one picture, or their adjoint maps: ``(256, 256)``."""
    maps = _ADJOINT if is_adjoint else _MAPS
    rows = maps @ waves
    both = np.matmul(rows[:, None], maps.transpose(0, 2, 1)[None])
    found: Waves = both.reshape(len(maps) ** 2, -1)
    return found


def _trim(waves: Waves, index: int) -> Waves:
    """One of `_trims`."""
    down, across = divmod(int(index), len(_MAPS))
    found: Waves = _MAPS[down] @ waves @ _MAPS[across].T
    return found
