"""Latents that other programs saved: ComfyUI's .latent, and .npy, .pt, .bin; always read into the model domain."""

import io
import json
import os
import pickle
import re
import struct
import tokenize
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from latentfit import schemas
from latentfit.errors import BadFileError, SpaceMismatchError
from latentfit.latent_pngs import read_latent_png
from latentfit.resources import write_atomic
from latentfit.spaces import LatentSpace

ENDINGS = frozenset({".latent", ".npy", ".pt", ".bin"})
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
_NOT_TORCH: tuple[type[Exception], ...] = (
    RuntimeError,
    pickle.UnpicklingError,
    ValueError,
    LookupError,
    EOFError,
    AssertionError,
    struct.error,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    OSError,
    zipfile.BadZipFile,
)


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
        """For the header of a latent file."""
        return {_ESTIMATE: json.dumps(asdict(self))}


@dataclass(frozen=True)
class LatentFile:
    """Latents of one file.

    Attributes
    ----------
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w) float32
        Model domain.
    metadata : dict of str to str
        ComfyUI's prompt and workflow, where the file has them.
    is_legacy : bool
        A `.latent` without the version marker: it was stored times 0.18215.
    estimate : Estimate or None
        Of a live preview's recording: which step's x0 it is.
    """

    latents: Tensor
    metadata: dict[str, str] = field(default_factory=dict)
    is_legacy: bool = False
    estimate: Estimate | None = None


def read_latents(path: str | os.PathLike[str], space: LatentSpace) -> LatentFile:
    """Read a latent file, raw as these programs store it, into the model domain.

    Parameters
    ----------
    path : path
        ``.latent`` (ComfyUI), ``.npy`` or ``.pt`` (one latent, with or without batch axis), ``.bin`` (city96: many),
        ``.png`` (TAESD's 8-bit RGBA).
    space : LatentSpace
        What the latents are; files do not say.

    Raises
    ------
    BadFileError
        When the file is cut short, lies in its header, would have to be unpickled, or holds NaN or Inf.
    SpaceMismatchError
        When its channels are not the space's.
    """
    source = Path(path)
    if not source.is_file():
        raise BadFileError(f"{source}: no such file; expected {', '.join(sorted(ENDINGS))}")
    if source.suffix.lower() == ".png":
        latents = read_latent_png(source)
        space.check(latents)
        return LatentFile(latents)
    readers = {".latent": _read_comfy, ".npy": _read_numpy, ".pt": _read_torch, ".bin": _read_torch}
    if source.suffix.lower() not in readers:
        raise BadFileError(f"{source}: expected one of {', '.join(sorted(ENDINGS))}, got {source.suffix!r}")
    raw, metadata, is_legacy = readers[source.suffix.lower()](source)
    if not raw.is_floating_point() or raw.numel() == 0 or raw.ndim not in (3, 4, 5):
        raise BadFileError(
            f"{source}: expected floating latents (N, C, h, w), (C, h, w) or (N, C, T, h, w), got {raw.dtype} of "
            f"shape {tuple(raw.shape)}"
        )
    raw = raw.float() * _LEGACY_FACTOR if is_legacy else raw.float()
    if raw.ndim == 3:
        raw = raw[None]
    if not bool(torch.isfinite(raw).all()):
        raise BadFileError(f"{source}: holds NaN or Inf; save it again, from a VAE in float32")
    try:
        latents = space.comfy_to_model(raw)
    except SpaceMismatchError as error:
        raise SpaceMismatchError(f"{source}: {error}") from error
    return LatentFile(latents, metadata, is_legacy, _estimate_in(source, metadata))


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
    return sorted(found)


def _estimate_in(path: Path, metadata: Mapping[str, str]) -> Estimate | None:
    if _ESTIMATE not in metadata:
        return None
    try:
        entry = schemas.parse_json(metadata[_ESTIMATE], str(path), has_infinity=True)
        run, step, n_steps = (int(entry[name]) for name in ("run", "step", "n_steps"))
        timestep, sigma = float(entry["timestep"]), float(entry["sigma"])
        picture, schedule = str(entry["picture"]), entry["schedule"]
    except (LookupError, TypeError, ValueError) as error:
        raise BadFileError(f"{path}: its header was edited ({error}); record it anew") from error
    if not re.fullmatch("[0-9a-f]{64}", picture) or schedule not in ("ve", "flow") or min(run, step, n_steps) < 0:
        raise BadFileError(f"{path}: its header was edited (of picture {picture[:16]!r}); record it anew")
    return Estimate(picture, run, step, n_steps, timestep, sigma, schedule)


def _read_comfy(path: Path) -> tuple[Tensor, dict[str, str], bool]:
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            names = set(file.keys())
            if "latent_tensor" not in names:
                raise BadFileError(
                    f"{path}: expected a tensor 'latent_tensor', got {', '.join(sorted(names)) or 'none'}"
                )
            raw = file.get_tensor("latent_tensor")
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, BadFileError):
            raise
        raise BadFileError(f"{path}: not a whole ComfyUI latent ({error}); save it again") from error
    return raw, metadata, "latent_format_version_0" not in names


def _read_numpy(path: Path) -> tuple[Tensor, dict[str, str], bool]:
    try:
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            loaded = np.lib.format.read_array(file, allow_pickle=False)
            if loaded.dtype.kind == "f":
                return torch.from_numpy(np.ascontiguousarray(loaded, dtype=np.float32)), {}, False
    except _NOT_NUMPY as error:
        raise BadFileError(f"{path}: not a whole .npy file ({error}); save it again without pickle") from error
    raise BadFileError(f"{path}: expected one array of floats, got {loaded.dtype}; save the latents alone")


def _read_torch(path: Path) -> tuple[Tensor, dict[str, str], bool]:
    try:
        blob = path.read_bytes()
        if zipfile.is_zipfile(io.BytesIO(blob)):
            _refuse_compression(path, blob)
        with warnings.catch_warnings(action="ignore"):  # torch's own remarks on how the file was pickled
            loaded = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    except BadFileError:
        raise
    except _NOT_TORCH as error:
        raise BadFileError(
            f"{path}: cannot be read without unpickling code ({type(error).__name__}); save the bare tensor"
        ) from error
    if not isinstance(loaded, Tensor):
        raise BadFileError(f"{path}: expected one tensor, got {type(loaded).__name__}; save the bare tensor")
    if loaded.layout != torch.strided or loaded.is_meta or loaded.numel() > len(blob):
        raise BadFileError(
            f"{path}: expected a dense tensor, all of it in the file, got {loaded.layout} of shape "
            f"{tuple(loaded.shape)} in {len(blob)} bytes; save it with .contiguous()"
        )
    return loaded.detach(), {}, False


def _refuse_compression(path: Path, blob: bytes) -> None:
    """torch.save never compresses, and a few kilobytes that do can unpack to all of the memory."""
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        n_bytes = sum(entry.file_size for entry in archive.infolist())
    if n_bytes > len(blob):
        raise BadFileError(f"{path}: {len(blob)} bytes that unpack to {n_bytes}; save it again with torch.save")
