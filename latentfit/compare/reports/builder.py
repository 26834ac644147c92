"""report(): a store and maps of it -> one HTML file to send: pictures under a curtain, sliders, scores, provenance."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latentfit.compare.reports.page import Page
from latentfit.compare.reports.pictures import PHOTO, VAE, ShownPicture, ranked, shown_pictures
from latentfit.compare.reports.sections import Given, show_pictures, show_provenance, show_scores, show_tables
from latentfit.errors import SpaceMismatchError, StoreError, reason_of
from latentfit.formats.opening import load_any, named_apart
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore, Sample, Split
from latentfit.runtime.devices import device_of
from latentfit.runtime.storage import check_writable, write_atomic
from latentfit.scores.evaluation import evaluate

if TYPE_CHECKING:
    import pandas as pd


def report(
    store: PairStore | str | os.PathLike[str],
    files: Sequence[Approximation | str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    n_pictures: int = 6,
    most_mib: float = 16.0,
    split: Split = "all",
    progress: bool = False,
) -> Path:
    """Write one self-contained HTML file that compares maps on a store's pictures; it opens without a network.

    Parameters
    ----------
    store : PairStore or path
    files : sequence of Approximation or path
        Maps written by `save`, JSON tables, other projects' decoders; or the maps themselves. One that is of another
        space, or that fails, is listed with the reason, which also stands where its picture would be.
    out : path
        The file, ``.html``.
    n_pictures : int
        Most pictures on the page; every held-out picture is scored.
    most_mib : float
        Most MiB of pictures: further ones are left out, and the page says so. One is always shown.
    split : {"all", "test", "train"}
        Considered before fitted pictures are left out.
    progress : bool
        Show a bar that says how many pictures are scored.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    StoreError
        When no map is given, the store is empty, or no picture is left that none of the maps was fitted on.
    SpaceMismatchError
        When not one of the maps is of the store's space.
    BadFileError
        When a file is missing or damaged.
    OSError
        When `out` cannot be written; found before anything is scored.
    """
    if n_pictures < 1:
        raise StoreError("n_pictures", expected="1 or more", got=f"{n_pictures}")
    check_writable(out)  # before minutes of scoring
    opened = store if isinstance(store, PairStore) else PairStore(store)
    given = _given(files, opened)
    scores = evaluate(given.maps, opened, split=split, progress=progress)
    place = "seen" if "rgb" in opened.columns else "cells"
    order = ranked(opened, scores, place)
    shown = _as_many_as_fit(opened, order, given, scores, place, n_pictures, most_mib)
    n_scored = int(scores.attrs["n_images"])
    maps = "1 map" if len(given.maps) == 1 else f"{len(given.maps)} maps"
    page = Page(
        f"Stand-ins for the decoder of {opened.space.title}",
        f"{maps} of {opened.space.title} latents, scored on {n_scored} pictures of {opened.path.name} "
        f"that none of them was fitted on, against {opened.reference}.",
    )
    show_pictures(page, opened, given, shown, len(order), most_mib)
    show_scores(page, scores, given, place)
    show_tables(page, opened, given, shown, [sample for sample, _ in order])
    show_provenance(page, opened, given, scores, ["--pictures", str(n_pictures), "--split", split])
    return write_atomic(out, page.html())


def _given(files: Sequence[Approximation | str | os.PathLike[str]], store: PairStore) -> Given:
    """Load what is a path, try each map once on every size of the store, and keep the reasons."""
    loaded: dict[Path, Approximation] = {}
    reasons: dict[str, str] = {}
    for index, file in enumerate(files):
        path = Path(f"map {index + 1}") if isinstance(file, Approximation) else Path(file)
        try:
            loaded.setdefault(path, file if isinstance(file, Approximation) else load_any(path, store.space))
        except SpaceMismatchError as error:
            reasons[path.name] = str(error)
    if not loaded and not reasons:
        raise StoreError("no map was given to report on", expected="at least one")
    why = {path: _why_not(one, store) for path, one in loaded.items()}
    named = named_apart({path: one for path, one in loaded.items() if not why[path]})
    maps = {f"{name} (map)" if name in (VAE, PHOTO) else name: one for name, one in named.items()}
    for path, one in loaded.items():
        if why[path]:
            name = one.name if one.space == store.space else f"{one.name}, {one.space.name}"
            reasons[name if name not in {*maps, *reasons} else f"{name} ({path})"] = why[path]
    if not maps:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise SpaceMismatchError(
            f"none of {len(reasons)} maps can be scored there ({listed})",
            place=store.path,
            remedy="report on maps of its own space",
        )
    paths = {id(one): path for path, one in loaded.items() if path.is_file()}
    named_files = {name: paths[id(one)] for name, one in maps.items() if id(one) in paths}
    return Given(maps, reasons, named_files, [Path(file) for file in files if not isinstance(file, Approximation)])


def _why_not(approximation: Approximation, store: PairStore) -> str:
    """Why a map cannot be scored on this store; "" when it can."""
    if approximation.space != store.space:
        return (
            f"of space {approximation.space.name!r}, the pictures' latents of {store.space.name!r}; "
            f"choose a map of {store.space.name}"
        )
    by_size = {sample.size_cells: sample for sample in store.samples}
    for sample in by_size.values():
        latents = next(store.batches([sample], (), n_cells=1)).latents
        try:
            rgb = approximation(latents.to(device_of(approximation)))
        except Exception as error:  # noqa: BLE001 - whatever a decoder raises is shown in its place
            return f"raised {type(error).__name__}: {reason_of(error)}"
        if not bool(rgb.isfinite().all()):
            return f"gave NaN or Inf for {sample.name}"
    return ""


def _as_many_as_fit(
    store: PairStore,
    order: Sequence[tuple[Sample, str]],
    given: Given,
    scores: "pd.DataFrame",
    place: str,
    n_pictures: int,
    most_mib: float,
) -> list[ShownPicture]:
    shown: list[ShownPicture] = []
    left = most_mib * 2**20
    for picture in shown_pictures(store, order[:n_pictures], given.maps, given.reasons, scores, place):
        if shown and picture.n_bytes > left:
            break
        shown.append(picture)
        left -= picture.n_bytes
    return shown
