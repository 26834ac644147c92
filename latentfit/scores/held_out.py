"""Who is judged, on which pictures, and where: at one pixel a cell, or as seen at the picture's size."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from latentfit.errors import SpaceMismatchError, StoreError
from latentfit.images.perceptual_hash import are_near, is_look
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.pairs.joined import JoinedStores, SamplePair
from latentfit.pairs.store import PairStore, Sample, Split

Place = Literal["cells", "seen"]
Scored = TypeVar("Scored", Sample, SamplePair)


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


def placed(unclamped: Tensor, size_cells: tuple[int, int], size_px: tuple[int, int], place: Place) -> Tensor:
    """A map's output as it is scored at a place: `at_cells` or `as_seen`."""
    return at_cells(unclamped, size_cells) if place == "cells" else as_seen(unclamped, size_px)


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
        raise StoreError("no approximation was given to score", expected="at least one")
    for name, approximation in named.items():
        if approximation.space != store.space:
            raise SpaceMismatchError(
                f"{name!r} is of space {approximation.space.name!r}, the store of {store.space.name!r}",
                remedy="score it on a store of its own space",
            )
    return named


class HeldOut(NamedTuple, Generic[Scored]):
    """What is left to score.

    Attributes
    ----------
    samples : list of Sample, or of SamplePair
    n_left_out : int
        Pictures that a map was fitted on, and copies of such.
    n_copies : int
        Those of them that are no fitted file themselves, but the same picture saved anew, resized or mirrored.
    """

    samples: list[Scored]
    n_left_out: int = 0
    n_copies: int = 0


def are_fitted(cards: Iterable[Mapping[str, Any]], samples: Sequence[Sample]) -> list[tuple[bool, bool]]:
    """Tell for each sample whether a map of these cards was fitted on its picture's file, and whether on it or a copy.

    Copies are told by the looks that cards hold (see `latentfit.images.perceptual_hash`), and by the store's own
    groups: files of before looks were recorded hold hashes alone.
    """
    told = list(cards)
    hashes = {sha256 for card in told for sha256 in card.get("train_hashes", ())}
    looks = sorted({look for card in told for look in card.get("train_looks", ()) if is_look(look)})
    groups = {sample.leader for sample in samples if sample.sha256 in hashes}
    near = are_near([sample.look or "" for sample in samples], looks)
    return [
        (sample.sha256 in hashes, sample.sha256 in hashes or sample.leader in groups or bool(is_near))
        for sample, is_near in zip(samples, near, strict=True)
    ]


def any_held_out(maps: Iterable[Approximation | LatentMap], samples: Sequence[Sample]) -> bool:
    """Whether one of the samples is of a picture that none of the maps was fitted on, nor on a copy of it."""
    return not all(either for _, either in are_fitted([one.card for one in maps], samples))


def samples_to_score(
    maps: Iterable[Approximation], store: PairStore, split: Split, samples: Sequence[Sample] | None = None
) -> HeldOut[Sample]:
    """What every score is taken on: the split without the pictures that a map was fitted on; or exactly `samples`.

    A copy of such a picture (saved anew, resized or mirrored) is left out as the picture is.

    Raises
    ------
    StoreError
        When none is left.
    """
    if samples is not None:
        return _held_out((), store, samples, lambda sample: sample)
    return _held_out(maps, store, store.split(split), lambda sample: sample)


def samples_held_out(
    named: Mapping[str, Approximation], store: PairStore, considered: Sequence[Sample]
) -> HeldOut[Sample]:
    """Samples of pictures that none of `named` was fitted on, nor on a copy, and how many pictures that leaves out.

    Raises
    ------
    StoreError
        When none is left.
    """
    return _held_out(named.values(), store, considered, lambda sample: sample)


def pairs_to_score(
    maps: Iterable[LatentMap], joined: JoinedStores, split: Split, pairs: Sequence[SamplePair] | None = None
) -> HeldOut[SamplePair]:
    """Return what maps between latents are scored on, as `samples_to_score` does, of joined stores.

    Raises
    ------
    StoreError
        When none is left.
    """
    if pairs is not None:
        return _held_out((), joined.source, pairs, lambda pair: pair.source)
    return _held_out(maps, joined.source, joined.split(split), lambda pair: pair.source)


def _held_out(
    maps: Iterable[Approximation | LatentMap],
    store: PairStore,
    considered: Sequence[Scored],
    sample_of: Callable[[Scored], Sample],
) -> HeldOut[Scored]:
    """The rule itself, on whatever holds a sample of the store."""
    hashes = {sample_of(one).sha256 for one in considered}
    if not considered:
        raise StoreError(
            "no picture is in the split that was asked for",
            place=store.path,
            remedy="take split 'all', or collect more",
        )
    cards = [one.card for one in maps]
    by_key = {s.key: either for s, (_, either) in zip(store.samples, are_fitted(cards, store.samples), strict=True)}
    exact = {sha256 for card in cards for sha256 in card.get("train_hashes", ())}
    chosen = [one for one in considered if not by_key.get(sample_of(one).key, sample_of(one).sha256 in exact)]
    if not chosen:
        raise StoreError(
            f"none of {len(hashes)} pictures is left to score: a compared map was fitted on each, or on a copy of it",
            place=store.path,
            remedy="score on a store of other pictures, or fit with split 'train'",
        )
    out = hashes - {sample_of(one).sha256 for one in chosen}
    return HeldOut(chosen, len(out), len(out - exact))


def left_out_in_words(attrs: Mapping[Any, Any]) -> str:
    """Tell what a table's `attrs` say: "3 left out because a compared map was fitted on them", copies named."""
    copies = attrs.get("n_copies", 0)
    said = f", {copies} of them as copies (saved anew, resized or mirrored)" if copies else ""
    return f"{attrs['n_left_out']} left out because a compared map was fitted on them{said}"
