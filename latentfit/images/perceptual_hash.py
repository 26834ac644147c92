"""Looks: pictures known again when they were saved anew, resized, trimmed, brightened or mirrored."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latentfit.errors import StoreError
from latentfit.images.registration import LEAST_SLOW, N_WAVES, Registration, packed, unpacked

_SIDE, _WAVES, _GRID = 64, 16, 3
_N_BITS, _N_COLOURS = _WAVES * _WAVES, 3 * _GRID * _GRID
_SHORT = 2 * (_N_BITS // 8 + _N_COLOURS)
LOOK_LENGTH = _SHORT + 2 * N_WAVES * N_WAVES
"""Hexadecimal digits of a look; those of earlier versions end before the waves' amplitudes."""
MOST_BITS, MOST_LEVELS = 80, 24
"""Two pictures are alike where so few of 255 signs differ and no mean colour differs by more of 255 levels.

Where one of the two has no amplitudes that is all there is; else `registration` decides, of these and of trims.

Copies of 178 photographs and drawings (JPEG of quality 50 to 95, a quarter to twice the size, 2 % cut off two sides,
5 % brighter or darker, 10 % more contrast, mirrored, and some of these together) differ by at most 80 signs and 21
levels. Of 902 distinct pictures (406,000 pairs) those within 24 levels differ by 91 signs or more, but for two sprites
of one set (73).
"""
TRIMMED_LEVELS, CHROMA_LEVELS = 60, 22
"""No mean colour of a copy differs by more, trims of white margins included, and none less its luma by more."""
_LEAST_DETAIL = 2.0  # levels: what varies less is as good as one colour, and signs of its waves are rounding
_AT_ONCE, _AMONG = 512, 8192  # pairs that are compared in one product of matrices

Signs = NDArray[np.float32]
Levels = NDArray[np.int16]


def look_of(image: Image.Image) -> str:
    """The look of an upright sRGB picture.

    The signs of the 16 × 16 slowest waves (DCT) of luma, shrunk to 64 × 64 by area, and the mean colours of 3 × 3
    parts, and the waves' amplitudes.

    Returns
    -------
    str
        `LOOK_LENGTH` hexadecimal digits; "" for a picture of hardly more than one colour, which is like many others.
    """
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    places, waves = np.arange(_SIDE) + 0.5, np.arange(_WAVES)[:, None]
    cosines = np.cos(math.pi * waves * places / _SIDE)
    found = cosines @ (small @ (0.299, 0.587, 0.114)) @ cosines.T * (2 / _SIDE)
    found[0, 0] = 0
    if math.sqrt(np.square(found).sum()) / _SIDE < _LEAST_DETAIL:
        return ""
    edges = [round(_SIDE * part / _GRID) for part in range(_GRID + 1)]
    parts = [small[top:bottom, left:right].mean((0, 1)) for top, bottom in pairwise(edges)
             for left, right in pairwise(edges)]  # fmt: skip
    short = np.packbits(found > 0).tobytes() + np.round(parts).astype(np.uint8).tobytes()
    first = np.where(np.arange(_WAVES) == 0, math.sqrt(0.5), 1.0)
    return (short + packed(found * first * first[:, None] / _SIDE)).hex()


def is_look(word: object) -> bool:
    """Whether it is a look: what a file says may be anything."""
    return isinstance(word, str) and len(word) in (_SHORT, LOOK_LENGTH) and set(word) <= set("0123456789abcdef")


