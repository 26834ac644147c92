"""Palettized approximations: a network or a map beside its palette, the palette of one, and how files hold both."""

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from latentfit.errors import PaletteError, Remedy
from latentfit.fit.polynomial_map import PolynomialMap, polynomial_config
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.nets.architecture import Architecture, architectures, by_kind
from latentfit.nets.palette import NearestColour, Palettized, colours_of
from latentfit.palettes.dithering import DITHERS, bayer
from latentfit.palettes.palette import Palette, bundled_palettes


def palettized(
    network: nn.Module,
    palette: Palette,
    space: LatentSpace | str,
    *,
    dither: str = "none",
    name: str = "",
    card: Mapping[str, Any] | None = None,
) -> Approximation:
    """A network of logits beside its palette: colours by the call, classes by `.indices`.

    Parameters
    ----------
    network : nn.Module
        ``(N, C, h, w)``, model domain -> logits ``(N, K, h, w)``, K the palette's number of colours.
    palette : Palette
    space : LatentSpace or str
    dither : str
        A matrix of `latentfit.palettes.DITHERS` whose shares the network learned; a network that sees no positions
        cannot learn the pattern, so it is laid over what it says.
    name : str
    card : mapping
    """
    module = Palettized(network, palette.to_dict(), dither, _thresholds(dither))
    return Approximation(module, space, 1, name=name, card=card)


def nearest_of(approximation: Approximation, palette: Palette) -> Approximation:
    """The closed form's answer: a map's colour of each cell, then the nearest of the palette in OKLab.

    Parameters
    ----------
    approximation : Approximation
        One colour a cell; fitted by `ChannelMap` if the result is to be saved.
    palette : Palette

    Raises
    ------
    PaletteError
        When it gives several pixels a cell, or is palettized itself.
    """
    if approximation.scale != 1 or isinstance(approximation.module, Palettized):
        kind = "classes" if isinstance(approximation.module, Palettized) else f"{approximation.scale} pixels a cell"
        raise PaletteError(
            f"{approximation.name!r}", expected="a map to one colour a cell", got=f"{kind}", remedy="fit one of scale 1"
        )
    network = NearestColour(approximation.module, palette.colours)
    name = f"{approximation.name}, nearest of {palette.name or f'{len(palette)} colours'}"
    return palettized(network, palette, approximation.space, name=name, card=approximation.card)


def is_palettized(approximation: Approximation) -> bool:
    """Whether it gives classes of a palette."""
    return isinstance(approximation.module, Palettized)


def palette_of(approximation: Approximation) -> Palette:
    """The palette that a file or a training run put beside the network.

    Raises
    ------
    PaletteError
        When it has none.
    """
    module = approximation.module
    if not isinstance(module, Palettized):
        raise PaletteError(
            f"{approximation.name!r}: has no palette",
            expected="a palettized decoder",
            remedy="train one for a palette",
        )
    return Palette.from_dict(module.palette)


def palette_for(n_classes: int, palette: Palette | str | os.PathLike[str] | None, of: str) -> Palette:
    """The palette that was named for a file of classes, when it has a colour for each.

    Raises
    ------
    PaletteError
        When none was named, or one of another number of colours; `of` names the file.
    """
    fitting = ", ".join(name for name in bundled_palettes() if len(Palette.load(name)) == n_classes) or "none"
    if palette is None:
        raise PaletteError(
            f"pixelvae's decoder, of {n_classes} classes, and the file does not hold its palette",
            place=of,
            remedy=Remedy(f"name it with {{}}; bundled ones of {n_classes} colours: {fitting}", palette=...),
        )
    chosen = palette if isinstance(palette, Palette) else Palette.load(palette)
    if len(chosen) != n_classes:
        raise PaletteError(
            f"its network has {n_classes} classes, palette {chosen.name!r} has {len(chosen)} colours",
            place=of,
            remedy=f"name the one that it was trained for; bundled ones of {n_classes} colours: {fitting}",
        )
    return chosen


def palettized_of(config: Mapping[str, Any]) -> Palettized:
    """The module of a file, without its numbers; inverse of `Palettized.config`."""
    own, colours = config["network"], colours_of(config["palette"])
    network = networks_of_logits()[own["kind"]].built({**own["config"], "colours": colours})
    palette, dither = Palette.from_dict(config["palette"]).to_dict(), config["dither"]
    return Palettized(network, palette, dither, _thresholds(dither))


def networks_of_logits() -> dict[str, Architecture]:
    """What may stand beside a palette, by kind."""
    return by_kind(row for row in (*architectures().values(), NEAREST) if row.gives == "logits")


def _nearest_of(config: dict[str, Any]) -> NearestColour:
    own = {name: value for name, value in config.items() if name != "colours"}
    return NearestColour(PolynomialMap.from_config(own), config["colours"])


def _thresholds(dither: str) -> Tensor | None:
    if dither not in DITHERS:
        raise PaletteError("dither", expected=f"one of {', '.join(DITHERS)}", got=f"{dither!r}")
    return None if dither == "none" else bayer(int(dither.removeprefix("bayer-")))


NEAREST = Architecture(
    "nearest", NearestColour, "the nearest colour of a fitted map", "logits", {"n_channels": 4, "kernels": [1]},
    _nearest_of, polynomial_config,
)  # fmt: skip
ARCHITECTURES = (
    NEAREST,
    Architecture(
        "palettized", Palettized, "a network of classes and its palette", "classes",
        {
            "network": {"kind": "pixelvae", "config": {"n_classes": 2, "width": 8}},
            "palette": {"colours": ["#000000", "#ffffff"]}, "dither": "bayer-2",
        },
        palettized_of,
    ),
)  # fmt: skip
