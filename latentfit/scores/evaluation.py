"""evaluate(): approximations and a store -> one tidy table of quality, size and time."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from latentfit.errors import Remedy, StoreError
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import Batch, PairStore, Sample, Split
from latentfit.runtime.devices import device_of
from latentfit.runtime.numbers import table_cell
from latentfit.scores.colour_errors import ColourSums
from latentfit.scores.held_out import Place, as_seen, at_cells, by_name, left_out_in_words, samples_to_score
from latentfit.scores.running_costs import costs
from latentfit.scores.similarity import PictureFeatures, structure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Place", "Reference", "evaluate", "score_summary"]

Reference = Literal["vae", "photo"]


def evaluate(
    approximations: Mapping[str, Approximation] | Sequence[Approximation],
    store: PairStore,
    *,
    split: Split = "all",
    samples: Sequence[Sample] | None = None,
    references: Sequence[Reference] | None = None,
    places: Sequence[Place] | None = None,
    with_structure: bool = True,
    progress: bool = False,
    until: Callable[[], bool] | None = None,
) -> "pd.DataFrame":
    """Score approximations on every picture of a store that none of them was fitted on.

    Parameters
    ----------
    approximations : mapping of str to Approximation, or sequence
        A sequence goes by their names.
    store : PairStore
        Read one sample at a time: memory does not grow with it.
    split : {"all", "test", "train"}
        Considered before fitted pictures are left out.
    samples : sequence of Sample or None
        Score exactly these, fitted on or not: for oracles, which say so in their names.
    references : sequence of {"vae", "photo"} or None
        None: those the store has. "vae" is the VAE's own decode, named by `store.reference`; "photo" what it was given.
    places : sequence of {"cells", "seen"} or None
        "cells": at one pixel a cell, full-size decoders area-averaged. "seen": at the picture's size, smaller outputs
        enlarged bilinearly, as ComfyUI's server does; needs a store that keeps rgb. None: those the store has.
    with_structure : bool
        Also ssim, ms_ssim, gmsd, flip and high_frequency where things are seen.
    progress : bool
        Show a bar that says how many pictures are scored.
    until : callable or None
        Asked after each sample, in their order: True ends the scoring, and the table is of the samples so far.

    Returns
    -------
    DataFrame
        A row for each approximation, reference, place, kind and image; ``image`` is "all" in pooled rows, whose
        ``kind`` is a kind or "all". Scores as `ColourSums.scores` and `structure` explain them (structure is a mean
        over pictures in pooled rows), costs as `latentfit.scores.costs` does. `attrs` hold n_images (pictures scored),
        n_left_out and n_copies (those of them that are copies), reference (the VAE in words), store and timed_on.

    Raises
    ------
    StoreError
        When no picture is left to score.
    SpaceMismatchError
        When an approximation is of another space.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    named = by_name(approximations, store)
    chosen, n_left_out, n_copies = samples_to_score(named.values(), store, split, samples)
    wanted, shown = _references(store, references), _places(store, places)
    columns = [*(["rgb"] if "seen" in shown and store.has_decodes else []), *(["photo"] if "photo" in wanted else [])]
    first = next(store.batches(chosen[:1], n_cells=1))
    spent = costs(named, first.latents)
    rows: list[dict[str, Any]] = []
    pooled: dict[tuple[str, ...], _Pool] = {}
    scored: set[str] = set()
    parts = [chosen] if until is None else [[sample] for sample in chosen]  # in their order, not shard by shard
    with tqdm(total=len(chosen), unit="picture", desc=f"score {len(chosen)}", disable=not progress) as bar:
        for batch in chain.from_iterable(store.batches(part, columns, n_cells=1) for part in parts):
            for row in _scored(batch, named, wanted, shown, with_structure):
                for kind in (row.where["kind"], "all"):
                    pooled.setdefault((*row.key, kind), _Pool()).add(row, batch.samples[0])
                rows.append({**row.where, "n_images": 1, **row.sums.scores(), **row.shape, **spent[row.key[0]]})
            bar.update()
            scored.add(batch.samples[0].sha256)
            if until is not None and until():
                break
    for (name, reference, place, kind), pool in pooled.items():
        where = {"approximation": name, "reference": reference, "place": place, "kind": kind, "image": "all"}
        rows.append({**where, **pool.scores(), **spent[name]})
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "n_images": len(scored),
        "n_left_out": n_left_out,
        "n_copies": n_copies,
        "reference": store.reference,
        "store": store.path.name,
        "timed_on": "{}x{} cells, one thread".format(*first.latents.shape[-2:]),
    }
    return frame


COSTS = ("parameters", "ms", "extra_mib")