def groups(looks: Sequence[str]) -> NDArray[np.int64]:
    """A number for each picture, the same for those that are copies of one another, directly or by way of others.

    Parameters
    ----------
    looks : sequence of str
        Hashes as `look_of` gives them; "" is like no other.
    """
    known, where = _unique(looks)
    labels = np.arange(len(looks))
    if not known:
        return labels

    label = np.arange(len(known))
    for row, hits in _near(known, known, label):
        merged = np.unique(np.append(label[hits], label[row]))
        label[np.isin(label, merged)] = merged[0]
    is_known = where >= 0
    labels[is_known] = len(looks) + label[where[is_known]]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def are_near(looks: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Tell for each of `looks` whether it is a copy of one of `others`."""
    (known, where), (among, _) = _unique(looks), _unique(others)
    hit = np.zeros(len(known) + 1, bool)  # the last is for those without a look
    if known and among:
        for row, _ in _near(known, among):
            hit[row] = True
    return hit[where]


def _unique(looks: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Each look once, and where each of `looks` is among them, -1 for none."""
    known = sorted({look for look in looks if look})
    if not all(map(is_look, known)):
        raise StoreError(
            "look", expected=f"{LOOK_LENGTH} hexadecimal digits", got=f"{next(x for x in known if not is_look(x))}"
        )
    place = {look: index for index, look in enumerate(known)}
    return known, np.array([place.get(look, -1) for look in looks], np.int64)


@dataclass(frozen=True)
class _Parsed:
    """Looks as numbers.

    Attributes
    ----------
    signs : ndarray, (n, 256)
        Each -1 or 1.
    colours : ndarray, (n, 27)
        Mean colours.
    waves : Registration
    is_whole : ndarray of bool, (n,)
        Whether the look has amplitudes.
    """

    signs: Signs
    colours: Levels
    waves: Registration
    is_whole: NDArray[np.bool_]


def _parsed(looks: Sequence[str]) -> _Parsed:
    raw = np.frombuffer(bytes.fromhex("".join(look[:_SHORT] for look in looks)), np.uint8).reshape(len(looks), -1)
    signs = np.unpackbits(raw[:, : _N_BITS // 8], axis=1).astype(np.float32) * 2 - 1
    none = "00" * N_WAVES * N_WAVES
    waves = unpacked(bytes.fromhex("".join(look[_SHORT:] or none for look in looks)))
    is_whole = np.array([len(look) == LOOK_LENGTH for look in looks])
    return _Parsed(signs, raw[:, _N_BITS // 8 :].astype(np.int16), Registration(waves), is_whole)


def _near(
    looks: Sequence[str], others: Sequence[str], label: NDArray[np.int64] | None = None
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each look that is near some others, with their indices; `label`: pairs of one label need no look.

    Every pair of like brightness is compared, by products of matrices: 20,000 pictures take some seconds on a busy
    core, and the time grows with the square. Mirroring changes the sign of odd waves across, so that one product of
    even waves and one of odd ones tell both. What could be a copy then is registered.
    """
    here = _parsed(looks)
    there = here if looks is others else _parsed(others)
    bright, there_bright = here.colours.mean(1), there.colours.mean(1)
    order, there_order = np.argsort(bright, kind="stable"), np.argsort(there_bright, kind="stable")
    along = there_bright[there_order]
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        first = start if there is here else np.searchsorted(along, bright[rows[0]] - TRIMMED_LEVELS)
        stop = int(np.searchsorted(along, bright[rows[-1]] + TRIMMED_LEVELS, "right"))
        for begin in range(int(first), stop, _AMONG):
            columns = there_order[begin : min(begin + _AMONG, stop)]
            by_signs, by_waves = _by_signs(here, rows, there, columns), _could_be(here, rows, there, columns)
            whole = here.is_whole[rows][:, None] & there.is_whole[columns]
            for place in np.nonzero((by_signs | by_waves).any(1))[0]:
                row = int(rows[place])
                is_open = (by_signs[place] | by_waves[place]) & ~((columns == row) & (there is here))
                if label is not None:
                    is_open &= label[columns] != label[row]
                hits = columns[is_open & ~whole[place]]
                maybe = is_open & whole[place]
                registered = here.waves.matches(row, there.waves, columns[maybe], by_signs[place][maybe])
                hits = np.concatenate([hits, columns[maybe][registered]])
                if len(hits):
                    yield row, hits


def _by_signs(here: _Parsed, rows: NDArray[np.int64], there: _Parsed, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs are near by signs and colours, as they are or mirrored."""
    found = np.zeros((len(rows), len(columns)), bool)
    even = np.tile(np.arange(_WAVES) % 2 == 0, _WAVES)
    straight = here.signs[rows][:, even] @ there.signs[columns][:, even].T
    turned = here.signs[rows][:, ~even] @ there.signs[columns][:, ~even].T
    i, j = np.nonzero(straight + np.abs(turned) >= _N_BITS - 2 * MOST_BITS)
    agreeing = (straight[i, j], turned[i, j])
    found[i, j] = _alike_either_way(here.colours[rows[i]], there.colours[columns[j]], *agreeing, MOST_LEVELS)
    return found


def _could_be(here: _Parsed, rows: NDArray[np.int64], there: _Parsed, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs are worth to be registered: of like colours and like slowest waves."""
    one, other = here.waves.slow[rows], there.waves.slow[columns]
    straight, turned = (
        one[:, :, part].reshape(len(rows), -1) @ other[:, :, part].reshape(len(columns), -1).T
        for part in (slice(0, None, 2), slice(1, None, 2))
    )
    i, j = np.nonzero(straight + np.abs(turned) >= LEAST_SLOW)
    scale = (_N_BITS - 2 * MOST_BITS) / LEAST_SLOW
    agreeing = (straight[i, j] * scale, turned[i, j] * scale)
    found = np.zeros((len(rows), len(columns)), bool)
    found[i, j] = _alike_either_way(here.colours[rows[i]], there.colours[columns[j]], *agreeing, TRIMMED_LEVELS)
    i, j = np.nonzero(found)
    chroma, other_chroma = _chroma(here.colours[rows[i]]), _chroma(there.colours[columns[j]])
    found[i, j] = _alike(chroma, other_chroma, CHROMA_LEVELS) | _alike(_mirrored(chroma), other_chroma, CHROMA_LEVELS)
    return found


def _alike_either_way(colours: Levels, others: Levels, straight: Signs, turned: Signs, most: int) -> NDArray[np.bool_]:
    """Whether waves and colours agree as they are, or both mirrored."""
    least = _N_BITS - 2 * MOST_BITS
    as_it_is = (straight + turned >= least) & _alike(colours, others, most)
    mirrored: NDArray[np.bool_] = (straight - turned >= least) & _alike(_mirrored(colours), others, most)
    return as_it_is | mirrored


def _alike(colours: Levels, others: Levels, most: int) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = np.abs(colours - others).max(1, initial=0) <= most
    return within


def _chroma(colours: Levels) -> Levels:
    """Mean colours less their luma."""
    rgb = colours.reshape(len(colours), _GRID * _GRID, 3)
    luma = np.round(rgb @ np.array((0.299, 0.587, 0.114))).astype(np.int16)
    less: Levels = (rgb - luma[..., None]).reshape(colours.shape)
    return less


def _mirrored(colours: Levels) -> Levels:
    """Mean colours of the picture left to right."""
    turned: Levels = colours.reshape(-1, _GRID, _GRID, 3)[:, :, ::-1].reshape(colours.shape)
    return turned
