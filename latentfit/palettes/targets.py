"""Classes of a palette for every cell of a pair store, in side shards beside it: derived, whole or not there."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_bytes
from torch import Tensor

from latentfit.errors import LatentfitError, PaletteError, Remedy, StoreError
from latentfit.pairs.shards import Shard, read_shard
from latentfit.pairs.store import PairStore, Sample
from latentfit.palettes.dithering import DITHERS, Dither
from latentfit.palettes.palette import Palette
from latentfit.palettes.quantization import METHODS, Method, palettize
from latentfit.runtime import distributed as parallel
from latentfit.runtime.schemas import parse_json, plain, record, text
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.weights import TensorFile

SCHEMA = "latentfit-palette-targets/1"
FOLDER = "palettes"
_FIELD = "latentfit_palette_targets"
_MAKE_AGAIN = "delete it: it is made again from the store"

Indices = NDArray[np.uint8]


@dataclass(frozen=True)
class Palettizing:
    """How pictures become classes of cells.

    Attributes
    ----------
    palette : Palette
    method, dither, strength
        See `latentfit.palettes.palettize`.
    of : {"rgb", "photo"}
        What of a store becomes classes: what the VAE decoded, or what it was given. Of pixel art drawn with one pixel a
        cell in the palette's own colours the latter, with the method "nearest", gives back its very indices.
    """

    palette: Palette
    method: Method = "k-centroid"
    dither: Dither = "none"
    strength: float = 1.0
    of: Literal["rgb", "photo"] = "rgb"

    def __post_init__(self) -> None:
        if self.of not in ("rgb", "photo"):
            raise PaletteError("palettize", expected="'rgb' or 'photo' of a store", got=f"{self.of!r}")
        if self.method not in METHODS or self.dither not in DITHERS:
            raise PaletteError(
                "palettize",
                expected=f"a method of {', '.join(METHODS)} and a dither of {', '.join(DITHERS)}",
                got=f"{self.method!r} and {self.dither!r}",
            )
        if self.method == "vote" and self.dither != "none":  # said here, before pictures are decoded for it
            raise PaletteError(
                f"method 'vote' leaves no colours to dither, got dither={self.dither!r}",
                remedy="take 'k-centroid' or 'nearest'",
            )

    def __call__(self, rgb: Tensor, cell_px: int) -> Tensor:
        """Pictures ``(N, 3, H, W)`` in [0, 1] -> classes ``(N, h, w)`` int64."""
        return palettize(rgb, self.palette, cell_px, self.method, self.dither, self.strength)

    @cached_property
    def key(self) -> str:
        """Tells palettizings apart: the colours and their order, the method, the dithering; not the palette's name."""
        colours = hashlib.sha256(self.palette.colours.numpy().tobytes()).hexdigest()
        strength = "" if self.dither == "none" or self.strength == 1 else f"-{self.strength:g}"
        of = "" if self.of == "rgb" else f"-{self.of}"
        return f"{len(self.palette)}-{colours[:16]}-{self.method}-{self.dither}{strength}{of}"

    @property
    def in_words(self) -> str:
        """``"pico-8"``, and what is unusual about it: ``"pico-8, vote"``."""
        parts = [self.palette.name or f"{len(self.palette)} colours"]
        parts += [self.method] if self.method != "k-centroid" else []
        parts += ["of the pictures themselves"] if self.of == "photo" else []
        return ", ".join(parts + ([self.dither] if self.dither != "none" else []))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of a card: the palette's name, method, dither and strength; of what, if not the decode."""
        names = ("method", "dither", "strength", *(["of"] if self.of != "rgb" else []))
        return {"palette": self.palette.name, **{name: getattr(self, name) for name in names}}


