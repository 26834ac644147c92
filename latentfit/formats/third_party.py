"""foreign: other projects' files, which do not say their latent space, as maps with a promise."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from latentfit.errors import BadFileError, Remedy, ScaleError, SpaceMismatchError
from latentfit.formats.recognition import Recognised, recognised
from latentfit.latents.space_facts import Project, all_facts
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.maps.scales import AtScale, Scale, as_scale
from latentfit.nets.model_domain import ModelDomain
from latentfit.nets.palette import PixelVae
from latentfit.palettes.decoder import palette_for, palettized
from latentfit.palettes.palette import Palette

_CITY96_NAME = r"(CODE)-to-(CODE)_interposer"
_CITY96_UPSCALER = r"latent-upscaler-v[\d.]+_SD(CODE)-x(\d+(?:\.\d+)?)$"
_RESIZER = r"(CODE)_resizer$"
_SUDO = r"(?:SwinFIR|CRAFT|DAT|DRCT).*_(CODE)$"


def of_others(
    path: Path,
    space: LatentSpace | str | None,
    *,
    target: LatentSpace | str | None = None,
    palette: Palette | str | os.PathLike[str] | None = None,
    domain: Literal["model", "raw"] = "model",
    scale: Scale | None = None,
) -> Approximation | LatentMap:
    """A decoder, a palettized decoder, an interposer or an upscaler of another project, by its keys.

    Parameters are those of `latentfit.formats.load`.
    """
    found = recognised(path)
    if found.times is not None:
        if target is not None and space is not None and get_space(target) != get_space(space):
            raise SpaceMismatchError(
                f"{found.title} keeps the space, it cannot lead to {target!r}", place=path, remedy="leave it out"
            )
        return _upscaler(path, found, found.times, space, scale)
    if scale is not None:
        raise ScaleError(f"{found.title} has one scale of its own", place=path, remedy="load it without scale")
    if found.n_outputs is not None:
        return _interposer(path, found, space, target)
    space = found.space if space is None else space
    if space is None:
        raise BadFileError(
            f"{found.title}, for {found.n_channels} channels; the file does not say which latent space",
            place=path,
            remedy=Remedy("name it with {}", space=...),
        )
    named = get_space(space)
    _check_channels(path, found, named, found.n_channels, "takes")
    if found.space is not None and found.space != named.name:
        raise SpaceMismatchError(
            f"{found.title}, whose scale is that of space {found.space!r}, not of {named.name!r}",
            place=path,
            remedy="leave the space out",
        )
    card = {"form": found.title, "file": path.name}
    if isinstance(found.module, PixelVae):
        chosen = palette_for(found.module.n_classes, palette, str(path))
        network = found.module.for_raw(named) if domain == "raw" else found.module
        return palettized(network, chosen, named, name=path.stem, card=card)
    return Approximation(found.module, named, found.scale, name=path.stem, card=card)


def weights_file(path: Path) -> Path:
    """The weights of a diffusers folder, as the hub ships TAESD; any other path stays as it is."""
    weights = path / "diffusion_pytorch_model.safetensors"
    return weights if weights.is_file() and (path / "config.json").is_file() else path


def spaces_by_name(path: Path) -> tuple[str, str] | None:
    """Between which spaces city96's usual file names say that an interposer leads; None for other names."""
    codes = _codes("city96")
    usual = _match(_CITY96_NAME, codes, path.name)
    return (codes[usual[1]], codes[usual[2]]) if usual else None


def _codes(project: Project) -> dict[str, str]:
    """Spaces by what a project's file names call them."""
    return {facts.file_codes[project]: name for name, facts in all_facts().items() if project in facts.file_codes}


def _match(pattern: str, codes: Mapping[str, str], name: str) -> re.Match[str] | None:
    """Match a pattern from the name's start; CODE in it stands for any of a project's codes."""
    return re.match(pattern.replace("CODE", "|".join(map(re.escape, codes))), name)


