"""same_space(): are two VAEs' latents one space? The 1×1 map between them on the same pictures, and a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentfit.errors import ImageError, NoPicturesError
from latentfit.images.pixels import crop_to_cells, rgb_tensor
from latentfit.images.sources import Picture, pictures
from latentfit.vae.vae import Vae

SAME, SLOPE_OFF, OFFSET_OFF = 0.98, 0.03, 0.05
ONE_SHAPE, RELATED = 0.9, 0.6
_CELLS_A_TERM = 8  # of fewer a 1×1 map explains what it likes, and every two VAEs look like one space


@dataclass(frozen=True)
class SpaceComparison:
    """What two VAEs' latents of the same pictures have in common.

    Attributes
    ----------
    first, second : str
        Names of the VAEs.
    n_pictures, n_cells : int
    as_they_are : float
        R² of the second's latents by the first's, unchanged; NaN where channels differ.
    by_channel : float
        R² with a slope and an offset for each channel; NaN where channels differ.
    by_table : float
        R² with a full affine 1×1 map.
    slopes, offsets : tuple of float
        Regression of each channel on its namesake; empty where channels differ.
    verdict : str
        In words.
    """

    first: str
    second: str
    n_pictures: int
    n_cells: int
    as_they_are: float
    by_channel: float
    by_table: float
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    verdict: str

    def __str__(self) -> str:
        lines = [f"{self.first} -> {self.second}, {self.n_pictures} pictures, {self.n_cells} cells"]
        if self.slopes:
            lines += [
                f"R² of the latents as they are      {self.as_they_are:8.4f}",
                f"   with slope and offset a channel {self.by_channel:8.4f}",
            ]
        lines.append(f"   with an affine 1×1 map          {self.by_table:8.4f}")
        for index, (slope, offset) in enumerate(zip(self.slopes, self.offsets, strict=True)):
            lines.append(f"channel {index:2}: slope {slope:7.4f}, offset {offset:8.4f}")
        return "\n".join([*lines, self.verdict])


def same_space(
    first: Vae,
    second: Vae,
    images: str | Sequence[Picture | str] = "photographs",
    *,
    size: int = 256,
    limit: int | None = 24,
) -> SpaceComparison:
    """Encode the same pictures with both, and regress the second's latents on the first's, cell by cell.

    Parameters
    ----------
    first, second : Vae
        Equal pixels a cell, or the answer is no without encoding.
    images : str or sequence
        Pictures as `latentfit.images.pictures` takes them.
    size : int
        Short side that pictures are shrunk to.
    limit : int or None
        Use at most this many pictures.

    Raises
    ------
    NoPicturesError
        When no picture can be read, or their cells are too few to tell anything by.
    """
    if first.space.cell_px != second.space.cell_px:
        a, b = first.space.cell_px, second.space.cell_px
        nan = math.nan
        verdict = f"Not one space: {a} and {b} pixels a cell."
        return SpaceComparison(first.name, second.name, 0, 0, nan, nan, nan, (), (), verdict)
    if size < first.space.cell_px or (limit is not None and limit < 1):
        raise NoPicturesError(
            "same_space", expected=f"size >= {first.space.cell_px} and limit >= 1", got=f"size {size}, limit {limit}"
        )
    channels = (first.space.channels, second.space.channels)
    gram, n_pictures = torch.zeros((1 + sum(channels),) * 2, dtype=torch.float64), 0
    for picture in pictures(images)[:limit]:
        try:
            image, _ = picture.load()
            pixels, _ = crop_to_cells(image, size, first.space.cell_px)
        except ImageError:
            continue
        rgb = rgb_tensor(pixels)
        both = torch.cat([first.encode(rgb), second.encode(rgb)], 1)[0].flatten(1).double()
        rows = torch.cat([torch.ones_like(both[:1]), both])
        gram += rows @ rows.T
        n_pictures += 1
    if not n_pictures:
        raise NoPicturesError(f"same_space: none of the pictures of {images!r} can be read", remedy="give others")
    n_cells, least = int(gram[0, 0]), _CELLS_A_TERM * (1 + channels[0])
    if n_cells < least:
        raise NoPicturesError(
            f"same_space: {n_cells} cells in {n_pictures} pictures, expected {least} or "
            f"more for a map of {1 + channels[0]} terms",
            remedy="give more pictures, or a larger size",
        )
    return _judged(first.name, second.name, gram, channels, n_pictures)


def _judged(first: str, second: str, gram: Tensor, channels: tuple[int, int], n_pictures: int) -> SpaceComparison:
    """From sums of products over (1, first, second)."""
    n, (c, d) = float(gram[0, 0]), channels
    mean = gram[0] / n
    moments = gram / n - torch.outer(mean, mean)
    aa, ab, bb = moments[1 : 1 + c, 1 : 1 + c], moments[1 : 1 + c, 1 + c :], moments[1 + c :, 1 + c :]
    variance = float(bb.trace())
    explained = float((torch.linalg.lstsq(aa, ab).solution * ab).sum())
    if not variance > 0:
        raise NoPicturesError(
            "same_space: every cell has the same latents", remedy="give pictures of more than one colour"
        )
    by_table = explained / variance
    slopes: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    as_they_are = by_channel = math.nan
    if c == d:
        slope = ab.diagonal() / aa.diagonal()
        offset = mean[1 + c :] - slope * mean[1 : 1 + c]
        by_channel = float((slope * ab.diagonal()).sum()) / variance
        apart = (bb.diagonal() + aa.diagonal() - 2 * ab.diagonal()) + (mean[1 + c :] - mean[1 : 1 + c]).square()
        as_they_are = 1 - float(apart.sum()) / variance
        slopes, offsets = tuple(slope.tolist()), tuple(offset.tolist())
    verdict = _verdict(as_they_are, by_channel, by_table, slopes, offsets)
    return SpaceComparison(
        first, second, n_pictures, int(n), as_they_are, by_channel, by_table, slopes, offsets, verdict
    )


def _verdict(
    as_they_are: float, by_channel: float, by_table: float, slopes: Sequence[float], offsets: Sequence[float]
) -> str:
    if not slopes:
        return f"Not one space: other numbers of channels; a 1×1 map explains {by_table:.0%} of the second's variance."
    moved = max(abs(slope - 1) for slope in slopes) > SLOPE_OFF or max(map(abs, offsets)) > OFFSET_OFF
    if as_they_are >= SAME and not moved:
        return "One space: latents of either go into the other as they are."
    if as_they_are >= ONE_SHAPE:
        how = "moved a little: slopes and offsets above say by how much" if moved else "another reading of fine detail"
        return f"One space, re-tuned ({how}); previews and decoders of one fit the other nearly."
    if by_channel >= ONE_SHAPE:
        return (
            "One shape, moved: rescale each channel by the slopes and offsets above, and latents of one fit the other."
        )
    if by_table >= ONE_SHAPE:
        return "One space behind a mixing of channels: an affine 1×1 map carries one over into the other."
    if by_table >= RELATED:
        return f"Related, not one space: a 1×1 map explains {by_table:.0%}; an interposer is needed."
    return f"Two spaces: a 1×1 map explains {by_table:.0%}; an interposer is needed."
