"""Every figure by one name: arrays and tables in, pictures out; no state, one style.

Whatever a widget shows can be made again by one of these calls.
"""

from latentfit.compare.figures.canvas import COLOURS, GRID, INK, SOFT, Figure, saved, style
from latentfit.compare.figures.coefficients import coefficient_heatmap
from latentfit.compare.figures.split_views import curtain, under_curtain
from latentfit.compare.figures.distributions import channel_histograms, clipping, joint_channels, latent_channels
from latentfit.compare.figures.errors import (
    amplified,
    amplified_differences,
    brightness_error,
    channel_residuals,
    delta_e,
    error_map,
    error_sheet,
)
from latentfit.compare.figures.hues import hue_rings, hue_turns, turns_by_hue
from latentfit.compare.figures.latents import burial, explained, latent_sheet
from latentfit.compare.figures.palettes import palette_usage, swatches
from latentfit.compare.figures.pareto_chart import pareto
from latentfit.compare.figures.plots import ORIGINS, bars, curves, ranking
from latentfit.compare.figures.sheets import contact_sheet, score_sheet, sweep_strip

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "ORIGINS",
    "SOFT",
    "Figure",
    "amplified",
    "amplified_differences",
    "bars",
    "brightness_error",
    "burial",
    "channel_histograms",
    "channel_residuals",
    "clipping",
    "coefficient_heatmap",
    "contact_sheet",
    "curtain",
    "curves",
    "delta_e",
    "error_map",
    "error_sheet",
    "explained",
    "hue_rings",
    "hue_turns",
    "joint_channels",
    "latent_channels",
    "latent_sheet",
    "palette_usage",
    "pareto",
    "ranking",
    "saved",
    "score_sheet",
    "style",
    "swatches",
    "sweep_strip",
    "turns_by_hue",
    "under_curtain",
]