def score_summary(frame: "pd.DataFrame", kind: str = "all") -> str:
    """The pooled rows as text: one block for each reference and place, best PSNR first."""
    attrs = frame.attrs
    lines = [f"{attrs['n_images']} pictures scored, {left_out_in_words(attrs)}"]
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == kind)]
    shown = ["psnr", "delta_e", "delta_e95", "bias", "saturation", "clipped", "r2"]
    extra = [column for column in ("ssim", "ms_ssim", "gmsd", "flip", "high_frequency", *COSTS) if column in frame]
    for (reference, place), block in pooled.groupby(["reference", "place"], sort=False):
        against = attrs["reference"] if reference == "vae" else "the photograph"
        lines.append(f"\n{place}, against {against}:")
        columns = ["approximation", *shown, *(c for c in extra if block[c].notna().any())]
        ranked = block.sort_values("psnr", ascending=False)[columns]
        lines.append(ranked.to_string(index=False, float_format=table_cell))
    lines.append(f"\nms and extra_mib: {attrs['timed_on']}")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Row:
    """One approximation on one sample, against one reference at one place."""

    key: tuple[str, str, str]
    where: dict[str, str]
    sums: ColourSums
    shape: dict[str, float]


@dataclass
class _Pool:
    """Rows of one approximation, reference, place and kind."""

    sums: ColourSums = field(default_factory=ColourSums)
    shapes: list[dict[str, float]] = field(default_factory=list)
    pictures: set[str] = field(default_factory=set)

    def add(self, row: _Row, sample: Sample) -> None:
        self.sums.merge(row.sums)
        self.shapes.append(row.shape)
        self.pictures.add(sample.sha256)

    def scores(self) -> dict[str, float]:
        means = {name: mean_of_scores(name, [shape[name] for shape in self.shapes]) for name in self.shapes[0]}
        return {"n_images": len(self.pictures), **self.sums.scores(), **means}


def mean_of_scores(name: str, scores: Sequence[float]) -> float:
    """Over pictures; of sharpness over those whose reference has any detail to be as sharp as."""
    told = [score for score in scores if name != "high_frequency" or not math.isnan(score)]
    return statistics.fmean(told) if told else math.nan


def _scored(
    batch: Batch,
    named: Mapping[str, Approximation],
    references: Sequence[Reference],
    places: Sequence[Place],
    with_structure: bool,
) -> Iterator[_Row]:
    sample = batch.samples[0]
    targets = {
        (place, reference): PictureFeatures(_target(batch, place, reference))
        for place in places
        for reference in references
    }
    for name, approximation in named.items():
        output = approximation.unclamped(batch.latents.to(device_of(approximation))).float().cpu()
        for place in places:
            look = PictureFeatures(_placed(output, batch, place))
            for reference in references:
                target = targets[place, reference]
                where = {"approximation": name, "reference": reference, "place": place, "kind": sample.kind}
                where |= {"image": sample.name, "sample": sample.key}
                sums = ColourSums().add(look, target, unclamped=output)
                shape = structure(look, target) if with_structure and place == "seen" else {}
                yield _Row((name, reference, place), where, sums, shape)


def _placed(output: Tensor, batch: Batch, place: Place) -> Tensor:
    if place == "cells":
        return at_cells(output, (batch.latents.shape[-2], batch.latents.shape[-1]))
    full = batch.rgb if batch.rgb is not None else _target(batch, place, "photo")
    return as_seen(output, (full.shape[-2], full.shape[-1]))


def _target(batch: Batch, place: Place, reference: Reference) -> Tensor:
    if place == "cells":
        return batch.cells if reference == "vae" else batch.photo_cells()
    full = batch.rgb if reference == "vae" else batch.photo
    if full is None:
        raise StoreError(
            f"{reference!r} at full size: the store lacks it", remedy=Remedy("collect it with {}", keep="photo")
        )
    return full


def _references(store: PairStore, references: Sequence[Reference] | None) -> list[Reference]:
    if references is None:
        there: list[tuple[Reference, bool]] = [("vae", store.has_decodes), ("photo", "photo" in store.columns)]
        return [reference for reference, is_there in there if is_there]
    unknown = set(references) - {"vae", "photo"}
    if unknown or not references:
        raise StoreError("references", expected="'vae', 'photo' or both", got=f"{list(references)!r}")
    if "vae" in references and not store.has_decodes:
        raise StoreError(
            "was collected from an encoder alone: it holds no decodes to compare with", place=store.path,
            remedy="compare with the photographs",
        )  # fmt: skip
    if "photo" in references and "photo" not in store.columns:
        raise StoreError(
            "keeps no photographs to compare with", place=store.path, remedy=Remedy("collect it with {}", keep="photo")
        )
    return list(references)


def _places(store: PairStore, places: Sequence[Place] | None) -> list[Place]:
    is_full_size = "rgb" in store.columns or not store.has_decodes
    if places is None:
        return ["cells", "seen"] if is_full_size else ["cells"]
    unknown = set(places) - {"cells", "seen"}
    if unknown or not places:
        raise StoreError("places", expected="'cells', 'seen' or both", got=f"{list(places)!r}")
    if "seen" in places and not is_full_size:
        raise StoreError(
            "keeps no rgb, so nothing is seen at full size",
            place=store.path,
            remedy=Remedy("collect it with {}", keep="rgb"),
        )
    return list(places)
