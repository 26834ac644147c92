"""export(): a map in the format of a program of `PROGRAMS`; read(): what a program's writer wrote."""

import csv
import difflib
import os
import zipfile
import zlib
from pathlib import Path

from safetensors import SafetensorError

from latentfit.errors import BadFileError, BadTableError, ExportError, LatentfitError, Remedy, SpaceMismatchError
from latentfit.formats.programs.program import Program
from latentfit.formats.programs.registry import PROGRAMS
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation
from latentfit.nets.tiny import TinyEncoder, TinyEncoder32
from latentfit.runtime.storage import write_atomic

NAMES = tuple(PROGRAMS)
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
        Fitted by `ChannelMap`; some formats hold networks too.
    to : str
        One of `NAMES`; docs/programs.md says what each runs.
    path : path
        File to write, whole or not at all. ``.safetensors`` is added for that format when there is no ending.
    bias_free : Approximation or None
        The same space's map without intercept, for programs that drop the bias.

    Raises
    ------
    ExportError
        When the program cannot run this form; the message names what it can.
    BadFileError
        When the file's name has another ending than the format needs.
    """
    program = _named(to)
    target = _target(program, Path(path))
    return write_atomic(target, program.write(approximation, bias_free))


def is_bias_free_needed(approximation: Approximation, to: str) -> bool:
    """Whether a program cannot take a map alone, so that `export`'s `bias_free` matters.

    Raises
    ------
    ExportError
        When there is no such program.
    """
    program = _named(to)
    try:
        program.write(approximation, None)
    except ExportError:
        return True
    return False


def export_encoder(
    encoder: TinyEncoder | TinyEncoder32, space: LatentSpace | str | None, to: str, path: str | os.PathLike[str]
) -> Path:
    """Write an encoder: rgb in [0, 1] in, latents of the model domain out, any batch, height and width.

    Parameters
    ----------
    encoder : TinyEncoder or TinyEncoder32
    space : LatentSpace, str or None
        What its latents are, for the file's metadata.
    to : str
        A format that holds encoders: ONNX is NCHW, Keras NHWC.
    path : path

    Raises
    ------
    ExportError
        When the format holds no encoders, or its extra is not installed.
    SpaceMismatchError
        When the space has another number of channels.
    """
    program = PROGRAMS.get(to)
    if program is None or program.write_encoder is None:
        holding = [one.name for one in PROGRAMS.values() if one.write_encoder is not None]
        raise ExportError(
            "export",
            expected=f"{' or '.join(holding)} for an encoder",
            got=f"{to!r}",
            remedy="take one of these: the others hold maps from latents",
        )
    name = "" if space is None else get_space(space).name
    if space is not None and get_space(space).channels != encoder.n_channels:
        raise SpaceMismatchError(
            f"an encoder of {encoder.n_channels} channels: space {name!r} has another number",
            remedy="name its own space",
        )
    return write_atomic(_target(program, Path(path)), program.write_encoder(encoder, name))


def read(path: str | os.PathLike[str], to: str, space: LatentSpace | str | None = None) -> Approximation:
    """Read a map back from an exported file.

    Parameters
    ----------
    path : path
    to : str
        The format it was written in.
    space : LatentSpace, str or None
        Needed by formats that do not say it: all but json and safetensors.

    Raises
    ------
    ExportError
        When there is no such format, or it cannot be read back.
    BadTableError
        When the file is not of that format, or its numbers fit no form of the space.
    BadFileError
        When it is a .safetensors file that is damaged or edited.
    """
    source, program = Path(path), _named(to)
    if program.read_alone is not None:
        return program.read_alone(source)
    if program.read is None:
        readable = [one.name for one in PROGRAMS.values() if one.read is not None or one.read_alone is not None]
        raise ExportError(f"format {to!r} cannot be read back", place=source, expected=f"one of {', '.join(readable)}")
    if space is None:
        raise ExportError(
            f"the format {to!r} does not say its space", place=source, remedy=Remedy("say it with {}", space=...)
        )
    known = get_space(space)
    try:
        return program.read(source, known)
    except LatentfitError:
        raise
    except _UNREADABLE as error:
        raise BadTableError(
            f"not what the format {to!r} is ({type(error).__name__}: {error})",
            place=source,
            remedy="export it again",
        ) from error


def _named(to: str) -> Program:
    """The program of that name."""
    if to not in PROGRAMS:
        near = ", ".join(difflib.get_close_matches(to, NAMES, n=2, cutoff=0.4)) or ", ".join(NAMES)
        raise ExportError("export", expected=f"one of {', '.join(NAMES)}", got=f"{to!r}", remedy=f"nearest: {near}")
    return PROGRAMS[to]


def _target(program: Program, path: Path) -> Path:
    """The path, with the ending where readers tell the format by it."""
    if not program.needs_ending or path.suffix == program.ending:
        return path
    if path.suffix:
        raise BadFileError("export", expected=f"a name that ends in {program.ending}", got=f"{path.name!r}")
    return path.with_suffix(program.ending)
