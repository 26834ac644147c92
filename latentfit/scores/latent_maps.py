"""evaluate_latent_maps(): maps between latents on joined stores -> one tidy table, decode -> encode beside them."""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentfit.errors import Remedy, SpaceMismatchError, StoreError
from latentfit.images.colour import LEAST_CHROMA, rgb_to_oklab
from latentfit.images.pixels import resampled
from latentfit.maps.autoencoder import Autoencoder
from latentfit.maps.contracts import LatentMap
from latentfit.maps.resampled import resampling
from latentfit.nets.resampling import Method
from latentfit.pairs.joined import JoinedStores, SamplePair
from latentfit.pairs.store import Split
from latentfit.runtime.numbers import table_cell
from latentfit.scores.colour_errors import ColourSums
from latentfit.scores.held_out import left_out_in_words, pairs_to_score
from latentfit.scores.noise_masking import ErrorBands, masking_strength, schedule_of
from latentfit.scores.running_costs import peak_mib
from latentfit.scores.similarity import PictureFeatures, ms_ssim

if TYPE_CHECKING:
    import pandas as pd

BASELINE, IDENTITY = "decode → encode", "identity"
RESAMPLED: tuple[Method, ...] = ("bilinear", "bicubic")
SHOWN = (
    "r2", "l1", "psnr", "ms_ssim", "delta_e", "hue", "saturation", "photo_psnr", "round", "buried_sigma",
    "buried_strength", "parameters", "ms", "extra_mib",
)  # fmt: skip
_MOST_RUNS, _ENOUGH_MS = 15, 400.0

Call = Callable[[Tensor], Tensor]


