"""Photographs that no shipped model saw, as the teachers see them: coded once, however many tests look at them."""

import hashlib
from functools import cache
from pathlib import Path

import torch

import latentfit as lf
from latentfit.images import crop_to_cells, pictures, resampled, rgb_tensor

TEACHERS = {"sd1": "taesd", "sdxl": "taesdxl", "flux1": "taef1"}


@cache
def teacher(space: str, assets: Path) -> lf.Vae:
    return lf.Vae.load(str(assets / "weights" / "taesd" / TEACHERS[space]), space=space, device="cpu")


@cache
def evaluated(assets: Path) -> dict[str, str]:
    """SHA-256 of each picture of eval, by its name."""
    found = pictures([str(assets / "images" / "eval")])
    return {picture.name: hashlib.sha256(picture.read()).hexdigest() for picture in found}


@cache
def unseen(assets: Path) -> dict[str, torch.Tensor]:
    """Every tenth picture of eval, by its name."""
    found = pictures([str(assets / "images" / "eval")])[::10]
    return {picture.name: rgb_tensor(crop_to_cells(picture.load()[0], 320, 16)[0]) for picture in found}


@cache
def encoded(space: str, assets: Path) -> list[torch.Tensor]:
    """Latents of `unseen`, encoded once for all tests."""
    return [teacher(space, assets).encode(rgb) for rgb in unseen(assets).values()]


@cache
def encoded_at_half(space: str, assets: Path) -> list[torch.Tensor]:
    halves = [resampled(rgb, (rgb.shape[-2] // 2, rgb.shape[-1] // 2)) for rgb in unseen(assets).values()]
    return [teacher(space, assets).encode(half) for half in halves]


@cache
def decoded(space: str, assets: Path) -> list[torch.Tensor]:
    return [teacher(space, assets).decode(latents) for latents in encoded(space, assets)]


def middle(latents: torch.Tensor, scale: int = 1) -> torch.Tensor:
    """24×24 cells in the middle; of latents at half the size (scale 2) the 12×12 that show the same."""
    top, left = (2 * ((length * scale // 2 - 12) // 2) // scale for length in latents.shape[-2:])
    return latents[..., top : top + 24 // scale, left : left + 24 // scale]


@cache
def decoded_middles(space: str, assets: Path) -> list[torch.Tensor]:
    return [teacher(space, assets).decode(middle(latents)) for latents in encoded(space, assets)]
