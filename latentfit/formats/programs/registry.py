"""`PROGRAMS`: every file of this folder that defines a `Program`, by name; a program is imported when it is asked for.

The file of a program is called after it (``comfyui.py``), that of a format after the format and what holds it
(``json_table.py``). So names, and which of them are programs, are known without importing anything.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from latentfit.formats.programs.program import Program

SHARED = frozenset({"common", "compiled_literals", "program", "python_literals", "registry"})
"""Files of this folder that are no program."""


class _Programs(Mapping[str, Program]):
    """Name -> `Program`: programs first, then formats, each in alphabetical order."""

    def __init__(self, folder: Path) -> None:
        stems = [one.name for one in pkgutil.iter_modules([str(folder)]) if one.name not in SHARED]
        self.modules = {stem.partition("_")[0]: stem for stem in sorted(stems, key=lambda stem: ("_" in stem, stem))}

    def __getitem__(self, name: str) -> Program:
        found = importlib.import_module(f"{__package__}.{self.modules[name]}").PROGRAM
        assert isinstance(found, Program)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)

    def __contains__(self, name: object) -> bool:
        return name in self.modules

    def __repr__(self) -> str:
        return f"PROGRAMS({', '.join(self)})"


PROGRAMS = _Programs(Path(__file__).parent)
"""Every program and format, by name."""


def is_format(name: str) -> bool:
    """Whether a name of `PROGRAMS` is a format that belongs to no program.

    Examples
    --------
    >>> is_format("json"), is_format("comfyui")
    (True, False)
    """
    return "_" in PROGRAMS.modules[name]


def names(of_formats: bool) -> list[str]:
    """The names of the formats, or of the programs; nothing is imported for it.

    Parameters
    ----------
    of_formats : bool

    Examples
    --------
    >>> names(of_formats=False)[:3]
    ['a1111', 'apple', 'comfyui']
    """
    return [name for name in PROGRAMS if is_format(name) == of_formats]
