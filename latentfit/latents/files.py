"""Latents that other programs saved: .latent, .npy, .npz, .pt, .bin, .safetensors; always read into the model domain.

`.latent` files are raw by definition. `.npy`, `.pt` and `.bin` do not say: VAEs and city96's trainers save raw latents,
diffusers' pipelines with ``output_type="latent"`` the model domain.
"""

import json
import math
import os
import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from latentfit.errors import BadFileError, DomainError, LatentfitWarning, Remedy, SpaceMismatchError, reason_of
from latentfit.latents.likely_space import Domain, Doubt, doubt_of
from latentfit.latents.png import read_latent_png
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime import schemas
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.weights import TensorFile, check_storages, is_safetensors, load_plainly, odd_kind

ENDINGS = frozenset({".latent", ".safetensors", ".npy", ".npz", ".pt", ".pth", ".bin"})
_Read = tuple[Tensor, dict[str, str], bool]  # what is stored, the header's facts, whether times ComfyUI's old factor
_MARKER = "latent_format_version_0"
_LATENT_NAMES = ("latent_tensor", "samples", "latents", "latent")
_SIZED_LATENTS = re.compile(r"latents?(_\d+(x\d+)+)(_\w+)?$")  # kohya's, and musubi-tuner's with frames and type
_MOST_UNPACKED = 64  # times; floats hardly shrink
_ESTIMATE = "latentfit_estimate"
_LEGACY_FACTOR = 1.0 / 0.18215  # ComfyUI's, for files without the version marker
# What the readers let out on damaged files, most frequent first
_NOT_NUMPY: tuple[type[Exception], ...] = (
    ValueError,
    OSError,
    tokenize.TokenError,
    SyntaxError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
)
_NOT_NPZ: tuple[type[Exception], ...] = (*_NOT_NUMPY, zipfile.BadZipFile, zlib.error, RuntimeError, LookupError)


@dataclass(frozen=True)
class Estimate:
    """What a file of a denoiser's estimates of x0 says of them, in its header.

    Attributes
    ----------
    picture : str
        SHA-256, hex: the same for all steps of one picture, so that all of them are held out, or none.
    run : int
        Tells runs of the same picture over other timesteps from each other.
    step, n_steps : int
        Which call of the model, from 0, and how many the run makes.
    timestep, sigma : float
    schedule : {"ve", "flow"}
        What sigma counts: noise relative to x0, or the noise's share.
    """

    picture: str
    run: int
    step: int
    n_steps: int
    timestep: float
    sigma: float
    schedule: Literal["ve", "flow"]

    def to_metadata(self) -> dict[str, str]:
        """Return the fields for the header of a latent file."""
        return {_ESTIMATE: json.dumps(asdict(self))}


@dataclass(frozen=True)
class LatentFile:
    """The latents of one file.

    Attributes
    ----------
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w) float32
        Model domain.
    metadata : dict of str to str
        ComfyUI's prompt and workflow, where the file has them.
    is_legacy : bool
        A `.latent` without the version marker: it was stored times 0.18215.
    estimate : Estimate or None
        The step whose x0 a live preview recorded; None for other latents.
    doubt : Doubt or None
        What its numbers look to be, where that is not what they were read as.
    """

    latents: Tensor
    metadata: dict[str, str] = field(default_factory=dict)
    is_legacy: bool = False
    estimate: Estimate | None = None
    doubt: Doubt | None = None


