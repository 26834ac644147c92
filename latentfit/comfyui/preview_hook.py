"""A fitted map in place of ComfyUI's own previewer, for models that ask for one; whatever fails, sampling goes on.

Samplers call `latent_preview.prepare_callback(model, …)`, which asks `latent_preview.get_previewer` for a previewer and
builds the callback around it. Only for the length of that call, and only for a model with a choice, ours stands in for
the second: so the callback stays ComfyUI's, and packs that wrap every previewer they know never meet one that they do
not.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from latentfit.comfyui import maps, spaces
from latentfit.comfyui.map_files import Stamp, existing
from latentfit.comfyui.previewing import MapPreview
from latentfit.latents.spaces import get_space
from latentfit.maps.contracts import Approximation
from latentfit.runtime.escaping import one_line

KEY = "latentfit_preview"  # in a MODEL's options, which clones and other nodes carry along
VARIABLE = "LATENTFIT_PREVIEW"  # labels of map files, for models that no node says anything of
_log = logging.getLogger(__name__)
_swapping = threading.RLock()
_installed = False


@dataclass(frozen=True)
class Choice:
    """What is to be shown of a model's sampling.

    Attributes
    ----------
    label : str
        Label of a map file.
    space : str or None
        Space of the model, or of a file that does not say it; None: neither is known.
    every : int
        Show each so many steps.
    """

    label: str
    space: str | None = None
    every: int = 1

    def load(self) -> Approximation:
        """The map, read once for previews alone.

        Raises
        ------
        LatentfitError
            When the file is gone or broken, or of another space.
        """
        return _loaded(Stamp.of(existing(self.label)), self.label, self.space)


def install() -> None:
    """Stand in front of `latent_preview.prepare_callback`, once."""
    global _installed
    if not _installed:
        import latent_preview

        latent_preview.prepare_callback = watched(latent_preview.prepare_callback, latent_preview)
        _installed = True


def watched(original: Callable[..., Any], latent_preview: Any) -> Callable[..., Any]:
    """`prepare_callback` as it was for models without a choice; for the others it finds our previewer."""

    @functools.wraps(original)
    def prepare_callback(model: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            choice = choice_for(model)
            approximation = None if choice is None else choice.load()
        except Exception as error:  # noqa: BLE001 - a preview must not stop the sampling
            _log.warning("LatentFit Preview: ComfyUI shows its own instead: %s", one_line(error))
            choice = approximation = None
        if choice is None or approximation is None:
            return original(model, *args, **kwargs)
        with _swapping:
            theirs = latent_preview.get_previewer

            def get_previewer(*about: Any, **named: Any) -> Any:
                ours = MapPreview(approximation, choice.every, is_told=choice.space is not None)
                return _previewer(latent_preview, ours, theirs(*about, **named))

            latent_preview.get_previewer = get_previewer
            try:
                return original(model, *args, **kwargs)
            finally:
                latent_preview.get_previewer = theirs

    return prepare_callback


def choice_for(model: Any) -> Choice | None:
    """What to show for a MODEL: what a node said, else the first map of its space that the variable names."""
    said = getattr(model, "model_options", {}).get(KEY)
    if isinstance(said, Choice):
        return said
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    if not names:
        return None
    space = spaces.space_of_model(model)
    choices = (Choice(name) for name in names)
    found = next((choice for choice in choices if choice.load().space == space), None)
    return found and replace(found, space=space.name)


def _previewer(latent_preview: Any, ours: MapPreview, theirs: Any) -> Any:
    """An object of ComfyUI's class that shows our picture, and theirs once ours has failed."""

    class LatentFitPreviewer(latent_preview.LatentPreviewer):  # type: ignore[misc]
        def decode_latent_to_preview(self, x0: Any) -> Any:
            picture = ours.picture(x0)
            return theirs.decode_latent_to_preview(x0) if ours.has_failed and theirs is not None else picture

        def decode_latent_to_preview_image(self, preview_format: str, x0: Any) -> Any:
            if not ours.has_failed and not ours.is_due():
                return None
            picture = ours.picture(x0)
            if picture is not None:
                return "JPEG", picture, latent_preview.MAX_PREVIEW_RESOLUTION
            return None if theirs is None else theirs.decode_latent_to_preview_image(preview_format, x0)

    return LatentFitPreviewer()


@lru_cache(maxsize=2)
def _loaded(stamp: Stamp, label: str, space: str | None) -> Approximation:
    return maps.fresh_approximation(label, None if space is None else get_space(space))
