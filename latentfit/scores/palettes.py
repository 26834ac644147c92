"""evaluate_palettes(): palettized approximations and a store -> one tidy table, the closed form's answer in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentfit.errors import PaletteError, Remedy, StoreError
from latentfit.images.colour import delta_e2000
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import Batch, PairStore, Sample, Split
from latentfit.palettes.decoder import is_palettized, nearest_of, palette_of
from latentfit.palettes.targets import Palettizing
from latentfit.runtime.devices import device_of
from latentfit.runtime.numbers import table_cell
from latentfit.scores.held_out import by_name, left_out_in_words, samples_to_score
from latentfit.scores.running_costs import costs

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("accuracy", "recall", "oklab", "delta_e", "target_delta_e", "usage_distance")


def evaluate_palettes(
    approximations: Mapping[str, Approximation] | Sequence[Approximation],
    store: PairStore,
    *,
    how: Palettizing | None = None,
    split: Split = "all",
    samples: Sequence[Sample] | None = None,
    progress: bool = False,
) -> "pd.DataFrame":
    """Score palettized approximations on every picture of a store that none of them learned from.

    Parameters
    ----------
    approximations : mapping of str to Approximation, or sequence
        Maps to one colour a cell among them are baselines: the nearest colour in OKLab of what they give, once for
        each palette in play. Others than these two kinds are left out.
    store : PairStore
        With rgb, or photo where targets are of that: palettized sample by sample, and nothing is written.
    how : Palettizing, optional
        For all; None: each one's own palette, method and dithering, as its card says, or k-centroid without dithering.
    split : {"all", "test", "train"}
        Considered before pictures that were learned from are left out.
    samples : sequence of Sample or None
        Score exactly these, learned from or not.
    progress : bool
        Show a bar.

    Returns
    -------
    DataFrame
        A row for each approximation, kind and image; ``image`` is "all" in pooled rows, whose ``kind`` is a kind or
        "all". Columns:

        - accuracy: share of cells whose class is the target's; recall: mean over the classes that are there
        - oklab: mean OKLab distance from the target's colour
        - delta_e: mean CIEDE2000 from the unpalettized cell; target_delta_e: of the target, which no class avoids
        - usage_distance: half the sum of what the shares of the classes differ by from the target's; 0 to 1
        - parameters, ms, extra_mib: `latentfit.scores.costs`

        `attrs` hold n_images, n_left_out, reference, and usage: for each approximation its palette and how often each
        class is there, in what it gives and in the target (see `usage_table`).

    Raises
    ------
    StoreError
        When none is palettized, the store keeps no rgb, or no picture is left to score.
    PaletteError
        When `how` is of another palette than an approximation.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    named = by_name(approximations, store)
    judged = _judged(named, how)
    columns = sorted({one.how.of for one in judged.values()})
    for column in columns:
        if column not in store.columns:
            raise StoreError(
                f"keeps no {column}, so there is nothing to palettize",
                place=store.path,
                remedy=Remedy("collect it with {}", keep=column),
            )
    compared = {name: one.approximation for name, one in judged.items()}
    chosen, n_left_out, n_copies = samples_to_score(compared.values(), store, split, samples)
    first = next(store.batches(chosen[:1], n_cells=1))
    spent = costs(compared, first.latents)
    rows: list[dict[str, Any]] = []
    pooled: dict[tuple[str, str], _Sums] = {}
    for batch in tqdm(
        store.batches(chosen, columns, n_cells=1), "score", len(chosen), unit="picture", disable=not progress
    ):
        sample, targets = batch.samples[0], dict[str, Tensor]()
        for name, one in judged.items():
            if one.how.key not in targets:
                targets[one.how.key] = one.how(_palettized_of(batch, one.how), store.space.cell_px)
            found = _sums_of(one, batch, targets[one.how.key])
            where = {"approximation": name, "palette": one.how.palette.name, "kind": sample.kind, "image": sample.name}
            rows.append({**where, "sample": sample.key, "n_images": 1, **found.scores(), **spent[name]})
            for kind in (sample.kind, "all"):
                key = (name, kind)
                pooled[key] = pooled[key].plus(found) if key in pooled else found
    counted = {kind: len({s.sha256 for s in chosen if kind in (s.kind, "all")}) for _, kind in pooled}
    for (name, kind), sums in pooled.items():
        where = {"approximation": name, "palette": judged[name].how.palette.name, "kind": kind, "image": "all"}
        rows.append({**where, "n_images": counted[kind], **sums.scores(), **spent[name]})
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "n_images": counted["all"],
        "n_left_out": n_left_out,
        "n_copies": n_copies,
        "reference": store.reference,
        "usage": {name: pooled[name, "all"].usage(one.how) for name, one in judged.items()},
    }
    return frame