def read_latents(path: str | os.PathLike[str], space: LatentSpace, domain: Domain | None = None) -> LatentFile:
    """Read a latent file into the model domain, and warn where its numbers speak against how it was read.

    Parameters
    ----------
    path : path
        ``.latent`` (ComfyUI), ``.npy`` or ``.pt`` (one latent, with or without batch axis, or a dictionary such as
        ``{"samples": …}``), ``.bin`` (city96: many), ``.npz`` (kohya's caches; those of FLUX are in the model domain),
        ``.safetensors`` (the one tensor of latents in it), ``.png`` (TAESD's 8-bit RGBA).
    space : LatentSpace
        What the latents are; files do not say.
    domain : {"model", "raw"} or None
        What its numbers are; None: raw, but in a PNG. "raw" is what a VAE emits and ComfyUI stores, "model" what a
        denoiser sees: diffusers' ``output_type="latent"``. One and the same where the VAE itself normalises (FLUX.2).

    Raises
    ------
    BadFileError
        When the file is cut short, lies in its header, would have to be unpickled, or holds NaN or Inf.
    SpaceMismatchError
        When its channels are not the space's.
    DomainError
        When a PNG, which holds the model domain, is said to be raw.
    """
    file = open_latents(path, space, domain)
    if file.doubt is not None:
        warnings.warn(LatentfitWarning(str(file.doubt), place=path, remedy=_advice(file.doubt)), stacklevel=2)
    return file


def open_latents(path: str | os.PathLike[str], space: LatentSpace, domain: Domain | None = None) -> LatentFile:
    """Read as `read_latents` does, without a warning: `doubt` holds what speaks against how the file was read."""
    source = Path(path)
    if not source.is_file():
        raise BadFileError("no such file", place=source, expected=f"{', '.join(sorted(ENDINGS))}")
    if source.suffix.lower() == ".png":
        if domain == "raw":
            raise DomainError(
                "an 8-bit latent PNG holds latents in the model domain, never raw ones",
                place=source,
                remedy=Remedy("read it with {}, or without it", domain="model"),
            )
        latents = read_latent_png(source)
        space.check(latents)
        doubt = doubt_of(latents, space, "model")
        return LatentFile(latents, doubt=doubt if doubt is None or doubt.domain == "model" else None)
    readers = _READERS
    if source.suffix.lower() not in readers:
        raise BadFileError(place=source, expected=f"one of {', '.join(sorted(ENDINGS))}", got=f"{source.suffix!r}")
    raw, metadata, is_legacy = readers[source.suffix.lower()](source)
    if not raw.is_floating_point() or raw.numel() == 0 or raw.ndim not in (3, 4, 5):
        raise BadFileError(
            place=source,
            expected="floating latents (N, C, h, w), (C, h, w) or (N, C, T, h, w)",
            got=f"{raw.dtype} of shape {tuple(raw.shape)}",
        )
    raw = raw.float() * _LEGACY_FACTOR if is_legacy else raw.float()
    if raw.ndim == 3:
        raw = raw[None]
    if not bool(torch.isfinite(raw).all()):
        raise BadFileError("holds NaN or Inf", place=source, remedy="save it again, from a VAE in float32")
    latents = _crossed(source, raw, space, domain or "raw")
    estimate = _estimate_in(source, metadata)
    doubt = None if estimate is not None else doubt_of(latents, space, domain or "raw")
    return LatentFile(latents, metadata, is_legacy, estimate, doubt)


def _crossed(source: Path, stored: Tensor, space: LatentSpace, domain: Domain) -> Tensor:
    """What a file holds, in the domain that it is said to be of -> model domain, canonical."""
    try:
        if domain == "raw" or space.normalised_by_vae:
            return space.comfy_to_model(stored)
        space.check(stored)
        return stored
    except SpaceMismatchError as error:
        told = error.at(source)
        if stored.shape[0] == 1 and stored.shape[-1] == 4 * space.channels:
            told = told.advising(
                "packed tokens (N, L, C * 4), as pipelines of FLUX and Qwen-Image give with output_type='latent'? "
                "Unpack them with the pipeline's _unpack_latents, and save (N, C, h, w)"
            )
        elif stored.shape[-1] == space.channels:
            told = told.advising("channels last, or tokens (N, L, C)? Save them as (N, C, h, w)")
        raise told from error


