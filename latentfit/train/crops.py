"""CropSource: crops of a pair store on cell boundaries, the same for the same seed and number of images seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.errors import Remedy, TrainError
from latentfit.pairs.shards import open_shard
from latentfit.pairs.store import PairStore, Sample
from latentfit.runtime.weights import TensorFile

Floats = NDArray[np.float32]
Target = Literal["rgb", "photo", "cells"]


class WeightedDraw:
    """A draw of samples by a chance in [0, 1), weighted by what pictures of a kind count.

    Parameters
    ----------
    samples : sequence of Sample
    weights : mapping of str to float
        By kind; kinds that are not named count 1.
    """

    def __init__(self, samples: Sequence[Sample], weights: Mapping[str, float]) -> None:
        self._cumulated = np.cumsum([weights.get(sample.kind, 1.0) for sample in samples])

    @property
    def is_empty(self) -> bool:
        """Whether the weights leave nothing to draw."""
        return not self._cumulated[-1] > 0

    def index(self, chance: float) -> int:
        """The sample at this share of all weights."""
        return int(np.searchsorted(self._cumulated, chance * self._cumulated[-1], side="right"))


def inside_of(sample: Sample, top: int, left: int, side: int, border: int, px: int = 1) -> Floats:
    """1 where a loss should look, ``(1, side * px, side * px)``: not at the rim, unless it is the picture's own.

    Parameters
    ----------
    sample : Sample
    top, left, side, border : int
        Place of the crop and its rim, in the sample's cells.
    px : int
        Pixels a cell.
    """
    inside = np.ones((1, side * px, side * px), np.float32)
    for axis, start in ((1, top), (2, left)):
        lines = np.moveaxis(inside, axis, 0)
        if start > 0:
            lines[: border * px] = 0
        if start + side < sample.size_cells[axis - 1]:
            lines[len(lines) - border * px :] = 0
    return inside


class CropSource:
    """The k-th crop of a run and its pixels, for every k; only what is asked for is read.

    Which sample image k is cut from, and where, derives from (seed, k) alone, so any process can fetch any image, in
    any order. Samples are drawn with replacement.

    Parameters
    ----------
    store : PairStore
    samples : sequence of Sample
        What to draw from; smaller ones than the crop are left out.
    crop_cells : int
        Side of a crop.
    target : {"rgb", "photo", "cells"}
        What the VAE decoded, what it was given, or one colour a cell.
    scale : int
        Pixels of the target per cell: the space's `cell_px`, less (area means), or 1 for cells.
    encodes : bool
        The network goes the other way: pictures in, latents out.
    border_cells : int
        Rim of a crop that no loss should see, because what lies past it would have changed the output; the rim that is
        the picture's own stays, so that a network learns how pictures end.
    weights : mapping of str to float, optional
        How often samples of a kind are drawn, relative to 1.
    seed : int

    Raises
    ------
    TrainError
        When no sample is as large as the crop.
    """

    def __init__(
        self,
        store: PairStore,
        samples: Sequence[Sample],
        crop_cells: int,
        target: Target = "rgb",
        scale: int | None = None,
        *,
        encodes: bool = False,
        border_cells: int = 0,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        if target not in store.columns:
            raise TrainError(
                f"lacks {target!r}",
                place=store.path,
                remedy=Remedy("collect it with {}", keep="photo" if target == "photo" else "rgb"),
            )
        self.samples = [sample for sample in samples if min(sample.size_cells) >= crop_cells]
        if not self.samples:
            largest = max((min(sample.size_cells) for sample in samples), default=0)
            raise TrainError(
                f"no sample is as large as a crop of {crop_cells} cells (the largest short side is {largest})",
                place=store.path,
                remedy="collect larger pictures, or take a smaller crop",
            )
        self.store, self.crop_cells, self.target, self.encodes, self.seed = store, crop_cells, target, encodes, seed
        self.border_cells = border_cells
        self.scale = (1 if target == "cells" else store.space.cell_px) if scale is None else scale
        self._files: dict[str, TensorFile] = {}
        self._draw = WeightedDraw(self.samples, weights or {})
        if self._draw.is_empty:
            raise TrainError(
                f"the weights {dict(weights or {})} leave no sample to draw",
                place=store.path,
                remedy="weigh one kind more",
            )

    def batch(self, images: Sequence[int]) -> dict[str, Tensor]:
        """``input`` and ``target`` of these images, float32, rgb in [0, 1]; ``inside``, 1 where a loss should look."""
        crops = [self._crop(image) for image in images]
        latents, picture, inside = (torch.from_numpy(np.stack(column)) for column in zip(*crops, strict=True))
        given, wanted = (picture, latents) if self.encodes else (latents, picture)
        return {"input": given, "target": wanted, "inside": inside}

    def _crop(self, image: int) -> tuple[Floats, Floats, Floats]:
        """In numpy: torch's operations would wake a second pool of threads beside the one that trains."""
        sample, top, left = self.place(image)
        latents = self.latents(sample, top, left)
        px = 1 if self.target == "cells" else self.store.space.cell_px
        picture = self._read(sample, self.target, top, left, px)
        if self.scale != px:
            side, window = self.crop_cells * self.scale, px // self.scale
            picture = picture.reshape(3, side, window, side, window).mean((2, 4))
        return latents, picture, self.inside(sample, top, left)

    def place(self, image: int) -> tuple[Sample, int, int]:
        """What image k is cut from, and its first row and column of cells there."""
        draw = np.random.default_rng((self.seed, image))
        sample = self.samples[self._draw.index(draw.random())]
        top, left = (int(draw.integers(0, n - self.crop_cells + 1)) for n in sample.size_cells)
        return sample, top, left

    def latents(self, sample: Sample, top: int, left: int) -> Floats:
        """``(C, side, side)``, model domain."""
        return self._read(sample, "latents", top, left, 1)

    def inside(self, sample: Sample, top: int, left: int) -> Floats:
        """1 where a loss should look, ``(1, side, side)``, in the target's pixels."""
        scale = 1 if self.encodes else self.scale
        return inside_of(sample, top, left, self.crop_cells, self.border_cells, scale)

    def _read(self, sample: Sample, column: str, top: int, left: int, px: int) -> Floats:
        if sample.shard not in self._files:
            self._files[sample.shard] = open_shard(Path(self.store.path) / sample.shard, "np")
        rows, columns = (slice(start * px, (start + self.crop_cells) * px) for start in (top, left))
        where = slice(sample.row, sample.row + 1), slice(None), rows, columns
        part = self._files[sample.shard].part(column, where)[0]
        values: Floats = part.astype(np.float32)
        return values / np.float32(255) if part.dtype == np.uint8 else values
