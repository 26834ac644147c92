"""Maps from files of any kind: ours, tables in JSON, other projects' decoders and interposers; by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from latentfit.errors import BadFileError, LatentfitError, SpaceMismatchError
from latentfit.formats.exporter import read
from latentfit.formats.saved import load, load_approximation
from latentfit.formats.third_party import weights_file
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.palettes.palette import Palette
from latentfit.runtime.weights import is_safetensors


def load_named(
    paths: Sequence[Path], space: LatentSpace, palette: Palette | str | None = None
) -> dict[str, Approximation]:
    """The maps by name, which is theirs too; of equal names the file tells them apart."""
    named = named_apart({path: load_any(path, space, palette) for path in dict.fromkeys(paths)})
    for name, one in named.items():
        one.name = name  # loaded here: nobody else has them
    return named


Map = TypeVar("Map", Approximation, LatentMap)


def named_apart(loaded: Mapping[Path, Map]) -> dict[str, Map]:
    """Maps by name, and where names are equal by their file's too; the maps themselves keep their names."""
    times = Counter(one.name for one in loaded.values())
    named: dict[str, Map] = {}
    for path, one in loaded.items():
        name = one.name if times[one.name] == 1 else f"{one.name} ({path.name})"
        named[name if name not in named else f"{name} ({path})"] = one
    return named


def load_any(path: Path, space: LatentSpace | str | None = None, palette: Palette | str | None = None) -> Approximation:
    """A saved map to pictures, a table that was exported to JSON, or another project's decoder.

    Its space must be named, and the palette of pixelvae's.
    """
    path = _checked(path)
    return _table(path) if path.suffix.lower() == ".json" else load_approximation(path, space, palette)


def load_either(
    path: Path,
    space: LatentSpace | str | None = None,
    palette: Palette | str | None = None,
    target: LatentSpace | str | None = None,
) -> Approximation | LatentMap:
    """Load as `load_any` does, or load a map between latents, `space` and `target` being another project's."""
    path = _checked(path)
    return _table(path) if path.suffix.lower() == ".json" else load(path, space, palette, target=target)


def load_latent_map(
    path: Path, source: LatentSpace | str | None = None, target: LatentSpace | str | None = None
) -> LatentMap:
    """A map between latents; another project's are told their spaces.

    Raises
    ------
    SpaceMismatchError
        When it is a map to pictures.
    """
    try:
        loaded = load_either(path, source, target=target)
    except LatentfitError as error:  # it calls the source space
        raise error.renamed(space="source") from error
    if not isinstance(loaded, LatentMap):
        raise SpaceMismatchError(
            place=path,
            expected="a map between latents",
            got=f"one from {loaded.space.title} latents to pictures",
            remedy="use it to decode latents, not to carry them over",
        )
    return loaded


ENDINGS = (".safetensors", ".json", ".pt", ".pth", ".ckpt", ".bin", ".sft")
"""Of files that may hold a map; what they are, their content says."""


def _checked(given: Path) -> Path:
    """The file, which may hold a map: its own path, or the weights' in a diffusers folder."""
    path = weights_file(given)
    if path.is_dir():
        raise BadFileError(
            place=path, expected="a map, .safetensors or .json", got="a folder", remedy="name a file in it"
        )
    if path.is_symlink() and not path.exists():
        raise BadFileError("a link to a file that is gone", place=path, expected="a map", remedy="link it anew")
    if not path.is_file():
        raise BadFileError("no such file", place=path, expected="a saved or exported map")
    if path.suffix.lower() not in ENDINGS:
        is_safetensors(path)  # names what it is, where its first bytes tell
        raise BadFileError(
            place=path,
            expected="a .safetensors map, a .json table or a decoder in .pt or .pth",
            got=f"{path.suffix or 'no ending'!r}",
        )
    return path


def _table(path: Path) -> Approximation:
    try:
        return read(path, "json")
    except ValueError as error:  # also numpy's and torch's own, on numbers that do not fit the form
        if isinstance(error, LatentfitError) and error.place is not None:
            raise
        raise BadFileError(
            f"its numbers do not fit its form ({error})", place=path, remedy="export it again"
        ) from error