def _advice(doubt: Doubt) -> Remedy:
    """What to do about it."""
    of_space = f"read it as of {doubt.spaces[0].name!r}" if len(doubt.spaces) == 1 else "read it as of its own space"
    if doubt.domain == doubt.taken_domain:
        return Remedy(f"if so, {of_space}")
    of_both = "if so, pass {}" if doubt.kind == "domain" else f"if so, {of_space}, and pass {{}}"
    return Remedy(of_both, domain=doubt.domain)


def write_latents(
    path: str | os.PathLike[str], latents: Tensor, space: LatentSpace, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write model-domain latents as ComfyUI's `SaveLatent` does: raw, safetensors, with the version marker."""
    samples = space.model_to_comfy(latents).contiguous().cpu()
    tensors = {"latent_tensor": samples, "latent_format_version_0": torch.tensor([])}
    return write_atomic(path, to_bytes(tensors, dict(metadata) if metadata else None))


def latent_folder(path: str | os.PathLike[str]) -> list[Path]:
    """All latent files below a folder but hidden ones, sorted: also pixelvae's ``set1_train/0001.latent`` layout."""
    found = (p for p in Path(path).rglob("*") if p.suffix.lower() in ENDINGS and p.name[0] != "." and p.is_file())
    return sorted(p for p in found if p.suffix.lower() != ".safetensors" or not _is_network(p))


def _is_network(path: Path) -> bool:
    """Whether a safetensors file holds weights or a map, by its header; what cannot be read is tried, and told of."""
    try:
        with _opened(path) as file:
            return "latentfit" in file.metadata or (
                len(file.names) > 1
                and not any(name in _LATENT_NAMES or _SIZED_LATENTS.match(name) for name in file.names)
            )
    except BadFileError:
        return False


def _estimate_in(path: Path, metadata: Mapping[str, str]) -> Estimate | None:
    if _ESTIMATE not in metadata:
        return None
    try:
        entry = schemas.parse_json(metadata[_ESTIMATE], str(path), has_infinity=True)
        run, step, n_steps = (int(entry[name]) for name in ("run", "step", "n_steps"))
        timestep, sigma = float(entry["timestep"]), float(entry["sigma"])
        picture, schedule = str(entry["picture"]), entry["schedule"]
    except (LookupError, TypeError, ValueError) as error:
        raise BadFileError(
            f"its header was edited ({reason_of(error)})", place=path, remedy="record it anew"
        ) from error
    if not re.fullmatch("[0-9a-f]{64}", picture) or schedule not in ("ve", "flow") or min(run, step, n_steps) < 0:
        raise BadFileError(f"its header was edited (of picture {picture[:16]!r})", place=path, remedy="record it anew")
    return Estimate(picture, run, step, n_steps, timestep, sigma, schedule)


def _read_comfy(path: Path) -> _Read:
    """ComfyUI's: `latent_tensor`, whose marker says whether it is of today."""
    with _opened(path) as file:
        key = _latents_among({name: file.shape(name) for name in file.names if name != _MARKER}, path)
        return file.tensor(key), file.metadata, key == "latent_tensor" and _MARKER not in file.names


def _read_safetensors(path: Path) -> _Read:
    """Any other program's: the one tensor of latents in it."""
    return (*_read_comfy(path)[:2], False)


def _opened(path: Path) -> TensorFile:
    what = "ComfyUI latent" if path.suffix.lower() == ".latent" else "safetensors file of latents"
    return TensorFile(path, what, "save it again")


def _latents_among(shapes: Mapping[str, tuple[int, ...]], path: Path) -> str:
    """The name of the latents in a file of several things: a usual name, else the only one with their axes.

    Of kohya's caches, which hold one picture at several sizes, the largest; not its mirrored twin.
    """
    usual = next((name for name in _LATENT_NAMES if name in shapes), None)
    if usual is not None:
        return usual
    sized = [name for name in shapes if _SIZED_LATENTS.match(name)]
    if sized:
        return max(sized, key=lambda name: math.prod(shapes[name]))
    fitting = [name for name, shape in shapes.items() if len(shape) in (3, 4, 5)]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(sorted(shapes)[:4]) or "none"
    raise BadFileError(
        place=path,
        expected=f"one tensor of latents, named {', '.join(map(repr, _LATENT_NAMES))} or alone",
        got=f"{len(shapes)}: {listed}",
        remedy="save the latents alone",
    )


def _read_numpy(path: Path) -> _Read:
    try:
        with path.open("rb") as file:
            return _array_in(file, path, path.stat().st_size), {}, False
    except _NOT_NUMPY as error:
        if isinstance(error, BadFileError):
            raise
        raise BadFileError(
            f"not a whole .npy file ({error})", place=path, remedy="save it again without pickle"
        ) from error


def _read_npz(path: Path) -> _Read:
    """NumPy's archive, such as kohya's caches: `latents`, or `latents_64x96`, beside sizes, crops and alpha masks."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            shapes = {}
            for name, entry in entries.items():
                with archive.open(entry) as file:
                    shapes[name] = _header_of(file)[0]
            entry = entries[_latents_among(shapes, path)]
            if entry.file_size > _MOST_UNPACKED * max(entry.compress_size, 1 << 12):
                raise BadFileError(
                    f"{entry.compress_size} bytes that unpack to {entry.file_size}, which latents never do",
                    place=path,
                    remedy="save it again",
                )
            with archive.open(entry) as file:
                return _array_in(file, path, entry.file_size), {}, False
    except _NOT_NPZ as error:
        if isinstance(error, BadFileError):
            raise
        raise BadFileError(
            f"not a whole .npz file ({error})", place=path, remedy="save it again without pickle"
        ) from error


def _header_of(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that a .npy stream says at its beginning."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"expected version 1 or 2 of the format, got {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _array_in(file: IO[bytes], path: Path, n_bytes: int) -> Tensor:
    """The array of floats in a .npy stream of so many bytes; more than those are not allocated."""
    with warnings.catch_warnings(action="ignore"):
        shape, dtype = _header_of(file)
        if dtype.kind != "f":
            raise BadFileError(
                place=path, expected="one array of floats", got=f"{dtype}", remedy="save the latents alone"
            )
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > n_bytes:
            raise ValueError(f"{n_bytes} bytes that claim an array of shape {shape}")
        file.seek(0)
        loaded = np.lib.format.read_array(file, allow_pickle=False)
        return torch.from_numpy(np.ascontiguousarray(loaded, dtype=np.float32))


def _read_torch(path: Path) -> _Read:
    """A tensor, or the latents in a dictionary, such as ComfyUI's ``{"samples": …}``."""
    is_safetensors(path, expected="latents")  # a file that is often taken for another is named
    loaded = load_plainly(path)
    if isinstance(loaded, Mapping):
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
        _refuse_odd(path, tensors.values())
        loaded = tensors[_latents_among({name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)]
    if not isinstance(loaded, Tensor):
        raise BadFileError(
            place=path,
            expected="one tensor, or a dictionary with 'samples'",
            got=f"{type(loaded).__name__}",
            remedy="save the bare tensor",
        )
    _refuse_odd(path, [loaded])
    check_storages(path, [loaded])
    return loaded.detach().clone(), {}, False  # not the mapped file, which may change


def _refuse_odd(path: Path, tensors: Iterable[Tensor]) -> None:
    kind = next((kind for tensor in tensors if (kind := odd_kind(tensor)) is not None), None)
    if kind is not None:
        raise BadFileError(
            place=path,
            expected="plain latents, all of them in the file",
            got=f"a tensor that is {kind}",
            remedy="save it with .contiguous(), dense and of floats",
        )


_READERS: dict[str, Callable[[Path], _Read]] = {
    ".latent": _read_comfy,
    ".safetensors": _read_safetensors,
    ".npy": _read_numpy,
    ".npz": _read_npz,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
}
