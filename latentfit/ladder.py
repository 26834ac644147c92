"""The whole road in one command: collect, fit every form, score, export, and one page that shows it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from latentfit.approx import Approximation
from latentfit.collector import collect
from latentfit.dialects import export
from latentfit.errors import ExportError, FitError, StoreError
from latentfit.files import save
from latentfit.fit import ChannelMap, parse_kernels
from latentfit.images import pictures
from latentfit.pairs import PairStore, Sample
from latentfit.resources import write_atomic
from latentfit.vae import Vae

if TYPE_CHECKING:
    import pandas as pd

FORMS = ("linear", "affine", "quadratic", "cubic", "3", "3,1", "5", "5,3")
CONSUMERS = {"comfyui": "py", "sdcpp": "h", "invokeai": "py", "a1111": "py", "sdnext": "py", "diffusers": "py"}
MOST_TERMS = 1200  # beyond, the Gram matrix takes longer than the VAE on so few pictures
CELLS_PER_TERM = 5  # fewer cells than that a term would fit the noise
SHARE_FOR_COLLECTING = 0.75  # of the minutes: the rest is for fits, scores and the page


@dataclass(frozen=True)
class LadderConfig:
    """What `ladder` does.

    Attributes
    ----------
    vae : str
        Preset, hub id, diffusers folder, single file, or the common part of a pair of TAESD files.
    out : Path
        Folder to write: store, maps, tables and index.html. The same command goes on where it was stopped.
    images : tuple of str
        Folders of pictures, or "bundled".
    space : str or None
        Latent space; None: from the VAE itself.
    size : int
        Side of a crop, pixels.
    minutes : float
        Time for all of it on this machine; decides how many crops are collected.
    crops : int or None
        Crops a picture; None: as many as fit in the time, at most 8.
    device, dtype : str
        Where and in what precision the VAE runs.
    """

    vae: str
    out: Path
    images: tuple[str, ...] = ("bundled",)
    space: str | None = None
    size: int = 256
    minutes: float = 5.0
    crops: int | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"


@dataclass
class Ladder:
    """What `ladder` made.

    Attributes
    ----------
    store : PairStore
    maps : dict of str to Approximation
        By form: "affine", "3", "decoder 3", ...
    scores : DataFrame
        Tidy, as `evaluate` gives it.
    learning : DataFrame
        Columns n_pictures, form, psnr: would more pictures help?
    left_out : dict of str to str
        Forms and exports that were not made, with the reason.
    seconds : dict of str to float
        Time of each step.
    page : Path
        index.html
    """

    store: PairStore
    maps: dict[str, Approximation]
    scores: "pd.DataFrame"
    learning: "pd.DataFrame"
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    page: Path = Path()


def ladder(config: LadderConfig) -> Ladder:
    """Collect, fit every form, score on held-out pictures, export, and write a page.

    Returns
    -------
    Ladder
        Everything that was made; the files lie in `config.out`.

    Raises
    ------
    NoPicturesError, StoreError, VaeError
        As `collect` and `Vae.load` raise them.
    """
    from latentfit.scores import evaluate, summary

    clock = _Clock()
    vae = Vae.load(config.vae, space=config.space, device=config.device, dtype=config.dtype)
    store = _collected(vae, config)
    clock.lap("collect")
    maps, left_out = fit_every_form(store)
    clock.lap("fit")
    scores = evaluate(list(maps.values()), store, split="test")
    learning = learning_curve(store)
    clock.lap("score")
    left_out |= _export_all(maps, scores, config.out)
    write_atomic(config.out / "scores.csv", scores.to_csv(index=False, float_format="%.6g"))
    clock.lap("export")
    result = Ladder(store, maps, scores, learning, left_out, clock.seconds)
    from latentfit.ladder_page import write_page

    result.page = write_page(result, config.out / "index.html")
    print(summary(scores))
    print(_learning_text(learning))
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in clock.seconds.items())
    print(f"{steps}; open {result.page}")
    return result


def fit_every_form(store: PairStore, forms: Sequence[str] = FORMS) -> tuple[dict[str, Approximation], dict[str, str]]:
    """Fit all forms that the store's cells and the machine can carry.

    Returns
    -------
    maps : dict of str to Approximation
    left_out : dict of str to str
        Form -> reason.
    """
    maps: dict[str, Approximation] = {}
    left_out: dict[str, str] = {}
    jobs = [(form, 1) for form in forms]
    if "rgb" in store.columns:
        jobs += [(form, store.space.cell_px) for form in ("1", "3")]
    n_cells = sum(sample.size_cells[0] * sample.size_cells[1] for sample in store.split("train"))
    for form, scale in jobs:
        label = form if scale == 1 else f"decoder {form}"
        kernels, intercept = parse_kernels(form)
        channel_map = ChannelMap(kernels=kernels, scale=scale, intercept=intercept)
        n_terms = channel_map.n_terms(store.space.channels)
        most = min(MOST_TERMS, n_cells // CELLS_PER_TERM)
        if n_terms > most:
            left_out[label] = f"{n_terms} terms, at most {most} for {n_cells} cells"
            continue
        try:
            maps[label] = channel_map.fit(store, split="train").approximation(name=label)
        except FitError as error:
            left_out[label] = str(error)
    return maps, left_out


def learning_curve(store: PairStore, forms: Sequence[str] = ("affine", "3")) -> "pd.DataFrame":
    """PSNR on the test pictures when fitted on 1, 2, 4, … all training pictures.

    Returns
    -------
    DataFrame
        Columns n_pictures, form, psnr (dB, pooled, cells, against the VAE's decode).
    """
    import pandas as pd

    train, test = store.split("train"), store.split("test")
    names = list(dict.fromkeys(sample.sha256 for sample in train))
    counts = sorted({min(2**power, len(names)) for power in range(len(names).bit_length() + 1)})
    rows = []
    for form in forms:
        kernels, intercept = parse_kernels(form)
        for count in counts:
            chosen = set(names[:count])
            samples = [sample for sample in train if sample.sha256 in chosen]
            channel_map = ChannelMap(kernels=kernels, intercept=intercept)
            if sum(s.size_cells[0] * s.size_cells[1] for s in samples) < 2 * channel_map.n_terms(store.space.channels):
                continue
            fitted = channel_map.fit(store, samples=samples).approximation()
            rows.append({"n_pictures": count, "form": form, "psnr": _cells_psnr(fitted, store, test)})
    return pd.DataFrame(rows, columns=["n_pictures", "form", "psnr"])


def _cells_psnr(approximation: Approximation, store: PairStore, samples: Sequence[Sample]) -> float:
    squared, count = 0.0, 0
    for batch in store.batches(samples, columns=("latents", "cells")):
        error = approximation(batch.latents) - batch.cells
        squared, count = squared + float(error.double().square().sum()), count + error.numel()
    return float(-10 * torch.log10(torch.tensor(squared / count)))


def _collected(vae: Vae, config: LadderConfig) -> PairStore:
    """Collect as many crops as the minutes allow; a store that is there is completed at its own size."""
    found = pictures(list(config.images))
    folder = config.out / "store"
    crops, limit = config.crops, None
    if crops is None:
        seconds = _seconds_per_crop(vae, config.size)
        n_crops = max(8, int(SHARE_FOR_COLLECTING * 60 * config.minutes / seconds))
        crops = max(1, min(8, n_crops // max(1, len(found))))
        limit = max(8, n_crops // crops)
        print(f"{seconds:.2f} s a crop of {config.size} px: {min(limit, len(found))} pictures x {crops} in time")
    store = collect(vae, found, folder, size=config.size, keep="photo", crops=crops, limit=limit, square=True)
    if not store.split("test") or not store.split("train"):
        raise StoreError(
            f"{folder}: {len(store.samples)} samples of too few pictures to hold some out; expected about 10 or more; "
            "add pictures with --images, or allow more --minutes"
        )
    return store


def _seconds_per_crop(vae: Vae, size: int) -> float:
    """Time of one encode and decode, after a first one that warms up."""
    rgb = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    vae.decode(vae.encode(rgb))
    started = time.perf_counter()
    vae.decode(vae.encode(rgb))
    return time.perf_counter() - started


def _export_all(maps: dict[str, Approximation], scores: "pd.DataFrame", out: Path) -> dict[str, str]:
    """Save every map, and write it for every consumer that can run it; consumer and form -> why not."""
    left_out: dict[str, str] = {}
    linear = maps.get("linear")
    for label, approximation in maps.items():
        stem = label.replace(",", "_").replace(" ", "_")
        rows = scores[(scores["approximation"] == approximation.name) & (scores["image"] == "all")]
        keys = ["reference", "place", "kind", "psnr", "delta_e", "saturation", "clipped"]
        approximation.card["scores"] = rows[keys].to_dict(orient="records")
        save(approximation, out / "maps" / f"{stem}.safetensors")
        export(approximation, "json", out / "tables" / f"{stem}.json")
        for consumer, ending in CONSUMERS.items():
            try:
                export(approximation, consumer, out / "tables" / f"{stem}.{consumer}.{ending}", bias_free=linear)
            except ExportError as error:
                left_out[f"{label} for {consumer}"] = str(error)
    return left_out


def _learning_text(learning: "pd.DataFrame") -> str:
    """The curve as lines, with the gain of the last doubling."""
    lines = []
    for form, rows in learning.groupby("form", sort=False):
        points = ", ".join(
            f"{count} → {psnr:.2f}" for count, psnr in zip(rows["n_pictures"], rows["psnr"], strict=True)
        )
        last = rows["psnr"].diff().iloc[-1] if len(rows) > 1 else float("nan")
        lines.append(f"learning curve, {form}: {points} dB (last step {last:+.2f} dB)")
    return "\n".join(lines)


class _Clock:
    """Seconds of each step, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now
