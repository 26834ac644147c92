"""evaluate(): approximations and a store -> one tidy table of quality, size and time."""

import statistics
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from latentfit.approx import Approximation
from latentfit.errors import SpaceMismatchError, StoreError
from latentfit.metrics import ColourSums, structure
from latentfit.pairs import Batch, PairStore, Sample, Split

if TYPE_CHECKING:
    import pandas as pd

Reference = Literal["vae", "photo"]
Place = Literal["cells", "seen"]
N_TIMED = 7


def evaluate(
    approximations: Mapping[str, Approximation] | Sequence[Approximation],
    store: PairStore,
    *,
    split: Split = "all",
    samples: Sequence[Sample] | None = None,
    references: Sequence[Reference] | None = None,
    places: Sequence[Place] | None = None,
    with_structure: bool = True,
) -> "pd.DataFrame":
    """Score approximations on every picture of a store that none of them was fitted on.

    Parameters
    ----------
    approximations : mapping of str to Approximation, or sequence
        A sequence goes by their names.
    store : PairStore
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
        Also ssim, gmsd, flip and high_frequency where things are seen.

    Returns
    -------
    DataFrame
        A row for each approximation, reference, place, kind and image; ``image`` is "all" in pooled rows, whose
        ``kind`` is a kind or "all". `attrs` hold n_images, n_left_out, reference and store.

    Raises
    ------
    StoreError
        When no picture is left to score.
    SpaceMismatchError
        When an approximation is of another space.
    """
    import pandas as pd

    named = _named(approximations, store)
    chosen, n_left_out = (list(samples), 0) if samples is not None else _held_out(named, store, split)
    wanted = _references(store, references)
    shown = _places(store, places)
    columns = {"latents", "cells"} | ({"rgb"} & set(store.columns) if "seen" in shown else set())
    columns |= {"photo"} if "photo" in wanted else set()
    rows: list[dict[str, Any]] = []
    pooled: dict[tuple[str, str, str, str], tuple[ColourSums, list[dict[str, float]]]] = {}
    timings = _timings(named, store, chosen)
    for batch in store.batches(chosen, sorted(columns), n_cells=1):
        sample = batch.samples[0]
        for name, approximation in named.items():
            unclamped = approximation.unclamped(batch.latents)
            for place in shown:
                placed = _placed(unclamped, batch, place)
                for reference in wanted:
                    target = _target(batch, place, reference)
                    sums = ColourSums().add(placed, target)
                    shape = structure(placed.clamp(0, 1), target) if with_structure and place == "seen" else {}
                    for kind in (sample.kind, "all"):
                        total, shapes = pooled.setdefault((name, reference, place, kind), (ColourSums(), []))
                        total.merge(sums)
                        shapes.append(shape)
                    where = _row(name, reference, place, sample.kind, sample.name)
                    rows.append({**where, "n_images": 1, **sums.scores(), **shape, **timings[name]})
    for key, (total, shapes) in pooled.items():
        where = _row(*key, "all")
        means = {score: statistics.fmean(shape[score] for shape in shapes) for score in shapes[0]}
        rows.append({**where, "n_images": len(shapes), **total.scores(), **means, **timings[key[0]]})
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "n_images": len({sample.sha256 for sample in chosen}),
        "n_left_out": n_left_out,
        "reference": store.reference,
        "store": store.path.name,
    }
    return frame


def summary(frame: "pd.DataFrame", kind: str = "all") -> str:
    """The pooled rows as text: one block for each reference and place, best PSNR first."""
    attrs = frame.attrs
    lines = [
        f"{attrs['n_images']} pictures scored, {attrs['n_left_out']} left out because a compared map was fitted on them"
    ]
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == kind)]
    shown = ["psnr", "delta_e", "delta_e95", "bias", "saturation", "clipped", "r2"]
    extra = [column for column in ("ssim", "flip", "high_frequency", "parameters", "ms") if column in frame]
    for (reference, place), block in pooled.groupby(["reference", "place"], sort=False):
        against = attrs["reference"] if reference == "vae" else "the photograph"
        lines.append(f"\n{place}, against {against}:")
        columns = ["approximation", *shown, *(c for c in extra if block[c].notna().any())]
        ranked = block.sort_values("psnr", ascending=False)[columns]
        lines.append(
            ranked.to_string(
                index=False, float_format=lambda value: f"{value:.3g}" if abs(value) < 10 else f"{value:.2f}"
            )
        )
    return "\n".join(lines)


def _row(name: str, reference: str, place: str, kind: str, image: str) -> dict[str, Any]:
    return {"approximation": name, "reference": reference, "place": place, "kind": kind, "image": image}


