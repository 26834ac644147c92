"""Every preset by its name, of whatever kind: each is one row of its kind's table, and all lists derive from here."""

import difflib
from collections.abc import Mapping
from typing import Literal, get_args, overload

from latentfit.errors import TrainError
from latentfit.train.autoencoder_presets import AUTOENCODER_KL_PRESETS, AutoencoderPreset
from latentfit.train.decoder_presets import AUTOENCODER_PRESETS, Preset
from latentfit.train.latent_map_presets import INTERPOSERS, UPSCALERS, LatentPreset
from latentfit.train.palette_presets import PALETTE_PRESETS, PalettePreset

PresetKind = Literal["decoder", "encoder", "palette", "interposer", "upscaler", "vae"]
AnyPreset = Preset | PalettePreset | LatentPreset | AutoencoderPreset

_TABLES: tuple[Mapping[str, AnyPreset], ...] = (
    AUTOENCODER_PRESETS, PALETTE_PRESETS, INTERPOSERS, UPSCALERS, AUTOENCODER_KL_PRESETS
)  # fmt: skip
PRESETS: Mapping[str, AnyPreset] = {name: preset for table in _TABLES for name, preset in table.items()}
"""Name -> preset, of every kind."""
if len(PRESETS) != sum(map(len, _TABLES)):
    raise TypeError("presets: two of different kinds have the same name")

_IN_WORDS = {
    "decoder": "a decoder", "encoder": "an encoder", "palette": "a palette", "interposer": "an interposer",
    "upscaler": "an upscaler", "vae": "an autoencoder",
}  # fmt: skip


def preset_names(*kinds: PresetKind) -> tuple[str, ...]:
    """Names of the presets of these kinds, of every kind where none is named, in the order of their tables."""
    return tuple(name for name, preset in PRESETS.items() if preset.kind in (kinds or get_args(PresetKind)))


@overload
def preset_named(name: str) -> AnyPreset: ...
@overload
def preset_named(name: str, *kinds: Literal["decoder", "encoder"]) -> Preset: ...
@overload
def preset_named(name: str, *kinds: Literal["palette"]) -> PalettePreset: ...
@overload
def preset_named(name: str, *kinds: Literal["interposer", "upscaler"]) -> LatentPreset: ...
@overload
def preset_named(name: str, *kinds: Literal["vae"]) -> AutoencoderPreset: ...


def preset_named(name: str, *kinds: str) -> AnyPreset:
    """The preset of that name.

    Parameters
    ----------
    name : str
    *kinds : {"decoder", "encoder", "palette", "interposer", "upscaler", "vae"}
        One of these it must be.

    Raises
    ------
    TrainError
        When there is none, or it is of another kind; the nearest names are offered.
    """
    names = preset_names(*kinds)  # type: ignore[arg-type]
    if name in names:
        return PRESETS[name]
    what, others = f"preset {name!r}", ", ".join(names)
    if name in PRESETS:
        wanted = " or ".join(_IN_WORDS[kind] for kind in kinds)
        raise TrainError(
            what,
            expected=f"one of {wanted}",
            got=f"one of {_IN_WORDS[PRESETS[name].kind]}",
            remedy=f"train that instead, or take {others}",
        )
    near = " or ".join(map(repr, difflib.get_close_matches(name, names, 2, 0.5)))
    raise TrainError(what, expected=f"one of {others}", remedy=f"did you mean {near}?" if near else None)
