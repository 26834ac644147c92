"""Weights files, read without ever running what they carry: safetensors, and torch files of plain tensors."""

import hashlib
import mmap
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from latentfit.errors import BadFileError, LatentfitError, gist_of

SKETCHED = 64
"""Values of each tensor that enter a sketch of a network."""
_LARGEST_HEADER = 100 << 20
_MOST_NESTED = 8  # state_dict in state_dict; a dict may hold itself
# What torch's reader raises on bytes that are not what they say, found by fuzzing it.
_DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError, struct.error, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip
# What is often put in a weights file's place, by its first bytes.
_OTHERS = (
    (b"GGUF", "a GGUF file, whose weights are quantised in blocks", "take the model's .safetensors"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "run `git lfs pull`, or download it"),
    (b"<!DOCTYPE", "a web page, not the file itself", "download it anew"),
    (b"<!doctype", "a web page, not the file itself", "download it anew"),
    (b"<html", "a web page, not the file itself", "download it anew"),
    (b"\x89HDF\r\n", "an HDF5 file of Keras", "take the model's .safetensors"),
    (b"\x08", "what looks like an ONNX file", "take the model's .safetensors"),
)
# Keys that only quantised weights have: the scaled fp8 of ComfyUI and others, bitsandbytes, torchao.
_QUANTISED_KEY = re.compile(r"(^|\.)(scaled_fp8|comfy_quant|scale_weight|weight_scale|absmax|quant_map|SCB)$")


class TensorFile:
    """A safetensors file, open: its header and, one by one, its tensors; whatever is damaged is told in one way.

    Used in a ``with``, or for as long as something refers to it. Tensors are read when they are asked for.

    Parameters
    ----------
    path : path
    what : str
        What it should be, as errors call it: "shard".
    remedy : str
        What to do about a damaged one.
    kind : type of LatentfitError
        Type of the errors that are raised.
    framework : {"pt", "np"}
        Whose tensors it gives.

    Attributes
    ----------
    names : list of str
    metadata : dict of str
        Text fields of the header.

    Raises
    ------
    LatentfitError
        An error of this kind, when the file is gone, cut short or none; so do all methods.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        what: str = "safetensors file",
        remedy: str = "fetch it again",
        kind: type[LatentfitError] = BadFileError,
        framework: str = "pt",
    ) -> None:
        check_name(path)
        self.path, self._what, self._remedy, self._kind = path, what, remedy, kind
        try:
            self._file = _safe_open(path, framework)
            self.names: list[str] = list(self._file.keys())
            self.metadata: dict[str, str] = dict(self._file.metadata() or {})
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def tensor(self, name: str) -> Any:
        """A whole tensor, of the type that the file keeps; an array of NumPy where the framework is "np"."""
        try:
            return self._file.get_tensor(name)
        except _DAMAGE as error:
            raise self._damaged(error, f"tensor {name!r}: ") from error

    def part(self, name: str, index: Any) -> Any:
        """A part of a tensor, ``tensor[index]``; only this part is read."""
        try:
            return self._file.get_slice(name)[index]
        except _DAMAGE as error:
            raise self._damaged(error, f"tensor {name!r}: ") from error

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, of the header."""
        return self._header_of(name)[0]

    def dtype(self, name: str) -> str:
        """A tensor's type as safetensors calls it, "F16", of the header."""
        return self._header_of(name)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.__exit__(*reason)

    def _header_of(self, name: str) -> tuple[tuple[int, ...], str]:
        try:
            stored = self._file.get_slice(name)
            return tuple(stored.get_shape()), str(stored.get_dtype())
        except _DAMAGE as error:
            raise self._damaged(error, f"tensor {name!r}: ") from error

    def _damaged(self, error: BaseException, where: str = "") -> LatentfitError:
        what = f"not a whole {self._what} ({where}{gist_of(error)})"
        return self._kind(what, place=self.path, remedy=self._remedy)


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
        Text fields of the safetensors header; empty for a torch file.

    Raises
    ------
    BadFileError
        When the file is damaged, holds no tensors, or could only be read by running code that it carries.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unpickled: dict[str, Tensor] | None = None
        self.metadata: dict[str, str] = {}
        if is_safetensors(path):
            with TensorFile(path) as file:
                self.names, self.metadata = file.names, file.metadata
        else:
            self._unpickled = _unpickle(path)
            self.names = list(self._unpickled)

    def read(self, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, Tensor]:
        """The tensors whose names are wanted; of a safetensors file only these are read.

        Floating ones come as float32, whatever the file keeps them in: float16, bfloat16, float64 or one of 8 bits.

        Raises
        ------
        BadFileError
            When one of them is quantised, complex, sparse, nested, without numbers, or larger than its file.
        """
        names = [name for name in self.names if wanted(name)]
        _refuse_quantised(self.path, names)
        if self._unpickled is not None:
            found: Mapping[str, Tensor] = self._unpickled
            return {name: self._plain(name, found[name]) for name in names}
        with TensorFile(self.path) as file:
            return {name: self._plain(name, file.tensor(name)) for name in names}

    def _plain(self, name: str, tensor: Tensor) -> Tensor:
        kind = odd_kind(tensor)
        dtype = str(tensor.dtype).removeprefix("torch.")
        if kind is None and tensor.dtype in (torch.int8, torch.uint8):
            kind = f"quantised to {dtype}"
        if kind is None and tensor.dtype == torch.float8_e8m0fnu:
            kind = f"of {dtype}, the scales of quantised weights"
        if kind is not None:
            raise BadFileError(f"tensor {name!r} is {kind}", place=self.path, expected="plain floating weights")
        if not tensor.is_floating_point():
            return tensor
        try:
            return tensor.to(torch.float32)
        except (RuntimeError, TypeError) as error:
            raise BadFileError(
                f"tensor {name!r} is of {tensor.dtype}, which cannot be read as float32",
                place=self.path,
                expected="plain floating weights",
            ) from error


