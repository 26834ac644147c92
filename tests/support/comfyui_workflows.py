"""Workflows in the API's format, and the maps that they use."""

from typing import Any

import torch

import latentfit as lf
from latentfit.fit import PolynomialMap
from tests.support.comfyui_server import Workflow

STEPS = 4


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def decode(map_name: str, latent: str = "photo.latent", **inputs: Any) -> Workflow:
    chosen = {"size": "as the map gives", "enlarging": "bilinear", "tile_cells": 128, "space": "auto", **inputs}
    return {
        "1": node("LoadLatent", latent=latent),
        "2": node("LatentFitDecode", samples=["1", 0], map_name=map_name, **chosen),
        "3": node("SaveImage", images=["2", 0], filename_prefix="decode"),
    }


def palettize(map_name: str, palette: str, latent: str = "photo.latent", **inputs: Any) -> Workflow:
    chosen = {"dither": "none", "strength": 1.0, "enlarge": 1, "space": "auto", **inputs}
    return {
        "1": node("LoadLatent", latent=latent),
        "2": node("LatentFitPalettize", samples=["1", 0], map_name=map_name, palette=palette, **chosen),
        "3": node("SaveImage", images=["2", 0], filename_prefix="palettize"),
    }


def sampling(preview: dict[str, Any] | None, name: str, nan_from_step: int = 0, seconds: float = 0.0) -> Workflow:
    model = ["6", 0] if preview else ["3", 0]
    run = {"seed": 1, "steps": STEPS, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    return {
        "1": node("LoadLatent", latent="photo.latent"),
        "2": node("ProbeTinyModel", towards=["1", 0], nan_from_step=nan_from_step, seconds=seconds),
        "3": node("ProbeEstimates", model=["2", 0], name=name),
        **({"6": node("LatentFitPreview", model=["3", 0], **preview)} if preview else {}),
        "4": node("KSampler", model=model, positive=["2", 1], negative=["2", 1], latent_image=["1", 0], **run),
        "5": node("SaveLatent", samples=["4", 0], filename_prefix=f"latents/{name}"),
    }


def latent_maps() -> dict[str, lf.LatentMap]:
    """An interposer and an upscaler with numbers drawn at random: what they do matters less than where they run."""
    generator = torch.Generator().manual_seed(3)
    across = PolynomialMap(4, (3,), 1, True, "latents", 4)
    across.set_coefficients(torch.randn(across.coefficients.shape, generator=generator) * 0.2)
    larger = PolynomialMap(4, (3,), 2, True, "latents", 4)
    larger.set_coefficients(torch.randn(larger.coefficients.shape, generator=generator) * 0.2)
    return {
        "sd1-to-sdxl.safetensors": lf.LatentMap(across, "sd1", "sdxl", 1, name="across"),
        "sd1-x2.safetensors": lf.LatentMap(larger, "sd1", "sd1", 2, name="larger"),
    }
