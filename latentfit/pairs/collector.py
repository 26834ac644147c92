"""collect(): pictures through a VAE into a pair store; what was collected is never lost."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from latentfit.errors import NoPicturesError, Remedy, StoreError
from latentfit.images.sources import Picture
from latentfit.latents.likely_space import Domain
from latentfit.maps.autoencoder import Autoencoder, can_decode
from latentfit.maps.scales import Scale, as_scale
from latentfit.pairs.config import MOST_CROPS, MOST_SIDE, CollectConfig, CollectReport, Keep
from latentfit.pairs.preparation import Prepared, Preparer, SavedLatents, batched, found, joined, prefetched
from latentfit.pairs.shards import Origin, Sample, write_shard
from latentfit.pairs.store import PairStore
from latentfit.runtime import distributed as parallel
from latentfit.runtime.escaping import lines
from latentfit.runtime.storage import clear_parts

if TYPE_CHECKING:
    from tqdm.auto import tqdm

FLUSH_SECONDS = 20.0  # a killed run loses at most this much work, and the shard in hand
SHARD_BYTES = 64 << 20


def collect(
    vae: Autoencoder,
    images: str | os.PathLike[str] | Sequence[Picture | SavedLatents | str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    size: int = CollectConfig.size,
    keep: Keep = CollectConfig.keep,
    crops: int = CollectConfig.crops,
    square: bool = CollectConfig.square,
    limit: int | None = CollectConfig.limit,
    scale: Scale = 1,
    scales: Sequence[Scale] = (1,),
    domain: Domain | None = CollectConfig.domain,
    progress: bool = True,
) -> PairStore:
    """Encode and decode every picture once, and keep the pairs.

    The same call goes on where a killed one stopped, skips what is there, and shares the pictures among the ranks that
    torchrun started. Latent files in a folder (ComfyUI's ``.latent``, ``.npy``, ``.pt``, ``.bin``) are decoded only.

    Parameters
    ----------
    vae : Vae
        The reference. Of one without a decoder the store holds latents and photographs (``keep="photo"``), and says so.
    images : str, path or sequence
        Pictures as `latentfit.images.pictures` takes them, or `SavedLatents`; folders may hold latent files.
    out : path
        Folder of the store.
    size, keep, crops, square, limit, scale, scales, domain
        See `CollectConfig`; `latentfit.pairs.collect_scales` writes a store for each scale.
    progress : bool
        Show a bar with rate and time left.

    Returns
    -------
    PairStore
        With `collect`'s report printed.

    Raises
    ------
    NoPicturesError
        When no picture can be used.
    StoreError
        When the folder holds pairs of another VAE, size or columns, or the disk is full.
    """
    parallel.start_ranks()
    every_scale = tuple(map(as_scale, scales))
    config = CollectConfig(size, keep, crops, square, limit, as_scale(scale), every_scale, domain, can_decode(vae))
    _check(config, vae)
    folder = Path(out)
    origin = Origin(vae.name, vae.reference, vae.fingerprint, vae.space, config.size_px)
    everything = found(images, config)
    _check_writable(folder)
    known, outdated = _known(folder, origin, config)
    mine = parallel.share(everything)
    report = CollectReport()
    prepared = prefetched(Preparer(config, vae.space, known, report, outdated).prepare(mine))
    writer = _Writer(folder, origin, config)
    try:
        with _bar(len(mine), progress) as bar:
            for batch in batched(prepared, vae.space.cell_px, bar):
                writer.add(batch, *_pairs_of(vae, batch))
                report.n_new += len(batch)
    finally:
        writer.flush()  # whatever ended the run, also Ctrl-C: what the VAE has done is kept
    parallel.barrier()
    total = sum(parallel.gather(report), CollectReport())
    store = PairStore(folder) if any(folder.glob("*.safetensors")) else None
    total.n_copies = 0 if store is None else store.n_copies
    if parallel.rank() == 0:
        print(lines(str(total)))
    if total.n_new + total.n_known == 0 or store is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in total.skipped[:3])
        raise NoPicturesError(
            f"none of {len(everything)} pictures could be used ({reasons})", remedy="give other pictures"
        )
    return store


class _Writer:
    """Buckets of equal-sized samples, each written as a shard when it is large or old enough."""

    def __init__(self, folder: Path, origin: Origin, config: CollectConfig) -> None:
        self._folder, self._origin, self._config = folder, origin, config
        self._waiting: dict[tuple[int, int], list[tuple[list[Sample], dict[str, Tensor]]]] = {}
        self._last = time.monotonic()

    def add(self, batch: list[Prepared], latents: Tensor, rgb: Tensor | None) -> None:
        size = batch[0].sample.size_cells
        columns = {"latents": latents.half()} if rgb is None else columns_of(latents, rgb)
        photo = joined([one.rgb for one in batch])
        if photo is not None:
            columns["photo"] = photo.mul(255).round().to(torch.uint8)
        waiting = self._waiting.setdefault(size, [])
        waiting.append(([one.sample for one in batch], {name: columns[name] for name in self._config.columns}))
        if sum(tensor.nbytes for _, row in waiting for tensor in row.values()) > SHARD_BYTES:
            self._write(size)
        if time.monotonic() - self._last > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        for size in list(self._waiting):
            self._write(size)
        self._last = time.monotonic()

    def _write(self, size: tuple[int, int]) -> None:
        waiting = self._waiting.pop(size)
        samples = [sample for members, _ in waiting for sample in members]
        tensors = {name: torch.cat([row[name] for _, row in waiting]) for name in self._config.columns}
        tag = f"-rank{parallel.rank()}" if parallel.world_size() > 1 else ""
        write_shard(self._folder, self._origin, samples, tensors, tag)


def columns_of(latents: Tensor, rgb: Tensor) -> dict[str, Tensor]:
    """What a shard keeps of latents (n, C, h, w) and their decode (n, 3, H, W) in [0, 1]."""
    window = rgb.shape[-1] // latents.shape[-1]
    at_bounds = torch.cat([rgb <= 0, rgb >= 1], 1).float()
    pool = torch.nn.functional.avg_pool2d
    return {
        "latents": latents.half(),
        "cells": pool(rgb, window).half(),
        "clipped": pool(at_bounds, window).mul(255).round().to(torch.uint8),
        "rgb": rgb.mul(255).round().to(torch.uint8),
    }


def _check(config: CollectConfig, vae: Autoencoder) -> None:
    space = vae.space
    if not config.decodes and config.keep != "photo":
        raise StoreError(
            f"{vae.name} has an encoder and no decoder: its store holds latents and photographs alone",
            remedy=Remedy("collect it with {}", keep="photo"),
        )
    if config.size_px < space.cell_px or config.crops < 1 or (config.limit is not None and config.limit < 1):
        raise StoreError(
            "collect",
            expected=f"size >= {space.cell_px}, crops >= 1 and limit >= 1",
            got=f"size {config.size_px}, crops {config.crops}, limit {config.limit}",
        )
    if config.size_px > MOST_SIDE or config.crops > MOST_CROPS:
        raise StoreError(
            "collect",
            expected=f"size <= {MOST_SIDE} and crops <= {MOST_CROPS}",
            got=f"size {config.size_px}, crops {config.crops}",
        )


def _check_writable(folder: Path) -> None:
    """Before the VAE has worked for nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot be made ({error.strerror or error})", place=folder, remedy=Remedy("choose another {}", out=...)
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            "cannot be written to", place=folder, remedy=Remedy("choose another {}, or change its permissions", out=...)
        )