def _safe_open(path: str | os.PathLike[str], framework: str) -> Any:
    from safetensors import safe_open

    return safe_open(os.fspath(path), framework=framework)


def odd_kind(tensor: Tensor) -> str | None:
    """What keeps a tensor of a file from being read as plain numbers, as an adjective; None: nothing does.

    Nothing is computed, so that a tensor which claims more than its file holds costs no memory.
    """
    if tensor.is_nested:
        return "nested"
    if tensor.is_meta:
        return "on the meta device, without numbers"
    if tensor.layout != torch.strided:
        return f"sparse or of another layout ({str(tensor.layout).removeprefix('torch.')})"
    if tensor.is_quantized:
        return f"quantised ({str(tensor.dtype).removeprefix('torch.')})"
    if tensor.is_complex():
        return "complex"
    if tensor.is_neg() or tensor.is_conj():
        return "a view with the negative or conjugate bit"
    if type(tensor) not in (Tensor, torch.nn.Parameter):
        return f"of type {type(tensor).__name__}"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"of shape {tuple(tensor.shape)}, more than its storage holds (an expanded view)"
    return None


def load_plainly(path: Path, *, is_mapped: bool = True) -> Any:
    """What a torch file holds, by torch's restricted unpickler, which refuses all that is not data.

    Parameters
    ----------
    path : Path
    is_mapped : bool
        Map the numbers of a zip archive, not read them; they are the file's for as long as it stays as it is.

    Raises
    ------
    BadFileError
        When it is none, is damaged, would have to run code, is compressed, or makes memory that it does not hold.
    """
    try:
        is_zip = zipfile.is_zipfile(path)
        _refuse_bombs(path, is_zip=is_zip)
        with warnings.catch_warnings():
            # Files of other pickle protocols than torch's own are warned of; they are read, or refused below.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip and is_mapped)
    except pickle.UnpicklingError as error:
        raise BadFileError(
            f"refused, because it is no torch file of plain tensors ({gist_of(error)})",
            place=path,
            remedy=("code that a file carries is never run: convert it to safetensors where you trust it"),
        ) from error
    except BadFileError:
        raise
    except (*_DAMAGE, RecursionError) as error:
        raise BadFileError(
            place=path, expected=f"a safetensors or torch file: {gist_of(error)}", remedy="fetch it again"
        ) from error


def check_storages(path: Path, tensors: Collection[Tensor]) -> None:
    """Refuse tensors whose memory the file's pickle had made, beyond what the file holds."""
    dense = [tensor for tensor in tensors if not tensor.is_nested and tensor.layout == torch.strided]
    storages = {one.data_ptr(): one.nbytes() for one in (tensor.untyped_storage() for tensor in dense)}
    n_bytes = path.stat().st_size
    if sum(storages.values()) > n_bytes:
        raise BadFileError(
            f"{n_bytes} bytes that claim tensors of {sum(storages.values())}",
            place=path,
            expected="all of a tensor in its file",
            remedy="save it again with torch.save",
        )


