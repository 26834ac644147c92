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


def panorama(scheduler: Any = None) -> tuple[Any, dict[str, Any]]:
    """MultiDiffusion over views of 8 x 8 cells, every 4: nine of them, as its own windows of 64 would give."""

    class SmallViews(diffusers.StableDiffusionPanoramaPipeline):  # type: ignore[misc]
        def get_views(self, height: int, width: int, circular_padding: bool = False) -> Any:
            return super().get_views(height, width, window_size=8, stride=4, circular_padding=circular_padding)

    parts, call = sd(scheduler)
    pipe = SmallViews(**parts.components, requires_safety_checker=False)
    return _quiet(pipe), {**call, "height": 128, "width": 128}


def svd(n_frames: int = 4) -> tuple[Any, dict[str, Any]]:
    """Stable Video Diffusion of as many frames as its latents have channels."""
    unet = _seeded(
        diffusers.UNetSpatioTemporalConditionModel,
        block_out_channels=(32, 32),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=EMBEDDED,
        num_attention_heads=2,
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
    )
    vae = _seeded(
        diffusers.AutoencoderKLTemporalDecoder,
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
    )

    class Imageless(diffusers.StableVideoDiffusionPipeline):  # type: ignore[misc]
        """Whose picture's embedding is given: there is no image encoder here."""

        def _encode_image(self, image: Any, device: Any, n_videos: int, is_guided: bool) -> Tensor:
            return _noise(1 + is_guided, 1, EMBEDDED)

    scheduler = diffusers.EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True)
    pipe = Imageless(vae=vae, image_encoder=_Float(), unet=unet, scheduler=scheduler, feature_extractor=None)
    call = {"image": torch.rand(1, 3, 64, 96), "height": 64, "width": 96, "num_frames": n_frames}
    return _quiet(pipe), call | {"motion_bucket_id": 5}


