"""JoinedStores: the same pictures in two latent spaces, or in one space at two sizes, sample beside sample."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from latentfit.errors import LatentfitWarning, Remedy, StoreError
from latentfit.pairs.shards import Sample

if TYPE_CHECKING:
    from latentfit.pairs.store import Batch, PairStore, Split

_ENOUGH_CELLS = 1 << 16
LARGEST_BLOCK = 8  # 3 cells of 13 are no scale, but a side that was cut off to whole cells


@dataclass(frozen=True)
class SamplePair:
    """One picture, or one crop of it, in both stores.

    Attributes
    ----------
    source, target : Sample
        Two samples of equal key.
    """

    source: Sample
    target: Sample

    @property
    def sha256(self) -> str:
        """SHA-256 of the picture."""
        return self.source.sha256


class JoinedStores:
    """Two stores of the same pictures, joined by key: what maps between latents are fitted, trained and scored on.

    Parameters
    ----------
    source, target : PairStore
        Collected from the same pictures with the same crops: by two VAEs, or by one at two sizes.

    Attributes
    ----------
    pairs : list of SamplePair
        What both hold, in the source's order.
    scale : Fraction
        Target cells per source cell: 1 between spaces of 8 px a cell, 2 from a store to one of twice its size.
    n_source_only, n_target_only : int
        Samples without a partner, left out.

    Raises
    ------
    StoreError
        When they are one store twice, share no picture, were all cropped differently, or differ in ratio.

    Warns
    -----
    UserWarning
        When some pictures of both were cropped differently.
    """

    def __init__(self, source: "PairStore", target: "PairStore") -> None:
        self.source, self.target = source, target
        if source.path.resolve() == target.path.resolve():
            raise StoreError(
                f"{source.path}: given as source and as target", expected="two stores of the same pictures"
            )
        partners = {sample.key: sample for sample in target.samples}
        self.pairs = [SamplePair(sample, partners[sample.key]) for sample in source.samples if sample.key in partners]
        if not self.pairs:
            raise _none_joined(source, target)
        _warn_of_other_crops(self.pairs, source, target)
        self.n_source_only = len(source.samples) - len(self.pairs)
        self.n_target_only = len(target.samples) - len(self.pairs)
        self.scale = _scale(self.pairs, source, target)
        if source.fingerprint == target.fingerprint and self.scale == 1:
            raise StoreError(
                f"{_named(source)} and {_named(target)}: one VAE at one size, so both hold the same latents",
                expected="two VAEs, or one at two sizes",
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        scale = "" if self.scale == 1 else f", {self.scale} times as large"
        return f"JoinedStores({len(self)} samples: {self.source.space.name} -> {self.target.space.name}{scale})"

    def split(self, split: "Split") -> list[SamplePair]:
        """Pairs of a split; which one a pair is in, its picture's hash decides."""
        chosen = {sample.key for sample in self.source.split(split)}
        return [pair for pair in self.pairs if pair.source.key in chosen]

    def batches(
        self,
        pairs: Sequence[SamplePair] | None = None,
        columns: Sequence[str] = (),
        n_cells: int = _ENOUGH_CELLS,
        *,
        source_columns: Sequence[str] = (),
    ) -> "Iterator[tuple[Batch, Batch]]":
        """(source, target) batches of equal-sized samples in equal order, at most about `n_cells` cells each.

        Parameters
        ----------
        pairs : sequence of SamplePair or None
            None: all.
        columns, source_columns : sequence of str
            What to read of the target and of the source besides latents and cells.
        n_cells : int
            Most cells a batch, of the larger side (at least one pair).
        """
        by_shards: dict[tuple[str, str], list[SamplePair]] = {}
        for pair in self.pairs if pairs is None else pairs:
            by_shards.setdefault((pair.source.shard, pair.target.shard), []).append(pair)
        for members in by_shards.values():
            largest = max(rows * wide for rows, wide in (members[0].source.size_cells, members[0].target.size_cells))
            step = max(1, n_cells // largest)
            for start in range(0, len(members), step):
                part = members[start : start + step]
                everything = largest * len(part)
                yield (
                    next(self.source.batches([pair.source for pair in part], source_columns, everything)),
                    next(self.target.batches([pair.target for pair in part], columns, everything)),
                )


def _scale(pairs: Sequence[SamplePair], source: "PairStore", target: "PairStore") -> Fraction:
    """Target cells per source cell: the same, both ways, for every pair, and of blocks of few cells."""
    found: set[Fraction] = set()
    for pair in pairs:
        both = {
            Fraction(there, here) for here, there in zip(pair.source.size_cells, pair.target.size_cells, strict=True)
        }
        found |= both
        if len(found) > 1 or max(one.denominator for one in found) > LARGEST_BLOCK:
            rows, wide = pair.source.size_cells
            rows_there, wide_there = pair.target.size_cells
            raise StoreError(
                f"{_named(source)} and {_named(target)}: {pair.source.name!r} has {rows}x{wide} "
                f"and {rows_there}x{wide_there} cells",
                expected="one ratio of small whole numbers for every picture",
                remedy=Remedy(
                    "collect both with the same {}, and with sides that are whole cells of both "
                    "({}, or a multiple of the larger cell)",
                    size=...,
                    crops=...,
                ),
            )
    return found.pop()


def _warn_of_other_crops(pairs: Sequence[SamplePair], source: "PairStore", target: "PairStore") -> None:
    """Pictures that only one side has are common; those of which both have other crops are a mistake."""
    joined = {pair.sha256 for pair in pairs}
    both = {sample.sha256 for sample in source.samples} & {sample.sha256 for sample in target.samples}
    if both - joined:
        told = LatentfitWarning(
            f"{len(both - joined)} of {len(both)} pictures that both hold were cropped differently and are left out",
            place=f"{_named(source)} and {_named(target)}",
            remedy=Remedy("collect both with the same {} and {}, in whole cells of both", size=..., crops=...),
        )
        warnings.warn(told, stacklevel=3)


def _none_joined(source: "PairStore", target: "PairStore") -> StoreError:
    pictures = {sample.sha256 for sample in source.samples} & {sample.sha256 for sample in target.samples}
    if pictures:
        what, advice = f"{len(pictures)} pictures are in both, but cropped differently", "collect both"
    else:
        what, advice = "no picture is in both", "collect them from the same pictures,"
    how = Remedy(f"{advice} with the same {{}} and {{}}", size=..., crops=...)
    return StoreError(what, place=f"{_named(source)} and {_named(target)}", remedy=how)


def _named(store: "PairStore") -> str:
    return f"{store.path} ({store.space.name})"
