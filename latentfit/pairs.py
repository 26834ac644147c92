"""PairStore: latents beside what the VAE made of them, in immutable safetensors shards."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from latentfit.errors import StoreError
from latentfit.images import is_test
from latentfit.pixels import Box
from latentfit.resources import write_atomic
from latentfit.spaces import LatentSpace

SCHEMA = "latentfit-pairs/1"
COLUMNS = ("latents", "cells", "clipped", "rgb", "photo")
Split = Literal["train", "test", "all"]


@dataclass(frozen=True)
class Sample:
    """One picture, or one crop of it.

    Attributes
    ----------
    key : str
        SHA-256 over the picture's hash and the crop box: the same in every store of these pictures.
    name, sha256, kind : str
        Of the picture; see `latentfit.images.Picture`.
    box : tuple of int
        Crop in the original, pixels: left, top, right, bottom.
    size_cells : tuple of int
        Rows and columns of the latent.
    shard : str
        File name; empty before it is written.
    row : int
        In the shard.
    """

    key: str
    name: str
    sha256: str
    kind: str
    box: Box
    size_cells: tuple[int, int]
    shard: str = ""
    row: int = -1

    @property
    def is_test(self) -> bool:
        """Held out: by the picture's hash, so all crops of a picture are on one side."""
        return is_test(self.sha256)


