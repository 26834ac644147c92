"""MomentFile: the sums of a calibration in one SQLite file, which several processes may add to at once."""

import json
import sqlite3
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentfit.calibration.moment_schema import (
    N_FOLDS,
    TABLES,
    Identity,
    PictureSums,
    array_in,
    check_types,
    fold_number,
    identity_in,
    tables_in,
    triangle_in,
    write_identity,
)
from latentfit.errors import BadFileError, CalibrationError
from latentfit.runtime.storage import write_atomic

Floats = NDArray[np.float64]
MOST_BLOCKS = 1 << 17  # hashes of blocks that are kept, the newest: 1 MiB
MOST_PICTURES = 1 << 16  # hashes of pictures that are kept, the newest: about 4 MiB
WAIT_S = 60.0  # for another process that writes
_ENTER = "INSERT INTO picture (hash, fold, cells, seen, blocks) VALUES (?, ?, ?, ?, ?)"
_COUNT = "INSERT INTO refused VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count"


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
        self.identity: Identity
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
                self._read_identity(database)
            return
        with self._transaction(is_new=True) as database:
            if not tables_in(database):
                for statement in TABLES.values():
                    database.execute(statement)
                write_identity(database, identity)
                rows = [] if beyond is None else beyond.tolist()
                database.execute("INSERT INTO meta VALUES ('beyond', ?)", (json.dumps(rows),))
            self._read_identity(database)
        self.check_same(identity)

    def known_blocks(self) -> NDArray[np.uint64]:
        """Hashes of the blocks that entered lately."""
        with self._reading() as database:
            rows = database.execute("SELECT blocks FROM picture WHERE blocks IS NOT NULL").fetchall()
        return np.concatenate([np.zeros(0, np.uint64), *(array_in(row[0], np.dtype("<u8"), self.path) for row in rows)])

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
            self._read_identity(database)
            there = self.identity
            if identity is not None and identity != there:
                self.check_same(identity)
                if identity.fingerprint and not there.fingerprint:
                    write_identity(database, identity)
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
                found[fold_number(number, self.path)][np.triu_indices(side)] = triangle_in(blob, side, self.path)
        return found

    def pictures(self) -> list[tuple[bytes, int, int, float]]:
        """Hash, fold, cells and time of every picture, in the order in which they came."""
        with self._reading() as database:
            rows = database.execute("SELECT hash, fold, cells, seen FROM picture ORDER BY number").fetchall()
        for row in rows:
            check_types("picture", row, (bytes, int, int, float), self.path)
            fold_number(row[1], self.path)
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
            check_types("refused", row, (str, int), self.path)
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
            self._read_identity(database)
            self.check_same(other.identity)
            mine = {row[0] for row in database.execute("SELECT hash FROM picture")}
            new = [row for row in theirs if row[0] not in mine]
            if not new:
                return len(theirs)
            if other.identity.fingerprint and not self.identity.fingerprint:
                write_identity(database, other.identity)
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
            self._read_identity(database)
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
            triangle = triangle + triangle_in(row[0], self.identity.side, self.path)
        database.execute(
            "INSERT INTO fold VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET sums = excluded.sums",
            (number, triangle.astype("<f8").tobytes()),
        )

    def _blocks(self) -> dict[bytes, bytes | None]:
        with self._reading() as database:
            rows = database.execute("SELECT hash, blocks FROM picture").fetchall()
        for _, blocks in rows:
            array_in(blocks or b"", np.dtype("<u8"), self.path)
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

    def _read_identity(self, database: sqlite3.Connection) -> None:
        self.identity, self.beyond = identity_in(database, self.path)

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
