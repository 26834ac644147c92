"""export(): one function a consumer; each format can be read back."""

import csv
import difflib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError

from latentfit.errors import BadTableError, ExportError, LatentfitError, Remedy, SpaceMismatchError
from latentfit.formats.programs import compiled_literals as compiled_programs
from latentfit.formats.programs import keras as keras_model
from latentfit.formats.programs import onnx as onnx_graph
from latentfit.formats.programs import python_literals as python_programs
from latentfit.formats.programs import tables
from latentfit.formats.saved import load_approximation, save
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation
from latentfit.nets.tiny import TinyEncoder, TinyEncoder32
from latentfit.runtime.escaping import one_line
from latentfit.runtime.storage import write_atomic

_WRITERS: dict[str, Callable[[Approximation, Approximation | None], str | bytes]] = {
    "comfyui": python_programs.comfyui,
    "invokeai": python_programs.invokeai,
    "a1111": python_programs.a1111,
    "sdnext": python_programs.sdnext,
    "diffusers": python_programs.diffusers,
    "sdcpp": compiled_programs.sdcpp,
    "apple": compiled_programs.apple,
    "json": tables.json_table,
    "csv": tables.csv,
    "markdown": tables.markdown,
    "numpy": tables.numpy,
    "conv2d": tables.conv2d,
    "onnx": onnx_graph.onnx,
    "keras": keras_model.keras,
}
NAMES = (*_WRITERS, "safetensors")
_UNREADABLE = (  # what readers of text, zip and arrays raise on files of another kind
    ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, RecursionError, RuntimeError, OSError, EOFError,
    csv.Error, zipfile.BadZipFile, zlib.error, SafetensorError,
)  # fmt: skip


def export(
    approximation: Approximation,
    to: str,
    path: str | os.PathLike[str],
    *,
    bias_free: Approximation | None = None,
) -> Path:
    """Write a fitted map in the format of the program that will run it.

    Parameters
    ----------
    approximation : Approximation
        Fitted by `ChannelMap`.
    to : str
        One of `NAMES`.
    path : path
        File to write, whole or not at all.
    bias_free : Approximation or None
        The same space's map without intercept, for consumers that drop the bias (InvokeAI, A1111).

    Raises
    ------
    ExportError
        When the consumer cannot run this form; the message names what it can.
    """
    if to == "safetensors":
        return save(approximation, path)
    if to not in _WRITERS:
        near = ", ".join(difflib.get_close_matches(to, NAMES, n=2, cutoff=0.4)) or ", ".join(NAMES)
        raise ExportError("export", expected=f"one of {', '.join(NAMES)}", got=f"{to!r}", remedy=f"nearest: {near}")
    return write_atomic(path, _WRITERS[to](approximation, bias_free))


def export_encoder(
    encoder: TinyEncoder | TinyEncoder32, space: LatentSpace | str | None, to: str, path: str | os.PathLike[str]
) -> Path:
    """Write an encoder: rgb in [0, 1] in, latents of the model domain out, any batch, height and width.

    Parameters
    ----------
    encoder : TinyEncoder or TinyEncoder32
    space : LatentSpace, str or None
        What its latents are, for the file's metadata.
    to : {"onnx", "keras"}
        ONNX is NCHW, Keras NHWC.
    path : path

    Raises
    ------
    ExportError
        When the format holds no encoders, or its extra is not installed.
    SpaceMismatchError
        When the space has another number of channels.
    """
    if to not in ("onnx", "keras"):
        raise ExportError(
            "export",
            expected="onnx or keras for an encoder",
            got=f"{to!r}",
            remedy="take one of these: the others hold maps from latents",
        )
    name = "" if space is None else get_space(space).name
    if space is not None and get_space(space).channels != encoder.n_channels:
        raise SpaceMismatchError(
            f"an encoder of {encoder.n_channels} channels: space {name!r} has another number",
            remedy="name its own space",
        )
    if to == "keras":
        return write_atomic(path, keras_model.saved(keras_model.keras_of(encoder, 3, name=name or "encoder")))
    about = {"space": one_line(name), "domain": "model", "input": "sRGB in [0, 1]"}
    example = torch.zeros(2, 3, 6 * encoder.cell_px, 5 * encoder.cell_px)
    return write_atomic(path, onnx_graph.onnx_of(encoder, example, "rgb", "latents", about))


def read(path: str | os.PathLike[str], to: str, space: LatentSpace | str | None = None) -> Approximation:
    """Read an export back.

    Parameters
    ----------
    path : path
    to : str
        The format it was written in.
    space : LatentSpace, str or None
        Needed by formats that do not say it: all but json and safetensors.

    Raises
    ------
    BadTableError
        When the file is not of that format, or its numbers fit no form of the space.
    BadFileError
        When it is a .safetensors file that is damaged or edited.
    """
    source = Path(path)
    if to == "json":
        return tables.read_json(source)
    if to == "safetensors":
        return load_approximation(source)
    if space is None:
        raise ExportError(
            f"the format {to!r} does not say its space", place=source, remedy=Remedy("say it with {}", space=...)
        )
    known = get_space(space)
    readers: dict[str, Callable[[Path, LatentSpace], Approximation]] = {
        "csv": tables.read_csv,
        "numpy": tables.read_numpy,
        "conv2d": tables.read_conv2d,
    }
    if to in ("sdcpp", "apple"):
        readers[to] = lambda path, space: compiled_programs.read_compiled(path, space, to)
    if to in ("comfyui", "invokeai", "a1111", "sdnext", "diffusers"):
        readers[to] = lambda path, space: python_programs.read_python(path, space, to)
    if to not in readers:
        raise ExportError(f"format {to!r} cannot be read back", place=source, expected=f"one of {', '.join(NAMES)}")
    try:
        return readers[to](source, known)
    except LatentfitError:
        raise
    except _UNREADABLE as error:
        raise BadTableError(
            f"not what the format {to!r} is ({type(error).__name__}: {error})",
            place=source,
            remedy="export it again",
        ) from error