def usage_table(frame: "pd.DataFrame") -> "pd.DataFrame":
    """How often each class is there: a row for each approximation and class, its colour, share and target's share."""
    import pandas as pd

    rows = [
        {"approximation": name, "class": index, "colour": colour, "share": share, "target_share": target}
        for name, usage in frame.attrs["usage"].items()
        for index, (colour, share, target) in enumerate(zip(*usage, strict=True))
    ]
    return pd.DataFrame(rows)


def palette_summary(frame: "pd.DataFrame", kind: str = "all") -> str:
    """The pooled rows as text: a block for each palette, best accuracy first."""
    attrs = frame.attrs
    lines = [f"{attrs['n_images']} pictures palettized, {left_out_in_words(attrs)}"]
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == kind)]
    for palette, block in pooled.groupby("palette", sort=False):
        columns = ["approximation", *SCORES, "parameters", "ms"]
        ranked = block.sort_values("accuracy", ascending=False)[columns]
        lines.append(f"\n{palette}, against {attrs['reference']}, palettized:")
        lines.append(ranked.to_string(index=False, float_format=table_cell))
    return "\n".join(lines)


@dataclass(frozen=True)
class _Judged:
    """One palettized approximation, and what its targets are."""

    approximation: Approximation
    how: Palettizing


def _judged(named: Mapping[str, Approximation], how: Palettizing | None) -> dict[str, _Judged]:
    found: dict[str, _Judged] = {}
    for name, one in named.items():
        if is_palettized(one):
            own = how or palettizing_of(one)
            if not torch.equal(own.palette.colours, palette_of(one).colours):
                raise PaletteError(
                    f"{name!r} has palette {palette_of(one).name!r}, the targets {own.palette.name!r}",
                    remedy="score it on its own palette",
                )
            found[name] = _Judged(one, own)
    if not found and how is None:
        raise StoreError(
            "no palettized approximation was given to score", expected="one that was trained for a palette"
        )
    every = {judged.how.key: judged.how for judged in found.values()} or ({how.key: how} if how else {})
    for name, one in named.items():
        if not is_palettized(one) and one.scale == 1:
            for own in every.values():
                baseline = nearest_of(one, own.palette)
                label = f"{name}, nearest" if len(every) == 1 else f"{name}, nearest of {own.in_words}"
                found[label] = _Judged(baseline, own)
    return found


def palettizing_of(approximation: Approximation) -> Palettizing:
    """What a palettized approximation learned, as its card says; where it does not, k-centroid without dithering."""
    targets = approximation.card.get("targets", {})
    names = ("method", "dither", "strength", "of")
    return Palettizing(palette_of(approximation), **{name: targets[name] for name in names if name in targets})


@dataclass(frozen=True)
class _Sums:
    """What one approximation did, summed over cells.

    Attributes
    ----------
    confusion : Tensor, (K, K) int64
        Cells by the target's class and by the given one.
    distances : Tensor, (K, K)
        OKLab, between the colours.
    delta_e, target_delta_e : float
        Summed CIEDE2000 from the unpalettized cells.
    """

    confusion: Tensor
    distances: Tensor
    delta_e: float
    target_delta_e: float

    def plus(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.confusion + other.confusion,
            self.distances,
            self.delta_e + other.delta_e,
            self.target_delta_e + other.target_delta_e,
        )

    def scores(self) -> dict[str, float]:
        n, shares = int(self.confusion.sum()), self.confusion.double() / self.confusion.sum()
        wanted, given, right = shares.sum(1), shares.sum(0), shares.diagonal()
        there = wanted > 0
        return {
            "accuracy": float(right.sum()),
            "recall": float((right[there] / wanted[there]).mean()),
            "oklab": float((shares * self.distances).sum()),
            "delta_e": self.delta_e / n,
            "target_delta_e": self.target_delta_e / n,
            "usage_distance": float((wanted - given).abs().sum() / 2),
        }

    def usage(self, how: Palettizing) -> tuple[list[str], list[float], list[float]]:
        """Colours, shares of the classes in what is given, and in the target."""
        shares = self.confusion.double() / self.confusion.sum()
        return how.palette.hex, shares.sum(0).tolist(), shares.sum(1).tolist()


def _sums_of(one: _Judged, batch: Batch, target: Tensor) -> _Sums:
    palette = one.how.palette
    given = one.approximation.indices(batch.latents.to(device_of(one.approximation))).cpu()
    size = len(palette)
    confusion = torch.bincount((target * size + given).flatten(), minlength=size * size).reshape(size, size)
    delta_e, target_delta_e = (
        float(delta_e2000(palette.picture(indices), batch.cells).double().sum()) for indices in (given, target)
    )
    return _Sums(confusion, torch.cdist(palette.oklab, palette.oklab).double(), delta_e, target_delta_e)


def _palettized_of(batch: Batch, how: Palettizing) -> Tensor:
    rgb = batch.rgb if how.of == "rgb" else batch.photo
    assert rgb is not None  # asked for in `batches`
    return rgb
