"""What a report shows of a store's pictures: which ones, what each map makes of them, and both as data for a page."""

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from latentfit.compare.widgets.page_data import array_of, crop_size, without_bytes
from latentfit.errors import FitError
from latentfit.fit import ChannelMap
from latentfit.fit.polynomial_map import PolynomialMap, smoothed
from latentfit.formats.programs.registry import PROGRAMS
from latentfit.images.pixels import to_pil
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import Batch, PairStore, Sample
from latentfit.runtime.devices import device_of

if TYPE_CHECKING:
    import pandas as pd

VAE, PHOTO = "the VAE's decode", "the photograph"
MOST_SIDE_PX = 1024  # of a picture on the page; of a larger one its middle is shown
MOST_EDITED_TERMS = 128  # more sliders than that nobody moves
THUMB_PX = 96


@dataclass(frozen=True)
class ShownPicture:
    """One picture as the page has it.

    Attributes
    ----------
    name, note : str
        `note` says how hard it is, and whether only its middle is shown.
    view : dict
        A picture of a workbench's data.
    still : dict of str to Tensor or str
        The same pictures, or the reasons why there is none, by name: what a figure draws.
    latents : Tensor, (C, h, w)
        Model domain.
    cells : Tensor, (3, h, w) in [0, 1]
    n_bytes : int
        Bytes that it takes of the page.
    """

    name: str
    note: str
    view: dict[str, Any]
    still: dict[str, Tensor | str]
    latents: Tensor
    cells: Tensor
    n_bytes: int


