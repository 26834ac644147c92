"""Presets of palettized decoders: a network, its losses, and how long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from latentfit.latents.spaces import LatentSpace
from latentfit.nets.palette import CellPalette, PixelVae
from latentfit.palettes.palette import Palette
from latentfit.train.config import TrainConfig
from latentfit.train.decoder_presets import CHARTS_COUNT_LESS


@dataclass(frozen=True)
class PalettePreset:
    """A network of classes, what it is trained for, and how long.

    Attributes
    ----------
    title : str
        For people.
    make : callable
        Space and palette -> network of logits, its weights drawn from torch's generator.
    crop_cells, border_cells : int
        Side of a crop, and the rim that no loss sees unless it is the picture's own.
    balance, oklab : float
        See `latentfit.train.ClassObjective`.
    draw : mapping of str to float
        How often pictures of a kind are drawn, relative to 1.
    config : TrainConfig
    """

    title: str
    make: Callable[[LatentSpace, Palette], nn.Module]
    crop_cells: int = 32
    border_cells: int = 2
    balance: float = 0.1
    oklab: float = 10.0
    draw: Mapping[str, float] = field(default_factory=lambda: CHARTS_COUNT_LESS)
    config: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            n_images=30_000, batch_images=8, optimizer="muon", lr=1e-2, weight_decay=0.3
        )
    )

    @property
    def kind(self) -> Literal["palette"]:
        """The kind of network that it trains."""
        return "palette"


def _pixelvae(space: LatentSpace, palette: Palette) -> nn.Module:
    return PixelVae(space.channels, len(palette))


def _cell_palette(space: LatentSpace, palette: Palette) -> nn.Module:
    return CellPalette(space.channels, palette.colours)


PALETTE_PRESETS: dict[str, PalettePreset] = {
    "pixelvae": PalettePreset("pixelvae's network", _pixelvae),
    "cell-palette": PalettePreset("cell network for a palette, on top of the closed form", _cell_palette),
}
