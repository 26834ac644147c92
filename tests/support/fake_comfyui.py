"""A thin stand-in of the few modules of ComfyUI that the nodes use, over folders of a test."""

import copy
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image


class Format:
    """A latent format; ComfyUI tells them apart by their class."""


class SD15(Format): ...


class SDXL(Format): ...


class Mystery(Format): ...


class Model:
    """A MODEL, as far as it is looked at."""

    def __init__(self, latent_format: Format) -> None:
        self.latent_format, self.model_options, self.load_device = latent_format, {"transformer_options": {}}, "cpu"

    def clone(self) -> "Model":
        other = Model(self.latent_format)
        other.model_options = copy.deepcopy(self.model_options)
        return other

    def get_model_object(self, name: str) -> Any:
        return getattr(self, name)


class Patcher:
    """ComfyUI's ModelPatcher."""

    def __init__(self, model: torch.nn.Module, load_device: torch.device, offload_device: torch.device) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device


class ProgressBar:
    """Records what it is told."""

    updates: list[tuple[int, Any]] = []

    def __init__(self, total: int) -> None:
        self.total, self.current = total, 0

    def update(self, n: int) -> None:
        self.current += n

    def update_absolute(self, value: int, total: int, preview: Any = None) -> None:
        self.updates.append((value, preview))


class ComfyUi:
    """The modules, put into `sys.modules` until the test ends.

    Attributes
    ----------
    root : Path
        With models, output.
    moved : list
        Modules that were asked to be on their device.
    latent_preview : module
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.moved = root, []
        for name in ("models/vae_approx", "output", "custom_nodes", "input"):
            (root / name).mkdir(parents=True)
        ProgressBar.updates = []
        self.latent_preview = self._previews()
        comfy = ModuleType("comfy")
        made = {
            "comfy": comfy,
            "comfy.model_management": self._management(),
            "comfy.model_patcher": _module("comfy.model_patcher", ModelPatcher=Patcher),
            "comfy.utils": _module("comfy.utils", ProgressBar=ProgressBar),
            "folder_paths": self._folders(),
            "latent_preview": self.latent_preview,
        }
        for name, module in made.items():
            if name.startswith("comfy."):
                setattr(comfy, name.removeprefix("comfy."), module)
            monkeypatch.setitem(sys.modules, name, module)

    def _management(self) -> ModuleType:
        cpu = torch.device("cpu")

        def load_models_gpu(models: list[Patcher], memory_required: int = 0) -> None:
            self.moved += [one.model for one in models]

        return _module(
            "comfy.model_management",
            intermediate_device=lambda: cpu,
            get_torch_device=lambda: cpu,
            unet_offload_device=lambda: cpu,
            load_models_gpu=load_models_gpu,
        )

    def _folders(self) -> ModuleType:
        models = self.root / "models"
        known: dict[str, tuple[list[str], set[str]]] = {
            "vae_approx": ([str(models / "vae_approx")], {".pt", ".safetensors"})
        }

        def add_model_folder_path(name: str, path: str) -> None:
            known.setdefault(name, ([], set()))[0].append(path)

        def get_filename_list(name: str) -> list[str]:
            folders, endings = known[name]
            paths = [path for folder in folders for path in Path(folder).rglob("*") if path.suffix in endings]
            return sorted(os.path.relpath(path, next(f for f in folders if path.is_relative_to(f))) for path in paths)

        def get_full_path(name: str, file: str) -> str | None:
            paths = [os.path.join(folder, file) for folder in known[name][0]]
            return next((path for path in paths if os.path.isfile(path)), None)

        return _module(
            "folder_paths",
            models_dir=str(models),
            folder_names_and_paths=known,
            add_model_folder_path=add_model_folder_path,
            get_filename_list=get_filename_list,
            get_full_path=get_full_path,
            get_output_directory=lambda: str(self.root / "output"),
        )

    def _previews(self) -> ModuleType:
        """A previewer that shows grey, and a callback that asks it."""

        class LatentPreviewer:
            def decode_latent_to_preview_image(self, preview_format: str, x0: torch.Tensor) -> Any:
                return ("JPEG", self.decode_latent_to_preview(x0), 512)

            def decode_latent_to_preview(self, x0: torch.Tensor) -> Any:
                return Image.new("RGB", (2, 2), (9, 9, 9))

        module = _module("latent_preview", LatentPreviewer=LatentPreviewer, MAX_PREVIEW_RESOLUTION=512)

        def get_previewer(device: Any, latent_format: Any) -> Any:
            return LatentPreviewer()

        def prepare_callback(model: Model, steps: int, x0_output_dict: dict[str, Any] | None = None) -> Any:
            previewer = module.get_previewer(model.load_device, model.latent_format)
            bar = ProgressBar(steps)

            def callback(step: int, x0: torch.Tensor, x: torch.Tensor, total_steps: int) -> None:
                if x0_output_dict is not None:
                    x0_output_dict["x0"] = x0
                picture = previewer.decode_latent_to_preview_image("JPEG", x0) if previewer else None
                bar.update_absolute(step + 1, total_steps, picture)

            return callback

        module.get_previewer, module.prepare_callback = get_previewer, prepare_callback
        return module


def _module(name: str, **content: Any) -> Any:
    module = ModuleType(name)
    vars(module).update(content)
    return module
