"""Files that a node can choose from: maps in ``models/latentfit``, in ``models/vae_approx``, and the bundled ones."""

import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from latentfit.comfyui import host
from latentfit.errors import BadFileError, LatentfitError, reason_of
from latentfit.formats.bundled import bundled_maps
from latentfit.formats.opening import load_any
from latentfit.formats.recognition import recognisable, recognised
from latentfit.formats.saved import read_card
from latentfit.formats.third_party import spaces_by_name
from latentfit.latents.spaces import list_spaces
from latentfit.nets.palette import PixelVae
from latentfit.runtime.escaping import one_line
from latentfit.runtime.storage import data_path
from latentfit.runtime.weights import WeightsFile

Gives = Literal["rgb", "palette", "bare palette", "interposed", "upscaled"]  # bare: classes without their colours

BUNDLED = "bundled"
APPROX = "vae_approx"
_LARGEST = 256 << 20  # bytes; no decoder of the kinds that are recognised comes near
_LARGEST_TABLE = 16 << 20  # of JSON
_log = logging.getLogger(__name__)
_PALETTIZED = "palettized"  # the kind in the header; see latentfit.formats.registry.KINDS


def labels(*gives: Gives) -> list[str]:
    """What a combo offers: files that give the first of these, then the next; within each our own folder first.

    Where there is none, one line of advice.
    """
    given = {label: gives_of(label) for label in _candidates()}
    found = [label for wanted in gives for label, what in given.items() if what == wanted]
    return found or [f"no file: put one into models/{host.FOLDER}, then press R"]


def path_of(label: str) -> Path | None:
    """Return the path of a label's file; None when it is gone, or the label is the advice."""
    folder, _, rest = label.replace(os.sep, "/").partition("/")
    if folder == BUNDLED:
        root = data_path()
        path = root / rest
        return path if path.is_file() and root in path.resolve().parents else None
    return host.model_path(APPROX, rest) if folder == APPROX and rest else host.model_path(host.FOLDER, label)


def existing(label: str) -> Path:
    """Return the path of a label's file, which must be there.

    Raises
    ------
    BadFileError
        When there is no such file.
    """
    path = path_of(label)
    if path is None:
        raise BadFileError(
            f"{label!r}: no such file any more",
            expected=f"one in ComfyUI's models/{host.FOLDER} or models/{APPROX}",
            remedy="put it there, press R, and choose it",
        )
    return path


def complaint(label: str) -> bool | str:
    """True, or what ComfyUI shows before it runs anything: the answer of VALIDATE_INPUTS."""
    try:
        existing(label)
    except BadFileError as error:
        return one_line(error, 2000)
    return True


@dataclass(frozen=True)
class Stamp:
    """A file as it was: path, time of change, size. What is cached is cached by this."""

    path: str
    mtime_ns: int
    n_bytes: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Read the stamp of a file as it is now."""
        stat = path.stat()
        return cls(str(path), stat.st_mtime_ns, stat.st_size)


def stamp_text(label: str) -> str:
    """Another text whenever the file changes: the answer of IS_CHANGED."""
    path = path_of(label)
    try:
        return "" if path is None else str(Stamp.of(path))
    except OSError:  # gone since
        return ""


def is_without_palette(label: str) -> bool:
    """Whether the file gives classes of a palette that it does not hold: pixelvae's."""
    return gives_of(label) == "bare palette"


def gives_of(label: str) -> Gives | None:
    """What the file of a label gives; None for files of other programs, encoders, and those that cannot be read.

    Why a file is left out is logged, once a reason: a warning where it could not be read.
    """
    try:
        path = path_of(label)
        return None if path is None else _gives(Stamp.of(path))
    except OSError as error:  # gone, or locked, between the listing and now
        _tell_left_out(label, error.strerror or str(error), logging.WARNING)
        return None


