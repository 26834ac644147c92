"""The steps of an autofit run after collecting: fit every form in time, learn whether more pictures help, export."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from latentfit.errors import ExportError, FitError
from latentfit.fit import ChannelMap, form_name, parse_kernels
from latentfit.formats.exporter import export
from latentfit.formats.programs.registry import PROGRAMS, is_format
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore, Sample

if TYPE_CHECKING:
    import pandas as pd

FORMS = ("linear", "affine", "quadratic", "cubic", "3", "3,1", "5", "5,3")
DECODERS = ("1", "3")
CELLS_PER_TERM = 5  # fewer cells than that a term would fit the noise
CAUTION = 1.5  # a form may take so much longer than the one before tells
ORDERS = 3  # of the training pictures, over which a learning curve is averaged


@dataclass
class Exports:
    """The files that were written for other programs.

    Attributes
    ----------
    files : dict of str to dict of str to Path
        Program or format -> form -> file.
    refused : dict of str to dict of str to str
        Program -> form -> why it cannot run it.
    """

    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)


def form_title(kernels: tuple[int, ...], intercept: bool, scale: int) -> str:
    """A form in words, for those who have not read how forms are numbered.

    Examples
    --------
    >>> form_title((3, 1), True, 1), form_title((3,), True, 1), form_title((1,), True, 8)
    ('3×3 linear + 1×1 quadratic', '3×3 affine', 'affine, full size')
    """
    name = form_name(kernels, intercept)
    return name if scale == 1 else f"{name}, full size"


def fit_every_form(
    store: PairStore,
    forms: Sequence[str] = FORMS,
    seconds: float | None = None,
    now: Callable[[], float] = time.monotonic,
) -> tuple[dict[str, Approximation], dict[str, str]]:
    """Fit all forms that the store's cells, the machine and the time can carry, cheapest first.

    Parameters
    ----------
    store : PairStore
    forms : sequence of str
        Forms at one pixel a cell; full-size decoders are fitted too where the store keeps rgb.
    seconds : float or None
        Time for all of them; a form that would take longer than what is left is left out. None: no end.
    now : callable
        The clock.

    Returns
    -------
    maps : dict of str to Approximation
        By label, in the order of `forms`: "affine", "3", …, "decoder 3".
    left_out : dict of str to str
        Label -> why it was not fitted.
    """
    jobs = {form: (form, 1) for form in forms}
    if "rgb" in store.columns:
        jobs |= {f"decoder {form}": (form, store.space.cell_px) for form in DECODERS}
    n_cells = _n_cells(store.split("train"))
    work = {label: _work(store, form, scale, n_cells) for label, (form, scale) in jobs.items()}
    maps: dict[str, Approximation] = {}
    left_out: dict[str, str] = {}
    started, pace = now(), 0.0
    for label in sorted(jobs, key=lambda one: work[one]):
        form, scale = jobs[label]
        remaining = float("inf") if seconds is None else seconds - (now() - started)
        reason = _obstacle(store, form, n_cells) or (_too_long(CAUTION * pace * work[label], remaining) if maps else "")
        if reason:
            left_out[label] = reason
            continue
        before = now()
        try:
            fitted = _channel_map(form, scale).fit(store, progress=True)
            maps[label] = fitted.approximation(name=form_title(*parse_kernels(form), scale))
        except FitError as error:
            left_out[label] = str(error)
        pace = (now() - before) / work[label]  # the costliest form so far tells most of the next
    return {label: maps[label] for label in jobs if label in maps}, left_out


def learning_curve(
    store: PairStore,
    forms: Sequence[str] = ("affine", "3"),
    orders: int = ORDERS,
    seconds: float = float("inf"),
    now: Callable[[], float] = time.monotonic,
) -> "pd.DataFrame":
    """PSNR on the held-out pictures when fitted on 1, 2, 4, … all training pictures.

    Parameters
    ----------
    store : PairStore
    forms : sequence of str
    orders : int
        Selections of so many pictures, over which a point is averaged.
    seconds : float
        Points that would take longer are left out, those of the fewest pictures first: what the curve says of more
        pictures stands at its end.
    now : callable
        The clock.

    Returns
    -------
    DataFrame
        Columns n_pictures, form, psnr (dB, pooled, at the cells, against the VAE's decode; a mean over `orders`
        selections of that many pictures). `attrs` hold n_left_out: points that there was no time for.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    names = sorted({sample.sha256 for sample in store.split("train")})  # by hash: a random order that stays the same
    counts = sorted({min(2**power, len(names)) for power in range(len(names).bit_length() + 1)})
    rows, end, longest, n_left_out = [], now() + seconds, 0.0, 0
    points = [(form, count) for count in reversed(counts) for form in forms]
    for form, count in tqdm(points, desc="learning curve", unit="point", leave=False):
        found: list[float] = []
        for order in range(orders if count < len(names) else 1):
            before = now()
            if before + longest >= end:
                n_left_out += not found
                break
            first = order * len(names) // orders
            found += _point(store, form, {names[(first + step) % len(names)] for step in range(count)})
            longest = max(longest, now() - before)
        if found:
            rows.append({"n_pictures": count, "form": form, "psnr": sum(found) / len(found)})
    rows.sort(key=lambda row: (list(forms).index(str(row["form"])), row["n_pictures"]))
    frame = pd.DataFrame(rows, columns=["n_pictures", "form", "psnr"])
    frame.attrs["n_left_out"] = n_left_out
    return frame