def _named(
    approximations: Mapping[str, Approximation] | Sequence[Approximation], store: PairStore
) -> dict[str, Approximation]:
    named = dict(approximations) if isinstance(approximations, Mapping) else {}
    if not isinstance(approximations, Mapping):
        for approximation in approximations:
            name, count = approximation.name, 2
            while name in named:
                name, count = f"{approximation.name} #{count}", count + 1
            named[name] = approximation
    if not named:
        raise StoreError("evaluate: no approximation was given; expected at least one")
    for name, approximation in named.items():
        if approximation.space != store.space:
            raise SpaceMismatchError(
                f"{name!r} is of space {approximation.space.name!r}, the store of {store.space.name!r}; "
                "score it on a store of its own space"
            )
    return named


def _held_out(named: Mapping[str, Approximation], store: PairStore, split: Split) -> tuple[list[Sample], int]:
    fitted = {sha256 for approximation in named.values() for sha256 in approximation.card.get("train_hashes", ())}
    considered = store.split(split)
    chosen = [sample for sample in considered if sample.sha256 not in fitted]
    if not chosen:
        raise StoreError(
            f"{store.path}: none of {len(considered)} pictures is left to score: a compared map was fitted on each; "
            "score on a store of other pictures, or fit with split 'train'"
        )
    n_left_out = len({sample.sha256 for sample in considered}) - len({sample.sha256 for sample in chosen})
    return chosen, n_left_out


def _references(store: PairStore, references: Sequence[Reference] | None) -> list[Reference]:
    if references is None:
        return ["vae", "photo"] if "photo" in store.columns else ["vae"]
    return list(references)


def _places(store: PairStore, places: Sequence[Place] | None) -> list[Place]:
    if places is None:
        return ["cells", "seen"] if "rgb" in store.columns else ["cells"]
    if "seen" in places and "rgb" not in store.columns:
        raise StoreError(f"{store.path}: keeps no rgb, so nothing is seen at full size; collect it with --keep rgb")
    return list(places)


def _placed(unclamped: Tensor, batch: Batch, place: Place) -> Tensor:
    """A prediction where it is judged."""
    high, wide = batch.latents.shape[-2:]
    if place == "cells":
        window = unclamped.shape[-1] // wide
        if not window:  # fewer pixels than cells: a table over packed tokens
            return torch.nn.functional.interpolate(unclamped, (high, wide), mode="bilinear", align_corners=False)
        return torch.nn.functional.avg_pool2d(unclamped.clamp(0, 1), window) if window > 1 else unclamped
    size = batch.rgb.shape[-2:] if batch.rgb is not None else (high, wide)
    if tuple(unclamped.shape[-2:]) == tuple(size):
        return unclamped
    return torch.nn.functional.interpolate(unclamped.clamp(0, 1), size, mode="bilinear", align_corners=False)


def _target(batch: Batch, place: Place, reference: Reference) -> Tensor:
    if place == "cells":
        return batch.cells if reference == "vae" else batch.photo_cells()
    full = batch.rgb if reference == "vae" else batch.photo
    if full is None:
        raise StoreError("evaluate: the store lacks the full-size column; collect it with --keep photo")
    return full


def _timings(
    named: Mapping[str, Approximation], store: PairStore, chosen: Sequence[Sample]
) -> dict[str, dict[str, Any]]:
    """Parameters, milliseconds (median, interleaved) and peak extra MiB on the first picture."""
    latents = next(store.batches(chosen[:1], n_cells=1)).latents
    spent: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(N_TIMED):
        for name, approximation in named.items():
            started = time.perf_counter()
            approximation(latents)
            spent[name].append(1e3 * (time.perf_counter() - started))
    return {
        name: {
            "parameters": approximation.n_parameters,
            "ms": statistics.median(spent[name]),
            "extra_mib": peak_mib(lambda run=approximation: run(latents)),  # type: ignore[misc]
        }
        for name, approximation in named.items()
    }


def peak_mib(call: Callable[[], object]) -> float:
    """Most MiB of tensors alive at once that `call` itself allocated; what kernels use inside is not seen."""
    with _LiveBytes() as live:
        call()
    return float(live.peak) / 2**20


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds each new storage when an operation returns it, and takes it off when its last tensor dies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._tensors: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor)}
        for tensor in out if isinstance(out, list | tuple) else [out]:
            if isinstance(tensor, Tensor):
                self._track(tensor, given)
        return out

    def _track(self, tensor: Tensor, given: set[int]) -> None:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in self._tensors:
            if pointer in given:  # a view of something that was there before
                return
            self._tensors[pointer], self._bytes[pointer] = 0, tensor.untyped_storage().nbytes()
            self._now += self._bytes[pointer]
            self.peak = max(self.peak, self._now)
        self._tensors[pointer] += 1
        weakref.finalize(tensor, self._release, pointer)

    def _release(self, pointer: int) -> None:
        if pointer in self._tensors:
            self._tensors[pointer] -= 1
            if not self._tensors[pointer]:
                self._now -= self._bytes.pop(pointer)
                del self._tensors[pointer]
