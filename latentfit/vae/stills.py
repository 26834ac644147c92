"""How one picture goes through an autoencoder of diffusers: as it is, as a frame, as a clip, or not at all."""

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from latentfit.errors import VaeError

_SOUND = "of sound", "take the VAE that makes the pictures or the video"
NOT_OF_PICTURES: dict[str, tuple[str, str]] = {
    "AutoencoderKLKVAEAudio": _SOUND,
    "AutoencoderKLLTX2Audio": _SOUND,
    "AutoencoderKLMiniMaxH3Audio": _SOUND,
    "AutoencoderOobleck": _SOUND,
    "AutoencoderSAME": _SOUND,
    "Cosmos3AVAEAudioTokenizer": _SOUND,
    "LongCatAudioDiTVae": _SOUND,
    "MMAudioVAE": _SOUND,
    "MMAudioVocoder": _SOUND,
    "MiniMaxMusic3Vocoder": _SOUND,
    "RFD4ProteinaAutoencoder": ("of proteins", "take one of pictures"),
    "LTX2VideoDiffusionDecoderModel": (
        "a decoder without an encoder",
        "take AutoencoderKLLTX2Video, whose latents it decodes",
    ),
}
"""Classes of diffusers that no picture goes through: what they are, and what to do."""

_ONE_BY_ONE = ("AutoencoderKLHunyuanVideo15",)
"""Classes that take no batch: the attention mask of HunyuanVideo 1.5 is that of one video."""

_VIDEO_LABELS = ("temporal_compression_ratio", "scale_factor_temporal", "temperal_downsample")


class Way(Protocol):
    """The road of signed pictures through a module: ``(N, c, H, W)`` -> own latents ``(N, C, h, w)``, and back."""

    only_px: int | None
    """Side of the one picture that it takes; None: any."""

    def encode(self, module: Any, signed: Tensor) -> Tensor: ...

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor: ...


class Pictures:
    """Four axes in, four out."""

    only_px: int | None = None

    def encode(self, module: Any, signed: Tensor) -> Tensor:
        return mode_of(module.encode(signed))

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor:
        return _sample(module.decode(own, **options))


class SquarePictures(Pictures):
    """A representation autoencoder resizes every picture to one square, silently: only that square may enter."""

    def __init__(self, side_px: int, side_cells: int) -> None:
        self.only_px, self._side_cells = side_px, side_cells

    def encode(self, module: Any, signed: Tensor) -> Tensor:
        self._check(signed, self.only_px, "px")
        return super().encode(module, signed)

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor:
        self._check(own, self._side_cells, "cells")
        return super().decode(module, own, options)

    def _check(self, given: Tensor, side: int | None, unit: str) -> None:
        if tuple(given.shape[-2:]) != (side, side):
            raise VaeError(
                "AutoencoderRAE",
                expected=f"{side} x {side} {unit}, the one size that it takes",
                got=f"{given.shape[-2]} x {given.shape[-1]}",
                remedy=f"crop pictures to {self.only_px} x {self.only_px} px",
            )


class Frames:
    """One frame of a video: a fifth axis of one in, the first frame out."""

    only_px: int | None = None

    def encode(self, module: Any, signed: Tensor) -> Tensor:
        own = mode_of(module.encode(signed.unsqueeze(2)))
        return own[:, :, 0] if own.ndim == 5 else own

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor:
        signed = _sample(module.decode(own.unsqueeze(2), **options))
        return signed[:, :, 0] if signed.ndim == 5 else signed


