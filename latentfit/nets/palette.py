"""Palettized decoders: latents -> a class of a palette for every cell.

`PixelVae` is pixelvae's network, `CellPalette` ours, `NearestColour` the closed form that both must beat. `Palettized`
puts one of them beside its palette.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.images.colour import rgb_to_oklab
from latentfit.nets.architecture import Architecture
from latentfit.nets.cell import ResidualBlock
from latentfit.nets.pixelvae import PixelVae
from latentfit.nets.tiny import conv3
from latentfit.nets.traits import n_fitted_of, receptive_cells_of

__all__ = ["CellPalette", "NearestColour", "Palettized", "PixelVae", "colours_of"]

SHARPNESS = 100.0  # of the closed form's logits at the start: minus so many times the squared OKLab distance


class NearestColour(nn.Module):
    """Latents ``(N, C, h, w)`` -> minus the squared OKLab distance of a map's colour to each of a palette's.

    Parameters
    ----------
    rgb_map : nn.Module
        One colour a cell, such as `ChannelMap` fits.
    colours : Tensor of uint8, (K, 3)
    """

    kind = "nearest"
    oklab: Tensor

    def __init__(self, rgb_map: nn.Module, colours: Tensor) -> None:
        super().__init__()
        self.rgb_map = rgb_map
        self.register_buffer("oklab", _oklab_of(colours), persistent=False)

    @property
    def n_fitted(self) -> int:
        """Numbers that were fitted: the map's."""
        return n_fitted_of(self.rgb_map)

    @property
    def n_channels(self) -> int:
        """Channels of the latents, C."""
        return int(self.rgb_map.n_channels)  # type: ignore[arg-type]

    @property
    def receptive_cells(self) -> int | None:
        """Cells, each way, that an output depends on; None where the map does not say."""
        return receptive_cells_of(self.rgb_map)

    def config(self) -> dict[str, Any]:
        """The map's, JSON-able; only a map of `ChannelMap` can be rebuilt from it."""
        if not hasattr(self.rgb_map, "kernels"):
            raise BadFileError(
                "save",
                expected="a palettized map of ChannelMap",
                got=f"{type(self.rgb_map).__name__}",
                remedy="save its own file",
            )
        config: dict[str, Any] = self.rgb_map.config()  # type: ignore[operator]
        return config

    def forward(self, latents: Tensor) -> Tensor:
        return -_squared_distances(_oklab(self.rgb_map(latents)), self.oklab)


