"""What is used of ComfyUI, in one place; it is imported when a node runs, for this package does not depend on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentfit.errors import SpaceMismatchError

FOLDER = "latentfit"  # below ComfyUI's models, and its name in extra_model_paths.yaml
MAP_ENDINGS = frozenset({".safetensors", ".sft", ".pt", ".pth", ".ckpt", ".bin", ".json"})
PALETTE_ENDINGS = frozenset({".hex", ".txt", ".gpl", ".pal", ".act", ".png"})


def register_model_folder() -> None:
    """Tell ComfyUI of ``models/latentfit``, and make it; a folder that cannot be made is left out."""
    import folder_paths

    path = Path(folder_paths.models_dir) / FOLDER
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        import logging

        logging.getLogger(__name__).warning("LatentFit: %s cannot be made (%s)", path, error.strerror)
    folder_paths.add_model_folder_path(FOLDER, str(path))
    folder_paths.folder_names_and_paths[FOLDER][1].update(MAP_ENDINGS | PALETTE_ENDINGS)


def model_files(folder: str) -> list[str]:
    """Names of the files in one of ComfyUI's model folders, as its own lists have them."""
    import folder_paths

    return list(folder_paths.get_filename_list(folder))


def model_path(folder: str, name: str) -> Path | None:
    """Return the path of a listed file; None when it is gone."""
    import folder_paths

    found = folder_paths.get_full_path(folder, name)
    return None if found is None else Path(found)


def output_folder() -> Path:
    """Return ComfyUI's output folder."""
    import folder_paths

    return Path(folder_paths.get_output_directory())


def image_device() -> torch.device:
    """Return the device where nodes leave pictures and latents: the CPU, unless ComfyUI was started with --gpu-only."""
    import comfy.model_management

    device: torch.device = comfy.model_management.intermediate_device()
    return device


def managed(module: nn.Module) -> Any:
    """The module in the hands of ComfyUI's device management."""
    import comfy.model_management
    import comfy.model_patcher

    return comfy.model_patcher.ModelPatcher(
        module,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def on_device(patcher: Any, n_bytes: int) -> torch.device:
    """Bring a managed module to its device, after making room there for it and for `n_bytes`; which device that is."""
    import comfy.model_management

    comfy.model_management.load_models_gpu([patcher], memory_required=n_bytes)
    device: torch.device = patcher.load_device
    patcher.model.to(device)  # buffers of modules without parameters are nobody's weights there
    return device


@contextmanager
def progress(n_steps: int) -> Iterator[Any]:
    """A bar below the node; each ``update(1)`` also lets ComfyUI interrupt."""
    import comfy.utils

    yield comfy.utils.ProgressBar(n_steps)


def latent_format_of(model: Any) -> Any:
    """The latent format of a MODEL.

    Raises
    ------
    SpaceMismatchError
        When it has none: something else runs on the wire.
    """
    try:
        return (
            model.get_model_object("latent_format") if hasattr(model, "get_model_object") else model.model.latent_format
        )
    except AttributeError as error:
        raise SpaceMismatchError(
            "model",
            expected="a MODEL with a latent format",
            got=type(model).__name__,
            remedy="connect a loaded diffusion model, or choose the space in the node",
        ) from error
