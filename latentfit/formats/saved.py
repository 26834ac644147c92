"""Saved maps: safetensors with the config and the card in the header; nothing is ever unpickled."""

import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save as to_bytes

from latentfit.errors import BadFileError, Remedy, ScaleError, SpaceMismatchError
from latentfit.formats.headers import SCHEMA, checked_fields, checked_header
from latentfit.formats.registry import KINDS, described, wrapped
from latentfit.formats.third_party import of_others, weights_file
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.maps.scales import Scale
from latentfit.nets.state_dict import put_in
from latentfit.palettes.palette import Palette
from latentfit.runtime.schemas import parse_json, plain
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.weights import TensorFile, WeightsFile, is_safetensors


def save(wrapper: Approximation | LatentMap, path: str | os.PathLike[str], *, dtype: torch.dtype | None = None) -> Path:
    """Write a map, whole or not at all.

    Parameters
    ----------
    wrapper : Approximation or LatentMap
        A map whose module is of a kind in `latentfit.formats.KINDS`.
    path : path
        ``.safetensors`` is added when there is no ending.
    dtype : torch.dtype, optional
        Type of the stored numbers: float16 halves a file; they are computed with in float32 again when loaded. None: as
        they are.

    Raises
    ------
    BadFileError
        When the module has no kind, or the card no form, with which anybody could load the file; or a number is
        out of `dtype`'s range.
    """
    target = Path(path)
    if not target.suffix:
        target = target.with_suffix(".safetensors")
    if target.suffix != ".safetensors":
        raise BadFileError("save", expected="a name that ends in .safetensors", got=f"{target.name!r}")
    return write_atomic(target, encoded(wrapper, f"save: {target.name}", dtype=dtype))


