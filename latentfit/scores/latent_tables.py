"""Scores of maps between latents, as text."""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from latentfit.runtime.numbers import table_cell
from latentfit.scores.held_out import left_out_in_words
from latentfit.scores.latent_maps import BASELINE

if TYPE_CHECKING:
    import pandas as pd

SHOWN = (
    "r2", "l1", "psnr", "ms_ssim", "delta_e", "hue", "saturation", "photo_psnr", "round", "buried_sigma",
    "buried_strength", "parameters", "ms", "extra_mib",
)  # fmt: skip


def latent_map_summary(frame: "pd.DataFrame") -> str:
    """The pooled rows of `latentfit.scores.evaluate_latent_maps`: decode → encode first, then by PSNR."""
    attrs = frame.attrs
    pooled = frame[frame["image"] == "all"]
    ranked = pooled.sort_values("psnr", ascending=False)
    ranked = ranked.sort_values("map", key=lambda names: names != BASELINE, kind="stable")
    columns = ["map", *(name for name in SHOWN if name in ranked and ranked[name].notna().any())]
    table = ranked[columns].to_string(index=False, float_format=table_cell, na_rep="")
    left_out = left_out_in_words(attrs)
    lines = [
        f"{attrs['n_images']} pictures scored, {left_out}",
        f"from {attrs['source']}",
        f"to {attrs['target']}, whose decode of the true latents is the reference",
        "",
        table,
        "",
        _about_strength(attrs),
    ]
    return "\n".join(lines)


def _about_strength(attrs: Mapping[Hashable, Any]) -> str:
    if attrs.get("schedule", "") is None:
        return (
            f"buried_strength is missing: the registry knows no noise schedule of {attrs['target_space']!r}; "
            "latentfit.scores.masking_strength gives it from buried_sigma and the schedule of your sampler"
        )
    return "buried_strength: the least image-to-image strength whose noise covers the error at every frequency"