def _known(folder: Path, origin: Origin, config: CollectConfig) -> tuple[dict[str, set[str]], set[str]]:
    """Keys that each picture's hash has in the store already, and the hashes of pictures of before colours were read.

    Checks that the store is of this origin.
    """
    if parallel.rank() == 0 and folder.is_dir():
        clear_parts(folder)
    parallel.barrier()
    if not any(folder.glob("*.safetensors")):
        return {}, set()
    store = PairStore(folder)
    differences = store.origin.differences(origin)
    if not set(config.columns) <= set(store.columns):
        columns = f"columns {'+'.join(store.columns)} and {'+'.join(config.columns)}"
        differences = f"{differences}, {columns}" if differences else columns
    if differences:
        raise StoreError(
            f"holds pairs of {store.vae_name}, this run is {origin.vae}; they differ in {differences}",
            place=folder,
            remedy=Remedy("choose another {}", out=...),
        )
    store.verify()
    keys: dict[str, set[str]] = {}
    for sample in store.samples:
        keys.setdefault(sample.sha256, set()).add(sample.key)
    return keys, {sample.sha256 for sample in store.samples if sample.look is None}


def _pairs_of(vae: Autoencoder, batch: list[Prepared]) -> tuple[Tensor, Tensor | None]:
    """Latents as they will be stored, and what the VAE makes of exactly those; None of one without a decoder."""
    rgb = joined([one.rgb for one in batch])
    given = torch.cat([one.latents for one in batch if one.latents is not None]) if rgb is None else vae.encode(rgb)
    latents = given.half().float()
    if not bool(torch.isfinite(latents).all()):
        raise StoreError(
            f"{vae.name}: latents of {batch[0].sample.name} overflow float16 or are NaN",
            expected="about unit variance",
            remedy=Remedy("check {}, and load the VAE with {}", space=..., dtype="float32"),
        )
    return latents, vae.decode(latents).clamp(0, 1) if can_decode(vae) else None


def _bar(total: int, progress: bool) -> "tqdm[NoReturn]":
    from tqdm.auto import tqdm

    bar: tqdm[NoReturn] = tqdm(total=total, unit="picture", desc="collect", disable=not progress or parallel.rank() > 0)
    return bar
