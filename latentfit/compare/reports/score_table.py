"""Tables that pages share: the scores of maps, best first, and the facts of where they come from."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

from latentfit.compare.reports.page import Page
from latentfit.pairs.store import PairStore
from latentfit.runtime.version import __version__

if TYPE_CHECKING:
    import pandas as pd


def pooled_scores(scores: "pd.DataFrame", place: str, reference: str = "vae") -> "pd.DataFrame":
    """The rows of all pictures of all kinds together, of a place and against a reference."""
    pooled = scores[(scores["image"] == "all") & (scores["kind"] == "all") & (scores["place"] == place)]
    return pooled[pooled["reference"] == reference]


def ranked(scores: "pd.DataFrame", place: str) -> "pd.DataFrame":
    """The pooled rows against the VAE, best PSNR first."""
    return pooled_scores(scores, place).sort_values("psnr", ascending=False)


def score_rows(
    scores: "pd.DataFrame",
    place: str,
    *,
    first: str = "map",
    named: Callable[[str], str] = str,
    with_ms_ssim: bool = True,
    more: Callable[[str], Mapping[str, object]] = lambda name: {},
) -> list[dict[str, object]]:
    """Rows of a page's table of scores, best first; columns that nothing was measured for are left out.

    Parameters
    ----------
    scores : DataFrame
        As `latentfit.evaluate` gives it.
    place : {"seen", "cells"}
    first : str
        What the first column is called.
    named : callable
        Name of a map -> what the first column says.
    with_ms_ssim : bool
    more : callable
        Name of a map -> columns at the end.
    """
    photo = pooled_scores(scores, place, "photo").set_index("approximation")["psnr"]
    rows: list[dict[str, object]] = []
    for _, row in ranked(scores, place).iterrows():
        name = str(row["approximation"])
        shape = with_ms_ssim and not math.isnan(row.get("ms_ssim", math.nan))
        rows.append(
            {
                first: named(name),
                "dB to the VAE": float(row["psnr"]),
                **({"dB to the photograph": f"{photo[name]:.2f}"} if len(photo) else {}),
                **({"MS-SSIM": f"{row['ms_ssim']:.3f}"} if shape else {}),
                "ΔE": f"{row['delta_e']:.1f}",
                "ΔE, worst 5 %": f"{row['delta_e95']:.1f}",
                "saturation": f"{row['saturation']:.2f}",
                "numbers": f"{row['parameters']:,.0f}",
                "ms": f"{row['ms']:.2g}" if row["ms"] < 100 else f"{row['ms']:.0f}",
                **more(name),
            }
        )
    return rows


def store_facts(store: PairStore) -> dict[str, str]:
    """Whose pairs a store holds: the VAE, its weights and its space."""
    space = store.space
    return {
        "VAE": store.vae_name,
        "weights, SHA-256": store.fingerprint,
        "space": f"{space.name}: {space.channels} channels, {space.cell_px} px a cell"
        + (", shift and scale measured" if space.measured else ""),
    }


def show_facts(page: Page, heading: str, facts: Mapping[str, str]) -> None:
    """Facts of where a page comes from, and what made it."""
    made_with = {"made with": f"latentfit {__version__}, torch {torch.__version__}"}
    page.heading(heading)
    page.table([{"": key, " ": value} for key, value in {**facts, **made_with}.items()], left=(" ",))
