"""Presets of maps between latents, by name."""

from collections.abc import Mapping

from latentfit.errors import TrainError
from latentfit.train.interposer_presets import INTERPOSERS
from latentfit.train.latent_map_preset import LatentPreset
from latentfit.train.upscaler_presets import UPSCALERS

LATENT_PRESETS: dict[str, LatentPreset] = {**INTERPOSERS, **UPSCALERS}


def latent_preset_named(name: str, among: Mapping[str, LatentPreset] = LATENT_PRESETS) -> LatentPreset:
    """The preset of that name.

    Raises
    ------
    TrainError
        When there is none.
    """
    if name not in among:
        raise TrainError(f"preset {name!r}", expected=f"one of {', '.join(among)}")
    return among[name]