class CellPalette(nn.Module):
    """Latents ``(N, C, h, w)``, model domain -> logits ``(N, K, h, w)``: the closed form's, and what a body adds.

    Narrower than pixelvae's network, and deeper. That it begins as the closed form is worth most where there are few
    pictures or little time.

    Parameters
    ----------
    n_channels : int
        C.
    colours : Tensor of uint8, (K, 3)
    width : int
        Channels of the blocks.
    n_blocks : int
        Residual blocks of two 3×3 convolutions: the context grows by two cells each way with each.

    Attributes
    ----------
    skip : nn.Conv2d
        A linear 3×3 map to rgb, one colour a cell: `ChannelMap("3")` fits in exactly.
    """

    kind = "cell_palette"
    oklab: Tensor

    def __init__(self, n_channels: int, colours: Tensor, width: int = 48, n_blocks: int = 3) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_blocks = n_channels, width, n_blocks
        self.skip = nn.Conv2d(n_channels, 3, 3, padding=1, padding_mode="replicate")
        self.log_sharpness = nn.Parameter(torch.tensor([math.log(SHARPNESS)]))
        last = nn.Conv2d(width, len(colours), 1)
        nn.init.zeros_(last.weight)  # it begins as its skip
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.body = nn.Sequential(
            conv3(n_channels, width), nn.ReLU(),
            *[ResidualBlock(width) for _ in range(n_blocks)], nn.ReLU(),
            last,
        )  # fmt: skip
        self.register_buffer("oklab", _oklab_of(colours), persistent=False)

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on."""
        return 1 + 2 * self.n_blocks

    def config(self) -> dict[str, Any]:
        """Constructor arguments but the colours, JSON-able."""
        return {name: getattr(self, name) for name in ("n_channels", "width", "n_blocks")}

    def forward(self, latents: Tensor) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            near = self.log_sharpness.exp() * _squared_distances(_oklab(self.skip(latents)), self.oklab)
        logits: Tensor = self.body(latents) - near
        return logits

    @torch.no_grad()
    def set_skip(self, weight: Tensor, bias: Tensor) -> "CellPalette":
        """Put a fitted linear map in: weight ``(3, C, 3, 3)`` and bias, in the range [0, 1]."""
        self.skip.weight.copy_(weight)
        self.skip.bias.copy_(bias)  # type: ignore[union-attr]
        return self


class Palettized(nn.Module):
    """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, h, w)``, each cell a colour of the palette.

    Parameters
    ----------
    network : nn.Module
        ``(N, C, h, w)`` -> logits ``(N, K, h, w)``.
    palette : mapping
        What `latentfit.palettes.palette.Palette.to_dict` gives: name, source, and colours as ``"#RRGGBB"``.
    dither : str
        Name of the ordered dithering that the network learned the shares of, or "none".
    thresholds : Tensor, (side, side) in (0, 1), optional
        Matrix of thresholds.

    Attributes
    ----------
    colours : Tensor of uint8, (K, 3)
        In the order of the classes.
    """

    colours: Tensor
    thresholds: Tensor | None

    def __init__(
        self, network: nn.Module, palette: Mapping[str, Any], dither: str = "none", thresholds: Tensor | None = None
    ) -> None:
        super().__init__()
        self.network, self.palette, self.dither = network, dict(palette), dither
        self.register_buffer("colours", colours_of(palette), persistent=False)
        self.register_buffer("thresholds", thresholds, persistent=False)

    @property
    def receptive_cells(self) -> int | None:
        """Cells, each way, that an output depends on; None where the network does not say."""
        return receptive_cells_of(self.network)

    @property
    def n_fitted(self) -> int:
        """Numbers that were fitted or trained; the palette is given."""
        return n_fitted_of(self.network)

    def config(self) -> dict[str, Any]:
        """The network's kind and arguments, and the palette; JSON-able.

        Raises
        ------
        BadFileError
            When the network is none of this module's, so that nobody could load the file.
        """
        network = self.network
        if not isinstance(network, PixelVae | CellPalette | NearestColour):
            raise BadFileError(
                "save",
                expected="a palettized PixelVae, CellPalette or NearestColour",
                got=f"{type(network).__name__}",
                remedy="save its state_dict yourself",
            )
        own = {"kind": network.kind, "config": network.config()}
        return {"n_channels": network.n_channels, "palette": self.palette, "dither": self.dither, "network": own}

    def logits(self, latents: Tensor) -> Tensor:
        """What each class of each cell has for it, ``(N, K, h, w)``."""
        logits: Tensor = self.network(latents)
        return logits

    def indices(self, latents: Tensor) -> Tensor:
        """The class of each cell, ``(N, h, w)`` int64."""
        return self.chosen(self.logits(latents))

    def chosen(self, logits: Tensor) -> Tensor:
        """Logits of a whole picture -> the likeliest class of each cell, ``(N, h, w)`` int64.

        Dithered: the second likeliest where the matrix's threshold lies below its share of both.
        """
        if self.thresholds is None:
            return logits.argmax(1)
        values, classes = logits.topk(2, 1)
        share = (values[:, 1] - values[:, 0]).sigmoid()
        side, (height, width) = len(self.thresholds), logits.shape[-2:]
        tiled = self.thresholds.repeat(-(-height // side), -(-width // side))[:height, :width]
        return torch.where(tiled < share, classes[:, 1], classes[:, 0])

    def picture(self, indices: Tensor) -> Tensor:
        """Classes ``(N, h, w)`` -> rgb ``(N, 3, h, w)`` in [0, 1], float32."""
        return (self.colours.float() / 255)[indices].movedim(-1, 1)

    def forward(self, latents: Tensor) -> Tensor:
        return self.picture(self.indices(latents)).to(latents.dtype)

    def extra_repr(self) -> str:
        return f"palette={self.palette.get('name', '')!r}, {len(self.colours)} classes"


def colours_of(palette: Mapping[str, Any]) -> Tensor:
    """A palette as a header has it -> its colours, ``(K, 3)`` uint8."""
    return torch.tensor([list(bytes.fromhex(colour.lstrip("#"))) for colour in palette["colours"]], dtype=torch.uint8)


def _oklab_of(colours: Tensor) -> Tensor:
    return rgb_to_oklab(colours.double().div(255).T[None])[0].T.float().contiguous()


def _oklab(rgb: Tensor) -> Tensor:
    return rgb_to_oklab(rgb.float().clamp(0, 1))


def _squared_distances(oklab: Tensor, colours: Tensor) -> Tensor:
    """``(N, 3, h, w)`` and ``(K, 3)`` -> ``(N, K, h, w)``; by differences, as single precision asks."""
    parts = [(oklab[:, c : c + 1] - colours[:, c].reshape(1, -1, 1, 1)).square() for c in range(3)]
    return parts[0] + parts[1] + parts[2]


ARCHITECTURES = (
    Architecture(
        "cell_palette", CellPalette, "the cell network for a palette", "logits",
        {"n_channels": 4, "width": 8, "n_blocks": 1},
    ),
)  # fmt: skip
