"""Who is judged, on which pictures, and where: at one pixel a cell, or as seen at the picture's size."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from latentfit.approx import Approximation
from latentfit.errors import SpaceMismatchError, StoreError
from latentfit.pairs import PairStore, Sample

Place = Literal["cells", "seen"]


def at_cells(unclamped: Tensor, size_cells: tuple[int, int]) -> Tensor:
    """A map's output, clamped, at one pixel a cell: larger ones by area average, smaller ones bilinearly.

    Parameters
    ----------
    unclamped : Tensor, (N, 3, H, W)
    size_cells : tuple of int
        Rows and columns of the latents.
    """
    rgb = unclamped.clamp(0, 1)
    (high, wide), (rows, columns) = rgb.shape[-2:], size_cells
    if (high, wide) == (rows, columns):
        return rgb
    if high % rows == 0 and wide % columns == 0:
        return torch.nn.functional.avg_pool2d(rgb, (high // rows, wide // columns))
    return torch.nn.functional.interpolate(rgb, (rows, columns), mode="bilinear", antialias=high > rows)


def as_seen(unclamped: Tensor, size_px: tuple[int, int]) -> Tensor:
    """A map's output, clamped, at the picture's size: enlarged bilinearly, as ComfyUI's server enlarges previews.

    Where an axis shrinks, it is antialiased; that changes nothing along an axis that is enlarged.
    """
    rgb = unclamped.clamp(0, 1)
    if tuple(rgb.shape[-2:]) == tuple(size_px):
        return rgb
    shrinks = rgb.shape[-2] > size_px[0] or rgb.shape[-1] > size_px[1]
    return torch.nn.functional.interpolate(rgb, tuple(size_px), mode="bilinear", antialias=shrinks)


def by_name(
    approximations: Mapping[str, Approximation] | Sequence[Approximation], store: PairStore
) -> dict[str, Approximation]:
    """Name -> approximation, each name once.

    Raises
    ------
    StoreError
        When there is none.
    SpaceMismatchError
        When one is of another space than the store.
    """
    named = dict(approximations) if isinstance(approximations, Mapping) else {}
    if not isinstance(approximations, Mapping):
        for approximation in approximations:
            name, count = approximation.name, 2
            while name in named:
                name, count = f"{approximation.name} #{count}", count + 1
            named[name] = approximation
    if not named:
        raise StoreError("no approximation was given to score; expected at least one")
    for name, approximation in named.items():
        if approximation.space != store.space:
            raise SpaceMismatchError(
                f"{name!r} is of space {approximation.space.name!r}, the store of {store.space.name!r}; "
                "score it on a store of its own space"
            )
    return named


def held_out(
    named: Mapping[str, Approximation], store: PairStore, considered: Sequence[Sample]
) -> tuple[list[Sample], int]:
    """Samples of pictures that none of `named` was fitted on, and how many pictures that leaves out.

    Raises
    ------
    StoreError
        When none is left.
    """
    fitted = {sha256 for approximation in named.values() for sha256 in approximation.card.get("train_hashes", ())}
    chosen = [sample for sample in considered if sample.sha256 not in fitted]
    n_pictures = len({sample.sha256 for sample in considered})
    if not considered:
        raise StoreError(
            f"{store.path}: no picture is in the split that was asked for; take split 'all', or collect more"
        )
    if not chosen:
        raise StoreError(
            f"{store.path}: none of {n_pictures} pictures is left to score: a compared map was fitted on each; score "
            "on a store of other pictures, or fit with split 'train'"
        )
    return chosen, n_pictures - len({sample.sha256 for sample in chosen})
