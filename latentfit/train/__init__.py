"""One training loop for every network, from crops of a pair store; a killed run goes on to the same weights."""

from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource
from latentfit.train.loop import Trained, train
from latentfit.train.objective import Objective
from latentfit.train.palette_presets import PALETTE_PRESETS, PalettePreset, palette_preset_named
from latentfit.train.palette_decoders import train_palette
from latentfit.train.decoder_presets import PRESETS, Preset, preset_named
from latentfit.train.decoders import train_decoder, train_encoder

__all__ = [
    "PALETTE_PRESETS",
    "PRESETS",
    "CropSource",
    "Objective",
    "PalettePreset",
    "Preset",
    "TrainConfig",
    "Trained",
    "palette_preset_named",
    "preset_named",
    "train",
    "train_decoder",
    "train_encoder",
    "train_palette",
]
