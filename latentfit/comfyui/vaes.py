"""ComfyUI's VAE objects: what they decode, and which weights they hold."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from latentfit.errors import VaeError
from latentfit.latents.spaces import LatentSpace
from latentfit.runtime.weights import fingerprint_of
from latentfit.vae.keys import to_diffusers_keys

_known: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def decoded(vae: Any, latents: Tensor, space: LatentSpace) -> Tensor:
    """Model-domain latents ``(N, C, h, w)`` -> rgb ``(N, 3, h * cell_px, w * cell_px)`` in [0, 1], on the CPU.

    Raises
    ------
    VaeError
        When it is no VAE, or gives another size or NaN: it is not this space's, or overflowed.
    """
    _check(vae, "decode")
    samples = space.model_to_comfy(latents)
    images = vae.decode(samples[:, :, None] if space.dims == 3 else samples)
    rgb: Tensor = images.reshape(-1, *images.shape[-3:])[..., :3].movedim(-1, 1).float().cpu()
    expected = (len(latents), 3, latents.shape[-2] * space.cell_px, latents.shape[-1] * space.cell_px)
    if tuple(rgb.shape) != expected:
        raise VaeError(
            f"the VAE gave {tuple(rgb.shape)}, expected {expected} of space {space.name!r}", remedy="check 'space'"
        )
    if not bool(torch.isfinite(rgb).all()):
        raise VaeError("the VAE gave NaN", remedy="start ComfyUI with --fp32-vae")
    return rgb.clamp(0, 1)


def fingerprint(vae: Any) -> str:
    """SHA-256 over the weights, as `Vae.fingerprint` of the same file has it where ComfyUI holds them in float32."""
    _check(vae, "first_stage_model")
    network: nn.Module = vae.first_stage_model
    if network not in _known:
        weights = to_diffusers_keys(network.state_dict())
        prefix = "module." if "decoder.conv_in.weight" in weights else ""  # as `DiffusersNetwork` holds it
        _known[network] = fingerprint_of({f"{prefix}{key}": tensor for key, tensor in weights.items()})
    return _known[network]


def _check(vae: Any, part: str) -> None:
    """Refuse what a node upstream put on the wire in a VAE's place."""
    if not hasattr(vae, part):
        raise VaeError(
            "vae",
            expected="a VAE, as Load VAE and checkpoint loaders give it",
            got=type(vae).__name__,
            remedy="connect one; a checkpoint without a VAE gives none",
        )