def _point(store: PairStore, form: str, chosen: set[str]) -> list[float]:
    """PSNR of the form fitted on these pictures; nothing when they hold too few cells."""
    samples = [sample for sample in store.split("train") if sample.sha256 in chosen]
    if _n_cells(samples) < 2 * _channel_map(form).n_terms(store.space.channels):
        return []
    fitted = _channel_map(form).fit(store, samples=samples).approximation()
    return [_cells_psnr(fitted, store, store.split("test"))]


def learning_in_words(learning: "pd.DataFrame") -> str:
    """What the curve says: whether more pictures would help, with the gain of a doubling at its end."""
    gains = {
        _channel_map(str(form)).name: float(rows["psnr"].iloc[-1] - rows["psnr"].iloc[-2])
        / max(0.5, float(torch.tensor(rows["n_pictures"].iloc[-1] / rows["n_pictures"].iloc[-2]).log2()))
        for form, rows in learning.groupby("form", sort=False)
        if len(rows) > 1
    }
    if not gains:
        return "Too few pictures, or too little time, for a learning curve: collect more, or allow more minutes."
    said = ", ".join(f"{gain:+.2f} dB for {form}" for form, gain in gains.items())
    most = int(learning["n_pictures"].max())
    if max(gains.values()) > 0.3:
        return f"More pictures would help: at {most}, a doubling still brings {said}."
    if max(gains.values()) > 0.1:
        return f"More pictures would help a little: at {most}, a doubling brings {said}."
    return f"More pictures would hardly help: at {most}, a doubling brings {said}."


def export_all(maps: dict[str, Approximation], scores: "pd.DataFrame", out: Path) -> Exports:
    """Save every map with its scores, and write it for every program that can run it."""
    exports = Exports()
    for label, approximation in maps.items():
        stem = label.replace(",", "_").replace(" ", "_")
        rows = scores[(scores["approximation"] == label) & (scores["image"] == "all")]
        keys = ["reference", "place", "kind", "psnr", "delta_e", "saturation", "clipped"]
        told = [
            {key: None if value != value else value for key, value in row.items()}  # saturation of a grey decode
            for row in rows[keys].to_dict(orient="records")
        ]
        scored = Approximation(
            approximation.module, approximation.space, approximation.scale,
            name=approximation.name, card={**approximation.card, "scores": told},
        )  # fmt: skip
        for program in PROGRAMS.values():
            if not program.in_autofit:
                continue
            folder = "maps" if program.name == "safetensors" else "tables"
            middle = "" if is_format(program.name) else f".{program.name}"
            try:
                path = export(scored, program.name, out / folder / f"{stem}{middle}{program.ending}")
                exports.files.setdefault(program.name, {})[label] = path
            except ExportError as error:
                exports.refused.setdefault(program.name, {})[label] = str(error)
    return exports


def _channel_map(form: str, scale: int = 1) -> ChannelMap:
    kernels, intercept = parse_kernels(form)
    return ChannelMap(kernels=kernels, scale=scale, intercept=intercept)


def _work(store: PairStore, form: str, scale: int, n_cells: int) -> float:
    """Microseconds on one core, about: reading, laying out the outputs, the Gram matrix, and solving."""
    n_terms, n_outputs = _channel_map(form).n_terms(store.space.channels), 3 * scale**2
    return n_cells * (1 + 0.07 * n_outputs + 1e-4 * n_terms * (n_terms + n_outputs)) + 0.015 * n_terms**3


def _obstacle(store: PairStore, form: str, n_cells: int) -> str:
    n_terms = _channel_map(form).n_terms(store.space.channels)
    if n_terms > n_cells // CELLS_PER_TERM:
        return f"{n_terms} terms need {CELLS_PER_TERM * n_terms} cells to be more than noise, got {n_cells}"
    return ""


def _too_long(seconds: float, remaining: float) -> str:
    if seconds < remaining:
        return ""
    return f"would take about {seconds:.0f} s more, with {max(remaining, 0):.0f} s left; allow more minutes"


def _n_cells(samples: Sequence[Sample]) -> int:
    return sum(sample.size_cells[0] * sample.size_cells[1] for sample in samples)


def _cells_psnr(approximation: Approximation, store: PairStore, samples: Sequence[Sample]) -> float:
    squared, count = 0.0, 0
    for batch in store.batches(samples, columns=("latents", "cells")):
        error = approximation(batch.latents) - batch.cells
        squared, count = squared + float(error.double().square().sum()), count + error.numel()
    return float(-10 * torch.log10(torch.tensor(squared / count)))