@lru_cache(maxsize=4096)
def _gives(stamp: Stamp) -> Gives | None:
    path = Path(stamp.path)
    try:
        if stamp.n_bytes > _LARGEST:
            raise _NoMapError(
                "too large", expected="at most what a map or a small decoder has", got=f"{stamp.n_bytes >> 20} MiB"
            )
        if path.suffix.lower() == ".json":
            if stamp.n_bytes > _LARGEST_TABLE:
                raise _NoMapError("too large", expected="at most what a table has", got=f"{stamp.n_bytes >> 20} MiB")
            load_any(path)
            return "rgb"
        weights = WeightsFile(path)
        if "latentfit" in weights.metadata:
            return _gives_ours(path)
        if not recognisable(set(weights.names)):
            raise _NoMapError("no map, small decoder or interposer that is known here")
        return _gives_others(path)
    except _NoMapError as reason:
        _tell_left_out(stamp.path, str(reason), logging.INFO)
    except Exception as error:  # noqa: BLE001 - one odd file must not take the node out of ComfyUI's menus; it is logged
        _tell_left_out(stamp.path, reason_of(error), logging.WARNING)
    return None


class _NoMapError(LatentfitError):
    """A file that can be read, and is not for these lists."""


_told: set[tuple[str, str]] = set()


def _tell_left_out(file: str, reason: str, level: int) -> None:
    """One printable line, once."""
    said = one_line(reason, 300)
    if (file, said) in _told:
        return
    _told.add((file, said))
    line = f"LatentFit: {one_line(file)} is left out of the lists: {said}"
    _log.log(level, "%s", line.encode("ascii", "backslashreplace").decode())


def _gives_ours(path: Path) -> Gives:
    header = read_card(path)
    if "target" in header:
        return "upscaled" if header["target"]["name"] == header["space"]["name"] else "interposed"
    return "palette" if header["kind"] == _PALETTIZED else "rgb"


def _gives_others(path: Path) -> Gives:
    """Of another project; an interposer only where its name says between which spaces: a node can name but one."""
    found = recognised(path)
    if found.n_outputs is not None:
        if not spaces_by_name(path):
            raise _NoMapError(f"{found.title}, whose name does not say its spaces, and a node can be told but one")
        return "interposed"
    return "bare palette" if isinstance(found.module, PixelVae) else "rgb"


def _candidates() -> list[str]:
    own = [name for name in _listed(host.FOLDER) if Path(name).suffix.lower() in host.MAP_ENDINGS]
    approximate = [f"{APPROX}/{name}" for name in _listed(APPROX)]
    return [*_without_twins(own), *_bundled(), *approximate]


def _listed(folder: str) -> list[str]:
    """Names of a model folder that a workflow can hold, each file once, though a link may lead back into the folder."""
    names: dict[str, str] = {}
    for name in sorted(host.model_files(folder), key=lambda name: (name.count(os.sep), name)):
        if not name.isprintable():
            _tell_left_out(name, "its name is not UTF-8, or has signs that cannot be shown; rename it", logging.WARNING)
            continue
        path = host.model_path(folder, name)
        real = None if path is None else os.path.join(os.path.realpath(path.parent), path.name)
        names.setdefault(real or name, name)
    return sorted(names.values())


def _without_twins(names: list[str]) -> list[str]:
    """A table's JSON beside its .safetensors is the same map."""
    return [name for name in names if not (name.endswith(".json") and f"{name[:-5]}.safetensors" in names)]


@lru_cache(maxsize=1)
def _bundled() -> tuple[str, ...]:
    root = data_path()
    order = {space.name: place for place, space in enumerate(list_spaces())}

    def place(path: Path) -> tuple[int, str]:
        return order.get(read_card(path)["space"]["name"], len(order)), path.name

    files = [path.relative_to(root) for path in sorted(bundled_maps(), key=place)]
    ordered = sorted(files, key=lambda file: file.parts[0])  # models, then tables, each in the order of spaces
    return tuple(f"{BUNDLED}/{file.as_posix()}" for file in ordered)
