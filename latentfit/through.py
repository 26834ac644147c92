"""collect_through(): the latents that a VAE gives to a store's own decodes, sample beside sample."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from latentfit.errors import StoreError
from latentfit.pairs import PairStore, Sample
from latentfit.pixels import resampled
from latentfit.shards import Origin, write_shard
from latentfit.vae import Vae


def collect_through(
    source: PairStore, vae: Vae, out: str | os.PathLike[str], *, ratio: float = 1.0, progress: bool = True
) -> PairStore:
    """Encode what a store's VAE decoded: decode → encode, kept, for a map between the two spaces to learn.

    The true latents of the other space hold detail that the source's do not know; as a target that is noise. These are
    a function of the source's latents, so that few pictures teach more. Goes on shard by shard where a killed call
    stopped.

    Parameters
    ----------
    source : PairStore
        With rgb.
    vae : Vae
        Of the target's space.
    out : path
        Folder of the store to write or to complete; its samples have the source's keys.
    ratio : float
        Sides of the pictures to encode over those that the source's VAE decoded, Lanczos-resampled.
    progress : bool

    Returns
    -------
    PairStore
        latents of `vae`, and the source's cells (pooled from what was encoded).

    Raises
    ------
    StoreError
        When the source keeps no rgb, or the folder holds something else.
    """
    from tqdm.auto import tqdm

    if "rgb" not in source.columns:
        raise StoreError(f"{source.path}: keeps no rgb to encode; collect it with --keep rgb")
    folder = Path(out)
    origin = Origin(
        f"{vae.name} through {source.vae_name}", f"{vae.reference} through {source.reference}",
        f"{vae.fingerprint}-{source.fingerprint}", vae.space, source.origin.size,
    )  # fmt: skip
    done = _done(folder, origin)
    by_shard: dict[str, list[Sample]] = defaultdict(list)
    for sample in source.samples:
        if sample.key not in done:
            by_shard[sample.shard].append(sample)
    for members in tqdm(by_shard.values(), unit="shard", desc="through", disable=not progress):
        samples, columns = [], defaultdict(list)
        for batch in source.batches(members, ("latents", "rgb"), n_cells=4096):
            assert batch.rgb is not None
            rgb = batch.rgb if ratio == 1 else resampled(batch.rgb, _times(batch.rgb.shape[-2:], ratio))
            latents = vae.encode(rgb).half()
            window = rgb.shape[-1] // latents.shape[-1]
            columns["latents"].append(latents)
            columns["cells"].append(torch.nn.functional.avg_pool2d(rgb, window).half())
            size = (latents.shape[-2], latents.shape[-1])
            samples += [_sized(sample, size) for sample in batch.samples]
        write_shard(folder, origin, samples, {name: torch.cat(parts) for name, parts in columns.items()})
    return PairStore(folder)


def _done(folder: Path, origin: Origin) -> set[str]:
    """Keys that are there already; checks that they are of this origin."""
    if not any(folder.glob("*.safetensors")):
        return set()
    store = PairStore(folder)
    if differences := store.origin.differences(origin):
        raise StoreError(f"{folder}: holds other latents; they differ in {differences}: choose another folder")
    return {sample.key for sample in store.samples}


def _sized(sample: Sample, size_cells: tuple[int, int]) -> Sample:
    return replace(sample, size_cells=size_cells, shard="", row=-1)


def _times(size_px: Sequence[int], ratio: float) -> tuple[int, int]:
    return int(size_px[0] * ratio), int(size_px[1] * ratio)
