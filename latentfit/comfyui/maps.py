"""Maps in memory: each file is read once, kept as long as it does not change, and moved by ComfyUI's management."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, final

import torch

from latentfit.comfyui import host
from latentfit.comfyui.map_files import Stamp, existing
from latentfit.comfyui.spaces import agree
from latentfit.errors import BadFileError, PaletteError, Remedy
from latentfit.formats.opening import load_any
from latentfit.formats.saved import load
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.palettes.palette import Palette

Domain = Literal["model", "raw"]
DOMAINS: tuple[Domain, ...] = ("model", "raw")
_KEPT = 8


@final
@dataclass(frozen=True, eq=False)
class Ready:
    """A map, and who moves it.

    Attributes
    ----------
    wrapper : Approximation or LatentMap
    patcher
        ComfyUI's ModelPatcher around its module.
    """

    wrapper: Approximation | LatentMap
    patcher: Any

    def device_for(self, n_bytes: int) -> torch.device:
        """Return the device on which the map runs now, with room for `n_bytes` beside it."""
        return host.on_device(self.patcher, n_bytes)


@final
@dataclass(frozen=True)
class Asked:
    """What a node says of a file that may not say it itself.

    Attributes
    ----------
    label : str
        The file, as combos call it.
    space : str or None
        What the latents are said to be.
    palette : tuple of str, or None
        Name, then colours: of a file of classes that does not hold its own.
    domain : {"model", "raw"}
        What pixelvae's network learned from.
    """

    label: str
    space: str | None
    palette: tuple[str, ...] | None = None
    domain: Domain = "model"

    def read(self, path: Path) -> Approximation | LatentMap:
        """The map; errors name the file as the node does."""
        named = None if self.palette is None else {"name": self.palette[0], "colours": list(self.palette[1:])}
        palette = None if named is None else Palette.from_dict(named)
        try:
            return load_any(path) if path.suffix.lower() == ".json" else load(path, self.space, palette, self.domain)
        except PaletteError as error:
            raise error.at(self.label) from None
        except BadFileError as error:
            if isinstance(error.remedy, Remedy) and "space" in error.remedy.settings:
                error = error.as_(BadFileError, remedy="choose it in the node's 'space', or connect 'model'")
            raise error.at(self.label) from None


def approximation_of(
    label: str, stated: LatentSpace | None, palette: Palette | None = None, domain: Domain = "model"
) -> tuple[Approximation, Ready]:
    """The map from latents to rgb that a combo's choice names.

    Parameters
    ----------
    label : str
    stated : LatentSpace or None
        What the node's latents are said to be; must be the file's, where the file says it.
    palette : Palette or None
        For files of classes that do not hold theirs.
    domain : {"model", "raw"}
        What pixelvae's network learned from.

    Raises
    ------
    BadFileError
        When the file is gone, damaged, gives latents, or says no space and none is stated.
    SpaceMismatchError, PaletteError
    """
    colours = None if palette is None else (palette.name, *palette.hex)
    asked = Asked(label, None if stated is None else stated.name, colours, domain)
    ready = _ready(Stamp.of(existing(label)), asked)
    return _pictures(ready.wrapper, label, stated), ready


def latent_map_of(label: str, stated: LatentSpace | None) -> tuple[LatentMap, Ready]:
    """The map between latents that a combo's choice names; see `approximation_of`."""
    ready = _ready(Stamp.of(existing(label)), Asked(label, None if stated is None else stated.name))
    if not isinstance(ready.wrapper, LatentMap):
        raise BadFileError(
            f"{label}: gives pictures", expected="a map from latents to latents", remedy="use LatentFit Decode"
        )
    agree(label, ready.wrapper.source, stated)
    return ready.wrapper, ready


def fresh_approximation(label: str, stated: LatentSpace | None) -> Approximation:
    """Load as `approximation_of` does, outside ComfyUI's memory management: previews must not move managed models."""
    asked = Asked(label, None if stated is None else stated.name)
    return _pictures(asked.read(existing(label)), label, stated)


@lru_cache(maxsize=_KEPT)
def _ready(stamp: Stamp, asked: Asked) -> Ready:
    wrapper = asked.read(Path(stamp.path))
    return Ready(wrapper, host.managed(wrapper.module))


def _pictures(wrapper: Approximation | LatentMap, label: str, stated: LatentSpace | None) -> Approximation:
    if not isinstance(wrapper, Approximation):
        raise BadFileError(
            f"{label}: maps latents to latents", expected="a map to pictures", remedy="use LatentFit Interpose"
        )
    agree(label, wrapper.space, stated)
    return wrapper
