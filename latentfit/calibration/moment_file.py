"""MomentFile: the sums of a calibration in one SQLite file, which several processes may add to at once."""

import json
import sqlite3
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentfit.errors import BadFileError, CalibrationError
from latentfit.fit.basis import Basis
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime import schemas
from latentfit.runtime.storage import write_atomic

Floats = NDArray[np.float64]
FORMAT = 1
N_FOLDS = 8
MOST_BLOCKS = 1 << 17  # hashes of blocks that are kept, the newest: 1 MiB
MOST_PICTURES = 1 << 16  # hashes of pictures that are kept, the newest: about 4 MiB
MOST_ROWS = 2048  # of a fold's sums: 16 MiB
WAIT_S = 60.0  # for another process that writes
_TABLES = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "fold": "CREATE TABLE fold (number INTEGER PRIMARY KEY, sums BLOB NOT NULL)",
    "picture": (
        "CREATE TABLE picture (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, fold INTEGER NOT NULL, "
        "cells INTEGER NOT NULL, seen REAL NOT NULL, blocks BLOB)"
    ),
    "refused": "CREATE TABLE refused (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
}
_ENTER = "INSERT INTO picture (hash, fold, cells, seen, blocks) VALUES (?, ?, ?, ?, ?)"
_COUNT = "INSERT INTO refused VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count"
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


