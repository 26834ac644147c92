"""What a report shows of a store's pictures: which ones, what each map makes of them, and both as data for a page."""

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from latentfit.compare.reports.grid import Tile, data_url, lossless
from latentfit.compare.widgets.page_data import array_of, crop_size, without_bytes
from latentfit.errors import FitError
from latentfit.fit import ChannelMap
from latentfit.fit.polynomial_map import PolynomialMap, smoothed
from latentfit.formats.programs.registry import PROGRAMS
from latentfit.images.pixels import to_pil
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import Batch, PairStore, Sample
from latentfit.runtime.devices import device_of
from latentfit.runtime.numbers import quantity

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
        A picture of a workbench's data, which refers to the tiles by their marks.
    tiles : list of Tile
        The VAE's decode first: a row of the page, which alone holds the pictures' bytes.
    size_px : tuple of int
        Height and width of the VAE's decode.
    latents : Tensor, (C, h, w)
        Model domain.
    cells : Tensor, (3, h, w) in [0, 1]
    n_bytes : int
        Bytes that it takes of the page.
    """

    name: str
    note: str
    view: dict[str, Any]
    tiles: list[Tile]
    size_px: tuple[int, int]
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
    for index, (sample, note) in enumerate(chosen):
        times[sample.name] = times.get(sample.name, 0) + 1
        name = sample.name if times[sample.name] == 1 else f"{sample.name} (crop {times[sample.name]})"
        batch = next(store.batches([sample], columns, n_cells=1))
        window, cut = middle_window(batch, store.space.cell_px if batch.rgb is not None else 1)
        beside = scores[(scores["sample"] == sample.key) & (scores["reference"] == "vae") & (scores["place"] == place)]
        outputs = _outputs(batch, window, maps)
        yield _shown(
            index, name, " · ".join(filter(None, (note, cut))), batch, window, outputs | dict(reasons), _scores(beside)
        )


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


def _outputs(batch: Batch, window: tuple[slice, slice], maps: Mapping[str, Approximation]) -> dict[str, Tensor | str]:
    """The VAE's decode, the photograph where there is one, and what each map makes, or why it makes nothing."""
    truth = batch.rgb if batch.rgb is not None else batch.cells
    outputs: dict[str, Tensor | str] = {VAE: cut_out(truth[0], batch, window)}
    if batch.photo is not None:
        outputs[PHOTO] = cut_out(batch.photo[0], batch, window)
    for label, approximation in maps.items():
        picture = approximation(batch.latents.to(device_of(approximation)))[0].float().cpu()
        is_finite = bool(picture.isfinite().all())
        outputs[label] = cut_out(picture, batch, window) if is_finite else "gave NaN or Inf for this picture"
    return outputs


def _shown(
    index: int,
    name: str,
    note: str,
    batch: Batch,
    window: tuple[slice, slice],
    outputs: Mapping[str, Tensor | str],
    scores: Mapping[str, dict[str, float | None]],
) -> ShownPicture:
    tiles = [
        Tile(
            label,
            _caption(label, scores.get(label)),
            shown if isinstance(shown, str) else lossless(shown),
            is_truth=label == VAE,
            mark=f"picture-{index}-{place}",
        )
        for place, (label, shown) in enumerate(outputs.items())
    ]
    sides = {
        tile.name: {
            **({"reason": tile.picture} if isinstance(tile.picture, str) else {"src": f"#{tile.mark}"}),
            "scores": scores.get(tile.name),
        }
        for tile in tiles
    }
    truth = outputs[VAE]
    assert not isinstance(truth, str)
    view = {
        "name": name,
        "note": note,
        "thumb": {"src": _thumb(truth)},
        "views": [{"sigma": 0, "gain": 1, "sides": sides}],
    }
    n_bytes = sum(4 * len(tile.picture) // 3 for tile in tiles) + 6 * batch.latents.numel()
    latents, cells = (one[0][:, window[0], window[1]] for one in (batch.latents, batch.cells))
    return ShownPicture(name, note, view, tiles, (truth.shape[-2], truth.shape[-1]), latents, cells, n_bytes)


def _caption(label: str, scores: Mapping[str, float | None] | None) -> str:
    """What stands beneath a picture: its scores, and what it costs; of the references what they are."""
    if label in (VAE, PHOTO):
        return "what the others try to match" if label == VAE else "what the VAE was given"
    said = scores or {}
    psnr, delta_e, ms = (said.get(key) for key in ("psnr", "delta_e", "ms"))
    near = " · ".join(
        words
        for value, words in ((psnr, f"{psnr or 0:.1f} dB"), (delta_e, f"ΔE {delta_e or 0:.1f}"))
        if value is not None
    )
    return "\n".join(filter(None, (near, "" if ms is None else f"{quantity(ms, 2)} ms")))


def middle_window(batch: Batch, cell_px: int, most_px: int | None = None) -> tuple[tuple[slice, slice], str]:
    """The middle of a picture in whole cells, at most `most_px` (`MOST_SIDE_PX`) a side, and what it leaves out."""
    size = (batch.latents.shape[-2], batch.latents.shape[-1])
    rows, columns = window = crop_size(size, max(1, (most_px or MOST_SIDE_PX) // cell_px))
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    whole = f"{size[1] * cell_px}×{size[0] * cell_px} px"
    return window, "" if (high, wide) == size else f"the middle {wide * cell_px}×{high * cell_px} of {whole}"


def cut_out(picture: Tensor, batch: Batch, window: tuple[slice, slice]) -> Tensor:
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


def _thumb(truth: Tensor) -> str:
    """A small picture to choose by, with some loss."""
    thumb = to_pil(truth)
    thumb.thumbnail((THUMB_PX, THUMB_PX))
    buffer = io.BytesIO()
    thumb.save(buffer, "WEBP", quality=80, method=2)
    return data_url(buffer.getvalue())
