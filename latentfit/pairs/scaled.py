"""ScaledStores: one VAE's pictures at several sizes, a pair store a scale, joined by crop."""

import json
import os
import warnings
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from latentfit.errors import LatentfitWarning, Remedy, ScaleError, StoreError
from latentfit.images.sources import Picture
from latentfit.maps.autoencoder import Autoencoder
from latentfit.maps.scales import Scale, as_scale
from latentfit.pairs.collector import collect
from latentfit.pairs.config import CollectConfig
from latentfit.pairs.joined import LARGEST_BLOCK, JoinedStores
from latentfit.pairs.store import PairStore
from latentfit.runtime.schemas import read_json
from latentfit.runtime.storage import write_atomic

RANDOM_STEP = Fraction(1, 8)  # of random factors: sides stay multiples of 16 cells
_LEAST, _MOST = Fraction(1, 16), 16
_CUT_FOR = "cut_for.json"


class ScaledStores:
    """A folder of pair stores ``x1``, ``x1.5``, ``x2`` …: the same crops, each resampled from the original once.

    Parameters
    ----------
    path : path
        Folder that `collect_scales` wrote.

    Attributes
    ----------
    stores : dict of Fraction to PairStore
        By scale, the smallest first.

    Raises
    ------
    StoreError
        When there are fewer than two stores, or they are of different VAEs.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        folders = {scale: folder for folder in self.path.glob("x*") if (scale := _scale_of(folder.name)) is not None}
        held = {scale: PairStore(folders[scale]) for scale in sorted(folders)}
        if len(held) < 2:
            raise StoreError(
                place=self.path,
                expected="pair stores of two scales or more (x1, x2 …)",
                got=f"{len(held)}",
                remedy=Remedy("collect them with {}", scales=(1, 2)),
            )
        self.stores: dict[Fraction, PairStore] = held
        first = next(iter(held.values()))
        for store in held.values():
            if store.fingerprint != first.fingerprint:
                raise StoreError(
                    f"holds latents of {store.vae_name!r}, {first.path} of {first.vae_name!r}",
                    place=store.path,
                    expected="one VAE at several sizes",
                )

    def __repr__(self) -> str:
        scales = ", ".join(f"x{scale}" for scale in self.stores)
        return f"ScaledStores({self.path.name!r}: {scales}, {len(next(iter(self.stores.values())))} samples)"

    @property
    def factors(self) -> list[Fraction]:
        """The factors from the smallest store to each larger one."""
        least, *larger = self.stores
        return [scale / least for scale in larger]

    def join(self, factor: Scale) -> JoinedStores:
        """The smallest store beside the one that is `factor` times as large.

        Raises
        ------
        ScaleError
            When there is none.
        """
        least = next(iter(self.stores))
        target = self.stores.get(as_scale(factor) * least)
        if target is None or as_scale(factor) == 1:
            known = ", ".join(str(one) for one in self.factors)
            raise ScaleError(
                place=self.path, expected=f"a factor of {known}", got=f"{factor}", remedy="collect that scale too"
            )
        return self.stores[least].join(target)

    def joined(self) -> list[JoinedStores]:
        """The smallest store beside each larger one."""
        return [self.join(factor) for factor in self.factors]


def collect_scales(
    vae: Autoencoder,
    images: str | os.PathLike[str] | Sequence[Picture | str | os.PathLike[str]],
    out: str | os.PathLike[str],
    scales: Sequence[Scale],
    *,
    n_random: int = 0,
    **how: Any,
) -> ScaledStores:
    """Collect the same crops at several scales; the same call goes on where a killed one stopped.

    Parameters
    ----------
    vae : Vae
    images
        Pictures as `collect` takes them; no latent files, which have one size.
    out : path
        The folder of the stores.
    scales : sequence of int, float, Fraction or str
        Sides over `size`, two or more: 1, 1.5, 2. Crops are cut for the largest and never enlarged, so pictures must be
        larger than its size for it to show more than the others.
    n_random : int
        So many more, drawn in eighths between the least and the largest: an upscaler of any factor wants many.
    **how
        `size` (at scale 1), `keep`, `crops`, `square`, `limit`, `progress` of `collect`.

    Raises
    ------
    ScaleError
        When a scale is not positive, no small ratio to the least, or the only one, or when `size` is too small for
        crops that are whole cells at every scale.
    StoreError
        When the folder holds crops that were cut for other scales.

    Warns
    -----
    UserWarning
        When crops are smaller than `size`, so as to be whole cells at every scale.
    """
    wanted = _checked(scales, n_random)
    _check_crops(wanted, int(how.get("size", CollectConfig.size)), vae.space.cell_px, Path(out))
    for scale in wanted:
        collect(vae, images, Path(out) / name_of(scale), scale=scale, scales=wanted, **how)
    return ScaledStores(out)


def name_of(scale: Fraction) -> str:
    """The folder's name: x2, x1.5, x4-3."""
    decimal = f"{float(scale):.4f}".rstrip("0").rstrip(".")
    return f"x{decimal}" if Fraction(decimal) == scale else f"x{scale.numerator}-{scale.denominator}"


