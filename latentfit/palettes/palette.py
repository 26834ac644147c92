"""Palettes: 2 to 256 colours whose order is the class index."""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from latentfit.errors import PaletteError
from latentfit.images.colour import nearest_rows, oklab_to_rgb, rgb_to_oklab
from latentfit.images.pixels import check_enlarged
from latentfit.palettes.files import (
    ENDINGS,
    MOST_COLOURS,
    Listed,
    colour_of_hex,
    gpl_text,
    hex_colours,
    hex_text,
    indexed_png,
    read_listed,
)
from latentfit.runtime.escaping import one_line
from latentfit.runtime.schemas import shown
from latentfit.runtime.storage import data_path, write_atomic

MOST_SAMPLES = 1 << 16  # distinct colours that k-means sees


@final
@dataclass(frozen=True, eq=False)
class Palette:
    """2 to 256 distinct opaque colours; their order is the class index.

    Attributes
    ----------
    colours : Tensor of uint8, (K, 3)
        sRGB.
    name : str
        Such as ``"pico-8"``.
    source : str
        Where it comes from.

    Raises
    ------
    PaletteError
        When the colours are no ``(K, 3)`` bytes, fewer than 2 or more than 256, or one stands there twice.

    Examples
    --------
    >>> palette = Palette.load("pico-8")
    >>> len(palette), palette.hex[8]
    (16, '#ff004d')
    >>> palette.nearest(torch.tensor([1.0, 0.0, 0.3])[None, :, None, None]).item()
    8
    """

    colours: Tensor
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        colours, called = self.colours, f"palette {self.name!r}" if self.name else "palette"
        if not isinstance(colours, Tensor) or colours.dtype != torch.uint8 or colours.ndim != 2:
            raise PaletteError(place=called, expected="colours as uint8 (K, 3)", got=f"{_described(colours)}")
        if colours.shape[1] == 4:
            raise PaletteError(
                place=called,
                expected="red, green and blue",
                got="a fourth channel",
                remedy="leave it out: palettes are opaque",
            )
        if colours.shape[1] != 3:
            raise PaletteError(place=called, expected="colours as uint8 (K, 3)", got=f"{_described(colours)}")
        if not 2 <= len(colours) <= MOST_COLOURS:
            raise PaletteError(place=called, expected=f"2 to {MOST_COLOURS} colours", got=f"{len(colours)}")
        object.__setattr__(self, "colours", colours.detach().cpu().clone().contiguous())
        first: dict[str, int] = {}
        for index, colour in enumerate(self.hex):
            if colour in first:
                raise PaletteError(
                    f"{colour} stands there twice, at {first[colour]} and {index} (from 0)",
                    place=called,
                    expected="distinct colours, for a class is told by its colour",
                    remedy="take one out",
                )
            first[colour] = index

    @classmethod
    def load(cls, reference: "str | os.PathLike[str]") -> "Palette":
        """A bundled palette by name, or one from a file.

        Parameters
        ----------
        reference : str or path
            One of `bundled_palettes`, or a file: ``.hex`` or ``.txt`` (one RRGGBB a line, ``;`` begins a comment;
            Paint.NET's too), ``.gpl`` (GIMP, Aseprite), ``.pal`` (JASC, RIFF), ``.act`` (Adobe), ``.png`` (indexed,
            or a true-colour strip of swatches; in the order in which the pixels show them, row by row).

        Raises
        ------
        PaletteError
            When nothing is called so, or the file is broken or no palette.
        """
        if isinstance(reference, str) and reference.lower() in bundled_palettes():
            listed = read_listed(data_path(f"palettes/{reference.lower()}.hex"))
            return cls(torch.from_numpy(listed.colours), reference.lower(), listed.source)
        path = Path(reference)
        if path.suffix.lower() not in ENDINGS and not path.exists() and not path.is_symlink():
            near = difflib.get_close_matches(str(reference).lower(), bundled_palettes(), 1, 0.4)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise PaletteError(
                f"no palette {str(reference)!r}{hint} Bundled: {', '.join(bundled_palettes())}",
                remedy=f"name one of these, or a file ({', '.join(ENDINGS)})",
            )
        listed = read_listed(path)
        try:
            return cls(torch.from_numpy(listed.colours), path.stem, listed.source or path.name)
        except PaletteError as error:
            raise error.at(path.name) from error

    @classmethod
    def of_pictures(
        cls, pictures: Tensor | Sequence[Tensor], n_colours: int, seed: int = 0, name: str = ""
    ) -> "Palette":
        """The palette that fits pictures best: k-means in OKLab, each colour by its share, sorted by lightness.

        Parameters
        ----------
        pictures : Tensor or sequence of Tensor, (3, H, W) or (N, 3, H, W) in [0, 1]
            Pictures of any sizes. Of more than 65536 distinct colours so many are drawn.
        n_colours : int
            2 to 256.
        seed : int
        name : str

        Raises
        ------
        PaletteError
            When the number is out of range, a picture is not finite, or all have fewer distinct colours together.
        """
        if not 2 <= n_colours <= MOST_COLOURS:
            raise PaletteError("of_pictures", expected=f"2 to {MOST_COLOURS} colours", got=f"{n_colours}")
        batches = [pictures] if isinstance(pictures, Tensor) else list(pictures)
        bytes_, counts = distinct_colours(batches)
        if len(bytes_) < n_colours:
            raise PaletteError(
                "of_pictures",
                expected=f"at least {n_colours} distinct colours in the pictures",
                got=f"{len(bytes_)}",
                remedy="ask for fewer",
            )
        found = mean_colours(bytes_, counts, n_colours, seed)
        lightness = rgb_to_oklab(found.double().div(255).T[None])[0, 0]
        ordered = found[lightness.argsort(stable=True)]
        what = f"k-means in OKLab of {sum(len(b) if b.ndim == 4 else 1 for b in batches)} pictures, seed {seed}"
        return cls(ordered, name or f"{n_colours} colours of pictures", what)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "Palette":
        """Build from what `to_dict` gave; name and source may be absent.

        Raises
        ------
        PaletteError
            When a colour is not ``"#RRGGBB"``, or they make no palette.
        """
        listed = facts.get("colours")
        if not isinstance(listed, list | tuple) or len(listed) > MOST_COLOURS:
            got = f"{len(listed)}" if isinstance(listed, list | tuple) else type(listed).__name__
            raise PaletteError(
                "palette", expected=f"'colours' as a list of 2 to {MOST_COLOURS} '#RRGGBB'", got=f"{got}"
            )
        colours = []
        for text in listed:
            colour = colour_of_hex(text) if isinstance(text, str) else None
            if colour is None:
                raise PaletteError("palette", expected="colours as '#RRGGBB'", got=f"{shown(text)}")
            colours.append(colour)
        levels = torch.tensor(colours, dtype=torch.uint8).reshape(-1, 3)
        return cls(levels, one_line(facts.get("name", "")), one_line(facts.get("source", ""), 1000))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of a file's header: name, source, and colours as ``"#RRGGBB"``; JSON can hold it."""
        return {"name": self.name, "source": self.source, "colours": self.hex}

    def __len__(self) -> int:
        return len(self.colours)

    def __repr__(self) -> str:
        return f"Palette({self.name!r}, {len(self)} colours)"

    @property
    def hex(self) -> list[str]:
        """The colours as ``"#rrggbb"``."""
        return [f"#{colour}" for colour in hex_colours(self.colours.numpy())]

    @cached_property
    def rgb(self) -> Tensor:
        """``(K, 3)`` float32, sRGB-encoded, [0, 1]."""
        return self.colours.float() / 255

    @cached_property
    def oklab(self) -> Tensor:
        """The colours in OKLab, ``(K, 3)`` float32."""
        return rgb_to_oklab(self.colours.double().div(255).T[None])[0].T.float().contiguous()

    def nearest(self, rgb: Tensor) -> Tensor:
        """rgb ``(N, 3, ...)`` in [0, 1] -> indices ``(N, ...)`` int64 of the nearest colours in OKLab, on its device.

        A tie goes to the lower index. Takes some 4 MiB beside its OKLab, whatever the size.
        """
        if rgb.ndim < 2 or rgb.shape[1] != 3 or not rgb.is_floating_point():
            raise PaletteError("nearest", expected="rgb as float (N, 3, ...)", got=f"{_described(rgb)}")
        pixels = rgb_to_oklab(rgb.detach().float().clamp(0, 1)).movedim(1, -1)
        return nearest_rows(pixels.reshape(-1, 3), self.oklab.to(rgb.device)).reshape(pixels.shape[:-1])

    def picture(self, indices: Tensor) -> Tensor:
        """Indices ``(..., h, w)`` -> rgb ``(..., 3, h, w)`` float32 in [0, 1], on their device."""
        self._check(indices)
        return self.rgb.to(indices.device)[indices.long()].movedim(-1, -3)

    def indexed_png(self, indices: Tensor, enlarge: int = 1) -> bytes:
        """Indices ``(h, w)`` -> PNG of mode P: a pixel's value is its class, the palette chunk is this palette.

        Parameters
        ----------
        indices : Tensor of integers, (h, w)
        enlarge : int
            Each cell becomes a square of so many pixels.

        Raises
        ------
        PaletteError
            When these are no indices of this palette, or `enlarge` is below 1.
        ImageError
            When the picture would have more than 2^28 pixels.
        """
        self._check(indices)
        if indices.ndim != 2 or not indices.numel():
            raise PaletteError("indexed_png", expected="indices (h, w)", got=f"{_described(indices)}")
        if enlarge < 1:
            raise PaletteError("indexed_png", expected="to enlarge at least once", got=f"{enlarge}")
        check_enlarged(indices.shape[0], indices.shape[1], enlarge)
        levels = indices.detach().cpu().to(torch.uint8).numpy()
        return indexed_png(levels, self.colours.numpy(), enlarge)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write .hex, .txt, .gpl, or a .png strip of one pixel a colour; whole or not at all.

        Raises
        ------
        PaletteError
            When the ending is none of these.
        """
        listed = Listed(self.colours.numpy(), self.name, self.source)
        ending = Path(path).suffix.lower()
        if ending in (".hex", ".txt"):
            return write_atomic(path, hex_text(listed))
        if ending == ".gpl":
            return write_atomic(path, gpl_text(listed))
        if ending == ".png":
            return write_atomic(path, self.indexed_png(torch.arange(len(self))[None]))
        raise PaletteError(f"{Path(path).name}", expected=f"{', '.join(ENDINGS)}", got=f"{ending or 'no ending'}")

    def _check(self, indices: Tensor) -> None:
        if indices.is_floating_point() or indices.dtype == torch.bool:
            raise PaletteError(f"{self!r}", expected="indices as integers", got=f"{_described(indices)}")
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < len(self):
            raise PaletteError(
                f"{self!r}",
                expected=f"indices of 0 to {len(self) - 1}",
                got=f"{int(indices.min())} to {int(indices.max())}",
                remedy="take the palette that they are of",
            )


def bundled_palettes() -> tuple[str, ...]:
    """Names of the palettes in ``data/palettes``, sorted."""
    return tuple(sorted(path.stem for path in data_path("palettes").glob("*.hex")))


def _described(given: object) -> str:
    return f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__


def distinct_colours(pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pictures -> their distinct 8-bit colours ``(n, 3)``, sorted, and how often each is there."""
    if not pictures:
        raise PaletteError("of_pictures", expected="at least one picture", got="none")
    packed, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for picture in pictures:
        if picture.ndim not in (3, 4) or picture.shape[-3] != 3 or not picture.is_floating_point():
            raise PaletteError(
                "of_pictures", expected="(3, H, W) or (N, 3, H, W) in [0, 1]", got=f"{tuple(picture.shape)}"
            )
        if not bool(picture.isfinite().all()):
            raise PaletteError("of_pictures", expected="finite pictures", got="NaN or Inf")
        levels = picture.detach().cpu().float().clamp(0, 1).mul(255).round().long().movedim(-3, -1).reshape(-1, 3)
        codes, new_counts = np.unique((levels @ torch.tensor([1 << 16, 1 << 8, 1])).numpy(), return_counts=True)
        packed, inverse = np.unique(np.concatenate([packed, codes]), return_inverse=True)
        counts = np.bincount(inverse, np.concatenate([counts, new_counts]), len(packed))
    channels = [packed >> 16, packed >> 8 & 255, packed & 255]
    return torch.from_numpy(np.stack(channels, 1).astype(np.uint8)), torch.from_numpy(counts).double()


