"""Presets of maps between latents, by name."""

from latentfit.errors import TrainError
from latentfit.train.interposer_presets import INTERPOSERS
from latentfit.train.latent_preset import LatentPreset
from latentfit.train.upscaler_presets import UPSCALERS

LATENT_PRESETS: dict[str, LatentPreset] = {**INTERPOSERS, **UPSCALERS}


def latent_preset_named(name: str) -> LatentPreset:
    """The preset of that name.

    Raises
    ------
    TrainError
        When there is none.
    """
    if name not in LATENT_PRESETS:
        raise TrainError(f"preset {name!r}: expected one of {', '.join(LATENT_PRESETS)}")
    return LATENT_PRESETS[name]
