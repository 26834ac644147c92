"""PictureCrops: crops of pictures, at several scales, turned and recoloured: what an autoencoder learns from."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from latentfit.errors import TrainError
from latentfit.images.perceptual_hash import look_of
from latentfit.images.sources import Picture
from latentfit.pairs.shards import Sample, sample_key
from latentfit.pairs.store import Split
from latentfit.runtime.storage import write_atomic

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

RECOLOURED, EXPOSED = 0.25, 0.5
"""Share of crops whose channels change places or are inverted, and of those that are lit otherwise."""
MOST_GAMMA, MOST_SATURATION = 1.5, 1.4
LEAST_SCALE = 0.3
"""A crop shows the original at this scale or larger, up to the original's own."""


class PictureCrops:
    """A table of which crop of which picture the k-th image of a run is.

    Picture, scale, place and variant derive from (seed, k) alone. The scale is drawn from `LEAST_SCALE` to 1, evenly in
    its logarithm; pictures are shrunk with Lanczos, never enlarged. Crops are turned and mirrored in any of the eight
    ways, `EXPOSED` of them get another gamma and saturation, `RECOLOURED` of them other colours.

    Parameters
    ----------
    pictures : mapping of str to sequence of Picture
        Kind -> pictures. Those smaller than a crop are left out.
    side_px : int
        Side of a crop.
    cache : Path
        Folder for the decoded pictures, one file each, which are mapped into memory: any number fits.
    shares : mapping of str to float, optional
        Kind -> how many of the crops are of it, relative to the others; a kind that is not named counts 1. Within a
        kind all pictures count alike.
    split : {"train", "test", "all"}
        "train": four pictures in five, by their hash; "test": the others.
    seed : int

    Attributes
    ----------
    samples : list of Sample
        The pictures that are drawn from, each whole; their kind is the mapping's.

    Raises
    ------
    TrainError
        When no picture is as large as a crop, or the shares leave none.
    """

    def __init__(
        self,
        pictures: Mapping[str, Sequence[Picture]],
        side_px: int,
        cache: Path,
        *,
        shares: Mapping[str, float] | None = None,
        split: Split = "all",
        seed: int = 0,
    ) -> None:
        self.side_px, self.seed = side_px, seed
        cache.mkdir(parents=True, exist_ok=True)
        self._of_kind: dict[str, list[tuple[Sample, Path]]] = {}
        for kind, members in pictures.items():
            kept = [_decoded(picture, kind, cache) for picture in members]
            self._of_kind[kind] = [
                one for one in kept
                if min(one[0].size_cells) >= side_px and split in ("all", "test" if one[0].is_test else "train")
            ]  # fmt: skip
        weights = [(shares or {}).get(kind, 1.0) if members else 0.0 for kind, members in self._of_kind.items()]
        if not sum(weights) > 0:
            raise TrainError(
                "pictures to train on",
                expected=f"at least one of {side_px} px or more of a kind with a share",
                got=", ".join(f"{len(members)} of {kind}" for kind, members in self._of_kind.items()) or "none",
                remedy="give larger pictures, take smaller crops, or another share",
            )
        self._kinds, self._cumulated = list(self._of_kind), np.cumsum(weights) / sum(weights)
        self.samples = [
            sample for kind, weight in zip(self._kinds, weights, strict=True) if weight
            for sample, _ in self._of_kind[kind]
        ]  # fmt: skip
        self._mapped: dict[Path, Bytes] = {}

    def batch(self, images: Sequence[int]) -> dict[str, Tensor]:
        """``input`` of these images, float32, rgb in [0, 1], ``(n, 3, side, side)``; ``target`` is the same."""
        rgb = torch.from_numpy(np.stack([self.crop(image) for image in images]))
        return {"input": rgb, "target": rgb}

    def crop(self, image: int) -> Floats:
        """Image k, ``(3, side, side)``, in [0, 1]."""
        draw = np.random.default_rng((self.seed, image))
        kind = self._kinds[int(np.searchsorted(self._cumulated, draw.random(), side="right"))]
        _, path = self._of_kind[kind][int(draw.integers(len(self._of_kind[kind])))]
        if path not in self._mapped:
            self._mapped[path] = np.load(path, mmap_mode="r", allow_pickle=False)
        return varied(region(self._mapped[path], self.side_px, draw), draw)


def region(picture: Bytes, side_px: int, draw: np.random.Generator) -> Bytes:
    """A square of a picture ``(H, W, 3)`` at a drawn scale and place, ``(side, side, 3)``."""
    height, width = picture.shape[:2]
    least = max(LEAST_SCALE, side_px / min(height, width))
    scale = math.exp(draw.uniform(math.log(least), 0.0))
    taken = min(height, width, round(side_px / scale))
    top, left = (int(draw.integers(0, length - taken + 1)) for length in (height, width))
    part = np.ascontiguousarray(picture[top : top + taken, left : left + taken])
    if taken == side_px:
        return part
    return np.asarray(Image.fromarray(part).resize((side_px, side_px), Image.Resampling.LANCZOS))


def varied(part: Bytes, draw: np.random.Generator, *, always: bool = False) -> Floats:
    """A picture ``(H, W, 3)`` turned, mirrored, and perhaps lit and coloured otherwise, ``(3, H, W)`` or turned.

    Parameters
    ----------
    part : ndarray of uint8
    draw : Generator
        Decides.
    always : bool
        Light and colours change in any case.

    Returns
    -------
    ndarray of float32, in [0, 1]
    """
    turned = np.rot90(part, int(draw.integers(4)))
    rgb = (turned[:, ::-1] if draw.random() < 0.5 else turned).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    if draw.random() < EXPOSED or always:
        gamma, saturation = (most ** draw.uniform(-1.0, 1.0) for most in (MOST_GAMMA, MOST_SATURATION))
        rgb = rgb ** np.float32(gamma)
        grey = np.tensordot(np.array([0.2126, 0.7152, 0.0722], np.float32), rgb, 1)[None]
        rgb = np.clip(grey + np.float32(saturation) * (rgb - grey), 0, 1)
    if draw.random() < RECOLOURED or always:
        rgb = rgb[draw.permutation(3)]
        rgb = 1 - rgb if draw.random() < 0.25 else rgb
    return np.ascontiguousarray(rgb, np.float32)


def _decoded(picture: Picture, kind: str, cache: Path) -> tuple[Sample, Path]:
    """The picture as a sample, and its pixels as a file of the cache, which is written when it is not there.

    Its look stands beside it, so that a run that goes on opens no picture.
    """
    sha256 = hashlib.sha256(picture.read()).hexdigest()
    path, beside = cache / f"{sha256}.npy", cache / f"{sha256}.look"
    if not (path.is_file() and beside.is_file()):
        image, _ = picture.load()
        buffer = BytesIO()
        np.save(buffer, np.asarray(image, np.uint8), allow_pickle=False)
        write_atomic(path, buffer.getvalue())
        write_atomic(beside, look_of(image))
    height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
    box, look = (0, 0, width, height), beside.read_text("utf-8")
    return Sample(sample_key(sha256, box), picture.name, sha256, kind, box, (height, width), look=look), path
