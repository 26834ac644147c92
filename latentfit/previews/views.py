"""Several calls of one timestep: the views of a panorama, each a step of the scheduler, as one picture."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentfit.errors import PreviewError


@dataclass(frozen=True)
class Place:
    """The place of a view: its first row and column in the picture's latents, past whose edges it goes round."""

    top: int
    left: int


@dataclass
class Views:
    """The calls of one timestep.

    Attributes
    ----------
    whole : tuple of int
        Shape of the picture's latents ``(N, C, h, w)``.
    places : list of Place
        Places of every view so far; a call may hold several, one after another in its batch.
    estimates : list of Tensor
        x0 of every view, ``(N, C, h', w')`` each.
    """

    whole: tuple[int, ...]
    places: list[Place] = field(default_factory=list)
    estimates: list[Tensor] = field(default_factory=list)

    def covers(self) -> bool:
        """Whether every cell lies in a view."""
        return bool((self._counts(self.estimates) > 0).all()) if self.estimates else False

    def stitched(self) -> Tensor:
        """The mean of all views at every cell, as MultiDiffusion takes it; (N, C, h, w) float32.

        Raises
        ------
        PreviewError
            When some cells lie in no view.
        """
        if not self.covers():
            raise PreviewError(
                "panorama",
                expected=f"views that cover {self.whole[-2]} x {self.whole[-1]} cells",
                got=f"{len(self.estimates)} that do not",
                remedy="was the run broken off?",
            )
        total = self.estimates[0].new_zeros(self.whole)
        for place, view in zip(self.places, self.estimates, strict=True):
            rows, columns = _cells(place, view, self.whole)
            total[:, :, rows[:, None], columns] += view
        return total / self._counts(self.estimates)

    def _counts(self, views: Iterable[Tensor]) -> Tensor:
        counts = self.estimates[0].new_zeros(self.whole[-2:])
        for place, view in zip(self.places, views, strict=True):
            rows, columns = _cells(place, view, self.whole)
            counts[rows[:, None], columns] += 1
        return counts


def is_view(sample: Tensor, whole: Tensor | None) -> bool:
    """Whether a sample is a part of the picture's latents, in rows or columns."""
    if whole is None or sample.ndim != 4 or whole.ndim != 4 or sample.shape[1] != whole.shape[1]:
        return False
    (height, width), (all_rows, all_columns) = sample.shape[-2:], whole.shape[-2:]
    is_smaller = height < all_rows or width < all_columns
    return is_smaller and height <= all_rows and width <= all_columns and sample.shape[0] % whole.shape[0] == 0


def parts_of(batch: Tensor, n_pictures: int) -> list[Tensor]:
    """A batch cut into parts of so many pictures."""
    return [batch[first : first + n_pictures] for first in range(0, len(batch), n_pictures)]


def frame_in_base(sample: Tensor, known: Tensor | None = None) -> tuple[Tensor, int] | None:
    """The latents of video that a sample is one frame of, and which; None for anything else."""
    base = _base(sample, known)
    if base is None or base.ndim != 5 or sample.ndim != 4:
        return None
    n_pictures, n_channels, _, height, width = base.shape
    strides = base.stride()
    if sample.shape != (n_pictures, n_channels, height, width) or sample.stride() != (*strides[:2], *strides[3:]):
        return None
    return base, (sample.storage_offset() - base.storage_offset()) // strides[2]


def base_of(sample: Tensor, known: Tensor | None = None) -> Tensor | None:
    """The tensor that a sample is a slice of, in rows or columns alone; None for a tensor of its own."""
    base = _base(sample, known)
    if base is None or base.ndim != 4 or sample.ndim != 4 or base.stride() != sample.stride():
        return None
    return base if base.shape[:2] == sample.shape[:2] else None


def _base(sample: Tensor, known: Tensor | None) -> Tensor | None:
    """What a slice is of; inference mode does not remember it: there the storage is compared with that of `known`."""
    base: Tensor | None = sample._base
    if base is None and known is not None and sample.untyped_storage().data_ptr() == known.untyped_storage().data_ptr():
        return known
    return base


def place_in_base(sample: Tensor, base: Tensor) -> Place:
    """Return where a slice begins in what it is a slice of; see `base_of`."""
    first = sample.storage_offset() - base.storage_offset()
    rows, columns = base.stride()[-2:]
    return Place(first // rows, first % rows // columns)


def places_in(whole: Tensor, sample: Tensor) -> list[Place]:
    """Return where the views of a sample were cut from, by comparing their numbers.

    Parameters
    ----------
    whole : Tensor (N, C, h, w)
        The latents that the first timestep begins with: noise, of which no two places are alike.
    sample : Tensor (k * N, C, h', w')
        k views.

    Raises
    ------
    PreviewError
        When one lies nowhere.
    """
    places = []
    for view in parts_of(sample, len(whole)):
        alike = (whole == view[:, :, :1, :1]).all(dim=1).all(dim=0)
        found = [Place(int(top), int(left)) for top, left in alike.nonzero()]
        place = next((one for one in found if torch.equal(_cut(whole, one, view), view)), None)
        if place is None:
            raise PreviewError(
                "panorama",
                expected=f"views of the latents {tuple(whole.shape)} that prepare_latents gave",
                got=f"one of {tuple(view.shape[-2:])} cells that lies nowhere in them",
                remedy="preview the pipeline that paints the parts",
            )
        places.append(place)
    return places


def _cut(whole: Tensor, place: Place, view: Tensor) -> Tensor:
    rows, columns = _cells(place, view, whole.shape)
    return whole[:, :, rows[:, None], columns]


def _cells(place: Place, view: Tensor, whole: tuple[int, ...] | torch.Size) -> tuple[Tensor, Tensor]:
    rows, columns = (
        (torch.arange(n_cells, device=view.device) + first) % n_all
        for first, n_cells, n_all in zip((place.top, place.left), view.shape[-2:], whole[-2:], strict=True)
    )
    return rows, columns
