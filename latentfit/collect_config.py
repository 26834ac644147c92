"""What `collect` is told, and what it says at the end."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from latentfit.families import Domain


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
        Of all stores that are to hold the same crops: they are cut for the largest, and each is resampled from the
        original once.
    domain : {"model", "raw"} or None
        What latent files hold. None: raw, and a file whose numbers speak against that, or against the VAE's space, is
        skipped; said, it is collected, and noted.
    """

    size: int = 512
    keep: Literal["cells", "rgb", "photo"] = "rgb"
    crops: int = 1
    square: bool = False
    limit: int | None = None
    scale: Fraction = Fraction(1)
    scales: tuple[Fraction, ...] = (Fraction(1),)
    domain: Domain | None = None

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
        """Columns of the shards."""
        return ("latents", "cells", "clipped", *{"cells": (), "rgb": ("rgb",), "photo": ("rgb", "photo")}[self.keep])


@dataclass
class CollectReport:
    """What happened: new samples, samples that were there, pictures met twice; files skipped or noted, with the reason.

    Noted are latent files that were collected, and look to be of another space or domain.
    """

    n_new: int = 0
    n_known: int = 0
    n_duplicates: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)

    def __add__(self, other: "CollectReport") -> "CollectReport":
        return CollectReport(
            self.n_new + other.n_new,
            self.n_known + other.n_known,
            self.n_duplicates + other.n_duplicates,
            self.skipped + other.skipped,
            self.noted + other.noted,
        )

    def __str__(self) -> str:
        counts = f"{self.n_new} new, {self.n_known} already there, {self.n_duplicates} duplicates"
        skipped = [f"  skipped {name}: {reason}" for name, reason in self.skipped]
        noted = [f"  noted {name}: {reason}" for name, reason in self.noted]
        ending = f", {len(noted)} noted" if noted else ""
        return "\n".join([f"{counts}, {len(skipped)} skipped{ending}", *skipped, *noted])