class PaletteTargets:
    """Classes of a store's cells; what is missing is made when the targets are opened.

    Parameters
    ----------
    store : PairStore
        A store that keeps what `how` palettizes.
    how : Palettizing
    samples : sequence of Sample, optional
        Only the shards of these are looked at; None: all.
    progress : bool
        Show a bar while side shards are made.

    Raises
    ------
    StoreError
        When the store lacks what is palettized, or the side shards cannot be written.
    """

    def __init__(
        self, store: PairStore, how: Palettizing, samples: Sequence[Sample] | None = None, *, progress: bool = False
    ) -> None:
        if how.of not in store.columns:
            raise StoreError(
                f"keeps no {how.of} to palettize", place=store.path, remedy=Remedy("collect it with {}", keep=how.of)
            )
        self.store, self.how = store, how
        self.folder = store.path / FOLDER / how.key
        self._rows: dict[str, Indices] = {}
        names = sorted({sample.shard for sample in (store.samples if samples is None else samples)})
        self._make([read_shard(store.path / name) for name in names], progress)

    def __getitem__(self, sample: Sample) -> Indices:
        """Classes of one sample, ``(h, w)``."""
        if sample.shard not in self._rows:
            self._rows[sample.shard] = _read(self.folder / sample.shard)
        rows: Indices = self._rows[sample.shard][sample.row]
        return rows

    def counts(self, samples: Sequence[Sample]) -> Tensor:
        """How many cells each class has in these samples, ``(K,)`` int64."""
        total = np.zeros(len(self.how.palette), np.int64)
        for sample in samples:
            total += np.bincount(self[sample].ravel(), minlength=len(total))
        return torch.from_numpy(total)

    def _make(self, shards: Sequence[Shard], progress: bool) -> None:
        """Side shards that are not there, or not of these shards; every rank takes its share."""
        from tqdm.auto import tqdm

        missing = [shard for shard in shards if not self._is_there(shard)]
        mine = parallel.share(missing)
        hidden = not progress or not mine or parallel.rank() > 0
        for shard in tqdm(mine, unit="shard", desc=f"palettize {self.how.palette.name}", disable=hidden):
            cell_px = self.store.space.cell_px
            batches = self.store.batches(shard.samples, columns=[self.how.of], n_cells=1 << 14)
            parts = [self.how(rgb, cell_px) for batch in batches if (rgb := getattr(batch, self.how.of)) is not None]
            self._write(shard, torch.cat(parts).to(torch.uint8))
        parallel.barrier()

    def _is_there(self, shard: Shard) -> bool:
        path = self.folder / shard.path.name
        if not path.is_file():
            return False
        try:
            with _opened(path) as file:
                header = _header(file)
        except LatentfitError:
            return False  # what is cut short or foreign is made again, from the store
        return bool(header["schema"] == SCHEMA and header["of"] == shard.checksum and header["key"] == self.how.key)

    def _write(self, shard: Shard, indices: Tensor) -> None:
        checksum = hashlib.sha256(indices.numpy().tobytes()).hexdigest()
        header: dict[str, Any] = {"schema": SCHEMA, "key": self.how.key, "of": shard.checksum, "checksum": checksum}
        header |= {"how": self.how.to_dict(), "palette": self.how.palette.to_dict()}
        blob = to_bytes({"indices": indices.contiguous()}, {_FIELD: json.dumps(header)})
        path = self.folder / shard.path.name
        try:
            write_atomic(path, blob)
        except OSError as error:
            raise StoreError(
                f"could not be written ({error.strerror or error})",
                place=path,
                remedy=(
                    "nothing half-written remains. Free some space, or copy the store to "
                    "where you can write, and run the same again: it goes on"
                ),
            ) from error


def _opened(path: Path) -> TensorFile:
    return TensorFile(path, "shard of palette targets", _MAKE_AGAIN, StoreError, "np")


def _header(file: TensorFile) -> dict[str, Any]:
    place = str(file.path)
    header: dict[str, Any] = _HEADER(parse_json(file.metadata.get(_FIELD, "{}"), place), place)
    return header


_HEADER = record(dict.fromkeys(("schema", "key", "of", "checksum"), text()), ("schema", "key", "of", "checksum"), plain)


def _read(path: Path) -> Indices:
    """All rows of a side shard.

    Raises
    ------
    StoreError
        When its values are not those that were written.
    """
    with _opened(path) as file:
        indices: Indices = file.tensor("indices")
        if hashlib.sha256(indices.tobytes()).hexdigest() != _header(file)["checksum"]:
            raise StoreError("was edited or damaged", place=path, remedy=_MAKE_AGAIN)
    return indices
