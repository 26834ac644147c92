"""LatentFit Decode: latents -> pictures, by any saved approximation."""

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.comfyui import host, inputs, maps, spaces, wire_types
from latentfit.maps.contracts import Approximation
from latentfit.maps.tiled import TILE_CELLS, decode_in_tiles

OWN, CELLS, FULL = "as the map gives", "one pixel a cell", "full size"
SIZES = (OWN, CELLS, FULL)
ENLARGING = ("bilinear", "nearest-exact")
_BYTES_A_PIXEL = 4 * 64  # of a tile: what a cell decoder's widest features take


class LatentFitDecode(inputs.OfMapFile):
    """A node that decodes latents to an IMAGE."""

    DESCRIPTION = (
        "Turns latents into a picture with a fitted map or a small network: tables, 3x3 kernels, cell decoders, TAESD. "
        "No VAE is loaded."
    )
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("One picture a latent; of a video, one picture a latent frame.",)
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        size = f"{OWN}: nothing is resized. {CELLS}: area means. {FULL}: as large as the VAE's picture."
        tile = "Larger latents are decoded in overlapping tiles of so many cells a side; the picture is the same."
        return {
            "required": {
                "samples": inputs.LATENTS,
                "map_name": inputs.map_name("The map.", "rgb", "palette"),
                "size": (list(SIZES), {"default": OWN, "tooltip": size}),
                "enlarging": (list(ENLARGING), {"tooltip": "How a map of few pixels a cell gets to full size."}),
                "tile_cells": ("INT", {"default": TILE_CELLS, "min": 32, "max": 4096, "step": 8, "tooltip": tile}),
                "space": inputs.space(),
            },
            "optional": {"model": inputs.MODEL},
        }

    @inputs.told_of_widgets
    def decode(
        self,
        samples: wire_types.Latent,
        map_name: str,
        size: str,
        enlarging: str,
        tile_cells: int,
        space: str,
        model: Any | None = None,
    ) -> tuple[Tensor]:
        approximation, ready = maps.approximation_of(map_name, spaces.stated_space(space, model))
        latents = wire_types.latents_on(samples, approximation.space)
        spaces.doubted(approximation.name, latents, approximation.space)
        frames = wire_types.frames_of(latents)
        pixels = min(frames[0, 0].numel(), tile_cells**2) * float(approximation.scale) ** 2
        device = ready.device_for(int(pixels * _BYTES_A_PIXEL))
        pictures = []
        with host.progress(len(frames)) as bar:
            for frame in torch.split(frames, 1):
                rgb = decode_in_tiles(approximation, frame.to(device), tile_cells)
                pictures.append(wire_types.image_of(sized(rgb, frame, approximation, size, enlarging)))
                bar.update(1)
        return (torch.cat(pictures),)


def sized(rgb: Tensor, latents: Tensor, approximation: Approximation, size: str, enlarging: str) -> Tensor:
    """A map's rgb ``(N, 3, H, W)`` at the size that is asked for."""
    cell_px = {OWN: approximation.scale, CELLS: Fraction(1), FULL: Fraction(approximation.space.cell_px)}[size]
    wanted = (int(latents.shape[-2] * cell_px), int(latents.shape[-1] * cell_px))
    if tuple(rgb.shape[-2:]) == wanted:
        return rgb
    if wanted[0] < rgb.shape[-2]:
        return nn.functional.interpolate(rgb, wanted, mode="area")
    return nn.functional.interpolate(rgb, wanted, mode=enlarging)
