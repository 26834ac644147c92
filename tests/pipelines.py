"""Pipelines of real classes with tiny random weights, and denoisers that know the answer."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import diffusers
import torch
from torch import Tensor

EMBEDDED = 16


def _seeded(make: Callable[..., Any], **config: Any) -> Any:
    torch.manual_seed(11)
    return make(**config).eval().requires_grad_(False)


def tiny_vae(channels: int, **config: Any) -> Any:
    """An AutoencoderKL of 8 px a cell."""
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    sizes = {"block_out_channels": (4,) * 4, "norm_num_groups": 1, "latent_channels": channels}
    return _seeded(diffusers.AutoencoderKL, **blocks, **sizes, **config)


def _unet(**config: Any) -> Any:
    return _seeded(
        diffusers.UNet2DConditionModel,
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        **config,
    )


def sd(scheduler: Any = None) -> tuple[Any, dict[str, Any]]:
    """A StableDiffusionPipeline, and the arguments of a call: guided, not square."""
    pipe = diffusers.StableDiffusionPipeline(
        vae=tiny_vae(4),
        text_encoder=None,
        tokenizer=None,
        unet=_unet(cross_attention_dim=EMBEDDED),
        scheduler=scheduler or diffusers.DDIMScheduler(clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _quiet(pipe), {**_prompts(), "height": 64, "width": 96}


def sdxl(scheduler: Any = None) -> tuple[Any, dict[str, Any]]:
    unet = _unet(
        cross_attention_dim=EMBEDDED,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + EMBEDDED,
    )
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=tiny_vae(4, scaling_factor=0.13025),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        scheduler=scheduler or diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    return _quiet(pipe), {**_prompts(pooled=True), "height": 96, "width": 64}


def sd3(scheduler: Any = None) -> tuple[Any, dict[str, Any]]:
    transformer = _seeded(
        diffusers.SD3Transformer2DModel,
        sample_size=8,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=EMBEDDED,
        caption_projection_dim=16,
        pooled_projection_dim=EMBEDDED,
        out_channels=16,
        pos_embed_max_size=16,
    )
    nothing = dict.fromkeys(
        ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "text_encoder_3", "tokenizer_3")
    )
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=scheduler or diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=tiny_vae(16, scaling_factor=1.5305, shift_factor=0.0609),
        **nothing,
    )
    return _quiet(pipe), {**_prompts(pooled=True), "height": 64, "width": 96}


def flux(scheduler: Any = None) -> tuple[Any, dict[str, Any]]:
    transformer = _seeded(
        diffusers.FluxTransformer2DModel,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=EMBEDDED,
        pooled_projection_dim=EMBEDDED,
        axes_dims_rope=(4, 4, 8),
    )
    pipe = diffusers.FluxPipeline(
        scheduler=scheduler or diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=tiny_vae(16, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )
    prompts = {"prompt_embeds": _noise(1, 5, EMBEDDED), "pooled_prompt_embeds": _noise(1, EMBEDDED)}
    return _quiet(pipe), {**prompts, "height": 64, "width": 112}


def flux2(scheduler: Any = None) -> tuple[Any, dict[str, Any]]:
    transformer = _seeded(
        diffusers.Flux2Transformer2DModel,
        in_channels=128,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=EMBEDDED,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
    )
    vae = _seeded(diffusers.AutoencoderKLFlux2, block_out_channels=(4,) * 4, norm_num_groups=1, latent_channels=32)
    pipe = diffusers.Flux2Pipeline(
        scheduler=scheduler or diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
    )
    return _quiet(pipe), {"prompt_embeds": _noise(1, 5, EMBEDDED), "height": 64, "width": 112}


def run(pipe: Any, call: dict[str, Any], n_steps: int = 4, **more: Any) -> Tensor:
    """The latents that the pipeline ends with; always of the same seed."""
    seed = torch.Generator().manual_seed(3)
    settings = {"num_inference_steps": n_steps, "output_type": "latent", "generator": seed, **call, **more}
    latents: Tensor = pipe(**settings).images
    return latents


def _quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _prompts(pooled: bool = False) -> dict[str, Tensor]:
    words = {"prompt_embeds": _noise(1, 5, EMBEDDED), "negative_prompt_embeds": -_noise(1, 5, EMBEDDED)}
    if pooled:
        words |= {"pooled_prompt_embeds": _noise(1, EMBEDDED), "negative_pooled_prompt_embeds": -_noise(1, EMBEDDED)}
    return words


class Oracle:
    """A denoiser that knows x0: given what a network is given, scaled input and timestep, it predicts without error.

    The noise level is found from the timestep alone, as a network learns it: ``log(sigma)`` of the training schedule,
    linear between its whole timesteps.
    """

    def __init__(self, scheduler: Any, x0: Tensor, kind: str) -> None:
        self.scheduler, self.x0, self.kind = scheduler, x0, kind

    def sigma(self, timestep: Tensor | float) -> float:
        """Of the noise relative to x0; for flow matching its share."""
        if self.kind == "flow":
            return float(timestep) / self.scheduler.config.num_train_timesteps
        kept = self.scheduler.alphas_cumprod.double()
        logs = ((1 - kept) / kept).sqrt().log()
        low = min(int(timestep), len(logs) - 2)
        part = float(timestep) - low
        return math.exp((1 - part) * float(logs[low]) + part * float(logs[low + 1]))

    def __call__(self, scaled: Tensor, timestep: Tensor | float) -> Tensor:
        sigma = self.sigma(timestep)
        if self.kind == "flow":
            return (scaled - self.x0) / sigma
        alpha = 1 / math.sqrt(1 + sigma**2)
        noise = (scaled - alpha * self.x0) / (alpha * sigma)
        if self.kind == "epsilon":
            return noise
        return self.x0 if self.kind == "sample" else alpha * noise - alpha * sigma * self.x0


def loop(scheduler: Any, oracle: Oracle, n_steps: int = 6, **settings: Any) -> SimpleNamespace:
    """What every pipeline does, as an object with `scheduler` that is called."""

    def call() -> Tensor:
        scheduler.set_timesteps(n_steps, **settings)
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(oracle.x0.shape, generator=generator)
        latents = noise * float(getattr(scheduler, "init_noise_sigma", 1.0))
        if oracle.kind != "flow" and getattr(scheduler, "init_noise_sigma", 1.0) == 1.0:
            alpha = 1 / math.sqrt(1 + oracle.sigma(scheduler.timesteps[0]) ** 2)
            latents = alpha * oracle.x0 + math.sqrt(1 - alpha**2) * noise
        for timestep in scheduler.timesteps:
            scale = getattr(scheduler, "scale_model_input", lambda sample, _: sample)
            predicted = oracle(scale(latents, timestep), timestep)
            latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
        return latents

    return SimpleNamespace(scheduler=scheduler, call=call)
