"""LatentFit Interpose and LatentFit Upscale: latents -> latents of another space or size."""

from typing import Any

import torch
from torch import Tensor, nn

from latentfit.comfyui import host, inputs, maps, spaces, wire_types
from latentfit.errors import SpaceMismatchError
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import LatentMap
from latentfit.maps.enlarged import enlarge
from latentfit.maps.scales import as_scale
from latentfit.maps.tiled import map_latents_in_tiles

_BYTES_A_CELL = 4 * 1024


class LatentFitInterpose(inputs.OfMapFile):
    """LATENT -> LATENT of another space."""

    DESCRIPTION = (
        "Carries latents of one model family over to another's, without a VAE. Masks, batch numbers and whatever else "
        "is on the wire are kept."
    )
    RETURN_TYPES = ("LATENT",)
    OUTPUT_TOOLTIPS = ("Raw latents of the map's target space.",)
    FUNCTION = "interpose"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "samples": inputs.LATENTS,
                "map_name": inputs.map_name("A map between two latent spaces.", "interposed"),
                "space": inputs.space(),
            },
            "optional": {"model": inputs.MODEL},
        }

    @inputs.told_of_widgets
    def interpose(
        self, samples: wire_types.Latent, map_name: str, space: str, model: Any | None = None
    ) -> tuple[wire_types.Latent]:
        latent_map, ready = maps.latent_map_of(map_name, spaces.stated_space(space, model))
        return (mapped(samples, latent_map, ready),)


class LatentFitUpscale(inputs.OfMapFile):
    """LATENT -> larger LATENT of the same space."""

    DESCRIPTION = (
        "Enlarges latents with a map that was fitted for it, without a VAE. Masks follow; batch numbers and whatever "
        "else is on the wire are kept."
    )
    RETURN_TYPES = ("LATENT",)
    OUTPUT_TOOLTIPS = ("Raw latents of the same space.",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        ratio = "0: as the map was fitted. Maps of any factor give this one; what others give is resized, smoothly."
        return {
            "required": {
                "samples": inputs.LATENTS,
                "map_name": inputs.map_name("A map that enlarges latents.", "upscaled"),
                "scale_by": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 8.0, "step": 0.05, "tooltip": ratio}),
                "space": inputs.space(),
            },
            "optional": {"model": inputs.MODEL},
        }

    @inputs.told_of_widgets
    def upscale(
        self, samples: wire_types.Latent, map_name: str, scale_by: float, space: str, model: Any | None = None
    ) -> tuple[wire_types.Latent]:
        latent_map, ready = maps.latent_map_of(map_name, spaces.stated_space(space, model))
        return (mapped(samples, latent_map, ready, scale_by or None),)


def mapped(
    wire: wire_types.Latent, latent_map: LatentMap, ready: maps.Ready, ratio: float | None = None
) -> wire_types.Latent:
    """The wire behind a map.

    Parameters
    ----------
    wire : dict
    latent_map : LatentMap
    ready : Ready
        The same map, where it is managed.
    ratio : float or None
        Target cells per source cell; None: the map's own.
    """
    latents = wire_types.latents_on(wire, latent_map.source)
    spaces.doubted(latent_map.name, latents, latent_map.source)
    frames = wire_types.frames_of(latents)
    device = ready.device_for(frames[0, 0].numel() * _BYTES_A_CELL)
    outputs = []
    with host.progress(len(frames)) as bar:
        for frame in torch.split(frames, 1):
            given = frame.to(device)
            made = map_latents_in_tiles(latent_map, given) if ratio is None else _enlarged(latent_map, given, ratio)
            outputs.append(made.to(host.image_device()))
            bar.update(1)
    output = torch.cat(outputs)
    px = latent_map.target.cell_px / latent_map.source.cell_px
    px_ratios = (output.shape[-2] * px / frames.shape[-2], output.shape[-1] * px / frames.shape[-1])
    return wire_types.replaced(wire, _as_video(output, latents, latent_map.target), latent_map.target, px_ratios)


def _enlarged(latent_map: LatentMap, latents: Tensor, ratio: float) -> Tensor:
    """By this factor, in steps and tiles; what a map of one factor cannot give is resized from the next that it can."""
    multiple = 2 if latent_map.target.packing else 1
    wanted = as_scale(round(ratio, 4))
    size = (_side(latents.shape[-2] * ratio, multiple), _side(latents.shape[-1] * ratio, multiple))
    if latent_map.is_any_factor and multiple == 1:
        return enlarge(latent_map, latents, wanted)
    reached = latent_map.scale
    while reached < wanted and reached > 1:
        reached *= latent_map.scale
    made = enlarge(latent_map, latents, reached)
    if tuple(made.shape[-2:]) == size:
        return made
    return nn.functional.interpolate(made.float(), size=size, mode="bilinear", antialias=True).to(made.dtype)


def _side(n_cells: float, multiple: int) -> int:
    return multiple * max(1, round(n_cells / multiple))


def _as_video(mapped_frames: Tensor, came: Tensor, target: LatentSpace) -> Tensor:
    """Frames ``(N * T, C, h, w)`` -> with the axis of time that came, or that the target space wants."""
    n_frames = came.shape[2] if came.ndim == 5 else 1
    if target.dims == 2:
        if n_frames > 1:
            raise SpaceMismatchError(
                f"latents: a video of {n_frames} latent frames; the map gives {target.name!r}, which has pictures only",
                remedy="cut one frame out first (LatentCut along t)",
            )
        return mapped_frames
    return mapped_frames.reshape(-1, n_frames, *mapped_frames.shape[1:]).movedim(1, 2)
