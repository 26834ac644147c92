"""The sections of a report: pictures, scores, tables to move, and where it all comes from."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latentfit.compare import figures
from latentfit.compare.figures.pareto_chart import SCORES
from latentfit.compare.reports.page import Page
from latentfit.compare.reports.pictures import MOST_SIDE_PX, VAE, ShownPicture, editor_pictures, is_editable, table_data
from latentfit.compare.reports.score_table import pooled_scores, score_rows, show_facts, store_facts
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore, Sample

if TYPE_CHECKING:
    import pandas as pd

MOST_EDITORS = 6


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
    """Add the workbench over the pictures, a note on those left out, and a still of the first."""
    page.heading("Compare")
    sides = list(shown[0].still)
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
    )
    if n_scored > len(shown):
        page.text(
            f"{len(shown)} of {n_scored} scored pictures are on this page, spread from the hardest to the easiest: at "
            f"most {most_mib:g} MiB of them, and of a large one its middle, {MOST_SIDE_PX} px a side. The scores are "
            "over all.",
            is_soft=True,
        )
    still = figures.score_sheet({shown[0].name: shown[0].still}, VAE, width_in=1.7)
    page.figure(still, f"{shown[0].name}, {shown[0].note}: PSNR and mean ΔE (CIEDE2000) as seen", dpi=90)
    page.table([{"not scored": name, "because": why} for name, why in given.reasons.items()], left=("because",))


def show_scores(page: Page, scores: "pd.DataFrame", given: Given, place: str) -> None:
    """The table of scores, and the chart of what each costs."""
    page.heading("Scores")
    page.table(score_rows(scores, place), bar="dB to the VAE")
    page.text(
        f"{'As seen: enlarged to the picture’s size' if place == 'seen' else 'At one pixel a latent cell'}. dB is PSNR "
        "pooled over all pixels, more is better; ΔE is CIEDE2000; saturation 1 means colours as strong as the VAE's. "
        f"Milliseconds: {scores.attrs['timed_on']}, on the machine that wrote this page.",
        is_soft=True,
    )
    if place == "seen":
        page.table(score_rows(scores, "cells"), bar="dB to the VAE", fold="The same at one pixel a cell")
    pooled = pooled_scores(scores, place)
    pooled = pooled.assign(family=[_family(given.maps[str(name)]) for name in pooled["approximation"]])
    drawn = tuple(name for name in SCORES if name in pooled and bool(pooled[name].notna().any()))
    page.heading("What each costs, and how near it comes")
    page.figure(
        figures.pareto(pooled, scores=drawn),
        "Milliseconds of one picture against each score; the area of a disc grows with its numbers. Nothing beats what "
        "lies on the grey line in both.",
    )


def _family(approximation: Approximation) -> str:
    """Of `latentfit.compare.figures.FAMILIES`."""
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