def _scale_of(name: str) -> Fraction | None:
    try:
        scale = Fraction(name.removeprefix("x").replace("-", "/"))
    except (ValueError, ZeroDivisionError):
        return None
    return scale if scale > 0 and name.startswith("x") else None


def _checked(scales: Sequence[Scale], n_random: int) -> tuple[Fraction, ...]:
    try:
        wanted = {as_scale(scale) for scale in scales}
    except ScaleError as error:
        raise ScaleError("scales", expected="positive numbers such as 1 1.5 2", got=f"{list(scales)}") from error
    if len(wanted) < 2 or not min(wanted) >= _LEAST or not max(wanted) <= _MOST or not all(map(_is_joined, wanted)):
        raise ScaleError(
            "scales",
            expected=f"two or more from {_LEAST} to {_MOST}, in sixteenths",
            got=f"{', '.join(str(scale) for scale in sorted(wanted))}",
        )
    low, high = min(wanted), max(wanted)
    odd = [scale for scale in sorted(wanted) if (scale / low).denominator > LARGEST_BLOCK]
    if odd:
        raise ScaleError(
            f"scales: {odd[0]} is {odd[0] / low} times the least, {low}: no ratio of "
            "small whole numbers, so the two could not be joined",
            expected=f"ratios with a denominator of at most {LARGEST_BLOCK}",
        )
    between = [low + step * RANDOM_STEP for step in range(1, int((high - low) / RANDOM_STEP) + 1)]
    free = [one for one in between if one < high and one not in wanted and (one / low).denominator <= LARGEST_BLOCK]
    if not 0 <= n_random <= len(free):
        raise ScaleError(
            "random scales",
            expected=(f"0 to {len(free)}, the eighths between {low} and {high} that can be joined"),
            got=f"{n_random}",
        )
    drawn = np.random.default_rng(len(free)).permutation(len(free))[:n_random]
    return tuple(sorted(wanted | {free[int(index)] for index in drawn}))


def _is_joined(scale: Fraction) -> bool:
    """A multiple of a sixteenth: sides must be whole cells in every store."""
    return scale.denominator <= 1 / _LEAST


def _check_crops(wanted: tuple[Fraction, ...], size: int, cell_px: int, folder: Path) -> None:
    """Crops are whole cells at every scale, and cut for the largest; a folder's stores are all cut alike."""
    cut = CollectConfig(scales=wanted)
    multiple_px = cell_px * cut.multiple_cells
    if size < multiple_px:
        raise ScaleError(
            "size",
            expected=f"whole cells at scales {', '.join(map(str, wanted))}: sides of multiples of {multiple_px} px",
            got=f"{size}",
            remedy=Remedy("give {} or more, or fewer scales", size=multiple_px),
        )
    if size % multiple_px:
        warnings.warn(
            LatentfitWarning(
                f"size {size}",
                expected=f"a multiple of {multiple_px} px at scales {', '.join(map(str, wanted))}",
                remedy=f"short sides have {size // multiple_px * multiple_px} px at scale 1",
            ),
            stacklevel=3,
        )
    alike = {"multiple_cells": cut.multiple_cells, "largest": str(cut.largest)}
    noted = folder / _CUT_FOR
    if noted.is_file() and read_json(noted) != alike:
        raise StoreError(
            f"its crops were cut for other scales, those of {', '.join(map(str, wanted))} would differ",
            place=folder,
            remedy=Remedy("collect all scales into another {}", out=...),
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(noted, json.dumps(alike) + "\n")
