"""Nodes that only the tests use: a tiny model without weights, records of its estimates, and what is on a wire."""

import os
import time

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import folder_paths
import torch
from safetensors.torch import save_file

WIDTH = 16


class TinyUnet(torch.nn.Module):
    """Two random convolutions: a denoiser by its shape, not by what it has learned."""

    def __init__(self, device=None, operations=None, **config):
        super().__init__()
        torch.manual_seed(0)
        self.dtype = torch.float32
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(4, WIDTH, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(WIDTH, 4, 3, padding=1)
        )

    def forward(self, x, timesteps=None, context=None, **rest):
        return self.net(x)


class TinyConfig(comfy.supported_models_base.BASE):
    """SD1's latents."""

    unet_extra_config = {}
    latent_format = comfy.latent_formats.SD15


class ProbeTinyModel:
    """A MODEL of SD1's latents whose estimates draw near the given latents; NaN from a step on, if asked."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "towards": ("LATENT",),
                "nan_from_step": ("INT", {"default": 0, "min": 0, "max": 1000}),
                "seconds": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 10.0}),
            }
        }

    RETURN_TYPES = ("MODEL", "CONDITIONING")
    FUNCTION = "make"
    CATEGORY = "probe"

    def make(self, towards, nan_from_step, seconds):
        config = TinyConfig({"in_channels": 4})
        config.set_inference_dtype(torch.float32, None)
        network = comfy.model_base.BaseModel(config, unet_model=TinyUnet)
        device = comfy.model_management.get_torch_device()
        patcher = comfy.model_patcher.ModelPatcher(network, device, comfy.model_management.unet_offload_device())
        target = config.latent_format.process_in(towards["samples"])
        calls = []

        def towards_target(apply_model, arguments):
            x, timestep = arguments["input"], arguments["timestep"]
            calls.append(1)
            time.sleep(seconds)
            own = 0.5 / (1 + timestep[0])  # so much of its estimate is the network's
            estimate = own * apply_model(x, timestep, **arguments["c"]) + (1 - own) * target[:1].to(x)
            return estimate * float("nan") if nan_from_step and len(calls) >= nan_from_step else estimate

        patcher.set_model_unet_function_wrapper(towards_target)
        return (patcher, [[torch.zeros(1, 4, 8), {}]])


class ProbeEstimates:
    """Writes each estimate of a sampling, in the model domain, to the output folder."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "name": ("STRING", {"default": "estimate"})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "watch"
    CATEGORY = "probe"

    def watch(self, model, name):
        clone = model.clone()
        n_seen = []

        def record(arguments):
            path = os.path.join(folder_paths.get_output_directory(), f"{name}_{len(n_seen)}.safetensors")
            save_file({"x0": arguments["denoised"].contiguous().cpu()}, path)
            n_seen.append(1)
            return arguments["denoised"]

        clone.set_model_sampler_post_cfg_function(record)
        return (clone,)


class ProbeWire:
    """Says what is on a LATENT wire."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "tell"
    CATEGORY = "probe"

    def tell(self, samples):
        shapes = {key: list(value.shape) if hasattr(value, "shape") else value for key, value in samples.items()}
        return {"ui": {"wire": [shapes]}}


NODE_CLASS_MAPPINGS = {"ProbeTinyModel": ProbeTinyModel, "ProbeEstimates": ProbeEstimates, "ProbeWire": ProbeWire}