class _Float(torch.nn.Module):
    """Says its precision and place, and is asked for nothing else."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype


def cogvideox(n_frames: int = 61) -> tuple[Any, dict[str, Any]]:
    """CogVideoX with 16 frames of 16 channels: only the class says which axis is which."""
    transformer = _seeded(
        diffusers.CogVideoXTransformer3DModel,
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=16,
        out_channels=16,
        time_embed_dim=2,
        text_embed_dim=EMBEDDED,
        num_layers=1,
        sample_width=12,
        sample_height=8,
        sample_frames=n_frames,
        max_text_seq_length=5,
    )
    vae = _seeded(diffusers.AutoencoderKLCogVideoX, block_out_channels=(8,) * 4, norm_num_groups=2, layers_per_block=1)
    pipe = diffusers.CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.CogVideoXDDIMScheduler(),
    )
    return _quiet(pipe), {**_prompts(), "height": 64, "width": 96, "num_frames": n_frames}


def kandinsky5(n_frames: int = 61) -> tuple[Any, dict[str, Any]]:
    """Kandinsky 5, whose channels lie last, with 16 frames of 16 channels."""
    transformer = _seeded(
        diffusers.Kandinsky5Transformer3DModel,
        in_visual_dim=16,
        in_text_dim=EMBEDDED,
        in_text_dim2=EMBEDDED,
        time_dim=16,
        out_visual_dim=16,
        model_dim=32,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(4, 4, 8),
        visual_cond=False,
    )
    vae = _seeded(
        diffusers.AutoencoderKLHunyuanVideo, block_out_channels=(8,) * 4, norm_num_groups=2, layers_per_block=1
    )
    pipe = diffusers.Kandinsky5T2VPipeline(
        transformer=transformer,
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )
    words = {"prompt_embeds_qwen": _noise(1, 5, EMBEDDED), "prompt_embeds_clip": _noise(1, EMBEDDED)}
    words |= {"prompt_cu_seqlens": torch.tensor([0, 5])}
    words |= {f"negative_{name}": value for name, value in words.items()}
    return _quiet(pipe), {**words, "height": 64, "width": 96, "num_frames": n_frames}


def wan(n_frames: int = 61) -> tuple[Any, dict[str, Any]]:
    """Wan 2.1 with 16 frames of 16 channels, which lie first."""
    pipe = diffusers.WanPipeline(
        tokenizer=None,
        text_encoder=None,
        transformer=_wan_transformer(),
        vae=_seeded(diffusers.AutoencoderKLWan, base_dim=4, num_res_blocks=1),
        scheduler=diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
    )
    return _quiet(pipe), {**_prompts(), "height": 64, "width": 96, "num_frames": n_frames}


def _wan_transformer() -> Any:
    return _seeded(
        diffusers.WanTransformer3DModel,
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=EMBEDDED,
        freq_dim=16,
        ffn_dim=16,
        num_layers=1,
        rope_max_seq_len=32,
    )


def skyreels() -> tuple[Any, dict[str, Any]]:
    """SkyReels-V2 with diffusion forcing: each frame has a copy of the scheduler."""
    transformer = _seeded(
        diffusers.SkyReelsV2Transformer3DModel,
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=EMBEDDED,
        freq_dim=256,
        ffn_dim=16,
        num_layers=1,
        rope_max_seq_len=32,
        inject_sample_info=False,
    )
    pipe = diffusers.SkyReelsV2DiffusionForcingPipeline(
        tokenizer=None,
        text_encoder=None,
        transformer=transformer,
        vae=_seeded(diffusers.AutoencoderKLWan, base_dim=4, num_res_blocks=1),
        scheduler=diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
    )
    return _quiet(pipe), {"prompt": None, **_prompts(), "height": 64, "width": 96, "num_frames": 9}


def qwen() -> tuple[Any, dict[str, Any]]:
    transformer = _seeded(
        diffusers.QwenImageTransformer2DModel,
        in_channels=64,
        out_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=EMBEDDED,
        axes_dims_rope=(4, 4, 8),
    )
    pipe = diffusers.QwenImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_seeded(diffusers.AutoencoderKLQwenImage, base_dim=4, num_res_blocks=1),
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
    )
    words = _prompts()
    words |= {name.replace("embeds", "embeds_mask"): torch.ones(1, 5, dtype=torch.long) for name in words}
    return _quiet(pipe), {**words, "height": 64, "width": 112}


def animatediff() -> tuple[Any, dict[str, Any]]:
    """AnimateDiff with 4 frames of 4 channels, and windows of frames (FreeNoise)."""
    adapter = _seeded(
        diffusers.MotionAdapter,
        block_out_channels=(8, 8),
        motion_layers_per_block=2,
        motion_norm_num_groups=2,
        motion_num_attention_heads=2,
    )
    parts, call = sd()
    unet = _seeded(
        diffusers.UNet2DConditionModel,
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=2,
        norm_num_groups=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=EMBEDDED,
        attention_head_dim=2,
    )
    pipe = diffusers.AnimateDiffPipeline(
        vae=parts.vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        motion_adapter=adapter,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, beta_schedule="linear"),
    )
    return _quiet(pipe), {**call, "num_frames": 4}


def cosmos() -> tuple[Any, dict[str, Any]]:
    """Cosmos 1.0, which asks its scheduler twice a timestep: for x0 of both halves of guidance, then for the step."""
    transformer = _seeded(
        diffusers.CosmosTransformer3DModel,
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=1,
        mlp_ratio=2,
        text_embed_dim=EMBEDDED,
        adaln_lora_dim=4,
        max_size=(4, 32, 32),
        patch_size=(1, 2, 2),
        rope_scale=(2.0, 1.0, 1.0),
        concat_padding_mask=False,
        extra_pos_embed_type="learnable",
    )

    vae = _seeded(
        diffusers.AutoencoderKLCosmos,
        encoder_block_out_channels=(8,) * 4,
        decode_block_out_channels=(8,) * 4,
        resolution=64,
        num_layers=1,
    )
    scheduler = diffusers.EDMEulerScheduler(
        sigma_data=1.0, sigma_max=80.0, sigma_min=0.002, final_sigmas_type="sigma_min"
    )
    pipe = diffusers.CosmosTextToWorldPipeline(
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
        vae=vae,
        scheduler=scheduler,
        safety_checker=_Permissive(),
    )
    return _quiet(pipe), {**_prompts(), "height": 64, "width": 96, "num_frames": 9}


class _Permissive:
    """A safety checker that finds everything safe."""

    def to(self, device: Any) -> "_Permissive":
        return self

    def check_text_safety(self, text: str) -> bool:
        return True


MODULAR = {
    "flux": ("FluxAutoBlocks", "flux1"),
    "flux2": ("Flux2AutoBlocks", "flux2"),
    "sd3": ("StableDiffusion3AutoBlocks", "sd3"),
    "sdxl": ("StableDiffusionXLAutoBlocks", "sdxl"),
    "qwen": ("QwenImageAutoBlocks", "wan21"),
    "wan": ("WanBlocks", "wan21"),
}
"""Modular pipelines: their blocks and space; the parts are those of the pipelines above."""


def modular(kind: str) -> tuple[Any, dict[str, Any]]:
    """A modular pipeline without text encoders, from latents to latents."""
    blocks = getattr(diffusers, MODULAR[kind][0])()
    for name in set(blocks.sub_blocks) - {"denoise"}:
        blocks.sub_blocks.pop(name)
    plain, call = globals()[kind]()
    pipe = blocks.init_pipeline()
    wanted = {name for name in ("transformer", "unet", "scheduler", "vae") if name in pipe.components}
    pipe.update_components(**{name: plain.components[name] for name in wanted})
    return pipe, call


def run_modular(pipe: Any, call: dict[str, Any], n_steps: int = 4) -> Tensor:
    """The latents that a modular pipeline ends with."""
    seed = torch.Generator().manual_seed(3)
    latents: Tensor = pipe(num_inference_steps=n_steps, generator=seed, output="latents", **call)
    return latents


def run(pipe: Any, call: dict[str, Any], n_steps: int = 4, **more: Any) -> Tensor:
    """The latents that the pipeline ends with; always of the same seed."""
    seed = torch.Generator().manual_seed(3)
    settings = {"num_inference_steps": n_steps, "output_type": "latent", "generator": seed, **call, **more}
    output = pipe(**settings)
    latents: Tensor = output.images if hasattr(output, "images") else output.frames
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
