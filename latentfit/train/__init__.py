"""One training loop for every network, from crops of a pair store; a killed run goes on to the same weights."""

from latentfit.train.config import TrainConfig
from latentfit.train.crops import CropSource
from latentfit.train.loop import Trained, train
from latentfit.train.objective import Objective
from latentfit.train.presets import PRESETS, Preset, preset_named
from latentfit.train.recipes import train_decoder, train_encoder

__all__ = [
    "PRESETS",
    "CropSource",
    "Objective",
    "Preset",
    "TrainConfig",
    "Trained",
    "preset_named",
    "train",
    "train_decoder",
    "train_encoder",
]