def evaluate_latent_maps(
    maps: Mapping[str, LatentMap],
    joined: JoinedStores,
    source_vae: Autoencoder,
    target_vae: Autoencoder,
    *,
    backs: Mapping[str, LatentMap] | None = None,
    split: Split = "all",
    pairs: Sequence[SamplePair] | None = None,
    progress: bool = False,
) -> "pd.DataFrame":
    """Score maps between latents on pictures that none of them was fitted on.

    Beside them stand "decode → encode" (the source VAE's decode, resampled with Lanczos where sizes differ, through the
    target VAE's encoder) and, between spaces of equal channels and size, "identity": the latents as they are; within a
    space, where sizes differ, "bilinear" and "bicubic": the latents resampled.

    Parameters
    ----------
    maps : mapping of str to LatentMap
    joined : JoinedStores
        The target needs rgb: its VAE's own decode is the truth that is looked at.
    source_vae, target_vae : Vae
        Whose latents the stores hold.
    backs : mapping of str to LatentMap, optional
        Inverses by name: the round trip is scored too.
    split : {"all", "test", "train"}
        Considered before fitted pictures are left out.
    pairs : sequence of Pair or None
        Score exactly these, fitted on or not.
    progress : bool

    Returns
    -------
    DataFrame
        A row for each map and image, and pooled ones whose image is "all": ``r2`` and ``l1`` of the latents; ``psnr``
        (pooled), ``delta_e``, ``saturation`` (chroma over the truth's) and ``hue`` (mean turn in degrees, weighted by
        chroma) and ``ms_ssim`` of the target decoder's pictures; ``round`` L1 after the way back; ``ms`` of one map on
        one latent, taken in turns in one run, and ``extra_mib``, the most that it allocates; ``buried_sigma`` and
        ``buried_strength``, the least noise and the least image-to-image strength that cover the error in every
        frequency band. Where the target keeps photo also ``photo_psnr``, ``photo_delta_e`` and ``photo_ms_ssim``:
        against the picture that was encoded, not against its decode. ``buried_strength`` is NaN where the noise
        schedule of the target's models is not known; ``attrs["schedule"]`` has it.

    Raises
    ------
    SpaceMismatchError
        When a map or a VAE is of other spaces, or of another scale.
    StoreError
        When no picture is left to score, or the target keeps no rgb.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    _check(maps, joined, source_vae, target_vae)
    chosen, n_left_out, n_copies = pairs_to_score(maps.values(), joined, split, pairs)
    calls: dict[str, Call] = {BASELINE: _baseline(source_vae, target_vae, joined)}
    if joined.scale == 1 and joined.source.space.channels == joined.target.space.channels:
        calls[IDENTITY] = lambda latents: latents
    if joined.scale != 1 and joined.source.space == joined.target.space:
        calls |= {name: resampling(name, joined.source.space, joined.scale) for name in RESAMPLED}
    calls |= dict(maps)
    pools = {name: _Pool() for name in calls}
    rows: list[dict[str, object]] = []
    has_photo = "photo" in joined.target.columns
    columns = ("latents", "cells", "rgb", *(("photo",) if has_photo else ()))
    for here, there in tqdm(
        joined.batches(chosen, columns, n_cells=1),
        total=len(chosen),
        unit="picture",
        desc="score",
        disable=not progress,
    ):
        assert there.rgb is not None
        truth, sample = PictureFeatures(there.rgb), here.samples[0]
        photo = None if there.photo is None else PictureFeatures(there.photo)
        for name, call in calls.items():
            made = call(here.latents).float()
            back = (backs or {}).get(name)
            returned = None if back is None else float((back(made) - here.latents).abs().mean())
            one = _Pool().add(made, there.latents, target_vae.decode(made).cpu(), truth, returned, photo)
            rows.append({"map": name, "image": sample.name, "sample": sample.key, "kind": sample.kind, **one.scores()})
            pools[name].merge(one)
    latents = next(joined.batches(chosen[:1], n_cells=1))[0].latents
    spent = _milliseconds(calls, latents)
    schedule = schedule_of(joined.target.space.name)
    for name, pool in pools.items():
        sigma = pool.bands.sigma
        strength = masking_strength(sigma, schedule) if sigma >= 0 and schedule is not None else math.nan
        buried = {"buried_sigma": sigma, "buried_strength": strength}
        parameters = maps[name].n_parameters if name in maps else math.nan
        costs = {"ms": spent[name], "extra_mib": peak_mib(partial(calls[name], latents)), "parameters": parameters}
        rows.append({"map": name, "image": "all", "kind": "all", **pool.scores(), **buried, **costs})
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "n_images": len({pair.sha256 for pair in chosen}), "n_left_out": n_left_out, "n_copies": n_copies,
        "source": joined.source.reference, "target": joined.target.reference, "scale": str(joined.scale),
        "schedule": schedule, "target_space": joined.target.space.name,
    }  # fmt: skip
    return frame


@dataclass
class _Pool:
    """Sums over pictures of one map."""

    error: float = 0.0
    absolute: float = 0.0
    n_values: int = 0
    mean: Tensor | float = 0.0
    square: Tensor | float = 0.0
    turned: float = 0.0
    chroma: float = 0.0
    bands: ErrorBands = field(default_factory=ErrorBands)
    colours: ColourSums = field(default_factory=ColourSums)
    shapes: list[float] = field(default_factory=list)
    photo_colours: ColourSums = field(default_factory=ColourSums)
    photo_shapes: list[float] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)

    def add(
        self,
        made: Tensor,
        true: Tensor,
        shown: Tensor,
        truth: PictureFeatures,
        returned: float | None,
        photo: PictureFeatures | None,
    ) -> "_Pool":
        difference = (made - true).double()
        self.error, self.absolute = float(difference.square().sum()), float(difference.abs().sum())
        self.n_values = true.numel()
        self.mean, self.square = true.double().sum((0, 2, 3)), true.double().square().sum((0, 2, 3))
        self.bands.add(made, true)
        look = PictureFeatures(shown.clamp(0, 1))
        self.colours.add(look, truth)
        self.shapes.append(ms_ssim(look, truth))
        self.turned, self.chroma = _hue_turn(look.rgb, truth.rgb)
        if photo is not None:
            self.photo_colours.add(look, photo)
            self.photo_shapes.append(ms_ssim(look, photo))
        if returned is not None:
            self.returned.append(returned)
        return self

    def merge(self, other: "_Pool") -> None:
        for name in ("error", "absolute", "n_values", "mean", "square", "turned", "chroma"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bands.sums += other.bands.sums
        self.bands.counts += other.bands.counts
        self.colours.merge(other.colours)
        self.shapes += other.shapes
        if other.photo_shapes:
            self.photo_colours.merge(other.photo_colours)
            self.photo_shapes += other.photo_shapes
        self.returned += other.returned

    def scores(self) -> dict[str, float]:
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.square, Tensor)
        per_channel = self.n_values / len(self.mean)
        variance = float((self.square - self.mean.square() / per_channel).sum())
        colours = self.colours.scores()
        return {
            "r2": 1 - self.error / variance if variance > 0 else math.nan,
            "l1": self.absolute / self.n_values,
            **{name: colours[name] for name in ("psnr", "delta_e", "saturation")},
            "hue": math.degrees(self.turned / self.chroma) if self.chroma else math.nan,
            "ms_ssim": statistics.fmean(self.shapes),
            "round": statistics.fmean(self.returned) if self.returned else math.nan,
            **self._against_the_photo(),
        }

    def _against_the_photo(self) -> dict[str, float]:
        if not self.photo_shapes:
            return {}
        colours = self.photo_colours.scores()
        return {
            "photo_psnr": colours["psnr"], "photo_delta_e": colours["delta_e"],
            "photo_ms_ssim": statistics.fmean(self.photo_shapes),
        }  # fmt: skip


def _hue_turn(shown: Tensor, truth: Tensor) -> tuple[float, float]:
    """Chroma-weighted sum of turns of hue in OKLab, radians, and the sum of weights; greys have none."""
    first, second = (rgb_to_oklab(picture.double())[:, 1:] for picture in (shown, truth))
    chroma = torch.minimum(first.norm(dim=1), second.norm(dim=1))
    coloured = chroma > LEAST_CHROMA
    cross = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    turn = torch.atan2(cross, (first * second).sum(1)).abs()
    return float((turn * chroma)[coloured].sum()), float(chroma[coloured].sum())


def _baseline(source_vae: Autoencoder, target_vae: Autoencoder, joined: JoinedStores) -> Call:
    """Through the picture."""
    ratio = joined.scale * joined.target.space.cell_px / joined.source.space.cell_px

    def through_the_picture(latents: Tensor) -> Tensor:
        rgb = source_vae.decode(latents)
        if ratio != 1:
            rgb = resampled(rgb, (int(rgb.shape[-2] * ratio), int(rgb.shape[-1] * ratio)))
        return target_vae.encode(rgb)

    return through_the_picture


def _milliseconds(calls: Mapping[str, Call], latents: Tensor) -> dict[str, float]:
    """Median of each on the same latent, in turns, on the threads that torch has."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_MOST_RUNS):
        for name, call in calls.items():
            if len(spent[name]) < 3 or sum(spent[name]) < _ENOUGH_MS:
                started = time.perf_counter()
                call(latents).cpu()
                spent[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(times) for name, times in spent.items()}


