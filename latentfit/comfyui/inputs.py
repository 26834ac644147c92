"""Inputs that several nodes have, with what their tooltips say."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from latentfit.comfyui import spaces
from latentfit.comfyui.map_files import Gives, complaint, labels, stamp_text
from latentfit.errors import LatentfitError, as_choice

Input = tuple[Any, ...]
CATEGORY = "latentfit"
Given = ParamSpec("Given")
Made = TypeVar("Made")


def told_of_widgets(run: Callable[Given, Made]) -> Callable[Given, Made]:
    """A node's work, whose errors call settings as its widgets do: ComfyUI shows their text."""

    @wraps(run)
    def told(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        try:
            return run(*args, **kwargs)
        except LatentfitError as error:
            raise error.told_as(as_choice) from error

    return told


class OfMapFile:
    """A node that reads the file its combo names: looked at before anything runs, and read anew when it changes."""

    CATEGORY = CATEGORY

    @classmethod
    def VALIDATE_INPUTS(cls, map_name: str) -> bool | str:
        return complaint(map_name)

    @classmethod
    def IS_CHANGED(cls, map_name: str, **_: Any) -> str:
        return stamp_text(map_name)


LATENTS: Input = ("LATENT", {"tooltip": "Raw latents, as every node of ComfyUI passes them."})
MODEL: Input = (
    "MODEL",
    {"tooltip": "Optional: the model that made the latents tells which space they are of, where 'space' is auto."},
)


def map_name(tooltip: str, *gives: Gives) -> Input:
    """Return a combo of files."""
    where = "From models/latentfit, models/vae_approx, and those that come with the package. Press R after adding one."
    return (labels(*gives), {"tooltip": f"{tooltip} {where}"})


def space() -> Input:
    """The combo that says what the latents are."""
    told = (
        "What the latents are. auto: what the connected model says, else what the file says. Files of other projects "
        "do not say it: then choose."
    )
    return (spaces.choices(), {"default": spaces.AUTO, "tooltip": told})
