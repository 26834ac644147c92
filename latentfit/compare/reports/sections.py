"""The sections of a report: pictures, scores, tables to move, and where it all comes from."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latentfit.compare.reports.cost_points import CostPoint
from latentfit.compare.reports.page import Page
from latentfit.compare.reports.pictures import MOST_SIDE_PX, VAE, ShownPicture, editor_pictures, is_editable, table_data
from latentfit.compare.reports.score_table import doubt_in_words, pooled_scores, score_rows, show_facts, store_facts
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore, Sample

if TYPE_CHECKING:
    import pandas as pd

MOST_EDITORS = 6
COSTS = (("delta_e", "mean ΔE (CIEDE2000)", False), ("psnr", "dB to the VAE", True), ("ms_ssim", "MS-SSIM", True))
"""Column of evaluate's table, its label, and whether more is better: the first is drawn large."""


@dataclass(frozen=True)
class Given:
    """The maps that a report compares, and the files that could not be used.

    Attributes
    ----------
    maps : dict of str to Approximation
        Those that can be scored.
    reasons : dict of str to str
        Why the others cannot.
    files : dict of str to Path
        Files of the maps that were read from one.
    paths : list of Path
        All files that were given, those that cannot be scored too.
    """

    maps: dict[str, Approximation]
    reasons: dict[str, str]
    files: dict[str, Path]
    paths: list[Path]


def show_pictures(
    page: Page,
    store: PairStore,
    given: Given,
    shown: Sequence[ShownPicture],
    n_scored: int,
    most_mib: float,
) -> None:
    """Add the workbench over the shown pictures, each in a row of its own, and what is left out."""
    page.heading("Compare")
    sides = [tile.name for tile in shown[0].tiles]
    data = {
        "pictures": [picture.view for picture in shown],
        "sides": sides,
        "reference": VAE,
        "left": next(iter(given.maps)),
        "right": VAE,
        "title": "",
    }
    page.widget("workbench", data)
    page.text(
        f"Left and right of the curtain stand any two; the error maps and the scores of one picture are against "
        f"{store.reference}. Small outputs are enlarged as a program's preview is.",
        is_soft=True,
        alone_on="screen",
    )
    page.text(
        "The split view and the sliders are on the screen alone; every picture of theirs stands below.",
        is_soft=True,
        alone_on="paper",
    )
    page.heading("Side by side")
    if n_scored > len(shown):
        page.text(
            f"{len(shown)} of {n_scored} scored pictures are on this page, spread from the hardest to the easiest: at "
            f"most {most_mib:g} MiB of them, and of a large one its middle, {MOST_SIDE_PX} px a side. The scores are "
            "over all.",
            is_soft=True,
        )
    for picture in shown:
        page.pictures(picture.tiles, picture.size_px, picture.name, picture.note)
    page.text(
        f"dB (PSNR) and ΔE (mean CIEDE2000) of each are those of this picture, against {store.reference}.",
        is_soft=True,
    )
    page.text("Choose a picture to enlarge it; the arrow keys then flip through its row.", True, "screen")
    page.table([{"not scored": name, "because": why} for name, why in given.reasons.items()], left=("because",))


def show_scores(page: Page, scores: "pd.DataFrame", given: Given, place: str) -> None:
    """The table of scores, and the chart of what each costs."""
    page.heading("Scores")
    page.table(score_rows(scores, place), dot="dB to the VAE")
    page.text(
        f"{'As seen: enlarged to the picture’s size' if place == 'seen' else 'At one pixel a latent cell'}. dB is PSNR "
        f"pooled over all pixels, more is better. {doubt_in_words(int(scores.attrs['n_images']))} ΔE is CIEDE2000; "
        "saturation 1 means colours as strong as the VAE's. "
        f"Milliseconds: {scores.attrs['timed_on']}, on the machine that wrote this page.",
        is_soft=True,
    )
    if place == "seen":
        page.table(score_rows(scores, "cells"), dot="dB to the VAE", fold="The same at one pixel a cell")
    _show_costs(page, pooled_scores(scores, place), given)


