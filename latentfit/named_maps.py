"""Maps from files of any kind: ours, tables in JSON, other projects' decoders; by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from latentfit.approx import Approximation
from latentfit.dialects import read
from latentfit.errors import BadFileError, LatentfitError
from latentfit.files import load_approximation
from latentfit.palette import Palette
from latentfit.spaces import LatentSpace


def load_named(
    paths: Sequence[Path], space: LatentSpace, palette: Palette | str | None = None
) -> dict[str, Approximation]:
    """The maps by name; of equal names the file tells them apart."""
    return named_apart({path: load_any(path, space, palette) for path in dict.fromkeys(paths)})


def named_apart(loaded: Mapping[Path, Approximation]) -> dict[str, Approximation]:
    """Maps by name, renamed after their files where names are equal."""
    times = Counter(one.name for one in loaded.values())
    for path, one in loaded.items():
        if times[one.name] > 1:
            one.name = f"{one.name} ({path.name})"
    named: dict[str, Approximation] = {}
    for path, one in loaded.items():
        named[one.name if one.name not in named else f"{one.name} ({path})"] = one
    return named


def load_any(path: Path, space: LatentSpace | str | None = None, palette: Palette | str | None = None) -> Approximation:
    """A saved map, a table that was exported to JSON, or another project's decoder.

    Its space must be named, and the palette of pixelvae's.
    """
    if path.is_dir():
        raise BadFileError(f"{path}: expected a map, .safetensors or .json, got a folder; name a file in it")
    if path.suffix not in (".safetensors", ".json", ".pt", ".pth"):
        raise BadFileError(
            f"{path}: expected a .safetensors map, a .json table or a decoder in .pt or .pth, got "
            f"{path.suffix or 'no ending'!r}"
        )
    if not path.is_file():
        raise BadFileError(f"{path}: no such file; expected a map written by `latentfit fit` or `latentfit export`")
    if path.suffix != ".json":
        return load_approximation(path, space, palette)
    try:
        return read(path, "json")
    except ValueError as error:  # also numpy's and torch's own, on numbers that do not fit the form
        if isinstance(error, LatentfitError) and str(path) in str(error):
            raise
        raise BadFileError(f"{path}: its numbers do not fit its form ({error}); export it again") from error
