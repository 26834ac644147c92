"""One shard of a pair store: samples of equal size in a safetensors file that is whole or not there."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from latentfit.errors import BadFileError, StoreError, reason_of
from latentfit.images.perceptual_hash import is_look
from latentfit.images.pixels import Box
from latentfit.images.sources import is_test
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime import schemas
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.weights import TensorFile

SCHEMA = "latentfit-pairs/1"
COLUMNS = ("latents", "cells", "clipped", "rgb", "photo")
_COLLECT_AGAIN = "delete it and run collect again"


@dataclass(frozen=True)
class Sample:
    """One picture, or one crop of it.

    Attributes
    ----------
    key : str
        SHA-256 over the picture's hash and the crop box: the same in every store of these pictures.
    name, sha256, kind : str
        Facts of the picture; see `latentfit.images.Picture`.
    box : tuple of int
        Crop in the original, pixels: left, top, right, bottom.
    size_cells : tuple of int
        Rows and columns of the latent.
    shard : str
        File name; empty before it is written.
    row : int
        In the shard.
    sigma : float or None
        Noise of a denoiser's estimate of x0, as `latentfit.previews.Step` counts it; None: clean latents.
    step : int or None
        Which call of the model gave the estimate, from 0.
    look : str or None
        Hash of the picture, as `latentfit.images.look_of` gives it; None where there is no picture, or in stores of
        before looks were kept and declared colours were converted to sRGB.
    group : str
        Hash that stands for the picture and its copies in a store; "": its own. `PairStore` finds it, no file holds it.
    """

    key: str
    name: str
    sha256: str
    kind: str
    box: Box
    size_cells: tuple[int, int]
    shard: str = ""
    row: int = -1
    sigma: float | None = None
    step: int | None = None
    look: str | None = None
    group: str = ""

    @property
    def leader(self) -> str:
        """The hash that decides side and fold: the smallest of the picture's and its copies' in the store."""
        return self.group or self.sha256

    @property
    def is_test(self) -> bool:
        """Held out: by a hash, so all crops of a picture, and all its copies in the store, are on one side."""
        return is_test(self.leader)


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

    def differences(self, other: "Origin") -> str:
        """What keeps the two from being one store, in words: "size 512 and 256"; "" where nothing does."""
        pairs = {one.name: (getattr(self, one.name), getattr(other, one.name)) for one in fields(self)}
        for name in ("vae", "reference", "space"):  # how a VAE was named may differ within a store
            del pairs[name]
        for one in fields(LatentSpace):
            if one.compare:
                pairs[f"the space's {one.name}"] = getattr(self.space, one.name), getattr(other.space, one.name)
        return ", ".join(f"{key} {_short(a)} and {_short(b)}" for key, (a, b) in pairs.items() if a != b)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "Origin":
        """Build from what `to_dict` gave.

        Raises
        ------
        BadFileError
            When a field is of another type, unknown or missing.
        """
        return cls(**_ORIGIN(entry, "origin"))


_ORIGIN = schemas.record(
    {
        **dict.fromkeys(("vae", "reference", "fingerprint", "filter"), schemas.text(1000)),
        "space": LatentSpace.from_dict,
        "size": schemas.integer(0, 1 << 20),
    },
    ("vae", "reference", "fingerprint", "space", "size"),
)


def _look(value: Any, where: str) -> str:
    """A perceptual hash, or "" of a picture that has none."""
    if value != "" and not is_look(value):
        raise schemas.wrong(where, "the hexadecimal digits of a perceptual hash", value)
    return str(value)


_SAMPLE = schemas.record(
    {
        "key": schemas.digest,
        "sha256": schemas.digest,
        "name": schemas.text(1000),
        "kind": schemas.text(40),
        "box": schemas.listed(schemas.integer(-(1 << 31), 1 << 31), 4, 4),
        "size_cells": schemas.listed(schemas.integer(1, 1 << 20), 2, 2),
        "sigma": schemas.optional(schemas.number(0, math.inf)),
        "step": schemas.optional(schemas.integer(0, 1 << 31)),
        "look": schemas.optional(_look),
    },
    ("key", "sha256", "name", "kind", "box", "size_cells"),
)
_HEADER = schemas.record(
    {
        "schema": schemas.one_of(SCHEMA),
        "origin": lambda value, _: Origin.from_dict(value),
        "columns": schemas.listed(schemas.one_of(*COLUMNS), len(COLUMNS), 1),
        "checksum": schemas.digest,
        "samples": schemas.listed(_SAMPLE, 1 << 20, 1),
    },
    ("schema", "origin", "columns", "checksum", "samples"),
)
_DTYPES = {
    "latents": ("F16", "BF16", "F32"),
    "cells": ("F16", "BF16", "F32"),
    "clipped": ("U8",),
    "rgb": ("U8",),
    "photo": ("U8",),
}


def write_shard(
    folder: Path, origin: Origin, samples: Sequence[Sample], tensors: Mapping[str, Tensor], tag: str = ""
) -> Path:
    """Write samples of equal size as one shard, whole or not at all.

    Parameters
    ----------
    folder : Path
        The store.
    origin : Origin
        Origin of the whole store.
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
        raise StoreError("write_shard", expected=f"{len(samples)} rows in each column", got=f"{rows}")
    columns = [name for name in COLUMNS if name in tensors]
    header = {
        "schema": SCHEMA,
        "origin": origin.to_dict(),
        "columns": columns,
        "checksum": _checksum({name: tensors[name] for name in columns}),
        "samples": [_entry(sample) for sample in samples],
    }
    high, wide = samples[0].size_cells
    name = f"{high}x{wide}-{samples[0].key[:16]}{tag}.safetensors"
    blob = to_bytes({key: tensors[key].contiguous() for key in columns}, {"latentfit_pairs": json.dumps(header)})
    try:
        return write_atomic(folder / name, blob)
    except OSError as error:
        raise StoreError(
            f"{folder / name}: could not be written ({error.strerror or error})",
            remedy=(
                "nothing half-written remains. Free some space and run the same again: it goes on where it stopped"
            ),
        ) from error


