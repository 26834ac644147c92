"""What is known of a program that runs our maps, or of a format that holds them: one `Program`, defined in one file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latentfit.latents.spaces import LatentSpace
    from latentfit.maps.contracts import Approximation
    from latentfit.nets.tiny import TinyEncoder, TinyEncoder32

    Write = Callable[[Approximation, Approximation | None], str | bytes]
    Read = Callable[[Path, LatentSpace], Approximation]
    ReadAlone = Callable[[Path], Approximation]
    WriteEncoder = Callable[[TinyEncoder | TinyEncoder32, str], bytes]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program or a format, and all that differs between it and the others.

    Help texts, docs/programs.md, the page of `autofit` and the conformance tests are made from these fields.

    Attributes
    ----------
    name : str
        Name as `export(…, name, …)` and the command line take it; the first word of the name of its file.
    title : str
        Name as people write it: "stable-diffusion.cpp".
    ending : str
        Ending of the file that is written: ".py".
    how_to_use : str
        What to do with the file, in one line.
    runs : str
        The forms that it runs, in one line.
    write : callable
        Given a map, and the same space's map without intercept or None, makes the file's content: text or bytes, the
        same each time. Raises `ExportError` for a form that it cannot run.
    output_range : str
        What the coefficients give: "[-1, 1]", "[0, 1]" or "[0, 255]".
    bias : str
        Whether the program adds a bias: "yes", "no", or for which spaces.
    notes : str
        What else one should know, in one line.
    read : callable or None
        Reads a file of a given space back.
    read_alone : callable or None
        Reads a file that says its space back. At most one of `read` and `read_alone` is given.
    write_encoder : callable or None
        Given an encoder and the name of its space ("" for none), makes the file's content.
    extra : str or None
        The extra of the package that must be installed.
    in_autofit : bool
        Whether `autofit` writes it beside its page.
    needs_ending : bool
        Whether readers tell the format by the file's ending, so that the name must have it.
    """

    name: str
    title: str
    ending: str
    how_to_use: str
    runs: str
    write: "Write"
    output_range: str = "[-1, 1]"
    bias: str = "yes"
    notes: str = ""
    read: "Read | None" = None
    read_alone: "ReadAlone | None" = None
    write_encoder: "WriteEncoder | None" = None
    extra: str | None = None
    in_autofit: bool = True
    needs_ending: bool = False