def _show_costs(page: Page, pooled: "pd.DataFrame", given: Given) -> None:
    """Milliseconds against each score that was measured, the first large."""
    page.heading("What each costs, and how near it comes")
    charts = []
    for column, label, more in COSTS:
        rows = pooled[pooled[column].notna()] if column in pooled else pooled[:0]
        named = zip(map(str, rows["approximation"]), rows["ms"], rows[column] if len(rows) else (), strict=True)
        points = [CostPoint(name, float(ms), float(score), _family(given.maps[name])) for name, ms, score in named]
        charts += [(points, label, more)] if points else []
    (points, label, more), *others = charts
    page.costs(points, label, more_is_better=more)
    page.costs_beside(others)
    page.text(
        "Further up is nearer, further left is faster. Nothing beats what lies on the grey line in both.", is_soft=True
    )


def _family(approximation: Approximation) -> str:
    """Of `latentfit.compare.reports.FAMILIES`."""
    if isinstance(approximation.module, PolynomialMap):
        return "closed form"
    return "others' network" if "file" in approximation.card else "our network"


def show_tables(
    page: Page, store: PairStore, given: Given, shown: Sequence[ShownPicture], samples: Sequence[Sample]
) -> None:
    """A table editor for each fitted map of one pixel a cell; the first is open."""
    editable = {name: one for name, one in given.maps.items() if is_editable(one)}
    if not editable:
        return
    page.heading("Move the numbers")
    page.share("pictures", editor_pictures(shown))
    for index, (name, one) in enumerate(list(editable.items())[:MOST_EDITORS]):
        data = table_data(name, one, store, samples)
        module = one.module
        if isinstance(module, PolynomialMap) and module.smoothing is not None:
            data["pictures"] = editor_pictures(shown, module)
        shared = {} if "pictures" in data else {"pictures": "pictures"}
        page.widget("table_editor", data, shared, fold=f"{name}: {one.n_parameters} numbers" if index else "")
    if len(editable) > MOST_EDITORS:
        page.text(f"Without sliders here: {', '.join(list(editable)[MOST_EDITORS:])}.", is_soft=True)


def show_provenance(page: Page, store: PairStore, given: Given, scores: "pd.DataFrame", options: Sequence[str]) -> None:
    """Store, VAE, maps and versions; and the command, with its other options, that makes the page again."""
    facts = {
        "reference": store.reference,
        **store_facts(store),
        "store": f"{store.path.name}: {len(store)} samples of {len({s.sha256 for s in store.samples})} pictures",
        "scored": f"{scores.attrs['n_images']} pictures; {scores.attrs['n_left_out']} left out because a map was "
        "fitted on them",
    }
    show_facts(page, "Where it comes from", facts)
    page.table([_origin(name, one, given.files.get(name)) for name, one in given.maps.items()], left=_ORIGIN[1:])
    if given.paths:
        named = [*map(str, dict.fromkeys(given.paths)), "--store", str(store.path), *options, "--out", "report.html"]
        command = f"latentfit report {shlex.join(named)}"
        page.code("Make this page again", command)


_ORIGIN = ("map", "file", "SHA-256", "form", "fitted to", "on")


def _origin(name: str, approximation: Approximation, path: Path | None) -> dict[str, object]:
    """Where a map comes from, from its card and its file."""
    card = approximation.card
    n_pictures = card.get("n_images") or len(card.get("train_hashes", ())) or None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path is not None else None
    said = (
        name,
        path.name if path is not None else None,
        digest,
        card.get("form") or type(approximation.module).__name__,
        card.get("reference"),
        f"{n_pictures} pictures" if n_pictures else None,
    )
    return dict(zip(_ORIGIN, said, strict=True))