def _check(
    maps: Mapping[str, LatentMap], joined: JoinedStores, source_vae: Autoencoder, target_vae: Autoencoder
) -> None:
    source, target = joined.source.space, joined.target.space
    for name, one in maps.items():
        if one.source != source or one.target != target or one.scale != joined.scale:
            raise SpaceMismatchError(
                f"{name!r} leads from {one.source.name} to {one.target.name} at scale "
                f"{one.scale}, the stores from {source.name} to {target.name} at "
                f"{joined.scale}",
                remedy="swap the stores, or score it on its own",
            )
    for vae, space, role in ((source_vae, source, "source"), (target_vae, target, "target")):
        if vae.space != space:
            raise SpaceMismatchError(f"{role} VAE", expected=f"one of {space.name!r}", got=f"one of {vae.space.name!r}")
    if "rgb" not in joined.target.columns:
        raise StoreError(
            f"{joined.target.path}: keeps no rgb to compare with", remedy=Remedy("collect it with {}", keep="rgb")
        )


def latent_map_summary(frame: "pd.DataFrame") -> str:
    """Return the pooled rows of `evaluate_latent_maps` as text: decode → encode first, then by PSNR."""
    attrs = frame.attrs
    pooled = frame[frame["image"] == "all"]
    ranked = pooled.sort_values("psnr", ascending=False)
    ranked = ranked.sort_values("map", key=lambda names: names != BASELINE, kind="stable")
    columns = ["map", *(name for name in SHOWN if name in ranked and ranked[name].notna().any())]
    table = ranked[columns].to_string(index=False, float_format=table_cell, na_rep="")
    left_out = left_out_in_words(attrs)
    lines = [
        f"{attrs['n_images']} pictures scored, {left_out}",
        f"from {attrs['source']}",
        f"to {attrs['target']}, whose decode of the true latents is the reference",
        "",
        table,
        "",
        _about_strength(attrs),
    ]
    return "\n".join(lines)


def _about_strength(attrs: Mapping[Hashable, Any]) -> str:
    if attrs.get("schedule", "") is None:
        return (
            f"buried_strength is missing: the registry knows no noise schedule of {attrs['target_space']!r}; "
            "latentfit.scores.masking_strength gives it from buried_sigma and the schedule of your sampler"
        )
    return "buried_strength: the least image-to-image strength whose noise covers the error at every frequency"
