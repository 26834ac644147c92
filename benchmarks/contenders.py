"""Who is compared at a preview: Comfy's formula, our maps, TAESD, an AutoencoderKL; each latents -> JPEG bytes."""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from PIL import Image
from torch import Tensor

import latentfit as lf
from benchmarks.measuring import SD_CONFIG
from latentfit.fit import PolynomialMap, parse_kernels

SPACES = {4: "sd1", 16: "flux1"}
COMFY = "ComfyUI's formula"
TABLES = ("affine", "quadratic", "cubic", "3", "3,1", "5,3")
DECODER = "decoder 3×3"
TAESD, KL = "TAESD", "AutoencoderKL"
MAPS = (COMFY, *TABLES, DECODER, TAESD)
JPEG_QUALITY = 95  # what ComfyUI sends

Preview = Callable[[Tensor], bytes]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}


def preview_of(name: str, n_channels: int) -> Preview:
    """A contender by name."""
    if name == COMFY:
        return comfy_preview(*comfy_numbers(map_of("affine", n_channels)))
    if name == KL:
        return our_preview(autoencoder())
    return our_preview(taesd(n_channels) if name == TAESD else map_of(name, n_channels))


def in_layout(preview: Preview, layout: str) -> Preview:
    """The same with the latents laid out first, which is part of its time."""
    memory_format = LAYOUTS[layout]
    return lambda latents: preview(latents.contiguous(memory_format=memory_format))


def comfy_preview(factors: Tensor, bias: Tensor) -> Preview:
    """Latent2RGBPreviewer's arithmetic: factors (3, C), bias (3,), signed output."""

    def preview(latents: Tensor) -> bytes:
        return _jpeg(comfy_pixels(latents, factors, bias))

    return preview


def comfy_pixels(latents: Tensor, factors: Tensor, bias: Tensor) -> Tensor:
    """Latents (1, C, h, w) -> (h, w, 3) uint8 on the host, truncated as ComfyUI does it."""
    signed = torch.nn.functional.linear(latents[0].movedim(0, -1), factors, bias=bias)
    return ((signed + 1.0) / 2.0).clamp(0, 1).mul(0xFF).to(device="cpu", dtype=torch.uint8)


def our_preview(approximation: lf.Approximation) -> Preview:
    """The same with an `Approximation` in the place of the formula."""

    def preview(latents: Tensor) -> bytes:
        return _jpeg(our_pixels(latents, approximation))

    return preview


def our_pixels(latents: Tensor, approximation: lf.Approximation) -> Tensor:
    """Latents (1, C, h, w) -> (H, W, 3) uint8 on the host, truncated as ComfyUI does it."""
    return approximation(latents)[0].mul_(0xFF).to(device="cpu", dtype=torch.uint8).movedim(0, -1)


def map_of(form: str, n_channels: int) -> lf.Approximation:
    """A map of that form with small random coefficients."""
    kernels, intercept = parse_kernels("3" if form == DECODER else form)
    scale = 8 if form == DECODER else 1
    module = PolynomialMap(n_channels, kernels, scale, intercept)
    shape = module.coefficients.shape
    generator = torch.Generator().manual_seed(0)
    module.set_coefficients(torch.randn(shape, generator=generator) * 0.5 / shape[0] ** 0.5)
    return lf.Approximation(module, SPACES[n_channels], scale, name=form)


def taesd(n_channels: int) -> lf.Approximation:
    """TAESD's decoder, with published weights where they are to be had."""
    files = taesd_files(n_channels)
    if files:
        return lf.Vae.load(files, space=SPACES[n_channels], device="cpu").approximation()
    from latentfit.nets import TinyDecoder

    return lf.Approximation(TinyDecoder(n_channels).eval(), SPACES[n_channels], 8, name=TAESD)


def autoencoder() -> lf.Approximation:
    """diffusers' AutoencoderKL with SD's config and random weights: for the time only."""
    from diffusers.models import AutoencoderKL

    torch.manual_seed(0)
    module = AutoencoderKL(**SD_CONFIG).eval()
    return lf.Vae.from_module(module, name=KL, space=SPACES[4], device="cpu").approximation()


def comfy_numbers(approximation: lf.Approximation) -> tuple[Tensor, Tensor]:
    """Factors (3, C) and bias (3,) as the exported snippet sets them, run as it is pasted."""
    format_ = SimpleNamespace(latent_rgb_factors=None, latent_rgb_factors_bias=None)
    with tempfile.TemporaryDirectory() as folder:
        text = lf.export(approximation, "comfyui", Path(folder) / "table.py").read_text("utf-8")
    exec(text, {"torch": torch, "self": format_})
    return torch.tensor(format_.latent_rgb_factors).transpose(0, 1), torch.tensor(format_.latent_rgb_factors_bias)


def _jpeg(pixels: Tensor) -> bytes:
    """(H, W, 3) uint8 -> the bytes that are sent."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def taesd_files(n_channels: int) -> str | None:
    assets = os.environ.get("LATENTFIT_ASSETS", "")
    pair = Path(assets) / "weights" / "taesd" / {4: "taesd", 16: "taef1"}[n_channels]
    return str(pair) if assets and list(pair.parent.glob(f"{pair.name}_decoder.*")) else None