class AllegroFrames(Frames):
    """Allegro takes 24 frames in tiles of one size; a still is as many frames as one latent frame stands for."""

    def encode(self, module: Any, signed: Tensor) -> Tensor:
        n_frames = int(module.config.temporal_compression_ratio)
        moments = module.encoder(signed.unsqueeze(2).repeat(1, 1, n_frames, 1, 1))[:, :, 0]
        own: Tensor = module.quant_conv(moments).chunk(2, dim=1)[0]
        return own

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor:
        frames: Tensor = module.decoder(module.post_quant_conv(own).unsqueeze(2))
        return frames[:, :, frames.shape[2] // 2]


class VidTokFrames(Frames):
    """VidTok begins a video with repeats of its first frame where it is causal, and takes 16 frames where it is not."""

    def encode(self, module: Any, signed: Tensor) -> Tensor:
        n_frames = module.temporal_compression_ratio if module.is_causal else module.num_sample_frames_batch_size
        own = mode_of(module.encode(signed.unsqueeze(2).repeat(1, 1, n_frames, 1, 1)))
        return own[:, :, own.shape[2] // 2]

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor:
        n_frames = 1 if module.is_causal else module.num_latent_frames_batch_size
        signed = _sample(module.decode(own.unsqueeze(2).repeat(1, 1, n_frames, 1, 1), **options))
        return signed[:, :, signed.shape[2] // 2]


class ClipStarts(Frames):
    """MiniMax-H3 decodes whole clips; of a clip's first latent, which is one frame, all but the last are padding."""

    def decode(self, module: Any, own: Tensor, options: dict[str, Any]) -> Tensor:
        frames: Tensor = module.decoder(module.post_quant_conv(own.unsqueeze(2)))
        return frames[:, :, module.frame_pre_padding]


def way_of(module: nn.Module) -> Way:
    """The road through a module; see the classes above."""
    named: dict[str, Callable[[], Way]] = {
        "AutoencoderKLAllegro": AllegroFrames,
        "AutoencoderVidTok": VidTokFrames,
        "AutoencoderKLMiniMaxH3": ClipStarts,
    }
    for name, make in named.items():
        if is_of_class(module, name):
            return make()
    if is_of_class(module, "AutoencoderRAE"):
        shape: Any = module
        return SquarePictures(int(shape.decoder_image_size), int(shape.decoder_image_size // shape.decoder_patch_size))
    return Frames() if is_of_video(module) else Pictures()


def is_of_video(module: nn.Module) -> bool:
    """Whether the encoder wants an axis of time: its first kernel has one, or the config counts frames."""
    encoder = getattr(module, "encoder", module)
    n_axes = next((weights.ndim for weights in encoder.parameters() if weights.ndim in (4, 5)), 4)
    return n_axes == 5 or any(_config_value(module, label) is not None for label in _VIDEO_LABELS)


def has_opacity(module: nn.Module) -> bool:
    """Whether pictures have a fourth channel, opacity: all of what enters is opaque.

    Raises
    ------
    VaeError
        When pictures have another number of channels than three or four.
    """
    stated = [_config_value(module, label) for label in ("in_channels", "input_channels")]
    n_channels = next((value for value in stated if isinstance(value, int)), 3)
    patch = _config_value(module, "patch_size")
    if isinstance(patch, int) and n_channels % patch**2 == 0 and n_channels // patch**2 in (3, 4):
        n_channels //= patch**2
    if n_channels in (1, 2, 6):  # grey, or colours and depth; others count features beside the colours (Mochi)
        raise VaeError(
            f"{type(module).__name__}",
            expected=(
                f"pictures of 3 channels, red, green and blue, or of 4 with opacity, its config says {n_channels}"
            ),
            remedy="take an autoencoder of colour pictures",
        )
    return n_channels == 4


def decode_options(module: nn.Module) -> Callable[[Tensor], dict[str, Any]]:
    """What `decode` wants beside the latents."""
    names = inspect.signature(getattr(module, "decode")).parameters  # noqa: B009 - nn.Module's attributes have no type
    if "num_frames" in names:  # of SVD's decoder: how many frames a batch holds
        return lambda own: {"num_frames": 1}
    if _config_value(module, "timestep_conditioning"):  # of LTX's: the noise that its latents still hold
        return lambda own: {"temb": own.new_zeros(len(own))}
    return lambda own: {}


def draws_noise(module: nn.Module) -> bool:
    """Whether decoding draws random numbers: the consistency decoder's, and LTX's where it injects noise."""
    injects = any(name.endswith("per_channel_scale1") for name, _ in module.named_parameters())
    return injects or is_of_class(module, "ConsistencyDecoderVAE")


def takes_no_batch(module: nn.Module) -> bool:
    """Whether pictures go one by one: so that each has the noise that it has alone, or for want of a batch."""
    return draws_noise(module) or any(is_of_class(module, name) for name in _ONE_BY_ONE)


def check_of_pictures(module: nn.Module) -> None:
    """Raise `VaeError` where no picture can go through a module, with what it is and what to do."""
    for name, (what, advice) in NOT_OF_PICTURES.items():
        if is_of_class(module, name):
            raise VaeError(f"{name}", expected="an autoencoder of pictures or video", got=f"{what}", remedy=f"{advice}")
    if not (callable(getattr(module, "encode", None)) and callable(getattr(module, "decode", None))):
        raise VaeError("autoencoder", expected="a module with encode and decode", got=f"{type(module).__name__}")


def is_of_class(module: nn.Module, name: str) -> bool:
    """Whether a module is of diffusers' class of that name, which an older diffusers may lack."""
    import diffusers

    kind = getattr(diffusers, name, None)
    return isinstance(kind, type) and isinstance(module, kind)


def mode_of(posterior: Any) -> Tensor:
    """The posterior's mode, or the latents themselves, from any of diffusers' answers."""
    if isinstance(posterior, Tensor):
        return posterior
    for name in ("latent_dist", "latents", "latent"):
        found = getattr(posterior, name, None)
        if found is not None:
            mode: Tensor = found if isinstance(found, Tensor) else found.mode()
            return mode
    if isinstance(posterior, tuple) and posterior:
        return mode_of(posterior[0])
    raise VaeError("encode", expected="latents or a posterior", got=f"{type(posterior).__name__}")


def _sample(decoded: Any) -> Tensor:
    signed: Tensor = decoded if isinstance(decoded, Tensor) else decoded[0]
    return signed


def _config_value(module: nn.Module, label: str) -> Any:
    config: Any = getattr(module, "config", {})
    return config.get(label) if hasattr(config, "get") else None


def alone(function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """`function` over each of a batch by itself."""
    return torch.cat([function(batch[index : index + 1]) for index in range(len(batch))])
