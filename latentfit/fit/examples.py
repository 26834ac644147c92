"""Examples: what a closed form is fitted on, picture by picture, and their cells as rows for the moments."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from latentfit.errors import FitError
from latentfit.fit.basis import Basis
from latentfit.images.sources import fold_of
from latentfit.latents.spaces import LatentSpace, rgb_to_signed
from latentfit.pairs.joined import JoinedStores, SamplePair
from latentfit.pairs.shards import looks_of
from latentfit.pairs.store import PairStore, Sample
from latentfit.runtime import distributed as parallel

Floats = NDArray[np.float64]
Target = Literal["vae", "photo"]
NEAR_BOUND = 0.06  # a cell this near 0 or 1 (of the range 0 to 1) is taken as "at least this far"; see docs/log.md


@dataclass(frozen=True)
class Example:
    """One picture to fit on.

    Attributes
    ----------
    latents : Tensor, (1, C, h, w)
    target : Tensor, (1, c, h * scale, w * scale)
        Rgb in [-1, 1], or latents.
    fold : int
        For cross-validation; all crops of a picture are in one.
    kind : str
        Kind of the picture, which may decide its weight; "" where there is none.
    """

    latents: Tensor
    target: Tensor
    fold: int
    kind: str = ""


@dataclass(frozen=True)
class Examples:
    """The pictures of a fit, read one by one.

    Attributes
    ----------
    space : LatentSpace
    target_space : LatentSpace or None
        None: the targets are colours.
    n_outputs : int
        Channels of the targets.
    n_examples, n_cells : int
        Examples of this process, cells of all.
    read : callable
        Gives this process's examples, anew at every call.
    provenance : dict
        For the card, JSON-able.
    """

    space: LatentSpace
    target_space: LatentSpace | None
    n_outputs: int
    n_examples: int
    n_cells: int
    read: Callable[[], Iterator[Example]]
    provenance: dict[str, Any]


def of_store(
    store: PairStore, samples: Sequence[Sample], ratio: Fraction, n_folds: int, target: Target = "vae"
) -> Examples:
    """Latents and what the VAE made of them, or the photographs that they are of, at `ratio` pixels a cell.

    Raises
    ------
    FitError
        When the store's pictures do not have so many pixels a cell, or there are no samples.
    StoreError
        When the store lacks the target.
    """
    if not 1 <= ratio <= store.space.cell_px or ratio.denominator > 1:
        raise FitError(
            "scale",
            expected=f"1 to {store.space.cell_px} pixels a cell, which the store's pictures have",
            got=f"{ratio}",
        )
    columns = ["photo"] if target == "photo" else ["cells", *(["rgb"] if ratio > 1 else [])]
    mine = parallel.share(list(samples))

    def read() -> Iterator[Example]:
        for batch in store.batches(mine, columns):
            wanted = rgb_to_signed(batch.photo_target(ratio) if target == "photo" else batch.target(ratio))
            yield from _examples(batch.samples, batch.latents, wanted, n_folds)

    n_cells, about = _counted(store, samples)
    about |= {"learned_from": "photo"} if target == "photo" else {}
    return Examples(store.space, None, 3, len(mine), n_cells, read, about)


def of_joined(joined: JoinedStores, pairs: Sequence[SamplePair], ratio: Fraction, n_folds: int) -> Examples:
    """Latents of one store and of the other, `ratio` target cells a source cell.

    Raises
    ------
    FitError
        When the stores have another ratio, or there are no pairs.
    """
    source, target = joined.source, joined.target
    if ratio != joined.scale:
        raise FitError(f"{joined}", expected=f"a map of scale {joined.scale}", got=f"{ratio}")
    mine, whole = parallel.share(list(pairs)), ratio.denominator

    def read() -> Iterator[Example]:
        for here, there in joined.batches(mine):
            rows, wide = (side // whole * whole for side in here.latents.shape[-2:])
            wanted = there.latents[..., : int(rows * ratio), : int(wide * ratio)]
            yield from _examples(here.samples, here.latents[..., :rows, :wide], wanted, n_folds)

    n_cells, about = _counted(source, [pair.source for pair in pairs])
    about |= {
        "target_vae": target.vae_name, "target_fingerprint": target.fingerprint,
        "target_reference": target.reference, "target_size_px": target.origin.size,
    }  # fmt: skip
    return Examples(source.space, target.space, target.space.channels, len(mine), n_cells, read, about)


def of_arrays(
    latents: Tensor,
    target: Tensor,
    groups: Sequence[int] | None,
    space: LatentSpace,
    target_space: LatentSpace | None,
    ratio: Fraction,
    n_folds: int,
) -> Examples:
    """Tensors ``(N, C, h, w)`` and ``(N, c, h * ratio, w * ratio)``; `groups` says which of the N are one picture.

    Raises
    ------
    FitError
        When the shapes do not go together.
    """
    n, *sides = latents.shape[0], *(side * ratio for side in latents.shape[2:])
    expected = (n, target.shape[1], *map(int, sides))
    if tuple(target.shape) != expected or any(side.denominator > 1 for side in sides):
        raise FitError("target", expected=f"{expected} for scale {ratio}", got=f"{tuple(target.shape)}")
    pictures = list(range(n) if groups is None else groups)

    def read() -> Iterator[Example]:
        for index, picture in enumerate(pictures):
            part = slice(index, index + 1)
            wanted = target[part] if target_space is not None else rgb_to_signed(target[part])
            yield Example(latents[part], wanted, picture % n_folds)

    about = {"vae": "arrays", "n_images": len({picture % n_folds for picture in pictures}), "train_hashes": []}
    return Examples(space, target_space, target.shape[1], n, latents[:, 0].numel(), read, about)


def _examples(samples: Sequence[Sample], latents: Tensor, target: Tensor, n_folds: int) -> Iterator[Example]:
    for index, sample in enumerate(samples):
        part = slice(index, index + 1)
        yield Example(latents[part], target[part], fold_of(sample.leader, n_folds), sample.kind)


def _counted(store: PairStore, samples: Sequence[Sample]) -> tuple[int, dict[str, Any]]:
    """Cells of these samples, and what a card says of them."""
    if not samples:
        raise FitError(
            "no pictures to fit on in this split", place=store.path, remedy="collect more, or fit with split 'all'"
        )
    n_cells = sum(sample.size_cells[0] * sample.size_cells[1] for sample in samples)
    hashes = sorted({sample.sha256 for sample in samples})
    about = {
        "vae": store.vae_name, "fingerprint": store.fingerprint, "reference": store.reference,
        "size_px": store.origin.size, "n_images": len(hashes), "n_cells": n_cells, "train_hashes": hashes,
        "train_looks": looks_of(samples),
    }  # fmt: skip
    return n_cells, about


@dataclass(frozen=True)
class Cells:
    """One picture's cells, ready to fit.

    Attributes
    ----------
    variables : ndarray, (n_variables, n)
    targets : ndarray, (n_targets, n)
        Signed range.
    at_most, at_least : ndarray of bool, (n_targets, n), or None
        Where a target is an upper bound, and where a lower one.
    fold : int
    weight : float
        Weight of each cell.
    """

    variables: Floats
    targets: Floats
    at_most: NDArray[np.bool_] | None
    at_least: NDArray[np.bool_] | None
    fold: int
    weight: float = 1.0

    @classmethod
    def of(
        cls, latents: Tensor, target: Tensor, basis: Basis, scale: Fraction, fold: int, weight: float, *, bounds: bool
    ) -> "Cells":
        """One picture's: latents ``(1, C, h, w)`` and what they map to, ``(1, c, h * scale, w * scale)``.

        A fraction's denominator is how many cells, each way, make one of the fit's; `bounds`: targets near -1 and 1 are
        bounds.
        """
        blocks, targets = (
            pixel_unshuffle(picture, side) if side > 1 else picture
            for picture, side in ((latents, scale.denominator), (target, scale.numerator))
        )
        variables, outputs = basis.neighbourhoods(blocks).numpy(), targets[0].flatten(1).numpy()
        at_most, at_least = bounds_of(outputs) if bounds else (None, None)
        # numpy's casts, since for a picture's few cells torch would wake its threads
        return cls(variables.astype(np.float64), outputs.astype(np.float64), at_most, at_least, fold, weight)

    def bounded(self) -> "Cells":
        """Only the cells of which a target is a bound."""
        if self.at_most is None or self.at_least is None:
            raise ValueError("bounded: these targets are no colours and have no bounds")
        chosen = (self.at_most | self.at_least).any(0)
        return Cells(
            self.variables[:, chosen],
            self.targets[:, chosen],
            self.at_most[:, chosen],
            self.at_least[:, chosen],
            self.fold,
            self.weight,
        )

    def rows(self, basis: Basis) -> Iterator[tuple[Floats, slice]]:
        """Rows of ones, terms and targets, in chunks of cells so that memory stays flat."""
        for rows, where in basis.rows(self.variables, len(self.targets)):
            rows[1 + basis.n_terms :] = self.targets[:, where]
            if self.weight != 1:  # sums of products then carry the weight; predictions and targets stay comparable
                rows *= self.weight**0.5
            yield rows, where


def bounds_of(signed: NDArray[np.floating]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a signed target is an upper bound (near black) and where a lower one (near white).

    Near is enough: decoders bend before they clip, and what a cell's mean hides is clipped in some of its pixels.
    """
    return signed <= -1 + 2 * NEAR_BOUND, signed >= 1 - 2 * NEAR_BOUND