def sample_key(sha256: str, box: Box) -> str:
    """SHA-256 over a picture's hash and a crop box."""
    return hashlib.sha256(f"{sha256}:{','.join(map(str, box))}".encode()).hexdigest()


@dataclass(frozen=True)
class Shard:
    """What a shard's header says.

    Attributes
    ----------
    path : Path
    origin : Origin
    columns : tuple of str
        Those of `COLUMNS` that it holds.
    samples : list of Sample
        One a row.
    checksum : str
        SHA-256 over the columns' names and bytes.
    """

    path: Path
    origin: Origin
    columns: tuple[str, ...]
    samples: list[Sample]
    checksum: str


def looks_of(samples: Sequence[Sample]) -> list[str]:
    """Each look once, sorted: what a card says of its training pictures besides their hashes."""
    return sorted({sample.look for sample in samples if sample.look})


def read_shard(path: Path) -> Shard:
    """Read a shard's header, and see that it fits the file's tensors; their values are left alone.

    Raises
    ------
    StoreError
        When the file is cut short, is no shard, or its header was edited.
    """
    with open_shard(path) as file:
        try:
            header = schemas.parse_json(file.metadata["latentfit_pairs"], os.fspath(path), has_infinity=True)
            schema = header["schema"]
        except (LookupError, TypeError, BadFileError) as error:
            raise StoreError(
                "not a shard of a pair store",
                place=path,
                remedy=f"move it out of this folder ({reason_of(error)})",
            ) from error
        if schema != SCHEMA:
            raise StoreError(
                place=path, expected=f"schema {SCHEMA!r}", got=f"{schemas.shown(schema)}", remedy="collect it anew"
            )
        try:
            fields = _HEADER(header, os.fspath(path))
        except BadFileError as error:
            raise _edited(path, f" ({reason_of(error)})") from error
        shapes = {column: file.shape(column) for column in fields["columns"]}
        dtypes = {column: file.dtype(column) for column in fields["columns"]}
    samples = [Sample(**entry, shard=path.name, row=row) for row, entry in enumerate(fields["samples"])]
    shard = Shard(path, fields["origin"], fields["columns"], samples, fields["checksum"])
    is_keyed = all(sample.key == sample_key(sample.sha256, sample.box) for sample in samples)
    if shapes != _shapes_of(shard) or any(dtypes[name] not in _DTYPES[name] for name in dtypes) or not is_keyed:
        raise _edited(path)
    return shard


def _shapes_of(shard: Shard) -> dict[str, tuple[int, ...]]:
    """What a shard's header promises of its columns."""
    n, space, (high, wide) = len(shard.samples), shard.origin.space, shard.samples[0].size_cells
    if any(sample.size_cells != (high, wide) for sample in shard.samples):
        return {}
    picture = (n, 3, high * space.cell_px, wide * space.cell_px)
    every = {
        "latents": (n, space.channels, high, wide), "cells": (n, 3, high, wide), "clipped": (n, 6, high, wide),
        "rgb": picture, "photo": picture,
    }  # fmt: skip
    has_decodes = set(shard.columns) != {"latents", "photo"}  # of an encoder alone
    needed = {"latents", *(["cells"] if has_decodes else [])} | set(shard.columns)
    return {name: every[name] for name in needed}


def check_values(shard: Shard) -> None:
    """Read a whole shard, and compare its values with the checksum in its header.

    Raises
    ------
    StoreError
        When it was edited.
    """
    with open_shard(shard.path) as file:
        values = {column: file.tensor(column) for column in shard.columns}
        if _checksum(values) != shard.checksum:
            raise _edited(shard.path)


def open_shard(path: Path, framework: str = "pt") -> TensorFile:
    """A shard's file, open; its tensors as `framework` has them, "pt" or "np".

    Raises
    ------
    StoreError
        When it is cut short or gone.
    """
    return TensorFile(path, "shard", _COLLECT_AGAIN, StoreError, framework)


def _edited(path: Path, why: str = "") -> StoreError:
    return StoreError(f"was edited or damaged{why}", place=path, remedy=_COLLECT_AGAIN)


def _entry(sample: Sample) -> dict[str, Any]:
    """JSON-able; read back by `_sample`."""
    plain = {name: getattr(sample, name) for name in ("key", "name", "sha256", "kind", "box", "size_cells")}
    optional = {"sigma": sample.sigma, "step": sample.step, "look": sample.look}
    return plain | {name: value for name, value in optional.items() if value is not None}


def _short(value: object) -> str:
    said = str(value)
    return said if len(said) <= 24 else f"{said[:16]}…"


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