class MomentFile:
    """Sums of pairs, by folds of pictures, in a file or in memory.

    Parameters
    ----------
    path : Path or None
        None: in memory, until this object goes.
    identity : Identity or None
        Identity of the file that is made where there is none; None: it has to be there.
    beyond : ndarray, (1 + n_terms, 3), or None
        Kept in a file that is made: the map that says how far a colour at its bound would go; see `observing`.

    Attributes
    ----------
    beyond : ndarray or None
        The file's, whatever was given.

    Raises
    ------
    BadFileError
        When the file is none of these.
    CalibrationError
        When it holds pairs of another space or VAE.
    """

    def __init__(self, path: Path | None, identity: Identity | None, beyond: Floats | None = None) -> None:
        self.path = path
        self.beyond: Floats | None = None
        self._memory = (
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False) if path is None else None
        )
        if self._memory is not None:
            weakref.finalize(self, self._memory.close)
        if path is not None and not path.exists():
            if identity is None:
                raise BadFileError("no such calibration", place=path, remedy="observe into it first")
            path.parent.mkdir(parents=True, exist_ok=True)
        if identity is None:
            with self._reading() as database:
                self.identity = self._identity(database)
            return
        with self._transaction(is_new=True) as database:
            if not _tables_of(database):
                for statement in _TABLES.values():
                    database.execute(statement)
                _write_meta(database, identity)
                rows = [] if beyond is None else beyond.tolist()
                database.execute("INSERT INTO meta VALUES ('beyond', ?)", (json.dumps(rows),))
            self.identity = self._identity(database)
        self.check_same(identity)

    def known_blocks(self) -> NDArray[np.uint64]:
        """Hashes of the blocks that entered lately."""
        with self._reading() as database:
            rows = database.execute("SELECT blocks FROM picture WHERE blocks IS NOT NULL").fetchall()
        return np.concatenate([np.zeros(0, np.uint64), *(self._array(row[0], np.dtype("<u8")) for row in rows)])

    def add(self, pictures: list[PictureSums], refused: Mapping[str, int], identity: Identity | None = None) -> int:
        """Add what pictures bring, those that are known left out, in one transaction; gives how many were new.

        Parameters
        ----------
        pictures : list of PictureSums
        refused : mapping of str to int
            Reason -> pictures that were refused for it.
        identity : Identity or None
            Written over the one that is there, where the VAE was not known before.
        """
        n_new = 0
        with self._transaction() as database:
            there = self._identity(database)
            self.identity = there
            if identity is not None and identity != there:
                self.check_same(identity)
                if identity.fingerprint and not there.fingerprint:
                    _write_meta(database, identity)
                    self.identity = identity
            for reason, count in refused.items():
                database.execute(_COUNT, (reason, count))
            for one in pictures:
                n_new += self._add_picture(database, one)
            if n_new:
                _forget_old(database)
        return n_new

    def sums(self) -> Floats:
        """Sums of every fold, ``(N_FOLDS, side, side)``, upper triangles."""
        side = self.identity.side
        found = np.zeros((N_FOLDS, side, side))
        with self._reading() as database:
            for number, blob in database.execute("SELECT number, sums FROM fold").fetchall():
                found[self._fold_number(number)][np.triu_indices(side)] = self._triangle(blob)
        return found

    def pictures(self) -> list[tuple[bytes, int, int, float]]:
        """Hash, fold, cells and time of every picture, in the order in which they came."""
        with self._reading() as database:
            rows = database.execute("SELECT hash, fold, cells, seen FROM picture ORDER BY number").fetchall()
        for row in rows:
            self._check_types("picture", row, (bytes, int, int, float))
            self._fold_number(row[1])
        return rows

    def n_pictures(self) -> int:
        """Pictures that entered, those whose hashes are not kept any more among them."""
        with self._reading() as database:
            return int(database.execute("SELECT coalesce(max(number), 0) FROM picture").fetchone()[0])

    def refused(self) -> dict[str, int]:
        """Reason -> pictures that were refused for it."""
        with self._reading() as database:
            rows = database.execute("SELECT reason, count FROM refused ORDER BY reason").fetchall()
        for row in rows:
            self._check_types("refused", row, (str, int))
        return dict(rows)

    def merge(self, other: "MomentFile") -> int:
        """Add another's sums, whole folds at a time; gives how many pictures both had, which now count twice.

        Where it brings no new picture, nothing is added.

        Raises
        ------
        CalibrationError
            When the two are not of one space, VAE and basis.
        """
        theirs, sums = other.pictures(), other.sums()
        refused, blocks = other.refused(), other._blocks()
        side = self.identity.side
        with self._transaction() as database:
            self.identity = self._identity(database)
            self.check_same(other.identity)
            mine = {row[0] for row in database.execute("SELECT hash FROM picture")}
            new = [row for row in theirs if row[0] not in mine]
            if not new:
                return len(theirs)
            if other.identity.fingerprint and not self.identity.fingerprint:
                _write_meta(database, other.identity)
                self.identity = other.identity
            for number in range(N_FOLDS):
                if sums[number].any():
                    self._add_fold(database, number, sums[number][np.triu_indices(side)])
            for picture, fold, cells, seen in new:
                database.execute(_ENTER, (picture, fold, cells, seen, blocks.get(picture)))
            for reason, count in refused.items():
                database.execute(_COUNT, (reason, count))
            _forget_old(database)
        return len(theirs) - len(new)

    def forget(self) -> None:
        """Leave nothing of any picture."""
        with self._transaction() as database:
            self.identity = self._identity(database)
            for name in ("fold", "picture", "refused"):
                database.execute(f"DELETE FROM {name}")

    def copy_to(self, path: Path) -> Path:
        """Write the whole file to another place, complete or not at all."""
        with self._reading() as database:
            return write_atomic(path, database.serialize())

    def _add_picture(self, database: sqlite3.Connection, one: PictureSums) -> bool:
        known = database.execute("SELECT 1 FROM picture WHERE hash = ?", (one.hash,)).fetchone()
        if known:
            return False
        blocks = one.blocks.astype("<u8").tobytes()
        database.execute(_ENTER, (one.hash, one.fold, one.n_cells, time.time(), blocks))
        self._add_fold(database, one.fold, one.sums[np.triu_indices(self.identity.side)])
        return True

    def _add_fold(self, database: sqlite3.Connection, number: int, triangle: Floats) -> None:
        row = database.execute("SELECT sums FROM fold WHERE number = ?", (number,)).fetchone()
        if row is not None:
            triangle = triangle + self._triangle(row[0])
        database.execute(
            "INSERT INTO fold VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET sums = excluded.sums",
            (number, triangle.astype("<f8").tobytes()),
        )

    def _blocks(self) -> dict[bytes, bytes | None]:
        with self._reading() as database:
            rows = database.execute("SELECT hash, blocks FROM picture").fetchall()
        for _, blocks in rows:
            self._array(blocks or b"", np.dtype("<u8"))
        return dict(rows)

    def check_same(self, other: Identity) -> None:
        """Refuse another space's or VAE's pairs.

        Raises
        ------
        CalibrationError
            When they are.
        """
        mine = self.identity
        if (other.space, other.kernels) != (mine.space, mine.kernels):
            raise CalibrationError(
                "pairs of one space and basis",
                place=self.path,
                expected=f"{mine.space.name!r} with kernels {mine.kernels}",
                got=f"{other.space.name!r} with kernels {other.kernels}",
                remedy="calibrate each space in a file of its own",
            )
        if other.fingerprint and mine.fingerprint and other.fingerprint != mine.fingerprint:
            raise CalibrationError(
                "pairs of one VAE",
                place=self.path,
                expected=f"those of {mine.vae or 'a VAE'} ({mine.fingerprint[:8]})",
                got=f"those of {other.vae or 'a VAE'} ({other.fingerprint[:8]})",
                remedy="calibrate each VAE in a file of its own",
            )

    def _identity(self, database: sqlite3.Connection) -> Identity:
        found = _tables_of(database)
        if found != _TABLES:
            raise BadFileError(
                "tables",
                place=self.path,
                expected=f"a calibration with {', '.join(_TABLES)}",
                got=schemas.shown(", ".join(found) or "none"),
                remedy="take a file that Calibration wrote",
            )
        place = str(self.path or "calibration")
        values: dict[str, Any] = {}
        for key, text in database.execute("SELECT key, value FROM meta"):
            values[str(key)] = schemas.parse_json(str(text), place)
        checked = _META(values, place)
        space = LatentSpace.from_dict(checked["space"], place)
        identity = Identity(space, tuple(checked["kernels"]), checked["fingerprint"], checked["vae"])
        if identity.side > MOST_ROWS:
            raise BadFileError(
                "basis", place=self.path, expected=f"at most {MOST_ROWS} rows", got=f"{identity.side}",
                remedy="take a file that Calibration wrote",
            )  # fmt: skip
        beyond = checked["beyond"]
        if beyond and len(beyond) != identity.side - 3:
            raise BadFileError(
                "beyond", place=self.path, expected=f"none or {identity.side - 3} rows", got=f"{len(beyond)}",
                remedy="take a file that Calibration wrote",
            )  # fmt: skip
        self.beyond = np.array(beyond, np.float64) if beyond else None
        return identity

    def _triangle(self, blob: Any) -> Floats:
        side = self.identity.side
        found = self._array(blob, np.dtype("<f8"))
        if found.shape != (side * (side + 1) // 2,) or not np.isfinite(found).all():
            raise BadFileError(
                "sums",
                place=self.path,
                expected=f"{side * (side + 1) // 2} finite numbers",
                got=f"{found.size}",
                remedy="delete the file: it is damaged",
            )
        return found

    def _array(self, blob: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        if not isinstance(blob, bytes) or len(blob) % dtype.itemsize:
            raise BadFileError(
                "sums", place=self.path, expected=f"whole numbers of {dtype.itemsize} bytes",
                got=type(blob).__name__, remedy="delete the file: it is damaged",
            )  # fmt: skip
        return np.frombuffer(blob, dtype)

    def _check_types(self, table: str, row: tuple[Any, ...], types: tuple[type, ...]) -> None:
        """SQLite keeps any type in any column: what is read is looked at."""
        if tuple(map(type, row)) != types:
            raise BadFileError(
                table, place=self.path, expected=", ".join(one.__name__ for one in types),
                got=", ".join(type(one).__name__ for one in row), remedy="delete the file: it is damaged",
            )  # fmt: skip

    def _fold_number(self, number: Any) -> int:
        if not isinstance(number, int) or not 0 <= number < N_FOLDS:
            raise BadFileError(
                "fold", place=self.path, expected=f"0 to {N_FOLDS - 1}", got=schemas.shown(number),
                remedy="delete the file: it is damaged",
            )  # fmt: skip
        return number

    @contextmanager
    def _transaction(self, is_new: bool = False) -> Iterator[sqlite3.Connection]:
        """One that writes: all of it or nothing, others wait."""
        with self._connection(is_new) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as database:
            yield database

    @contextmanager
    def _connection(self, is_new: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if self._memory is not None:
                yield self._memory
                return
            assert self.path is not None
            mode = "rwc" if is_new else "rw"
            address = f"{self.path.absolute().as_uri()}?mode={mode}"
            with closing(sqlite3.connect(address, uri=True, timeout=WAIT_S, isolation_level=None)) as database:
                database.execute("PRAGMA trusted_schema = OFF")
                yield database
        except sqlite3.Error as error:
            raise BadFileError(
                f"cannot be used as a calibration ({error})",
                place=self.path,
                remedy="see that it is a file that Calibration wrote, and that its folder can be written to",
            ) from error


def _tables_of(database: sqlite3.Connection) -> dict[str, str]:
    """Name -> statement of everything that the file defines, triggers and views too."""
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE NOT (type = 'index' AND sql IS NULL)")
    return {str(name): str(statement) for name, statement in rows}


def _write_meta(database: sqlite3.Connection, identity: Identity) -> None:
    values = {
        "format": FORMAT, "kernels": list(identity.kernels), "fingerprint": identity.fingerprint,
        "vae": identity.vae, "space": identity.space.to_dict(),
    }  # fmt: skip
    for key, value in values.items():
        database.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, json.dumps(value)),
        )


def _forget_old(database: sqlite3.Connection) -> None:
    """Keep hashes of the newest pictures, and of their blocks, alone, so that the file stays bounded."""
    database.execute("DELETE FROM picture WHERE number <= (SELECT max(number) FROM picture) - ?", (MOST_PICTURES,))
    kept = 0
    for number, size in database.execute(
        "SELECT number, length(blocks) FROM picture WHERE blocks IS NOT NULL ORDER BY number DESC"
    ).fetchall():
        kept += size // 8
        if kept > MOST_BLOCKS:
            database.execute("UPDATE picture SET blocks = NULL WHERE number <= ?", (number,))
            return