def mean_colours(colours: Tensor, counts: Tensor, n_colours: int, seed: int) -> Tensor:
    """Distinct 8-bit colours and their weights -> `n_colours` distinct 8-bit colours."""
    from sklearn.cluster import KMeans

    if len(colours) > MOST_SAMPLES:
        chosen = np.random.default_rng(seed).choice(
            len(colours), MOST_SAMPLES, replace=False, p=(counts / counts.sum()).numpy()
        )
        colours, counts = colours[np.sort(chosen)], torch.ones(MOST_SAMPLES, dtype=torch.float64)
    oklab = _oklab(colours)
    means = KMeans(n_colours, n_init=2, random_state=seed).fit(oklab.numpy(), sample_weight=counts.numpy())
    centres = torch.from_numpy(means.cluster_centers_)
    levels = oklab_to_rgb(centres.T[None])[0].T.clamp(0, 1).mul(255).round().to(torch.uint8)
    kept: Tensor = torch.unique(levels, dim=0)
    while len(kept) < n_colours:  # two means rounded to one colour: the colour that is served worst takes its place
        offered = _oklab(kept)
        errors = (oklab - offered[nearest_rows(oklab, offered)]).square().sum(1)
        kept = torch.cat([kept, colours[(errors * counts).argmax()][None]])
    return kept


def _oklab(colours: Tensor) -> Tensor:
    """``(n, 3)`` uint8 -> ``(n, 3)`` float64."""
    return rgb_to_oklab(colours.double().div(255).T[None])[0].T
