"""Weights files, read without ever running what they carry: safetensors, and torch files of plain tensors."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from latentfit.errors import BadFileError

_LARGEST_HEADER = 100 << 20
# What torch's reader raises on bytes that are not what they say, found by fuzzing it.
_DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError, struct.error, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip


class WeightsFile:
    """Named tensors of one file; which kind of file it is, its first bytes say.

    Parameters
    ----------
    path : Path
        safetensors, or a torch file that `weights_only` can read; a ``state_dict`` inside is found.

    Attributes
    ----------
    names : list of str
    metadata : dict of str
        Of the safetensors header; empty for a torch file.

    Raises
    ------
    BadFileError
        When the file is damaged, holds no tensors, or could only be read by running code that it carries.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unpickled: dict[str, Tensor] | None = None
        self.metadata: dict[str, str] = {}
        if _is_safetensors(path):
            with _opened(path) as file:
                self.names = list(file.keys())
                self.metadata = dict(file.metadata() or {})
        else:
            self._unpickled = _unpickle(path)
            self.names = list(self._unpickled)

    def read(self, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Tensor]:
        """The tensors whose names are wanted; of a safetensors file only these are read."""
        if self._unpickled is not None:
            return {name: tensor for name, tensor in self._unpickled.items() if wanted(name)}
        with _opened(self.path) as file:
            return {name: file.get_tensor(name) for name in self.names if wanted(name)}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open safetensors file whose damage is reported as ours."""
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise BadFileError(f"{path}: expected a whole safetensors file: {error}; fetch it again") from error


def _is_safetensors(path: Path) -> bool:
    """Eight bytes of header length, then JSON."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise BadFileError(f"{path}: expected a weights file that can be read: {error}") from error
    if not head:
        raise BadFileError(f"{path}: expected a weights file, got zero bytes; fetch it again")
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < _LARGEST_HEADER


def _unpickle(path: Path) -> dict[str, Tensor]:
    """Tensors of a torch file; torch's restricted unpickler refuses everything that is not data."""
    try:
        with warnings.catch_warnings():
            # Files of other pickle protocols than torch's own are warned of; they are read, or refused below.
            warnings.simplefilter("ignore", UserWarning)
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise BadFileError(
            f"{path}: refused, because it is no torch file of plain tensors ({str(error).splitlines()[0][:200]}); code "
            "that a file carries is never run: convert it to safetensors where you trust it"
        ) from error
    except _DAMAGE as error:
        raise BadFileError(f"{path}: expected a safetensors or torch file: {error}; fetch it again") from error
    while isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    named = loaded.items() if isinstance(loaded, dict) else ()
    tensors = {str(key): value for key, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise BadFileError(f"{path}: expected named tensors, got {type(loaded).__name__} without any")
    return tensors
