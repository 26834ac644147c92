"""foreign: other projects' files, which do not say their latent space, as maps with a promise."""

import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Literal

from latentfit.approx import Approximation, LatentMap
from latentfit.checkpoints import Recognised, recognised
from latentfit.errors import BadFileError, SpaceMismatchError
from latentfit.nets.domains import ModelDomain
from latentfit.nets.interposer import InterposerV4
from latentfit.nets.palette import PixelVae
from latentfit.palette import Palette
from latentfit.palettized import palette_for, palettized
from latentfit.spaces import LatentSpace, get_space

CITY96_SPACES = {"v1": "sd1", "xl": "sdxl", "v3": "sd3", "fx": "flux1", "ca": "cascade_b"}
_CITY96_NAME = re.compile(r"(v1|xl|v3|fx|ca)-to-(v1|xl|v3)_interposer")


def of_others(
    path: Path,
    space: LatentSpace | str | None,
    *,
    target: LatentSpace | str | None = None,
    palette: Palette | str | os.PathLike[str] | None = None,
    domain: Literal["model", "raw"] = "model",
) -> Approximation | LatentMap:
    """A decoder, a palettized decoder or an interposer of another project, by its keys.

    Parameters are those of `latentfit.files.load`.
    """
    found = recognised(path)
    if found.n_outputs is not None:
        return _interposer(path, found, space, target)
    if space is None:
        raise BadFileError(
            f"{path}: {found.title}, for {found.n_channels} channels; the file does not say which latent space: name "
            "it with --space, or load(path, space=…)"
        )
    named = get_space(space)
    _check_channels(path, found, named, found.n_channels, "takes")
    card = {"form": found.title, "file": path.name}
    if isinstance(found.module, PixelVae):
        chosen = palette_for(found.module.n_classes, palette, str(path))
        network = found.module.for_raw(named) if domain == "raw" else found.module
        return palettized(network, chosen, named, name=path.stem, card=card)
    return Approximation(found.module, named, found.scale, name=path.stem, card=card)


def spaces_by_name(path: Path) -> tuple[str, str] | None:
    """Between which spaces city96's usual file names say that an interposer leads; None for other names."""
    usual = _CITY96_NAME.match(path.name)
    return (CITY96_SPACES[usual[1]], CITY96_SPACES[usual[2]]) if usual else None


def _interposer(
    path: Path, found: Recognised, space: LatentSpace | str | None, target: LatentSpace | str | None
) -> LatentMap:
    """City96's: raw latents on both sides; the spaces as they are named, or as the file's usual name has them."""
    names = spaces_by_name(path) or (None, None)
    first, second = space or names[0], target or names[1]
    if first is None or second is None:
        raise BadFileError(
            f"{path}: {found.title}, {found.n_channels} to {found.n_outputs} channels; the file does not say between "
            "which latent spaces: name them (convert --source --target, info --space --target, load(path, space=…, "
            "target=…))"
        )
    here, there = get_space(first), get_space(second)
    _check_channels(path, found, here, found.n_channels, "takes")
    _check_channels(path, found, there, found.n_outputs or 0, "gives")
    scale, network = Fraction(here.cell_px, there.cell_px), found.module
    if isinstance(network, InterposerV4):
        network = network.at_scale(float(scale))
    elif scale != 1:
        raise SpaceMismatchError(f"{path}: {found.title} keeps the size; {here.name!r} to {there.name!r} has {scale}")
    module = ModelDomain(network, here.shift, here.scale, there.shift, there.scale).eval()
    return LatentMap(module, here, there, scale, name=path.stem, card={"form": found.title, "file": path.name})


def _check_channels(path: Path, found: Recognised, space: LatentSpace, n_channels: int, verb: str) -> None:
    if space.channels != n_channels:
        raise SpaceMismatchError(
            f"{path}: {found.title} {verb} {n_channels} channels, space {space.name!r} has {space.channels}"
        )
