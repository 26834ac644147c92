"""PairStore: latents beside what the VAE made of them, in immutable safetensors shards."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from latentfit.errors import Remedy, StoreError
from latentfit.images.perceptual_hash import groups
from latentfit.latents.spaces import LatentSpace
from latentfit.pairs.joined import JoinedStores
from latentfit.pairs.shards import COLUMNS, Origin, Sample, Shard, check_values, open_shard, read_shard
from latentfit.runtime.weights import TensorFile

__all__ = ["Batch", "Origin", "PairStore", "Sample", "Split"]

Split = Literal["train", "test", "all"]


@dataclass(frozen=True)
class Batch:
    """A batch of samples of equal size.

    Attributes
    ----------
    samples : list of Sample
    latents : Tensor, (n, C, h, w) float32
        Model domain.
    decoded_cells : Tensor or None, (n, 3, h, w) float32 in [0, 1]
        See `cells`; None in stores of an encoder alone.
    clipped : Tensor or None, (n, 6, h, w) float32 in [0, 1]
        Share of each cell's pixels at 0 (first three, by channel) and at 1 (last three).
    rgb, photo : Tensor or None, (n, 3, H, W) float32 in [0, 1]
        What the VAE decoded, and what it was given.
    """

    samples: list[Sample]
    latents: Tensor
    decoded_cells: Tensor | None
    clipped: Tensor | None = None
    rgb: Tensor | None = None
    photo: Tensor | None = None

    @property
    def cells(self) -> Tensor:
        """Area average of the VAE's decode over each cell, ``(n, 3, h, w)`` float32 in [0, 1]."""
        if self.decoded_cells is None:
            raise _no_decodes()
        return self.decoded_cells

    def target(self, scale: int | Fraction = 1) -> Tensor:
        """What the VAE decoded, at `scale` pixels a cell: ``(n, 3, h * scale, w * scale)`` in [0, 1]."""
        if scale == 1 or self.decoded_cells is None:
            return self.cells
        if self.rgb is None:
            raise StoreError(
                "this store keeps cells only",
                expected="scale 1",
                got=f"{scale}",
                remedy=Remedy("collect it with {}", keep="rgb"),
            )
        return _area_mean(self.rgb, self.latents, Fraction(scale))

    def photo_target(self, scale: int | Fraction = 1) -> Tensor:
        """The photograph at `scale` pixels a cell."""
        if self.photo is None:
            raise StoreError("this store keeps no photographs", remedy=Remedy("collect it with {}", keep="photo"))
        return _area_mean(self.photo, self.latents, Fraction(scale))

    def photo_cells(self) -> Tensor:
        """The photograph's area average over each cell, ``(n, 3, h, w)``."""
        return self.photo_target(1)