def _interposer(
    path: Path, found: Recognised, space: LatentSpace | str | None, target: LatentSpace | str | None
) -> LatentMap:
    """City96's: raw latents on both sides; the spaces as they are named, or as the file's usual name has them."""
    names = spaces_by_name(path) or (None, None)
    first, second = space or names[0], target or names[1]
    if first is None or second is None:
        raise BadFileError(
            f"{found.title}, {found.n_channels} to {found.n_outputs} channels; the file does not say between which "
            "latent spaces",
            place=path,
            remedy=Remedy("name them with {} and {}", space=..., target=...),
        )
    here, there = get_space(first), get_space(second)
    if here == there:
        raise SpaceMismatchError(
            f"{found.title} leads from one space to another",
            place=path,
            expected="two spaces",
            got=f"{here.name!r} twice",
        )
    if names != (None, None) and (here.name, there.name) != names:
        raise SpaceMismatchError(
            f"its usual name says that it leads from {names[0]!r} to "
            f"{names[1]!r}, not from {here.name!r} to {there.name!r}",
            place=path,
            remedy=("take the file of that direction, or rename this one if its name is wrong"),
        )
    _check_channels(path, found, here, found.n_channels, "takes")
    _check_channels(path, found, there, found.n_outputs or 0, "gives")
    scale, network = Fraction(here.cell_px, there.cell_px), found.module
    if hasattr(network, "at_scale"):
        network = network.at_scale(float(scale))  # type: ignore[operator]
    elif scale != 1:
        raise SpaceMismatchError(
            f"{found.title} keeps the size, {here.name!r} to {there.name!r} has a scale of {scale}",
            place=path,
            remedy="take a map that changes it, such as an interposer v4",
        )
    module = ModelDomain.of_raw(network, here, there).eval()
    return LatentMap(module, here, there, scale, name=path.stem, card={"form": found.title, "file": path.name})


def _upscaler(
    path: Path, found: Recognised, times: float, space: LatentSpace | str | None, scale: Scale | None
) -> LatentMap:
    """Raw latents times a number on both sides; space and factor as named, or as the file's usual name has them."""
    usual = usual_upscaler(path.stem)
    chosen, factor = space or usual.space, usual.scale if scale is None else scale
    _check_usual(path, usual, chosen, factor)
    if chosen is None:
        raise BadFileError(
            f"{found.title}, for {found.n_channels} channels; the file does not say which latent space",
            place=path,
            remedy=Remedy("name it with {}", space=...),
        )
    here, network = get_space(chosen), found.module
    _check_channels(path, found, here, found.n_channels, "takes")
    card = {"form": found.title, "file": path.name}
    if hasattr(network, "at_scale"):
        if factor is None:
            raise ScaleError(
                f"{found.title} was trained for one factor, which only its file's name tells",
                place=path,
                remedy=Remedy("name it with {}, 1.25, 1.5 or 2 for the released ones", scale=...),
            )
        network = network.at_scale(float(as_scale(factor)))  # type: ignore[operator]
    if not hasattr(network, "factors"):
        own = as_scale(network.scale)  # type: ignore[arg-type]
        if factor is not None and as_scale(factor) != own:
            raise ScaleError(
                f"{found.title} gives a factor of {own}, not {as_scale(factor)}",
                place=path,
                remedy="take another file, or that factor",
            )
        return LatentMap(
            ModelDomain.of_raw(network, here, times=times).eval(), here, here, own, name=path.stem, card=card
        )
    module = AtScale(ModelDomain.of_raw(network, here, times=times), 2 if factor is None else factor).eval()
    return LatentMap(module, here, here, module.scale, name=path.stem, card=card)


@dataclass(frozen=True)
class Usual:
    """What an upscaler's usual file name tells, and nothing else does."""

    space: str | None = None
    scale: str | None = None


def _check_usual(path: Path, usual: Usual, space: LatentSpace | str | None, factor: Scale | None) -> None:
    """What is said must agree with what a usual name says."""
    if usual.space is not None and space is not None and get_space(space).name != usual.space:
        raise SpaceMismatchError(
            f"its usual name is that of an upscaler of {usual.space!r}, not of {get_space(space).name!r}",
            place=path,
            remedy="take one of that space, or rename the file if its name is wrong",
        )
    if usual.scale is not None and factor is not None and as_scale(factor) != as_scale(usual.scale):
        raise ScaleError(
            f"its usual name says that it was trained for a factor of {usual.scale}, not {as_scale(factor)}",
            place=path,
            remedy="take another file, or rename this one if its name is wrong",
        )


def usual_upscaler(stem: str) -> Usual:
    """City96's ``latent-upscaler-v2.1_SDxl-x1.5``, Ttl's ``sdxl_resizer``, sudo's ``SwinFIR4x6_mse_200k_1.5``."""
    city96, resizer, sudo = _codes("city96"), _codes("resizer"), _codes("sudo")
    if named := _match(_CITY96_UPSCALER, city96, stem):
        return Usual(city96[named[1]], named[2])
    if named := _match(_RESIZER, resizer, stem):
        return Usual(resizer[named[1]])
    if named := _match(_SUDO, sudo, stem):
        return Usual(sudo[named[1]])
    return Usual()


def _check_channels(path: Path, found: Recognised, space: LatentSpace, n_channels: int, verb: str) -> None:
    if space.channels != n_channels:
        raise SpaceMismatchError(
            f"{found.title} {verb} {n_channels} channels, space {space.name!r} has {space.channels}",
            place=path,
            remedy="name the file's own space",
        )
