"""From a latent and its decode to sums: what is refused, what is known already, which cells enter."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.calibration.moment_schema import PictureSums
from latentfit.errors import CalibrationError
from latentfit.fit.basis import Basis
from latentfit.fit.examples import bounds_of
from latentfit.fit.moments import FEW_TO_SUM, Moments
from latentfit.latents.spaces import LatentSpace, rgb_to_signed
from latentfit.runtime.threads import suitable_threads

BLOCK = 4
"""Cells along a side of what is known again: a part of a picture that an inpainting kept enters once."""
MOST_BLOCKS_A_PICTURE = 256
"""4,096 cells, as many as a picture of 512 px has at 8 px a cell; of larger ones, those with the smallest hashes."""
FEWEST_BLOCKS = 4
BEYOND, FARTHEST = 0.2, 0.4
"""Of the signed range: how far past its bound a clipped colour is taken to be where no map says it, and at most."""
FLAT = 1e-3
"""Standard deviation, of the range 0 to 1, below which a picture is of one colour."""


@dataclass
class Observed:
    """What came of a batch.

    Attributes
    ----------
    pictures : list of PictureSums
    refused : Counter of str
        Reason -> pictures.
    """

    pictures: list[PictureSums] = field(default_factory=list)
    refused: "Counter[str]" = field(default_factory=Counter)


def observed(
    latents: Tensor,
    rgb: Tensor,
    space: LatentSpace,
    basis: Basis,
    known: NDArray[np.uint64],
    beyond: NDArray[np.float64] | None = None,
) -> Observed:
    """Each picture's sums; a picture of which nothing is new, or that says nothing, is counted instead.

    Parameters
    ----------
    latents : Tensor, (N, C, h, w)
        Model domain.
    rgb : Tensor, (N, 3, H, W)
        In [0, 1]; H and W at least h and w.
    space : LatentSpace
    basis : Basis
    known : ndarray of uint64
        Hashes of blocks that entered before.
    beyond : ndarray, (1 + n_terms, 3), or None
        A map whose prediction takes the place of a colour near black or white that it overshoots, since such a colour
        is only a bound. It stays the same for all pictures, so that their order does not matter. None: such colours
        are moved out by `BEYOND`.

    Raises
    ------
    CalibrationError
        When the shapes do not go together.
    """
    _check_shapes(latents, rgb, space)
    made = Observed()
    known = np.asarray(known, np.uint64)
    for one, picture in zip(latents.detach(), rgb.detach(), strict=True):
        reason = _reason_against(one, picture)
        if reason is None:
            hashes = block_hashes(one)
            fresh = np.flatnonzero(~np.isin(hashes, known))
            _, first = np.unique(hashes[fresh], return_index=True)
            fresh = fresh[np.sort(first)]  # a pattern that repeats enters once
            if len(fresh) < min(FEWEST_BLOCKS, len(hashes)):
                reason = "seen before"
        if reason is not None:
            made.refused[reason] += 1
            continue
        chosen = fresh[np.argsort(hashes[fresh], kind="stable")[:MOST_BLOCKS_A_PICTURE]]
        made.pictures.append(_sums(one, picture, basis, hashes, chosen, beyond))
        known = np.concatenate([known, hashes[chosen]])
    return made


def block_hashes(latents: Tensor) -> NDArray[np.uint64]:
    """A number for each whole block of 4×4 cells of latents ``(C, h, w)``, by rows; equal latents, equal numbers."""
    n_channels, high, wide = latents.shape
    side = min(BLOCK, high, wide)
    rows, columns = high // side, wide // side
    values = torch.round(latents[:, : rows * side, : columns * side].float() * 256).to("cpu", torch.int64)
    blocks = values.reshape(n_channels, rows, side, columns, side).permute(1, 3, 0, 2, 4).reshape(rows * columns, -1)
    factors = np.random.default_rng(0x1A7E).integers(1, 2**63, size=blocks.shape[1], dtype=np.uint64) | np.uint64(1)
    mixed: NDArray[np.uint64] = (blocks.numpy().astype(np.uint64) * factors).sum(1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))


def _sums(
    latents: Tensor,
    rgb: Tensor,
    basis: Basis,
    hashes: NDArray[np.uint64],
    chosen: NDArray[np.intp],
    beyond: NDArray[np.float64] | None,
) -> PictureSums:
    """The moments over the cells of the chosen blocks."""
    _, high, wide = latents.shape
    side = min(BLOCK, high, wide)
    cells = _cells_of(chosen, side, wide)
    variables = basis.neighbourhoods(latents[None].float())[:, cells].cpu().numpy().astype(np.float64)
    small = torch.nn.functional.interpolate(rgb[None].float(), (high, wide), mode="area")
    colours = rgb_to_signed(small.clamp(0, 1))[0].flatten(1)[:, cells].cpu().numpy()
    with suitable_threads(basis.n_terms, FEW_TO_SUM):
        moments = Moments(basis.n_terms, 3)
        for rows, where in basis.rows(variables, 3):
            rows[1 + basis.n_terms :] = _unclipped(colours[:, where], rows[: 1 + basis.n_terms], beyond)
            moments.add(rows)
    digest = hashlib.sha256(np.sort(hashes).tobytes()).digest()[:16]
    return PictureSums(digest, moments.sums[0], len(cells), hashes[chosen])


def _unclipped(
    colours: NDArray[np.float64], terms: NDArray[np.float64], beyond: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Signed colours ``(3, n)``, those at a bound as far beyond it as they may have been before they were clipped."""
    at_most, at_least = bounds_of(colours)
    moved: NDArray[np.float64] = colours + BEYOND * at_least - BEYOND * at_most
    if beyond is not None:
        ahead = beyond.T @ terms - colours
        moved = colours + at_least * ahead.clip(0, FARTHEST) + at_most * ahead.clip(-FARTHEST, 0)
    return moved


def _cells_of(blocks: NDArray[np.intp], side: int, wide: int) -> Tensor:
    """Numbers of the cells of blocks, in a picture of so many cells across."""
    rows, columns = np.divmod(blocks, wide // side)
    inner = np.arange(side)
    found = (rows[:, None, None] * side + inner[:, None]) * wide + columns[:, None, None] * side + inner
    return torch.from_numpy(found.reshape(-1))


def _reason_against(latents: Tensor, rgb: Tensor) -> str | None:
    """Why a pair is not taken; None where it is."""
    if not bool(torch.isfinite(latents).all()):
        return "latents that are not finite"
    if not bool(torch.isfinite(rgb).all()):
        return "a picture that is not finite"
    if float(rgb.float().std()) < FLAT:
        return "a picture of one colour"
    if float(latents.float().std()) < FLAT:
        return "latents of one value"
    return None


def _check_shapes(latents: Tensor, rgb: Tensor, space: LatentSpace) -> None:
    space.check(latents)
    if latents.ndim != 4:
        raise CalibrationError(
            "latents", expected="(N, C, h, w)", got=f"{tuple(latents.shape)}", remedy="give the frames one by one"
        )
    n, _, high, wide = latents.shape
    fits = rgb.ndim == 4 and rgb.shape[:2] == (n, 3) and rgb.shape[2] >= high and rgb.shape[3] >= wide
    if not fits or rgb.shape[2] * wide != rgb.shape[3] * high:
        raise CalibrationError(
            "rgb",
            expected=f"({n}, 3, H, W) with H:W as {high}:{wide} and not smaller",
            got=f"{tuple(rgb.shape)}",
            remedy="give the decode of these very latents, uncropped",
        )
