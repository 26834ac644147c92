"""Where bundled data lies, and how a file is replaced as a whole."""

import errno
import hashlib
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

_PACKAGE = Path(__file__).resolve().parents[1]


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


def cache_folder() -> Path:
    """The folder for files that this package keeps for a user from run to run, and that may be deleted.

    The environment variable LATENTFIT_CACHE, or ``latentfit`` in the platform's own folder: XDG_CACHE_HOME or
    ``~/.cache``, ``~/Library/Caches`` on macOS, LOCALAPPDATA on Windows. It need not be there yet.
    """
    if named := os.environ.get("LATENTFIT_CACHE"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "latentfit"
    variable, usual = ("LOCALAPPDATA", "AppData/Local") if os.name == "nt" else ("XDG_CACHE_HOME", ".cache")
    named = os.environ.get(variable, "")
    return (Path(named) if os.path.isabs(named) else Path.home() / usual) / "latentfit"


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError when `path` could not be written; its folder is made. For before long work, not instead of care."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder is in the way", str(target))
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_prefix(target), suffix=_ENDING):
        pass


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> Path:
    r"""Write `content` under a temporary name, sync it, and rename it to `path`: whole or not there.

    Text is written as UTF-8 with ``\n`` line ends. Parent folders are made. The temporary name ends in ``.part`` and
    says whose it is; those that killed processes left in the folder are removed (`clear_parts`).
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.parent not in _cleared:
        _cleared.add(target.parent)
        clear_parts(target.parent)
    blob = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target), suffix=_ENDING)
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


def clear_parts(folder: Path) -> list[Path]:
    """Remove the temporary files in a folder whose writers are gone; gives those that were removed.

    A writer is gone when its process on this machine is, or, where that cannot be told (another machine's, or an older
    release's), when nothing was written for an hour: writing one takes seconds.
    """
    removed = []
    for path in sorted(folder.glob(f".*{_ENDING}")):
        found = _PART.fullmatch(path.name)
        try:
            if found is None or not _is_stale(found, time.time() - path.stat().st_mtime):
                continue
            path.unlink()
        except OSError:  # another run removed it, or it is open, or somebody else's
            continue
        removed.append(path)
    return removed


_ENDING = ".part"
_PART = re.compile(r"\..+\.(?:([0-9a-f]{8})-(\d+)-)?[a-z0-9_]{8}\.part")
_HOUR = 3600.0
_cleared: set[Path] = set()  # folders that this process has looked through


def _prefix(target: Path) -> str:
    """Of a temporary name: what will be written, on which machine, by which process; then come 8 random letters."""
    return f".{target.name[:80]}.{_machine()}-{os.getpid()}-"


@cache
def _machine() -> str:
    """Tells machines, and containers that count processes anew, from each other: 8 hexadecimal digits."""
    counted = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else ""
    return hashlib.sha256(f"{platform.node()} {counted}".encode()).hexdigest()[:8]


def _is_stale(name: re.Match[str], age: float) -> bool:
    if name[1] != _machine() or os.name == "nt":  # there an open file cannot be removed, and signal 0 would kill
        return age > (60.0 if name[1] == _machine() else _HOUR)
    return not _is_running(int(name[2])) or age > _HOUR


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


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