def encoded(wrapper: Approximation | LatentMap, where: str, *, dtype: torch.dtype | None = None) -> bytes:
    """The content of the file that `save` writes.

    Parameters
    ----------
    wrapper : Approximation or LatentMap
    where : str
        What errors begin with.
    dtype : torch.dtype, optional
        Type of the stored numbers.

    Raises
    ------
    BadFileError
        Where `save` raises it.
    """
    network, described_so = described(wrapper.module)
    header = {
        "schema": SCHEMA,
        "name": wrapper.name,
        "scale": str(wrapper.scale),
        "card": wrapper.card,
        **described_so,
        **_spaces(wrapper),
    }
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in network.state_dict().items()}
    said, shapes = json.dumps(header, allow_nan=False), {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    checked_header(parse_json(said, where), where, shapes)  # so that it loads again
    blob: bytes = to_bytes(tensors, {"latentfit": said})
    return blob


def load(
    path: str | os.PathLike[str],
    space: LatentSpace | str | None = None,
    palette: Palette | str | os.PathLike[str] | None = None,
    domain: Literal["model", "raw"] = "model",
    target: LatentSpace | str | None = None,
    scale: Scale | None = None,
) -> Approximation | LatentMap:
    """Read what `save` wrote, or another project's: decoders, interposers and upscalers.

    Parameters
    ----------
    path : path
        .safetensors, or a torch file of plain tensors; which decoder it is, its keys and shapes say. Or the folder of
        a TAESD as the hub ships it.
    space : LatentSpace or str, optional
        Space of another project's file, which does not say it. The space of a file of ours stays.
    palette : Palette, str or path, optional
        Palette of pixelvae's file, which does not hold it: a bundled name such as "ega16", or a palette's file.
    domain : {"model", "raw"}
        Domain that pixelvae's file learned from. The released ones learned the model domain; one that its scripts made
        from files of ComfyUI since 2023-06-23 learned raw latents, and no file tells.
    target : LatentSpace or str, optional
        Where another project's interposer leads; city96's usual file names tell both.
    scale : int, float, Fraction or str, optional
        For a map of any factor between sizes: another one than it was saved at, 2 for Ttl's. For city96's upscaler:
        what it was trained for, which its usual file name tells.

    Raises
    ------
    BadFileError
        When the file is truncated, of another program, of a newer schema, or holds NaN; or there is no such `domain`.
    SpaceMismatchError
        When `space` has another number of channels than the file.
    ScaleError
        When the map cannot give that scale.
    PaletteError
        When a file of classes comes without a palette, or with one of another number of colours.
    """
    if domain not in ("model", "raw"):
        raise BadFileError(place=path, expected="domain 'model' or 'raw'", got=f"{domain!r}")
    path = weights_file(Path(path))
    if not _is_ours(path):
        return of_others(path, space, target=target, palette=palette, domain=domain, scale=scale)
    wrapper = _ours(path)
    if scale is None:
        return wrapper
    if not isinstance(wrapper, LatentMap):
        raise ScaleError(
            f"gives pictures of {wrapper.scale} pixels a cell, no other scale", place=path, remedy="load it without one"
        )
    return wrapper.at_scale(scale)


def _ours(path: str | os.PathLike[str]) -> Approximation | LatentMap:
    """What `save` wrote."""
    with _opened(path) as file:
        shapes = {name: file.shape(name) for name in file.names}
        header = checked_header(_raw_header(file), os.fspath(path), shapes)
        tensors = {name: _tensor_in(file, name) for name in file.names}
    try:
        network = put_in(KINDS[header["kind"]](header["config"]), tensors, header["kind"])
        module = wrapped(network, header).eval()
    except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise BadFileError(
            f"its header and tensors do not fit together ({error})", place=path, remedy="fit or export it anew"
        ) from error
    space, name, card, scale = header["space"], header["name"], header["card"], header["scale"]
    if "target" in header:
        return LatentMap(module, space, header["target"], scale, name=name, card=card)
    return Approximation(module, space, scale, name=name, card=card)


def _tensor_in(file: TensorFile, name: str) -> torch.Tensor:
    """A tensor of the file; of real, finite numbers."""
    tensor: torch.Tensor = file.tensor(name)
    if tensor.is_complex():
        raise BadFileError(
            f"tensor {name!r}", place=file.path, expected="real numbers", got=f"{tensor.dtype}", remedy="fit it anew"
        )
    values = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        raise BadFileError(f"tensor {name!r} holds NaN or Inf", place=file.path, remedy="fit it anew")
    return values


def _stored(name: str, tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    stored = tensor.detach().cpu().contiguous()
    if not stored.is_floating_point():
        return stored
    cast = stored if dtype is None else stored.to(dtype)
    if not bool(stored.isfinite().all()):
        raise BadFileError(f"save: tensor {name!r} holds NaN or Inf", remedy="fit or train it anew")
    if not bool(cast.isfinite().all()):
        raise BadFileError(f"save: tensor {name!r} has numbers past the range of {dtype}", remedy="store it in float32")
    return cast


def _is_ours(path: Path) -> bool:
    """By the header; also what is no file, and tables, so that our reader says what is wrong with it."""
    if path.suffix.lower() == ".json" or not path.is_file():
        return True
    return is_safetensors(path) and "latentfit" in WeightsFile(path).metadata


def load_approximation(
    path: str | os.PathLike[str],
    space: LatentSpace | str | None = None,
    palette: Palette | str | os.PathLike[str] | None = None,
) -> Approximation:
    """`load`, where only an `Approximation` will do.

    Raises
    ------
    SpaceMismatchError
        When it is a map between latents.
    """
    loaded = load(path, space, palette)
    if not isinstance(loaded, Approximation):
        raise SpaceMismatchError(
            place=path,
            expected="a map from latents to pictures",
            got=f"one from {loaded.source.title} latents to {loaded.target.title} latents",
            remedy=Remedy(
                "carry latents over with it and decode those, or score it between two stores, {} and {}",
                source=...,
                target=...,
            ),
        )
    return loaded


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Header of a saved map: kind, config, name, spaces, scale and card, without reading its tensors.

    Raises
    ------
    BadFileError
        When the file is none, or a field of its header is of another type or out of range.
    """
    with _opened(path) as file:
        raw = _raw_header(file)
        checked = checked_fields(raw, os.fspath(path), len(file.names))
    return {**plain(raw, os.fspath(path)), "name": checked["name"], "card": checked["card"]}


def _spaces(wrapper: Approximation | LatentMap) -> dict[str, Any]:
    if isinstance(wrapper, LatentMap):
        return {"space": wrapper.source.to_dict(), "target": wrapper.target.to_dict()}
    return {"space": wrapper.space.to_dict()}


def _opened(path: str | os.PathLike[str]) -> TensorFile:
    if str(path).endswith(".json"):
        raise BadFileError(
            place=path, expected="a .safetensors map", remedy="a table in JSON is read by `latentfit.formats.read`"
        )
    if not Path(path).is_file():
        raise BadFileError("no such file", place=path, expected="a saved map")
    return TensorFile(path, remedy="copy or fit it again")


def _raw_header(file: TensorFile) -> Any:
    if "latentfit" not in file.metadata:
        raise BadFileError(
            "a safetensors file without this project's header",
            place=file.path,
            expected="one that was fitted or trained here",
        )
    return parse_json(file.metadata["latentfit"], os.fspath(file.path))
