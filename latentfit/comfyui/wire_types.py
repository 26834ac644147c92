"""What runs on ComfyUI's wires: LATENT dictionaries, raw, and IMAGE tensors, channels last."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latentfit.comfyui import host
from latentfit.errors import DomainError, SpaceMismatchError
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime.escaping import one_line

Latent = dict[str, Any]
_OF_EMPTY = ("downscale_ratio_spacial", "downscale_ratio_temporal")  # what EmptyLatentImage says of its zeros


def latents_on(wire: Latent, space: LatentSpace) -> Tensor:
    """A wire's latents as ``(N, C, h, w)`` or ``(N, C, T, h, w)`` float32, model domain, where they lie.

    Raises
    ------
    SpaceMismatchError
        When the wire holds no latents, several parts, or another number of channels or axes than the space has.
    DomainError
        When they hold NaN or Inf, or are no numbers that a decoder takes.
    """
    samples = _samples_of(wire)
    if samples.ndim not in (4, 5):
        raise SpaceMismatchError(
            f"latents of space {space.name!r}",
            expected="pictures (N, C, h, w) or a video (N, C, T, h, w)",
            got=f"{tuple(samples.shape)}, as of sound or solids",
            remedy=f"connect latents of {space.name!r}",
        )
    if not samples.numel():
        raise SpaceMismatchError(
            f"latents: there are none on the wire, {tuple(samples.shape)}",
            remedy="check what picks or cuts the batch before",
        )
    if not bool(torch.isfinite(samples.float()).all()):
        raise DomainError(
            "latents: hold NaN or Inf, which no decoder can show: what made them overflowed",
            remedy=("start ComfyUI with --force-upcast-attention, --fp32-vae or --force-fp32, or take another sampler"),
        )
    return space.comfy_to_model(samples.detach().float())


def _samples_of(wire: Any) -> Tensor:
    """The one tensor of numbers that a wire carries, whatever a node upstream put on it.

    Raises
    ------
    SpaceMismatchError
        When there is none, or more than one.
    DomainError
        When its numbers are of a kind that no decoder takes.
    """
    if not isinstance(wire, Mapping) or "samples" not in wire:
        got = f"keys {', '.join(map(repr, wire)) or 'none'}" if isinstance(wire, Mapping) else _kind_of(wire)
        raise SpaceMismatchError(
            "latents: the wire carries none",
            expected="a dictionary with 'samples', as every node that gives LATENT makes",
            got=one_line(got, 200),
            remedy="connect the output LATENT of a sampler, of VAE Encode or of Load Latent",
        )
    samples = wire["samples"]
    if getattr(samples, "is_nested", False) or isinstance(samples, list | tuple | Mapping):
        raise SpaceMismatchError(
            "latents: got several parts in one wire (video beside audio)",
            remedy="separate them first, and connect the video's",
        )
    if not isinstance(samples, Tensor):
        raise SpaceMismatchError(
            "latents: the wire carries none",
            expected="'samples' to be a tensor",
            got=_kind_of(samples),
            remedy="check the node before: it made no latents",
        )
    if samples.layout != torch.strided or samples.is_quantized or samples.is_complex() or samples.is_meta:
        kind = (
            "without numbers (meta)" if samples.is_meta else f"{samples.layout}, {samples.dtype}".replace("torch.", "")
        )
        raise DomainError(
            "latents: the wire's tensor is of another kind",
            expected="a plain tensor of floating point",
            got=kind,
            remedy="check the node before: what it made is no latents",
        )
    if samples.dtype == torch.bool:
        raise DomainError(
            "latents: the wire's tensor is of another kind",
            expected="a plain tensor of floating point",
            got="bool, as of a mask",
            remedy="connect latents",
        )
    return samples


def _kind_of(thing: object) -> str:
    """What a thing is, for people: ``a tensor (1, 4, 8, 8)``, ``NoneType``."""
    return f"a tensor {tuple(thing.shape)}" if isinstance(thing, Tensor) else type(thing).__name__


def frames_of(latents: Tensor) -> Tensor:
    """``(N, C, T, h, w)`` -> ``(N * T, C, h, w)``; pictures stay as they are."""
    return latents.movedim(2, 1).flatten(0, 1) if latents.ndim == 5 else latents


def image_of(rgb: Tensor) -> Tensor:
    """rgb ``(N, 3, H, W)`` in [0, 1] -> IMAGE ``(N, H, W, 3)`` float32, where ComfyUI keeps pictures.

    Raises
    ------
    DomainError
        When a colour is NaN: the latents were far out of range.
    """
    if not bool(rgb.isfinite().all()):
        raise DomainError(
            "the map's colours overflow: these latents are far from what it was made "
            "for, expected about ±5 in the model domain",
            remedy="check the node's 'space'",
        )
    return rgb.movedim(1, -1).float().contiguous().to(host.image_device())


def rgb_of(image: Tensor) -> Tensor:
    """IMAGE ``(N, H, W, 3 or 4)`` -> rgb ``(N, 3, H, W)`` float32 in [0, 1]; alpha is left out.

    Raises
    ------
    SpaceMismatchError
        When it has another shape.
    DomainError
        When it holds NaN or Inf.
    """
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[-1] not in (3, 4):
        got = f"{tuple(image.shape)}" if isinstance(image, Tensor) else _kind_of(image)
        raise SpaceMismatchError("image", expected="(N, H, W, 3)", got=got, remedy="connect an IMAGE")
    if not bool(torch.isfinite(image[..., :3]).all()):
        raise DomainError("image: holds NaN or Inf: what decoded it overflowed", remedy="start ComfyUI with --fp32-vae")
    return image[..., :3].detach().float().movedim(-1, 1).clamp(0, 1)


def replaced(wire: Latent, latents: Tensor, space: LatentSpace, px_ratios: tuple[float, float]) -> Latent:
    """The wire with other latents on it; all other keys are kept, and masks follow the picture's size.

    Parameters
    ----------
    wire : dict
        The wire as it came; it is left unchanged.
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w)
        Model domain of `space`.
    space : LatentSpace
    px_ratios : tuple of float
        Height and width of the new picture in pixels over those of the old: rounding may make them differ.
    """
    came = wire["samples"]
    out = {key: value for key, value in wire.items() if key not in _OF_EMPTY}
    made = space.model_to_comfy(latents)
    out["samples"] = (made.to(came.dtype) if came.is_floating_point() else made).to(host.image_device())
    mask = wire.get("noise_mask")
    if isinstance(mask, Tensor) and mask.ndim >= 2 and mask.numel() and px_ratios != (1, 1):
        out["noise_mask"] = _resized(mask, px_ratios)
    return out


def _resized(mask: Tensor, ratios: tuple[float, float]) -> Tensor:
    """Masks ``(..., H, W)``, bilinear: values stay within the old ones."""
    size = tuple(max(1, round(side * ratio)) for side, ratio in zip(mask.shape[-2:], ratios, strict=True))
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    resized = torch.nn.functional.interpolate(flat, size=size, mode="bilinear", antialias=min(ratios) < 1)
    return resized.reshape(*mask.shape[:-2], *size).to(mask.dtype)