class PairStore:
    """A folder of shards of one VAE at one size.

    Parameters
    ----------
    path : path
        The folder. Opening reads the shards' headers only.

    Raises
    ------
    StoreError
        When there is no shard, one is cut short, or shards of two VAEs are mixed; when reading, if one was edited.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        paths = sorted(self.path.glob("*.safetensors")) if self.path.is_dir() else []
        if not paths:
            raise StoreError(
                "no pair store there",
                place=self.path,
                expected="*.safetensors shards",
                remedy="collect them first",
            )
        self._shards = {path.name: read_shard(path) for path in paths}
        self._checked: set[str] = set()
        self.origin = _common_origin(self.path, list(self._shards.values()))
        self.columns: tuple[str, ...] = tuple(
            column for column in COLUMNS if all(column in shard.columns for shard in self._shards.values())
        )
        unique: dict[str, Sample] = {}
        for shard in self._shards.values():
            for sample in shard.samples:
                unique.setdefault(sample.key, sample)
        self._samples = sorted(unique.values(), key=lambda sample: (sample.name, sample.key))

    @cached_property
    def samples(self) -> list[Sample]:
        """All samples by name and key; copies of a picture (`latentfit.images.perceptual_hash`) are of one group."""
        return _grouped(self._samples)

    @cached_property
    def n_copies(self) -> int:
        """Pictures that are copies of others here: saved anew, resized, trimmed, brightened or mirrored."""
        return len({sample.sha256 for sample in self.samples}) - len({sample.leader for sample in self.samples})

    @property
    def space(self) -> LatentSpace:
        """The space of the latents."""
        return self.origin.space

    @property
    def has_decodes(self) -> bool:
        """Whether it holds what the VAE decoded; False: it was collected from an encoder alone."""
        return "cells" in self.columns

    @property
    def vae_name(self) -> str:
        """The VAE as it was named when it was loaded."""
        return self.origin.vae

    @property
    def reference(self) -> str:
        """What stands as the true VAE, in words: "TAESD, standing in for SD1's KL-VAE"."""
        return self.origin.reference

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the VAE's weights."""
        return self.origin.fingerprint

    def __len__(self) -> int:
        return len(self._samples)

    def __repr__(self) -> str:
        return f"PairStore({self.path.name!r}: {len(self)} samples of {self.space.name}, {self.reference})"

    def split(self, split: Split) -> list[Sample]:
        """Samples of a split; the smallest hash among the picture and its copies in this store decides its side."""
        if split not in ("train", "test", "all"):
            raise StoreError("split", expected="'train', 'test' or 'all'", got=f"{split!r}")
        return [sample for sample in self.samples if split == "all" or sample.is_test == (split == "test")]

    def batches(
        self,
        samples: Sequence[Sample] | None = None,
        columns: Sequence[str] = (),
        n_cells: int = 1 << 16,
    ) -> Iterator[Batch]:
        """Batches of equal-sized samples, at most about `n_cells` cells each, so memory stays flat.

        Parameters
        ----------
        samples : sequence of Sample or None
            None: all.
        columns : sequence of str
            What to read besides latents, and cells where the store has them; a column it lacks is an error.
        n_cells : int
            Most cells a batch (at least one sample).
        """
        missing = set(columns) - set(self.columns)
        if missing and not self.has_decodes:
            raise _no_decodes(self.path)
        if missing:
            keep = "photo" if "photo" in missing else "rgb"
            raise StoreError(
                f"lacks {', '.join(sorted(missing))}", place=self.path, remedy=Remedy("collect it with {}", keep=keep)
            )
        by_shard: dict[str, list[Sample]] = {}
        for sample in self.samples if samples is None else samples:
            by_shard.setdefault(sample.shard, []).append(sample)
        for shard, members in by_shard.items():
            rows, columns_ = members[0].size_cells
            step = max(1, n_cells // (rows * columns_))
            self._check(shard)
            with open_shard(self.path / shard) as file:
                for start in range(0, len(members), step):
                    yield _batch(file, members[start : start + step], self._also(columns))

    def _also(self, columns: Sequence[str]) -> set[str]:
        """What is read: what is asked for, and what every batch has."""
        return {"latents", *(["cells"] if self.has_decodes else []), *columns}

    def sample(self, key: str, columns: Sequence[str] | None = None) -> Batch:
        """One sample as a batch of one; `key` may be cut short, or the picture's name."""
        for sample in self.samples:
            if sample.key.startswith(key) or sample.name == key:
                return next(self.batches([sample], self.columns if columns is None else columns))
        raise StoreError(
            f"no sample {key!r}", place=self.path, expected=f"a key or a name such as {self.samples[0].name!r}"
        )

    def join(self, target: "PairStore") -> JoinedStores:
        """Join this store's samples with another's of the same pictures and crops, by key; see `JoinedStores`."""
        return JoinedStores(self, target)

    def verify(self) -> int:
        """Read every shard and compare its bytes with the checksum in its header; the number of shards.

        Raises
        ------
        StoreError
            Naming the first shard that was edited.
        """
        for shard in self._shards:
            self._check(shard)
        return len(self._shards)

    def _check(self, shard: str) -> None:
        """Once for each shard that is read: an edited one must not end up in a fit."""
        if shard not in self._checked:
            check_values(self._shards[shard])
            self._checked.add(shard)


def _grouped(samples: list[Sample]) -> list[Sample]:
    """The same samples, each with the smallest hash among its picture's copies."""
    looks: dict[str, str] = {}
    for sample in samples:
        if sample.look:
            looks.setdefault(sample.sha256, sample.look)
    pictures = sorted(looks)
    leaders: dict[int, str] = {}
    led = {}
    for sha256, label in zip(pictures, _groups(tuple(looks[sha256] for sha256 in pictures)), strict=True):
        led[sha256] = leaders.setdefault(label, sha256)  # sorted: the first is the smallest
    return [
        sample if led.get(sample.sha256, sample.sha256) == sample.sha256 else replace(sample, group=led[sample.sha256])
        for sample in samples
    ]


@lru_cache(maxsize=8)
def _groups(looks: tuple[str, ...]) -> tuple[int, ...]:
    """`groups`, kept, since a store is opened more than once in a run."""
    return tuple(groups(looks).tolist())


def _common_origin(folder: Path, shards: Sequence[Shard]) -> Origin:
    first = shards[0].origin
    for shard in shards:
        if differences := first.differences(shard.origin):
            raise StoreError(
                f"shards of two kinds: {shards[0].path.name} is from {first.vae}, "
                f"{shard.path.name} from {shard.origin.vae}; they differ in {differences}",
                place=folder,
                remedy=("one store is one VAE at one size: move one of them to a folder of its own"),
            )
    return first


def _no_decodes(path: Path | None = None) -> StoreError:
    return StoreError(
        "this store was collected from an encoder alone: it holds no decodes", place=path,
        remedy=Remedy("take the photographs instead, with {}", target="photo"),
    )  # fmt: skip


def _batch(file: TensorFile, members: list[Sample], columns: Collection[str]) -> Batch:
    rows = [sample.row for sample in members]
    read = {}
    for column in columns:
        together = rows == list(range(rows[0], rows[0] + len(rows)))
        slices = [slice(rows[0], rows[-1] + 1)] if together else [slice(row, row + 1) for row in rows]
        parts = [file.part(column, one) for one in slices]
        tensor = parts[0] if together else torch.cat(parts)
        read[column] = tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor.float()
    return Batch(members, read.pop("latents"), read.pop("cells", None), **read)


def _area_mean(rgb: Tensor, latents: Tensor, scale: Fraction) -> Tensor:
    """Full-size rgb -> ``scale`` pixels a cell; exact where the window is whole, area-weighted otherwise."""
    high, wide = int(latents.shape[-2] * scale), int(latents.shape[-1] * scale)
    if (high, wide) == tuple(rgb.shape[-2:]):
        return rgb
    window = rgb.shape[-1] / wide
    if window != int(window) or window < 1:
        return torch.nn.functional.interpolate(rgb, (high, wide), mode="bilinear", antialias=True)
    return torch.nn.functional.avg_pool2d(rgb, int(window))
