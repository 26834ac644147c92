"""JoinedCrops: crops of two joined stores, the same for the same seed and number of images seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.errors import Remedy, TrainError
from latentfit.pairs.joined import JoinedStores, SamplePair
from latentfit.pairs.shards import open_shard
from latentfit.pairs.store import PairStore, Sample, Split
from latentfit.runtime.weights import TensorFile
from latentfit.train.crops import WeightedDraw, inside_of

Floats = NDArray[np.float32]


class JoinedCrops:
    """The k-th crop of a run, for every k: source and target latents of one place.

    Which pair image k is cut from, and where, derives from (seed, k) alone. Pairs are drawn with replacement. Of stores
    at several scales each batch is of one, which its first image draws.

    Parameters
    ----------
    joined : JoinedStores, or sequence of them
    split : {"train", "test", "all"}
        What to draw from; pairs that are smaller than the crop are left out.
    crop_cells : int
        Largest side of a crop in source cells; what it is are whole blocks of the scale.
    border_cells : int
        Rim of the target's crop, in its cells, that no loss should see unless it is the picture's own.
    weights : mapping of str to float, optional
        How often pictures of a kind are drawn, relative to 1.
    seed : int

    Raises
    ------
    TrainError
        When no pair is as large as the crop.
    """

    def __init__(
        self,
        joined: JoinedStores | Sequence[JoinedStores],
        split: Split,
        crop_cells: int,
        *,
        border_cells: int = 0,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        every = [joined] if isinstance(joined, JoinedStores) else joined
        self.places = [_Place(one, split, crop_cells, weights or {}) for one in every]
        self.border_cells, self.seed = border_cells, seed
        self._files: dict[Path, TensorFile] = {}

    @property
    def pairs(self) -> list[SamplePair]:
        """All that is drawn from, of the first store."""
        return self.places[0].pairs

    def batch(self, images: Sequence[int]) -> dict[str, Tensor]:
        """``input`` and ``target`` latents of these images, float32; ``inside``, 1 where a loss should look."""
        drawn = np.random.default_rng((self.seed, images[0], len(self.places))).integers(len(self.places))
        place = self.places[int(drawn)]
        crops = [self._crop(place, image) for image in images]
        source, target, inside = (torch.from_numpy(np.stack(column)) for column in zip(*crops, strict=True))
        return {"input": source, "target": target, "inside": inside}

    def _crop(self, place: "_Place", image: int) -> tuple[Floats, Floats, Floats]:
        """In numpy: torch's operations would wake a second pool of threads beside the one that trains."""
        draw = np.random.default_rng((self.seed, image))
        pair, joined, side = place.drawn(draw.random()), place.joined, place.side
        top, left = (int(draw.integers(0, (n - side) // place.step + 1)) * place.step for n in pair.source.size_cells)
        there = [int(n * joined.scale) for n in (top, left, side)]
        source = self._read(joined.source, pair.source, top, left, side)
        target = self._read(joined.target, pair.target, *there)
        top, left, side = there
        return source, target, inside_of(pair.target, top, left, side, self.border_cells)

    def _read(self, store: PairStore, sample: Sample, top: int, left: int, side: int) -> Floats:
        path = Path(store.path) / sample.shard
        if path not in self._files:
            self._files[path] = open_shard(path, "np")
        rows, columns = slice(top, top + side), slice(left, left + side)
        where = slice(sample.row, sample.row + 1), slice(None), rows, columns
        part = self._files[path].part("latents", where)[0]
        values: Floats = part.astype(np.float32)
        return values


class _Place:
    """The pairs of one scale that are as large as a crop."""

    def __init__(self, joined: JoinedStores, split: Split, crop_cells: int, weights: Mapping[str, float]) -> None:
        self.joined, self.step = joined, joined.scale.denominator
        self.side = max(self.step, crop_cells // self.step * self.step)
        among = joined.split(split)
        self.pairs = [pair for pair in among if min(pair.source.size_cells) >= self.side]
        if not self.pairs:
            largest = max((min(pair.source.size_cells) for pair in among), default=0)
            raise TrainError(
                f"{joined}: no sample is as large as a crop of {self.side} cells (the largest short side is {largest})",
                remedy=Remedy("collect squares with {} or more", size=self.side * joined.source.space.cell_px),
            )
        self._draw = WeightedDraw([pair.source for pair in self.pairs], weights)
        if self._draw.is_empty:
            raise TrainError(
                f"{joined}: the weights {dict(weights)} leave no sample to draw", remedy="weigh one kind more"
            )

    def drawn(self, chance: float) -> SamplePair:
        """The pair at this share of all weights."""
        return self.pairs[self._draw.index(chance)]