def ranked(store: PairStore, scores: "pd.DataFrame", place: str) -> list[tuple[Sample, str]]:
    """The scored samples with how hard each is, in the order they are worth showing: spread from hard to easy.

    Parameters
    ----------
    store : PairStore
    scores : DataFrame
        Scores as `latentfit.evaluate` gives them.
    place : str
        Where the PSNR that decides is taken.
    """
    single = scores[(scores["image"] != "all") & (scores["reference"] == "vae") & (scores["place"] == place)]
    mean = single.groupby("sample", sort=False)["psnr"].mean().sort_values(kind="stable")
    samples = {sample.key: sample for sample in store.samples}
    ordered = [samples[str(key)] for key in mean.index]
    if not ordered:
        return []
    words = {0: "the hardest scored", len(ordered) - 1: "the easiest scored", (len(ordered) - 1) // 2: "a typical one"}
    places = [(len(ordered) - 1) // 2, 0, len(ordered) - 1]
    step = len(ordered)
    while step > 1:  # halves, quarters, eighths: any first few are spread evenly
        step = -(-step // 2)
        places += range(step // 2, len(ordered), step)
    return [(ordered[index], words.get(index, "")) for index in dict.fromkeys(places)]


def shown_pictures(
    store: PairStore,
    chosen: Sequence[tuple[Sample, str]],
    maps: Mapping[str, Approximation],
    reasons: Mapping[str, str],
    scores: "pd.DataFrame",
    place: str,
) -> Iterator[ShownPicture]:
    """The chosen samples, one at a time, so that the caller can stop when the page is full.

    Parameters
    ----------
    store : PairStore
    chosen : sequence of (Sample, str)
        With a note each.
    maps : mapping of str to Approximation
    reasons : mapping of str to str
        Name -> why nothing can be shown, which then stands where the picture would be.
    scores : DataFrame
        Scores as `latentfit.evaluate` gives them.
    place : str
        Where the scores beside the pictures are taken.
    """
    columns = [column for column in ("rgb", "photo") if column in store.columns]
    times: dict[str, int] = {}
    for sample, note in chosen:
        times[sample.name] = times.get(sample.name, 0) + 1
        name = sample.name if times[sample.name] == 1 else f"{sample.name} (crop {times[sample.name]})"
        batch = next(store.batches([sample], columns, n_cells=1))
        window, cut = _window(batch, store.space.cell_px if batch.rgb is not None else 1)
        beside = scores[(scores["sample"] == sample.key) & (scores["reference"] == "vae") & (scores["place"] == place)]
        yield _shown(name, " · ".join(filter(None, (note, cut))), batch, window, maps, reasons, _scores(beside))


def table_data(name: str, approximation: Approximation, store: PairStore, samples: Sequence[Sample]) -> dict[str, Any]:
    """Data of a table editor without its pictures, its solution being least squares over `samples` themselves."""
    module = approximation.module
    if not isinstance(module, PolynomialMap):
        raise TypeError(f"table_data: expected a map fitted by ChannelMap, got {type(module).__name__}")
    solution, label = _least_squares(module, store, samples)
    return {
        "name": name,
        "space": approximation.space.name,
        "n_channels": module.n_channels,
        "kernels": list(module.kernels),
        "intercept": module.intercept,
        "terms": module.terms,
        "factors": module.basis.factors.tolist(),
        "coefficients": module.coefficients.tolist(),
        "solution": solution,
        "solution_label": label,
        "document": json.loads(PROGRAMS["json"].write(approximation, None)),
    }


def _least_squares(
    module: PolynomialMap, store: PairStore, samples: Sequence[Sample]
) -> tuple[list[list[float]] | None, str]:
    """Coefficients of the same form on the scored samples, and what they are; or None and why not."""
    anew = ChannelMap(module.kernels, intercept=module.intercept, smoothing=module.smoothing)
    try:
        solution = anew.fit(store, samples=samples).module_.coefficients.tolist()
    except FitError as error:  # too few cells for the terms
        return None, str(error)
    return solution, f"least squares over the {len(samples)} scored samples of {store.path.name} themselves"


def is_editable(approximation: Approximation) -> bool:
    """A fitted map of one pixel a cell, with few enough numbers for a hand."""
    module = approximation.module
    return (
        isinstance(module, PolynomialMap)
        and approximation.scale == 1
        and module.target == "rgb"
        and module.coefficients.shape[1] == 3
        and len(module.terms) <= MOST_EDITED_TERMS
    )


def editor_pictures(pictures: Sequence[ShownPicture], module: PolynomialMap | None = None) -> list[dict[str, Any]]:
    """Latents and cells of pictures as a table editor takes them; latents smoothed as `module` smooths its picture."""
    smoothing = module.smoothing if module is not None else None
    return [
        {
            "name": picture.name,
            "latents": without_bytes(array_of(smoothed(picture.latents[None], smoothing)[0].half())),
            "cells": without_bytes(array_of(picture.cells.clamp(0, 1).mul(255).round().byte())),
        }
        for picture in pictures
    ]


def _shown(
    name: str,
    note: str,
    batch: Batch,
    window: tuple[slice, slice],
    maps: Mapping[str, Approximation],
    reasons: Mapping[str, str],
    scores: Mapping[str, dict[str, float | None]],
) -> ShownPicture:
    truth = batch.rgb if batch.rgb is not None else batch.cells
    still: dict[str, Tensor | str] = {VAE: _cut(truth[0], batch, window)}
    if batch.photo is not None:
        still[PHOTO] = _cut(batch.photo[0], batch, window)
    for label, approximation in maps.items():
        picture = approximation(batch.latents.to(device_of(approximation)))[0].float().cpu()
        is_finite = bool(picture.isfinite().all())
        still[label] = _cut(picture, batch, window) if is_finite else "gave NaN or Inf for this picture"
    still |= reasons
    sides = {label: {**_picture(shown), "scores": scores.get(label)} for label, shown in still.items()}
    thumb = to_pil(_cut(truth[0], batch, window))
    thumb.thumbnail((THUMB_PX, THUMB_PX))
    view = {
        "name": name,
        "note": note,
        "thumb": {"src": _webp(thumb, lossless=False)},
        "views": [{"sigma": 0, "gain": 1, "sides": sides}],
    }
    n_bytes = sum(len(side.get("src", "")) for side in sides.values()) + 6 * batch.latents.numel()
    latents = batch.latents[0][:, window[0], window[1]]
    return ShownPicture(name, note, view, still, latents, batch.cells[0][:, window[0], window[1]], n_bytes)


def _window(batch: Batch, cell_px: int) -> tuple[tuple[slice, slice], str]:
    """The middle of a picture in whole cells, at most `MOST_SIDE_PX` a side, and what it leaves out in words."""
    size = (batch.latents.shape[-2], batch.latents.shape[-1])
    rows, columns = window = crop_size(size, max(1, MOST_SIDE_PX // cell_px))
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    whole = f"{size[1] * cell_px}×{size[0] * cell_px} px"
    return window, "" if (high, wide) == size else f"the middle {wide * cell_px}×{high * cell_px} of {whole}"


def _cut(picture: Tensor, batch: Batch, window: tuple[slice, slice]) -> Tensor:
    """A window in cells out of a picture of any number of pixels a cell."""
    sizes = zip(picture.shape[-2:], batch.latents.shape[-2:], window, strict=True)
    (top, bottom), (left, right) = (
        (cells.start * pixels // n_cells, cells.stop * pixels // n_cells) for pixels, n_cells, cells in sizes
    )
    return picture[:, top:bottom, left:right]


def _scores(rows: "pd.DataFrame") -> dict[str, dict[str, float | None]]:
    return {
        str(row["approximation"]): {key: _finite(row[key]) for key in ("psnr", "delta_e", "ms")}
        for _, row in rows.iterrows()
    }


def _finite(value: object) -> float | None:
    number = float(str(value))
    return number if math.isfinite(number) else None


def _picture(shown: Tensor | str) -> dict[str, Any]:
    return {"reason": shown} if isinstance(shown, str) else {"src": _webp(to_pil(shown), lossless=True)}


def _webp(image: Any, lossless: bool) -> str:
    """A data URL; without loss the pixels are the same as a PNG's, a third smaller."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=60 if lossless else 80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
