"""Looks: pictures known again when they were saved anew, resized, trimmed, brightened or mirrored."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latentfit.errors import StoreError

_SIDE, _WAVES, _GRID = 64, 16, 3
_N_BITS, _N_COLOURS = _WAVES * _WAVES, 3 * _GRID * _GRID
LENGTH = 2 * (_N_BITS // 8 + _N_COLOURS)
"""Hexadecimal digits of a look."""
MOST_BITS, MOST_LEVELS = 80, 24
"""Two pictures are one where so few of 255 signs differ and no mean colour differs by more of 255 levels.

Copies of 178 photographs and drawings (JPEG of quality 50 to 95, a quarter to twice the size, 2 % cut off two sides,
5 % brighter or darker, 10 % more contrast, mirrored, and some of these together) differ by at most 80 signs and 21
levels. Of 902 distinct pictures (406,000 pairs) those within 24 levels differ by 91 signs or more, but for two sprites
of one set (73).
"""
_LEAST_DETAIL = 2.0  # levels: what varies less is as good as one colour, and signs of its waves are rounding
_AT_ONCE, _AMONG = 512, 8192  # pairs that are compared in one product of matrices

Signs = NDArray[np.float32]
Levels = NDArray[np.int16]
Pairs = NDArray[np.int64]


def look_of(image: Image.Image) -> str:
    """The look of an upright sRGB picture.

    The signs of the 16 × 16 slowest waves (DCT) of luma, shrunk to 64 × 64 by area, and the mean colours of 3 × 3
    parts.

    Returns
    -------
    str
        `LENGTH` hexadecimal digits; "" for a picture of hardly more than one colour, which is like many others.
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
    return np.packbits(found > 0).tobytes().hex() + np.round(parts).astype(np.uint8).tobytes().hex()


def is_look(word: object) -> bool:
    """Whether it is a look: what a file says may be anything."""
    return isinstance(word, str) and len(word) == LENGTH and set(word) <= set("0123456789abcdef")


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

    def joined(edges: Pairs) -> NDArray[np.int64]:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(len(known), len(known)))
        found: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
        return found

    edges = np.empty((0, 2), np.int64)
    for part in _near(known, known):
        if len(part := part[part[:, 0] != part[:, 1]]):
            edges = np.concatenate([edges, part])
        if len(edges) > 1 << 20:  # a film's frames are all alike: keep what joins them, not every pair
            label = joined(edges)
            edges = np.stack([np.unique(label, return_index=True)[1][label], np.arange(len(known))], 1)
    label = joined(edges) if len(edges) else np.arange(len(known))
    is_known = where >= 0
    labels[is_known] = len(looks) + label[where[is_known]]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def are_near(looks: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Tell for each of `looks` whether it is a copy of one of `others`."""
    (known, where), (among, _) = _unique(looks), _unique(others)
    hit = np.zeros(len(known) + 1, bool)  # the last is for those without a look
    if known and among:
        for part in _near(known, among):
            hit[part[:, 0]] = True
    return hit[where]


def _unique(looks: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Each look once, and where each of `looks` is among them, -1 for none."""
    known = sorted({look for look in looks if look})
    if not all(map(is_look, known)):
        raise StoreError(
            "look", expected=f"{LENGTH} hexadecimal digits", got=f"{next(x for x in known if not is_look(x))}"
        )
    place = {look: index for index, look in enumerate(known)}
    return known, np.array([place.get(look, -1) for look in looks], np.int64)


def _parsed(looks: Sequence[str]) -> tuple[Signs, Levels]:
    """Signs ``(n, 256)``, each -1 or 1, and mean colours ``(n, 27)``."""
    raw = np.frombuffer(bytes.fromhex("".join(looks)), np.uint8).reshape(len(looks), -1)
    signs = np.unpackbits(raw[:, : _N_BITS // 8], axis=1).astype(np.float32) * 2 - 1
    return signs, raw[:, _N_BITS // 8 :].astype(np.int16)


def _near(looks: Sequence[str], others: Sequence[str]) -> Iterator[Pairs]:
    """(index of a look, index of another) of those that are near, as they are or mirrored, in parts.

    Every pair of like brightness is compared, by products of matrices: 20,000 pictures take five seconds on a busy
    core, and the time grows with the square. Mirroring changes the sign of odd waves across, so that one product of
    even waves and one of odd ones tell both.
    """
    (signs, colours), (there, there_colours) = _parsed(looks), _parsed(others)
    even = np.tile(np.arange(_WAVES) % 2 == 0, _WAVES)
    bright, there_bright = colours.mean(1), there_colours.mean(1)
    order, there_order = np.argsort(bright, kind="stable"), np.argsort(there_bright, kind="stable")
    along = there_bright[there_order]
    least = _N_BITS - 2 * MOST_BITS
    is_whole = looks is others
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        first = start if is_whole else np.searchsorted(along, bright[rows[0]] - MOST_LEVELS)
        stop = int(np.searchsorted(along, bright[rows[-1]] + MOST_LEVELS, "right"))
        for begin in range(int(first), stop, _AMONG):
            columns = there_order[begin : min(begin + _AMONG, stop)]
            straight = signs[rows][:, even] @ there[columns][:, even].T
            turned = signs[rows][:, ~even] @ there[columns][:, ~even].T
            i, j = np.nonzero(straight + np.abs(turned) >= least)
            as_it_is = straight[i, j] + turned[i, j] >= least
            mirrored = straight[i, j] - turned[i, j] >= least
            i, j = rows[i], columns[j]
            found = (as_it_is & _alike(colours[i], there_colours[j])) | (
                mirrored & _alike(_mirrored(colours[i]), there_colours[j])
            )
            yield np.stack([i[found], j[found]], 1)


def _alike(colours: Levels, others: Levels) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = np.abs(colours - others).max(1, initial=0) <= MOST_LEVELS
    return within


def _mirrored(colours: Levels) -> Levels:
    """Mean colours of the picture left to right."""
    turned: Levels = colours.reshape(-1, _GRID, _GRID, 3)[:, :, ::-1].reshape(colours.shape)
    return turned