@dataclass(frozen=True)
class Origin:
    """What a store's samples have in common; stores of one origin merge by copying files."""

    vae: str
    reference: str
    fingerprint: str
    space: LatentSpace
    size: int
    filter: str = "lanczos"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; read back by `from_dict`."""
        return {**asdict(self), "space": self.space.to_dict()}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "Origin":
        """Inverse of `to_dict`."""
        return cls(**{**entry, "space": LatentSpace.from_dict(entry["space"])})


@dataclass(frozen=True)
class Batch:
    """Samples of equal size.

    Attributes
    ----------
    samples : list of Sample
    latents : Tensor, (n, C, h, w) float32
        Model domain.
    cells : Tensor, (n, 3, h, w) float32 in [0, 1]
        Area average of the VAE's decode over each cell.
    clipped : Tensor or None, (n, 6, h, w) float32 in [0, 1]
        Share of each cell's pixels at 0 (first three, by channel) and at 1 (last three).
    rgb, photo : Tensor or None, (n, 3, H, W) float32 in [0, 1]
        What the VAE decoded, and what it was given.
    """

    samples: list[Sample]
    latents: Tensor
    cells: Tensor
    clipped: Tensor | None = None
    rgb: Tensor | None = None
    photo: Tensor | None = None

    def target(self, scale: int | Fraction = 1) -> Tensor:
        """What the VAE decoded, at `scale` pixels a cell: ``(n, 3, h * scale, w * scale)`` in [0, 1]."""
        if scale == 1:
            return self.cells
        if self.rgb is None:
            raise StoreError(f"this store keeps cells only: expected scale 1, got {scale}; collect it with --keep rgb")
        return _area_mean(self.rgb, self.latents, Fraction(scale))

    def photo_target(self, scale: int | Fraction = 1) -> Tensor:
        """The photograph at `scale` pixels a cell."""
        if self.photo is None:
            raise StoreError("this store keeps no photographs; collect it with --keep photo")
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
        When there is no shard, one is cut short, or shards of two VAEs are mixed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        headers = _headers(self.path)
        if not headers:
            raise StoreError(
                f"{self.path}: no pair store there; expected *.safetensors shards written by `latentfit collect`"
            )
        self.origin = _common_origin(self.path, headers)
        self.columns: tuple[str, ...] = tuple(
            column for column in COLUMNS if all(column in header["columns"] for header in headers.values())
        )
        unique: dict[str, Sample] = {}
        for shard, header in headers.items():
            for row, entry in enumerate(header["samples"]):
                unique.setdefault(entry["key"], _sample(entry, shard, row))
        self.samples: list[Sample] = sorted(unique.values(), key=lambda sample: (sample.name, sample.key))

    @property
    def space(self) -> LatentSpace:
        """Space of the latents."""
        return self.origin.space

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
        return len(self.samples)

    def __repr__(self) -> str:
        return f"PairStore({str(self.path)!r}: {len(self)} samples of {self.space.name}, {self.reference})"

    def split(self, split: Split) -> list[Sample]:
        """Samples of a split; which one a sample is in, its picture's hash decides."""
        if split not in ("train", "test", "all"):
            raise StoreError(f"split: expected 'train', 'test' or 'all', got {split!r}")
        return [sample for sample in self.samples if split == "all" or sample.is_test == (split == "test")]

    def batches(
        self,
        samples: Sequence[Sample] | None = None,
        columns: Sequence[str] = ("latents", "cells"),
        n_cells: int = 1 << 16,
    ) -> Iterator[Batch]:
        """Batches of equal-sized samples, at most about `n_cells` cells each, so memory stays flat.

        Parameters
        ----------
        samples : sequence of Sample or None
            None: all.
        columns : sequence of str
            What to read besides latents and cells; a column the store lacks is an error.
        n_cells : int
            Most cells a batch (at least one sample).
        """
        missing = set(columns) - set(self.columns)
        if missing:
            keep = "photo" if "photo" in missing else "rgb"
            raise StoreError(f"{self.path}: lacks {', '.join(sorted(missing))}; collect it with --keep {keep}")
        by_shard: dict[str, list[Sample]] = {}
        for sample in self.samples if samples is None else samples:
            by_shard.setdefault(sample.shard, []).append(sample)
        for shard, members in by_shard.items():
            rows, columns_ = members[0].size_cells
            step = max(1, n_cells // (rows * columns_))
            with _open_shard(self.path / shard) as file:
                for start in range(0, len(members), step):
                    yield _batch(file, members[start : start + step], columns)

    def sample(self, key: str, columns: Sequence[str] | None = None) -> Batch:
        """One sample as a batch of one; `key` may be cut short, or the picture's name."""
        for sample in self.samples:
            if sample.key.startswith(key) or sample.name == key:
                return next(self.batches([sample], self.columns if columns is None else columns))
        raise StoreError(f"{self.path}: no sample {key!r}; expected a key or a name such as {self.samples[0].name!r}")

    def verify(self) -> int:
        """Read every shard and compare its bytes with the checksum in its header; the number of shards.

        Raises
        ------
        StoreError
            Naming the first shard that was edited.
        """
        shards = sorted({sample.shard for sample in self.samples})
        for shard in shards:
            with _open_shard(self.path / shard) as file:
                header = _read_header(self.path / shard, file.metadata())
                tensors = {name: file.get_tensor(name) for name in header["columns"]}
            if _checksum(tensors) != header["checksum"]:
                raise StoreError(f"{self.path / shard}: was edited or damaged; delete it and run collect again")
        return len(shards)


def write_shard(
    folder: Path, origin: Origin, samples: Sequence[Sample], tensors: Mapping[str, Tensor], tag: str = ""
) -> Path:
    """Write samples of equal size as one shard, whole or not at all.

    Parameters
    ----------
    folder : Path
        The store.
    origin : Origin
        Of the whole store.
    samples : sequence of Sample
        One a row.
    tensors : mapping of str to Tensor
        ``latents`` (n, C, h, w), ``cells`` (n, 3, h, w) as float16; ``clipped`` (n, 6, h, w), ``rgb``, ``photo``
        (n, 3, H, W) as uint8.
    tag : str
        In the file's name, such as the rank.

    Raises
    ------
    StoreError
        When the disk is full or cannot be written; nothing half-written remains.
    """
    rows = {name: tensor.shape[0] for name, tensor in tensors.items()}
    if set(rows.values()) != {len(samples)}:
        raise StoreError(f"write_shard: expected {len(samples)} rows in each column, got {rows}")
    columns = [name for name in COLUMNS if name in tensors]
    header = {
        "schema": SCHEMA,
        "origin": origin.to_dict(),
        "columns": columns,
        "checksum": _checksum({name: tensors[name] for name in columns}),
        "samples": [
            {"key": s.key, "name": s.name, "sha256": s.sha256, "kind": s.kind, "box": s.box, "size_cells": s.size_cells}
            for s in samples
        ],
    }
    high, wide = samples[0].size_cells
    name = f"{high}x{wide}-{samples[0].key[:16]}{tag}.safetensors"
    blob = to_bytes({key: tensors[key].contiguous() for key in columns}, {"latentfit_pairs": json.dumps(header)})
    try:
        return write_atomic(folder / name, blob)
    except OSError as error:
        raise StoreError(
            f"{folder / name}: could not be written ({error.strerror or error}); nothing half-written remains. "
            "Free some space and run the same command: it goes on where it stopped"
        ) from error


def sample_key(sha256: str, box: Box) -> str:
    """SHA-256 over a picture's hash and a crop box."""
    return hashlib.sha256(f"{sha256}:{','.join(map(str, box))}".encode()).hexdigest()


def _headers(folder: Path) -> dict[str, dict[str, Any]]:
    """Shard name -> header, sorted by name."""
    headers = {}
    for path in sorted(folder.glob("*.safetensors")) if folder.is_dir() else []:
        with _open_shard(path) as file:
            headers[path.name] = _read_header(path, file.metadata())
    return headers


def _open_shard(path: Path) -> Any:
    try:
        return safe_open(os.fspath(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: a damaged shard ({error}); delete it and run collect again") from error


def _read_header(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((metadata or {})["latentfit_pairs"])
        if header["schema"] == SCHEMA and {"origin", "columns", "checksum", "samples"} <= set(header):
            return header
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise StoreError(f"{path}: not a shard of a pair store; move it out of this folder") from error
    raise StoreError(f"{path}: expected schema {SCHEMA!r}, got {header.get('schema')!r}; collect it anew")


def _common_origin(folder: Path, headers: Mapping[str, Mapping[str, Any]]) -> Origin:
    origins = {shard: Origin.from_dict(header["origin"]) for shard, header in headers.items()}
    first_shard, first = next(iter(origins.items()))
    for shard, origin in origins.items():
        if replace(origin, vae=first.vae, reference=first.reference) != first:
            raise StoreError(
                f"{folder}: shards of two kinds: {first_shard} is from {first.vae} ({first.fingerprint[:8]}, size "
                f"{first.size}), {shard} from {origin.vae} ({origin.fingerprint[:8]}, size {origin.size}); "
                "one store is one VAE at one size: move one of them to a folder of its own"
            )
    return first


def _sample(entry: Mapping[str, Any], shard: str, row: int) -> Sample:
    left, top, right, bottom = entry["box"]
    high, wide = entry["size_cells"]
    box, size = (left, top, right, bottom), (high, wide)
    return Sample(entry["key"], entry["name"], entry["sha256"], entry["kind"], box, size, shard, row)


def _batch(file: Any, members: list[Sample], columns: Sequence[str]) -> Batch:
    rows = [sample.row for sample in members]
    wanted = {"latents", "cells", *columns}
    read = {}
    for column in wanted:
        stored = file.get_slice(column)
        together = rows == list(range(rows[0], rows[0] + len(rows)))
        tensor = stored[rows[0] : rows[-1] + 1] if together else torch.cat([stored[row : row + 1] for row in rows])
        read[column] = tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor.float()
    return Batch(members, **read)


def _area_mean(rgb: Tensor, latents: Tensor, scale: Fraction) -> Tensor:
    """Full-size rgb -> ``scale`` pixels a cell; exact where the window is whole, area-weighted otherwise."""
    high, wide = int(latents.shape[-2] * scale), int(latents.shape[-1] * scale)
    if (high, wide) == tuple(rgb.shape[-2:]):
        return rgb
    window = rgb.shape[-1] / wide
    if window != int(window) or window < 1:
        return torch.nn.functional.interpolate(rgb, (high, wide), mode="bilinear", antialias=True)
    return torch.nn.functional.avg_pool2d(rgb, int(window))


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
