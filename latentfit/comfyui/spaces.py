"""Which latent space the latents on a wire are of: ComfyUI's own do not say."""

import logging
from typing import Any

from torch import Tensor

from latentfit.comfyui import host
from latentfit.errors import SpaceMismatchError
from latentfit.latents.likely_space import doubt_of
from latentfit.latents.spaces import LatentSpace, get_space, list_spaces

AUTO = "auto"
_log = logging.getLogger(__name__)


def choices() -> list[str]:
    """Return the choices of a combo of spaces."""
    return [AUTO, *(space.name for space in list_spaces())]


def space_of_model(model: Any) -> LatentSpace:
    """The space of a MODEL's latent format, by the name of its class.

    Raises
    ------
    SpaceMismatchError
        When no registered space has that class.
    """
    name = type(host.latent_format_of(model)).__name__
    for space in list_spaces():
        if space.comfy_class == name:
            return space
    raise SpaceMismatchError(
        f"this model's latents are of ComfyUI's format {name}, which is no registered latent space",
        remedy="choose the space in the node, or leave its input 'model' open",
    )


def stated_space(choice: str, model: Any | None) -> LatentSpace | None:
    """Return the space that the node states: the chosen one, else that of the model; None where it says neither.

    Raises
    ------
    SpaceMismatchError
        When both say it, and differently.
    """
    chosen = None if choice == AUTO else get_space(choice)
    told = None if model is None else space_of_model(model)
    if chosen is not None and told is not None and chosen != told:
        raise SpaceMismatchError(
            f"the node says the latents are {chosen.name!r}, the model that it is given makes {told.name!r}",
            remedy=f"set 'space' to {AUTO}, or take the model away",
        )
    return chosen or told


def agree(label: str, of_file: LatentSpace, stated: LatentSpace | None) -> None:
    """Raise `SpaceMismatchError` unless a file's space is the stated one, or none is stated."""
    if stated is not None and stated != of_file:
        raise SpaceMismatchError(
            f"{label}: takes latents of {of_file.name!r} ({of_file.channels} channels), these "
            f"are {stated.name!r} ({stated.channels})",
            remedy=(
                f"choose a file for {stated.name!r}, or put LatentFit Interpose {stated.name} "
                f"-> {of_file.name} between them"
            ),
        )


def doubted(label: str, latents: Tensor, space: LatentSpace) -> str:
    """Log what speaks against a wire's latents being of the space that a map or a node takes them for.

    Parameters
    ----------
    label : str
        Who takes them.
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w)
        Model domain of `space`.
    space : LatentSpace

    Returns
    -------
    str
        What was logged; empty where nothing speaks against it.
    """
    doubt = doubt_of(latents.detach().float().cpu(), space)
    if doubt is None:
        return ""
    if doubt.domain != doubt.taken_domain:
        advice = "what made them should leave shifting and scaling to the nodes that follow: a wire's latents are raw"
    elif doubt.kind == "axes":
        advice = "choose a map of the space that they are of"
    else:
        advice = f"choose a map of {doubt.spaces[0].name}, or that space in 'space'"
    said = f"{label}: its latents were {doubt}; if so, {advice}"
    _log.warning("LatentFit: %s", said)
    return said
