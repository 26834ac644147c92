"""LatentFit Palettize: latents -> pictures of few colours, a pixel a cell."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfit.comfyui import host, inputs, map_files, maps, spaces, wire_types
from latentfit.comfyui.decode import CELLS, sized
from latentfit.errors import PaletteError
from latentfit.maps.contracts import Approximation
from latentfit.maps.tiled import decode_in_tiles, indices_in_tiles
from latentfit.palettes.decoder import is_palettized, palette_of
from latentfit.palettes.dithering import DITHERS, Dither, dither
from latentfit.palettes.palette import Palette, bundled_palettes

FROM_FILE = "from the file"
_BYTES_A_CELL = 4 * 512
_GIVES: tuple[map_files.Gives, ...] = ("palette", "bare palette", "rgb")
_LARGEST_ENLARGEMENT = 64


def palette_choices() -> list[str]:
    """What the combo offers: the file's own, those of models/latentfit, the bundled ones."""
    files = [name for name in host.model_files(host.FOLDER) if Path(name).suffix.lower() in host.PALETTE_ENDINGS]
    return [FROM_FILE, *files, *bundled_palettes()]


def chosen_palette(choice: str) -> Palette | None:
    """The palette that a combo's choice names; None for the file's own."""
    if choice == FROM_FILE:
        return None
    path = None if choice in bundled_palettes() else host.model_path(host.FOLDER, choice)
    return Palette.load(choice if path is None else path)


class LatentFitPalettize:
    """Latents -> IMAGE of a palette's colours."""

    CATEGORY = inputs.CATEGORY
    DESCRIPTION = (
        "Turns latents straight into pixel art: a palettized decoder, or any map and the nearest colour in OKLab, with "
        "ordered dithering. Reads pixelvae's checkpoints, whose palette must be named."
    )
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_TOOLTIPS = ("One pixel a latent cell, times 'enlarge'.",)
    FUNCTION = "palettize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        palette = (
            f"{FROM_FILE}: palettized decoders hold theirs. Maps that give colours take any; pixelvae's checkpoints "
            "take the one that they were trained for. More: .hex, .gpl, .pal, .act, .png, .txt in models/latentfit."
        )
        learned = (
            "Only for pixelvae's own checkpoints, which do not say it. The released ones learned the model domain; "
            "those that its scripts made of latents which ComfyUI saved after June 2023 learned raw latents."
        )
        pattern = "Ordered dithering, for maps that give colours; a palettized decoder has chosen its classes already."
        return {
            "required": {
                "samples": inputs.LATENTS,
                "map_name": inputs.map_name("A palettized decoder, or any map.", *_GIVES),
                "palette": (palette_choices(), {"default": FROM_FILE, "tooltip": palette}),
                "dither": (list(DITHERS), {"tooltip": pattern}),
                "strength": (
                    "FLOAT",
                    {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": "Of the dithering; 0 is none."},
                ),
                "enlarge": (
                    "INT",
                    {
                        "default": 1,
                        "min": 1,
                        "max": _LARGEST_ENLARGEMENT,
                        "tooltip": "Each cell becomes a square of so many pixels, sharp.",
                    },
                ),
                "space": inputs.space(),
            },
            "optional": {
                "model": inputs.MODEL,
                "learned_from": (list(maps.DOMAINS), {"tooltip": learned}),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, map_name: str, palette: str) -> bool | str:
        known = palette in palette_choices() or f"palette {palette!r}: no such palette any more; choose another"
        told = map_files.complaint(map_name)
        return known if told is True else told

    @classmethod
    def IS_CHANGED(cls, map_name: str, palette: str, **_: Any) -> str:
        return f"{map_files.stamp_text(map_name)} {_stamp_of_palette(palette)}"

    @inputs.told_of_widgets
    def palettize(
        self,
        samples: wire_types.Latent,
        map_name: str,
        palette: str,
        dither: Dither,
        strength: float,
        enlarge: int,
        space: str,
        model: Any | None = None,
        learned_from: maps.Domain = "model",
    ) -> tuple[Tensor]:
        stated, named = spaces.stated_space(space, model), chosen_palette(palette)
        if map_files.is_without_palette(map_name):
            approximation, ready = maps.approximation_of(map_name, stated, named, learned_from)
        else:
            approximation, ready = maps.approximation_of(map_name, stated)
        colours = _palette_for(map_name, approximation, named, dither)
        latents = wire_types.latents_on(samples, approximation.space)
        spaces.doubted(approximation.name, latents, approximation.space)
        frames = wire_types.frames_of(latents)
        device = ready.device_for(frames[0, 0].numel() * _BYTES_A_CELL)
        pictures = []
        with host.progress(len(frames)) as bar:
            for frame in torch.split(frames, 1):
                indices = _indices(approximation, frame.to(device), colours, dither, strength)
                sharp = indices.repeat_interleave(enlarge, -2).repeat_interleave(enlarge, -1)
                pictures.append(wire_types.image_of(colours.picture(sharp)))
                bar.update(1)
        return (torch.cat(pictures),)


def _palette_for(label: str, approximation: Approximation, named: Palette | None, pattern: str) -> Palette:
    """The palette to show, or an error that says which choices go together."""
    if not is_palettized(approximation):
        if named is None:
            raise PaletteError(
                f"{label}: gives colours and holds no palette", remedy="choose one in the node's 'palette'"
            )
        return named
    own = palette_of(approximation)
    if pattern != "none":
        raise PaletteError(
            f"{label}: gives classes of its palette, which leave no colours to dither",
            remedy="set 'dither' to none, or choose a map that gives colours",
        )
    if named is not None and named.hex != own.hex:
        raise PaletteError(
            f"{label}: holds palette {own.name!r} of {len(own)} colours, and {named.name!r} is chosen",
            remedy=f"set 'palette' to '{FROM_FILE}', or choose a map that gives colours",
        )
    return own


def _indices(
    approximation: Approximation, latents: Tensor, palette: Palette, pattern: Dither, strength: float
) -> Tensor:
    if is_palettized(approximation):
        return indices_in_tiles(approximation, latents)
    rgb = decode_in_tiles(approximation, latents)
    cells = sized(rgb, latents, approximation, CELLS, "nearest-exact")
    return dither(cells, palette, pattern, strength)


def _stamp_of_palette(choice: str) -> str:
    return "" if choice in (FROM_FILE, *bundled_palettes()) else map_files.stamp_text(choice)