def fingerprint_of(weights: nn.Module | Mapping[str, Tensor], departures: Sequence[str] = ()) -> str:
    """SHA-256, hex, over the sorted (name, shape, little-endian float32 values) of a network's weights.

    What `departures` says is added where it says anything, so that plain networks keep the fingerprint of their
    weights.
    """
    digest = hashlib.sha256()
    named = weights.state_dict() if isinstance(weights, nn.Module) else weights
    for key, tensor in sorted(named.items()):
        if tensor.is_floating_point():
            digest.update(f"{key}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).data)
    for line in departures:
        digest.update(f"\0departs\0{line}".encode())
    return digest.hexdigest()


def sketch_of(module: nn.Module) -> str:
    """SHA-256, hex, over the name and shape of a network's weights and `SKETCHED` values of each.

    It tells networks apart that are not made to be confused, without reading some hundred megabytes at each start, as
    `fingerprint_of` does. The values lie evenly over each tensor and count as they are: the same network in another
    precision is another one. Where accelerate has taken weights off the module, they are looked up where it put them.

    Raises
    ------
    BadFileError
        When weights are not there.
    """
    digest = hashlib.sha256()
    picked: dict[torch.device, list[Tensor]] = {}
    for key, tensor in sorted(module.state_dict(keep_vars=True).items()):
        there = _where_it_lies(module, key, tensor.detach())
        digest.update(f"{key}\0{tuple(there.shape)}\0{there.dtype}\0".encode())
        if there.is_floating_point() and there.numel():
            flat = there.reshape(-1)
            step = max(1, flat.numel() // SKETCHED)
            picked.setdefault(there.device, []).append(flat[::step][:SKETCHED].double())
    for values in picked.values():  # one copy from each device
        digest.update(torch.cat(values).cpu().numpy().astype("<f8", copy=False).tobytes())
    return digest.hexdigest()


def _where_it_lies(module: nn.Module, key: str, tensor: Tensor) -> Tensor:
    """A weight, or what accelerate's hooks keep of it while only its shape is on the module."""
    if tensor.device.type != "meta":
        return tensor
    inner, _, name = key.rpartition(".")
    hook: Any = getattr(module.get_submodule(inner), "_hf_hook", None)
    kept = getattr(hook, "weights_map", None)
    if kept is None or name not in kept:
        raise BadFileError(
            f"{type(module).__name__}: the weights of {key!r} are not in memory", remedy="load them first"
        )
    found: Tensor = kept[name]
    return found


def _refuse_quantised(path: Path, names: Collection[str]) -> None:
    telling = next((name for name in names if _QUANTISED_KEY.search(name)), None)
    if telling is not None:
        raise BadFileError(
            f"quantised weights, whose scales lie beside them ({telling!r})",
            place=path,
            expected="plain floating weights",
            remedy="take the file in float32, float16 or bfloat16",
        )


def _refuse_bombs(path: Path, *, is_zip: bool) -> None:
    """torch.save never compresses, and its files call no `bytearray`, which would be made of any size."""
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            n_bytes, n_held = sum(entry.file_size for entry in entries), path.stat().st_size
            if n_bytes > n_held or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise BadFileError(
                    f"{n_held} bytes that unpack to {n_bytes}",
                    place=path,
                    expected="a file that is not compressed",
                    remedy="save it again with torch.save",
                )
            pickled = [archive.read(entry) for entry in entries if entry.filename.endswith(".pkl")]
        is_bomb = any(b"bytearray\n" in one for one in pickled)
    else:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            is_bomb = content.find(b"bytearray\n") >= 0
    if is_bomb:
        raise BadFileError(
            "refused, because it makes a bytearray", place=path, expected="plain tensors", remedy="save it again"
        )


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise `BadFileError` unless a file's name is text: safetensors opens no other names."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadFileError(place=path, expected="a file's name in UTF-8", remedy="rename it") from error


def is_safetensors(path: Path, expected: str = "a weights file") -> bool:
    """Whether a file begins as safetensors do: eight bytes of header length, then JSON.

    Parameters
    ----------
    path : Path
    expected : str
        What the file should be, for the errors.

    Raises
    ------
    BadFileError
        When it cannot be read, is empty, or its first bytes are those of something that is often taken for weights.
    """
    if path.exists() and not path.is_file():
        raise BadFileError(place=path, expected=expected, got=f"{('a folder' if path.is_dir() else 'no plain file')}")
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise BadFileError(f"cannot be read ({error})", place=path, expected=expected) from error
    if not head:
        raise BadFileError(place=path, expected=expected, got="zero bytes", remedy="fetch it again")
    if len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LARGEST_HEADER:
        return True
    for magic, what, remedy in _OTHERS:
        if head.startswith(magic):
            raise BadFileError(what, place=path, remedy=remedy)
    return False


def _unpickle(path: Path) -> dict[str, Tensor]:
    """Tensors of a torch file, by name."""
    loaded = load_plainly(path)
    for _ in range(_MOST_NESTED):
        if not (isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict)):
            break
        loaded = loaded["state_dict"]
    named = loaded.items() if isinstance(loaded, dict) else ()
    tensors = {str(key): value for key, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise BadFileError(place=path, expected="named tensors", got=f"{type(loaded).__name__} without any")
    check_storages(path, tensors.values())
    return tensors
