"""Scores on the development pictures, kind by kind: what choices are made by, and the curve of a run over its hours."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import latentfit as lf
from latentfit.images import Picture, crop_to_cells, rgb_tensor
from latentfit.runtime import write_atomic
from recipes.picture_sets import development

SIZE, OF_EACH = 256, 8
"""Pixels of the short side, and pictures of each kind."""


def squares(assets: Path, of_each: int = OF_EACH, size: int = SIZE) -> dict[str, list[Tensor]]:
    """Kind -> development pictures ``(1, 3, H, W)`` of whole cells, the first of each kind."""
    return {kind: [square(one, size) for one in pictures[:of_each]] for kind, pictures in development(assets).items()}


def square(picture: Picture, size: int = SIZE) -> Tensor:
    """A picture with a short side of at most `size` px, ``(1, 3, H, W)`` in [0, 1]."""
    image, _ = picture.load()
    return rgb_tensor(crop_to_cells(image, size, 8)[0])


def psnr_of(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """PSNR in dB, pooled over the pixels of all pictures."""
    squared = sum(float((a - b).double().square().sum()) for a, b in zip(made, wanted, strict=True))
    return -10 * math.log10(max(squared / sum(one.numel() for one in wanted), 1e-12))


def round_trip(vae: lf.Vae, pictures: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """Kind -> PSNR of decode(encode(x)) against x; "deviation": that of all latents, which should be near 1."""
    latents = {kind: [vae.encode(one) for one in members] for kind, members in pictures.items()}
    found = {kind: psnr_of([vae.decode(one) for one in latents[kind]], pictures[kind]) for kind in pictures}
    spread = torch.cat([one.flatten() for members in latents.values() for one in members])
    return {**found, "deviation": float(spread.std())}


@dataclass(frozen=True)
class Curve:
    """Scores of a run as it went on, a row a score, in one CSV file.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def rows(self) -> list[dict[str, float]]:
        """All rows so far: hours, seen_images, and the scores."""
        if not self.path.is_file():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    def add(self, row: Mapping[str, float]) -> None:
        """One more row; the file is replaced as a whole."""
        rows = [*self.rows(), dict(row)]
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{one[name]:.6g}" for name in rows[0]} for one in rows)
        write_atomic(self.path, buffer.getvalue())

    @property
    def hours(self) -> float:
        """How long the run has been trained so far."""
        rows = self.rows()
        return rows[-1]["hours"] if rows else 0.0


Scorer = Callable[[], Mapping[str, float]]
