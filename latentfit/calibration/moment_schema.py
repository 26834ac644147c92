"""What the file of a calibration may hold, and the checks of what is read from it."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentfit.errors import BadFileError
from latentfit.fit.basis import Basis
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime import schemas

Floats = NDArray[np.float64]
FORMAT = 1
N_FOLDS = 8
MOST_ROWS = 2048  # of a fold's sums: 16 MiB
TABLES = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "fold": "CREATE TABLE fold (number INTEGER PRIMARY KEY, sums BLOB NOT NULL)",
    "picture": (
        "CREATE TABLE picture (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, fold INTEGER NOT NULL, "
        "cells INTEGER NOT NULL, seen REAL NOT NULL, blocks BLOB)"
    ),
    "refused": "CREATE TABLE refused (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
}
_META = schemas.record(
    {
        "format": schemas.integer(1, FORMAT),
        "kernels": schemas.listed(schemas.integer(1, 31, odd=True), 8, 1),
        "fingerprint": schemas.text(200),
        "vae": schemas.text(1000),
        "space": schemas.plain,
        "beyond": schemas.listed(schemas.listed(schemas.number(), 3, 3), MOST_ROWS),
    },
    ("format", "kernels", "fingerprint", "vae", "space", "beyond"),
)


@dataclass(frozen=True)
class Identity:
    """What the pairs of one file have in common.

    Attributes
    ----------
    space : LatentSpace
    kernels : tuple of int
        Kernels of the basis whose products are summed; every form that is solved for lies within it.
    fingerprint, vae : str
        Fingerprint and name of the VAE that decoded; "" where nobody has said it yet.
    """

    space: LatentSpace
    kernels: tuple[int, ...]
    fingerprint: str = ""
    vae: str = ""

    @property
    def basis(self) -> Basis:
        """The basis of the sums."""
        return Basis(self.space.channels, self.kernels)

    @property
    def side(self) -> int:
        """Rows of a fold's sums: one, the terms, and three colours."""
        return 1 + self.basis.n_terms + 3


@dataclass(frozen=True)
class PictureSums:
    """What one picture adds.

    Attributes
    ----------
    hash : bytes
        Hash of the picture's latents, 16 bytes.
    sums : ndarray, (side, side)
        Upper triangle of the products of ones, terms and signed colours over its cells.
    n_cells : int
    blocks : ndarray of uint64
        Hashes of the blocks of cells that entered.
    """

    hash: bytes
    sums: Floats
    n_cells: int
    blocks: NDArray[np.uint64]

    @property
    def fold(self) -> int:
        """The fold that it enters, in whichever process it is seen."""
        return self.hash[0] % N_FOLDS


def tables_in(database: sqlite3.Connection) -> dict[str, str]:
    """Name -> statement of everything that the file defines, triggers and views too."""
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE NOT (type = 'index' AND sql IS NULL)")
    return {str(name): str(statement) for name, statement in rows}


def write_identity(database: sqlite3.Connection, identity: Identity) -> None:
    """Write what a file says of itself over what it said."""
    values = {
        "format": FORMAT, "kernels": list(identity.kernels), "fingerprint": identity.fingerprint,
        "vae": identity.vae, "space": identity.space.to_dict(),
    }  # fmt: skip
    for key, value in values.items():
        database.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, json.dumps(value)),
        )


def identity_in(database: sqlite3.Connection, place: Path | None) -> tuple[Identity, Floats | None]:
    """What a file says of itself: its identity, and the map that `MomentFile` calls beyond; all of it checked."""
    found = tables_in(database)
    if found != TABLES:
        raise BadFileError(
            "tables",
            place=place,
            expected=f"a calibration with {', '.join(TABLES)}",
            got=schemas.shown(", ".join(found) or "none"),
            remedy="take a file that Calibration wrote",
        )
    where = str(place or "calibration")
    values: dict[str, Any] = {}
    for key, text in database.execute("SELECT key, value FROM meta"):
        values[str(key)] = schemas.parse_json(str(text), where)
    checked = _META(values, where)
    space = LatentSpace.from_dict(checked["space"], where)
    identity = Identity(space, tuple(checked["kernels"]), checked["fingerprint"], checked["vae"])
    if identity.side > MOST_ROWS:
        raise BadFileError(
            "basis", place=place, expected=f"at most {MOST_ROWS} rows", got=f"{identity.side}",
            remedy="take a file that Calibration wrote",
        )  # fmt: skip
    beyond = checked["beyond"]
    if beyond and len(beyond) != identity.side - 3:
        raise BadFileError(
            "beyond", place=place, expected=f"none or {identity.side - 3} rows", got=f"{len(beyond)}",
            remedy="take a file that Calibration wrote",
        )  # fmt: skip
    return identity, np.array(beyond, np.float64) if beyond else None


def triangle_in(blob: Any, side: int, place: Path | None) -> Floats:
    """A fold's upper triangle, by rows."""
    found = array_in(blob, np.dtype("<f8"), place)
    if found.shape != (side * (side + 1) // 2,) or not np.isfinite(found).all():
        raise BadFileError(
            "sums",
            place=place,
            expected=f"{side * (side + 1) // 2} finite numbers",
            got=f"{found.size}",
            remedy="delete the file: it is damaged",
        )
    return found


def array_in(blob: Any, dtype: np.dtype[Any], place: Path | None) -> NDArray[Any]:
    """The numbers of a blob."""
    if not isinstance(blob, bytes) or len(blob) % dtype.itemsize:
        raise BadFileError(
            "sums", place=place, expected=f"whole numbers of {dtype.itemsize} bytes",
            got=type(blob).__name__, remedy="delete the file: it is damaged",
        )  # fmt: skip
    return np.frombuffer(blob, dtype)


def check_types(table: str, row: tuple[Any, ...], types: tuple[type, ...], place: Path | None) -> None:
    """SQLite keeps any type in any column: what is read is looked at."""
    if tuple(map(type, row)) != types:
        raise BadFileError(
            table, place=place, expected=", ".join(one.__name__ for one in types),
            got=", ".join(type(one).__name__ for one in row), remedy="delete the file: it is damaged",
        )  # fmt: skip


def fold_number(number: Any, place: Path | None) -> int:
    """A fold's number."""
    if not isinstance(number, int) or not 0 <= number < N_FOLDS:
        raise BadFileError(
            "fold", place=place, expected=f"0 to {N_FOLDS - 1}", got=schemas.shown(number),
            remedy="delete the file: it is damaged",
        )  # fmt: skip
    return number
