"""What `collect` is told, and what it says at the end."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from latentfit.runtime.escaping import one_line

if TYPE_CHECKING:
    from latentfit.latents.likely_space import Domain

Keep = Literal["cells", "rgb", "photo"]

MOST_SIDE = 1 << 15  # pixels of a side: above, one picture in float32 takes 12 GiB
MOST_CROPS = 1 << 12  # a picture
QUICK_PX = 256  # of the short side, where all of a run shall take minutes: autofit and the notebooks


@dataclass(frozen=True)
class CollectConfig:
    """What `collect` does with each picture.

    Attributes
    ----------
    size : int
        Pixels of the short side, shrunk to with Lanczos, never enlarged.
    keep : {"cells", "rgb", "photo"}
        Also keep what the VAE decoded, and what it was given.
    crops : int
        Square crops a picture; 1: the centre.
    square : bool
        With one crop: cut the long side too.
    limit : int or None
        Use at most this many pictures.
    scale : Fraction
        The store's sides over those of `size`.
    scales : tuple of Fraction
        Scales of all stores that are to hold the same crops: they are cut for the largest, and each is resampled from
        the original once.
    domain : {"model", "raw"} or None
        What latent files hold. None: raw, and a file whose numbers speak against that, or against the VAE's space, is
        skipped; said, it is collected, and noted.
    decodes : bool
        Whether the VAE has a decoder. Without one the store holds latents and photographs alone.
    """

    size: int = 512
    keep: Keep = "rgb"
    crops: int = 1
    square: bool = False
    limit: int | None = None
    scale: Fraction = Fraction(1)
    scales: tuple[Fraction, ...] = (Fraction(1),)
    domain: "Domain | None" = None
    decodes: bool = True

    @property
    def largest(self) -> Fraction:
        """The scale that crops are cut for."""
        return max(self.scale, *self.scales)

    @property
    def multiple_cells(self) -> int:
        """What both sides of a crop are multiples of at scale 1, so that every store has even cells: packed spaces."""
        return 2 * math.lcm(*(scale.denominator for scale in (self.scale, *self.scales)))

    @property
    def size_px(self) -> int:
        """Pixels of the short side in this store."""
        return int(self.size * self.scale)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the shards."""
        if not self.decodes:
            return ("latents", "photo")
        return ("latents", "cells", "clipped", *{"cells": (), "rgb": ("rgb",), "photo": ("rgb", "photo")}[self.keep])


@dataclass
class CollectReport:
    """What happened: new samples, samples that were there, pictures met twice; files skipped or noted, with the reason.

    Attributes
    ----------
    n_new, n_known, n_duplicates : int
    skipped : list of (name, reason)
    noted : list of (name, reason)
        Files that were collected all the same: pictures whose declared colours cannot be used, so that their levels are
        taken as sRGB's, and latents that look to be of another space or domain.
    n_converted : int
        Pictures whose files declare other colours than sRGB, from which they were converted.
    outdated : list of str
        Pictures that the store holds in other colours than their files declare: collected before these were read.
    n_copies : int
        Pictures of the store that are copies of others.
    """

    n_new: int = 0
    n_known: int = 0
    n_duplicates: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    n_converted: int = 0
    outdated: list[str] = field(default_factory=list)
    n_copies: int = 0

    def __add__(self, other: "CollectReport") -> "CollectReport":
        return CollectReport(
            self.n_new + other.n_new,
            self.n_known + other.n_known,
            self.n_duplicates + other.n_duplicates,
            self.skipped + other.skipped,
            self.noted + other.noted,
            self.n_converted + other.n_converted,
            self.outdated + other.outdated,
            self.n_copies + other.n_copies,
        )

    def __str__(self) -> str:
        counts = f"{self.n_new} new, {self.n_known} already there, {self.n_duplicates} duplicates"
        skipped = ["  " + one_line(f"skipped {name}: {reason}", 2000) for name, reason in self.skipped]
        noted = ["  " + one_line(f"noted {name}: {reason}", 2000) for name, reason in self.noted]
        ending = f", {len(noted)} noted" if noted else ""
        first = f"{counts}, {len(skipped)} skipped{ending}"
        return "\n".join([first, *skipped, *noted, *self._of_colours(), *self._of_copies()])

    def _of_colours(self) -> list[str]:
        """Lines that are there only where a file declares other colours than sRGB."""
        lines = [f"{self.n_converted} converted to sRGB from the colours that their files declare"]
        lines = lines if self.n_converted else []
        if self.outdated:
            shown = ", ".join(map(one_line, self.outdated[:3])) + (" …" if len(self.outdated) > 3 else "")
            lines.append(
                f"{len(self.outdated)} are in the store in other colours than their files declare ({shown}): collected "
                "by an earlier version, which took all levels as sRGB; collect all pictures into a new folder"
            )
        return lines

    def _of_copies(self) -> list[str]:
        if not self.n_copies:
            return []
        return [
            f"{self.n_copies} pictures are copies of others in the store (saved anew, resized, trimmed or mirrored): "
            "each stands on one side of the split with its original"
        ]
