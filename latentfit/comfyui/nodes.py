"""What ComfyUI reads: the nodes by name, and how they are called in its menus."""

import os

from latentfit.comfyui import host, preview_hook
from latentfit.comfyui.decode import LatentFitDecode
from latentfit.comfyui.latent_nodes import LatentFitInterpose, LatentFitUpscale
from latentfit.comfyui.palettizing import LatentFitPalettize
from latentfit.comfyui.preview_node import LatentFitPreview
from latentfit.comfyui.save_pairs import LatentFitSavePairs

NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentFitDecode": LatentFitDecode,
    "LatentFitPalettize": LatentFitPalettize,
    "LatentFitInterpose": LatentFitInterpose,
    "LatentFitUpscale": LatentFitUpscale,
    "LatentFitPreview": LatentFitPreview,
    "LatentFitSavePairs": LatentFitSavePairs,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LatentFitDecode": "LatentFit Decode",
    "LatentFitPalettize": "LatentFit Palettize",
    "LatentFitInterpose": "LatentFit Interpose",
    "LatentFitUpscale": "LatentFit Upscale",
    "LatentFitPreview": "LatentFit Preview",
    "LatentFitSavePairs": "LatentFit Save Pairs",
}


def begin() -> None:
    """What must be there before a workflow is opened: the model folder, and previews that were asked for everywhere."""
    host.register_model_folder()
    if os.environ.get(preview_hook.VARIABLE):
        preview_hook.install()
