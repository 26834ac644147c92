"""LatentFit Save Pairs: what a VAE makes of latents, kept in a pair store while people work."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfit.comfyui import host, inputs, spaces, vaes, wire_types
from latentfit.errors import SpaceMismatchError, StoreError
from latentfit.latents.spaces import LatentSpace
from latentfit.pairs.collector import columns_of
from latentfit.pairs.config import CollectConfig
from latentfit.pairs.shards import Origin, Sample, sample_key, write_shard
from latentfit.pairs.store import PairStore

DECODED, PHOTO = "the VAE's decode", "the photograph that was encoded"
KEEP = ("rgb", "cells")
_log = logging.getLogger(__name__)


class LatentFitSavePairs:
    """LATENT (and IMAGE) -> a shard in a pair store."""

    CATEGORY = inputs.CATEGORY
    DESCRIPTION = (
        "Keeps latents beside what the VAE makes of them, in a store below output/latentfit that `latentfit fit` "
        "and `latentfit train` read. Put it beside the VAE Decode of your workflow: what the store has is left out."
    )
    RETURN_TYPES = ("LATENT",)
    OUTPUT_TOOLTIPS = ("The latents, as they came.",)
    OUTPUT_NODE = True
    FUNCTION = "keep"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        folder = "Folder of the store, below output/latentfit. One store is of one VAE."
        keep = "rgb: the decode at full size, for decoders and networks. cells: one colour a latent cell, for tables."
        image = (
            "Optional: what the VAE decoded already, or the photograph; see 'images_are'. Left open: the VAE decodes."
        )
        name = "How the store calls the VAE. Left empty: after its weights. Needed where no VAE is connected."
        told = "Optional: which space the latents are of, where 'space' is auto."
        return {
            "required": {
                "samples": inputs.LATENTS,
                "store": ("STRING", {"default": "pairs", "tooltip": folder}),
                "keep": (list(KEEP), {"tooltip": keep}),
                "space": inputs.space(),
            },
            "optional": {
                "vae": ("VAE", {"tooltip": "The VAE whose pairs these are: it decodes, and its weights are recorded."}),
                "images": ("IMAGE", {"tooltip": image}),
                "images_are": (
                    [DECODED, PHOTO],
                    {"tooltip": f"What 'images' holds. {PHOTO}: is kept beside the decode."},
                ),
                "vae_name": ("STRING", {"default": "", "tooltip": name}),
                "model": ("MODEL", {"tooltip": told}),
            },
        }

    @inputs.told_of_widgets
    def keep(
        self,
        samples: wire_types.Latent,
        store: str,
        keep: str,
        space: str,
        vae: Any | None = None,
        images: Tensor | None = None,
        images_are: str = DECODED,
        vae_name: str = "",
        model: Any | None = None,
    ) -> dict[str, Any]:
        stated = spaces.stated_space(space, model)
        if stated is None:
            raise SpaceMismatchError(
                "a wire does not say which space its latents are of", remedy="choose it in 'space', or connect 'model'"
            )
        latents = wire_types.latents_on(samples, stated).cpu()
        doubt = spaces.doubted(f"the store {store!r}", latents, stated)
        given = _Given(latents, stated, vae, images, images_are == PHOTO, vae_name.strip())
        said = append(_folder(store), given, keep)
        _log.info("LatentFit Save Pairs: %s", said)
        said = f"{said}; {doubt}" if doubt else said
        return {"ui": {"text": [said]}, "result": (samples,)}


@dataclass(frozen=True)
class _Given:
    """What one run brings.

    Attributes
    ----------
    latents : Tensor, (N, C, [1,] h, w)
        Model domain.
    space : LatentSpace
    vae : ComfyUI's VAE, or None
    images : Tensor or None, (N, H, W, 3)
    are_photographs : bool
    name : str
        Name of the VAE, as the node calls it; may be empty.
    """

    latents: Tensor
    space: LatentSpace
    vae: Any
    images: Tensor | None
    are_photographs: bool
    name: str

    def origin(self) -> Origin:
        """The origin of the samples: the VAE by its weights, or by its name alone."""
        if self.vae is not None:
            weights = vaes.fingerprint(self.vae)
            name = self.name or f"ComfyUI's VAE {weights[:8]}"
            return Origin(name, f"{name}, in ComfyUI", weights, self.space, CollectConfig.size)
        if self.images is None or self.are_photographs:
            raise StoreError(
                "Save Pairs: nothing makes the pictures that belong to the latents", remedy="connect 'vae'"
            )
        if not self.name:
            raise StoreError(
                "Save Pairs: it is not said which VAE decoded the images",
                remedy="connect 'vae', or name it in 'vae_name'",
            )
        named = hashlib.sha256(f"a VAE called {self.name}".encode()).hexdigest()
        return Origin(self.name, f"a VAE called {self.name}, in ComfyUI", named, self.space, CollectConfig.size)


def append(folder: Path, given: _Given, keep: str) -> str:
    """Write the latents that the store lacks as one shard; what happened, as a sentence.

    Raises
    ------
    StoreError
        When the store is of another VAE or keeps other columns, pictures and latents do not belong together, or the
        disk is full.
    """
    latents = _pictures_only(given.latents).half().float()  # as they will be stored: what is decoded is exactly that
    if not bool(torch.isfinite(latents).all()):
        raise StoreError(
            "Save Pairs: the latents overflow float16", expected="about unit variance", remedy="check 'space'"
        )
    config = CollectConfig(keep="photo" if given.are_photographs else keep)  # type: ignore[arg-type]
    origin, samples = given.origin(), [_sample(one, given.space) for one in latents]
    known = _known(folder, origin, config)
    fresh = {sample.key: row for row, sample in enumerate(samples) if sample.key not in known}
    n_known = len(samples) - len(fresh)
    if not fresh:
        return f"{folder}: {n_known} already there, {len(known)} in all"
    rows = list(fresh.values())
    rgb, photo = _pictures(given, latents, rows)
    columns = columns_of(latents[rows], rgb)
    if photo is not None:
        columns["photo"] = photo.mul(255).round().to(torch.uint8)
    write_shard(folder, origin, [samples[row] for row in rows], {name: columns[name] for name in config.columns})
    return f"{folder}: {len(rows)} new, {n_known} already there, {len(known) + len(rows)} in all"


def _folder(store: str) -> Path:
    """Below the output folder, and nowhere else: whoever reaches the page may name it."""
    root = (host.output_folder() / "latentfit").resolve()
    folder = (root / store.strip()).resolve()
    if folder == root or root not in folder.parents:
        raise StoreError("Save Pairs", expected="'store' to name a folder below output/latentfit", got=f"{store!r}")
    return folder


def _pictures_only(latents: Tensor) -> Tensor:
    if latents.ndim == 5 and latents.shape[2] > 1:
        raise SpaceMismatchError(
            f"Save Pairs: a video of {latents.shape[2]} latent frames",
            remedy=("one latent frame is several pictures, so cut one frame out first (LatentCut along t)"),
        )
    return latents[:, :, 0] if latents.ndim == 5 else latents


def _sample(latent: Tensor, space: LatentSpace) -> Sample:
    """Known by its numbers, so that a run that is repeated adds nothing."""
    high, wide = latent.shape[-2:]
    sha256 = hashlib.sha256(
        f"{space.name} {tuple(latent.shape)} ".encode() + latent.half().numpy().tobytes()
    ).hexdigest()
    box = (0, 0, wide * space.cell_px, high * space.cell_px)
    return Sample(sample_key(sha256, box), f"comfyui/{sha256[:16]}", sha256, "latents", box, (high, wide))


def _known(folder: Path, origin: Origin, config: CollectConfig) -> set[str]:
    if not any(folder.glob("*.safetensors")):
        return set()
    store = PairStore(folder)
    differences = store.origin.differences(origin)
    if set(store.columns) != set(config.columns):
        columns = f"columns {'+'.join(store.columns)} and {'+'.join(config.columns)}"
        differences = f"{differences}, {columns}" if differences else columns
    if differences:
        raise StoreError(
            f"holds pairs of {store.vae_name}, these are of {origin.vae}",
            place=folder,
            remedy=f"they differ in {differences}: name another 'store'",
        )
    return {sample.key for sample in store.samples}


def _pictures(given: _Given, latents: Tensor, rows: list[int]) -> tuple[Tensor, Tensor | None]:
    """What the VAE made of these rows, and the photographs where they are given."""
    photo = None
    if given.images is not None:
        rgb = wire_types.rgb_of(given.images).cpu()
        px = given.space.cell_px
        expected = (len(latents), 3, latents.shape[-2] * px, latents.shape[-1] * px)
        if tuple(rgb.shape) != expected:
            raise StoreError(
                f"Save Pairs: {len(latents)} latents of {latents.shape[-1]}x{latents.shape[-2]} "
                f"cells belong to {expected[0]} images of {expected[3]}x{expected[2]} px, "
                f"got {len(rgb)} of {rgb.shape[3]}x{rgb.shape[2]}",
                remedy="connect the images of these very latents",
            )
        if not given.are_photographs:
            return rgb[rows], None
        photo = rgb[rows]
    return vaes.decoded(given.vae, latents[rows], given.space), photo
