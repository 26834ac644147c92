"""Where bundled data lies, and how a file is replaced as a whole."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PACKAGE = Path(__file__).resolve().parent


def data_path(name: str = "") -> Path:
    """Path of a bundled data file or folder.

    In a checkout the data is the top-level folder ``data/``; in an installed wheel it is ``latentfit/_data``.

    Parameters
    ----------
    name : str
        Relative to the data folder, such as ``"spaces/spaces.json"``.

    Raises
    ------
    FileNotFoundError
        When the installation lacks it.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent / "data"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"bundled data {name!r} is missing from this installation; reinstall latentfit")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError when `path` could not be written; its folder is made. For before long work, not instead of care."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder is in the way", str(target))
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", suffix=".part"):
        pass


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write `content` under a temporary name, sync it, and rename it to `path`: whole or not there.

    Text is written as UTF-8 with ``\\n`` line ends. Parent folders are made. The temporary name ends in ``.part``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    blob = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


class NotAloneError(OSError):
    """Another process is at work in the folder."""


@contextmanager
def alone_in(folder: str | os.PathLike[str], waits: bool = True) -> Iterator[None]:
    """Hold a folder, which is made, against other processes that hold it so; a killed process holds nothing.

    Parameters
    ----------
    folder : path
        Gets a file ``.lock`` that stays.
    waits : bool
        Until the other process lets go.

    Raises
    ------
    NotAloneError
        When another holds it and `waits` is False.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("a+b") as file:
        while not _locked(file):
            if not waits:
                raise NotAloneError(errno.EAGAIN, "another process is at work there", str(target))
            time.sleep(0.2)
        yield  # closing the file lets go


def _locked(file: IO[bytes]) -> bool:
    """Whether the file is ours now; where files cannot be locked at all (some network disks) it counts as ours."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True
