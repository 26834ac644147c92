"""Tables that pages share: the scores of maps, best first, and the facts of where they come from."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

from latentfit.compare.reports.page import Page
from latentfit.errors import StoreError
from latentfit.pairs.store import PairStore
from latentfit.runtime.numbers import signed
from latentfit.runtime.version import __version__
from latentfit.scores.paired import Difference, difference

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
        Scores as `latentfit.evaluate` gives them.
    place : {"seen", "cells"}
    first : str
        What the first column is called.
    named : callable
        Name of a map -> what the first column says.
    with_ms_ssim : bool
    more : callable
        Name of a map -> columns at the end.
    """
    photo = pooled_scores(scores, place, "photo").set_index("approximation")["psnr"].to_dict()
    rows: list[dict[str, object]] = []
    order = ranked(scores, place)
    best = str(order["approximation"].iloc[0])
    for _, row in order.iterrows():
        name = str(row["approximation"])
        shape = with_ms_ssim and not math.isnan(row.get("ms_ssim", math.nan))
        doubt = "the best" if name == best else interval_in_words(against(scores, name, best, place))
        rows.append(
            {
                first: named(name),
                "dB to the VAE": float(row["psnr"]),
                **({"dB against the best": doubt} if len(order) > 1 else {}),
                **({"dB to the photograph": _decimals(photo.get(name), 2)} if photo else {}),
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


def against(scores: "pd.DataFrame", name: str, other: str, place: str) -> Difference | None:
    """What `name` is better than `other` by in dB to the VAE, picture by picture; None on fewer than two pictures."""
    try:
        return difference(scores, name, other, reference="vae", place=place)
    except StoreError:
        return None


def interval_in_words(found: Difference | None) -> str:
    """An interval, such as "−0.3 (−0.6 to −0.1)" or "0.0 (−0.2 to +0.1, tie)"; a dash where nothing can be said."""
    if found is None:
        return "–"
    tie = ", tie" if found.is_tie else ""
    return f"{signed(found.mean)} ({signed(found.low)} to {signed(found.high)}{tie})"


def doubt_in_words(n_pictures: int) -> str:
    """What a table's intervals are."""
    return (
        "Against the best stands the mean difference picture by picture, with its 95 % bootstrap interval over "
        f"{n_pictures} held-out pictures: where that holds zero, they do not say which of the two is better."
    )


def _decimals(value: float | None, count: int) -> str | None:
    return None if value is None else f"{value:.{count}f}"


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
    page.heading(heading)
    page.facts({**facts, "made with": f"latentfit {__version__}, torch {torch.__version__}"})
