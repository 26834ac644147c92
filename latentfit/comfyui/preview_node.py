"""LatentFit Preview: MODEL -> MODEL whose sampling is shown by a fitted map."""

from typing import Any

from latentfit.comfyui import inputs, preview_hook, spaces
from latentfit.errors import SpaceMismatchError
from latentfit.latents.spaces import LatentSpace


class LatentFitPreview(inputs.OfMapFile):
    """MODEL -> MODEL with a choice of preview."""

    DESCRIPTION = (
        "While this model samples, a fitted map draws the preview instead of Latent2RGB, also where previews are "
        "switched off in ComfyUI. The result of the sampling is the same to the bit. Bypass the node to be rid of it."
    )
    RETURN_TYPES = ("MODEL",)
    OUTPUT_TOOLTIPS = ("The same model; connect it to the sampler.",)
    FUNCTION = "choose"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        steps = "Draw each so many steps, the first included."
        return {
            "required": {
                "model": ("MODEL", {"tooltip": "The model to be sampled."}),
                "map_name": inputs.map_name("The map; its space must be the model's.", "rgb", "palette"),
                "every_n_steps": ("INT", {"default": 1, "min": 1, "max": 1000, "tooltip": steps}),
                "space": inputs.space(),
            },
        }

    @inputs.told_of_widgets
    def choose(self, model: Any, map_name: str, every_n_steps: int, space: str) -> tuple[Any]:
        if not hasattr(model, "clone"):
            raise SpaceMismatchError(
                "model",
                expected="a MODEL, as checkpoint and diffusion model loaders give it",
                got=type(model).__name__,
                remedy="connect the model that will be sampled",
            )
        stated = _space_of(model, space)
        choice = preview_hook.Choice(map_name, None if stated is None else stated.name, every_n_steps)
        choice.load()  # what is wrong with the file, or its space, is said before the sampling begins
        preview_hook.install()
        clone = model.clone()
        clone.model_options[preview_hook.KEY] = choice
        return (clone,)


def _space_of(model: Any, space: str) -> LatentSpace | None:
    """What the model or the node says; None for a model of an unknown format: then the file's own counts."""
    try:
        return spaces.stated_space(space, model)
    except SpaceMismatchError:
        if space != spaces.AUTO:
            raise
        return None
