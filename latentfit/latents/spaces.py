"""Latent spaces: what a latent's numbers mean, and the named crossings between its domains.

Model domain = what the denoiser sees, ``(raw - shift) * scale`` per channel. Everything in this package speaks the
model domain; raw latents exist only where a VAE, a ComfyUI file or another project's checkpoint wants them.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfit.errors import DomainError, SpaceMismatchError, part_of
from latentfit.latents.space_facts import NUMBERS, SpaceFacts, facts_of, read_entries, registered_entries
from latentfit.runtime import schemas

_ENTRY = schemas.record(NUMBERS, ("name", "channels", "cell_px"))


@dataclass(frozen=True)
class LatentSpace:
    """A latent space, with every fact that is known of it.

    Attributes
    ----------
    name : str
        Registry name, such as ``"sd1"``; equality of spaces is equality of all fields that carry numbers.
    channels : int
        C of the canonical latents ``(N, C, h, w)``. flux2 is canonical *unpacked*: 32 channels.
    cell_px : int
        Pixels per latent cell, each way. flux2: 8.
    shift, scale : tuple of float, length 1 or C
        ``model = (raw - shift) * scale``.
    normalised_by_vae : bool
        The statistics live in the VAE's weights (flux2, ltxv, ...): `to_model` and `to_raw` have no numbers.
    packing : {"flux2"} or None
        How the denoiser packs channels; see `unpack_flux2`.
    dims : int
        2 for images, 3 for video.
    temporal : int
        Frames per latent frame.
    measured : bool
        Shift and scale were measured on latents, not stated by a source.
    """

    name: str
    channels: int
    cell_px: int
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    normalised_by_vae: bool = False
    packing: str | None = None
    dims: int = 2
    temporal: int = 1
    measured: bool = False
    aliases: tuple[str, ...] = field(default=(), compare=False)
    hub_ids: tuple[str, ...] = field(default=(), compare=False)
    tiny_decoder: str | None = field(default=None, compare=False)
    comfy_class: str | None = field(default=None, compare=False)
    comfy_tiny_name: str | None = field(default=None, compare=False)
    source: str = field(default="", compare=False)
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for label, values in (("shift", self.shift), ("scale", self.scale)):
            if len(values) not in (1, self.channels):
                raise DomainError(
                    f"{label} of space {self.name!r}", expected=f"1 or {self.channels} values", got=f"{len(values)}"
                )

    @property
    def title(self) -> str:
        """Name for people: ``"SD1"``, ``"FLUX.1"``, or the registry name."""
        return self.facts.title or self.name

    @property
    def kl_name(self) -> str:
        """What the true VAE is called: ``"SD1's KL-VAE"``."""
        return self.facts.kl_name or f"{self.title}'s VAE"

    @property
    def facts(self) -> SpaceFacts:
        """What the registry says beside the numbers; nothing of a space that is not registered."""
        return facts_of(self.name)

    def to_model(self, raw: Tensor) -> Tensor:
        """Raw latents ``(N, C, ...)`` -> model domain."""
        shift, scale = self._statistics(raw)
        return (raw - shift) * scale

    def to_raw(self, latents: Tensor) -> Tensor:
        """Model-domain latents ``(N, C, ...)`` -> raw."""
        shift, scale = self._statistics(latents)
        return latents / scale + shift

    def comfy_to_model(self, samples: Tensor) -> Tensor:
        """ComfyUI's ``samples`` -> canonical model domain.

        ComfyUI keeps raw latents in its wires and files. Where the VAE normalises (flux2) ComfyUI's raw *is* the
        normalised latent, packed: 128 x h x w becomes 32 x 2h x 2w.
        """
        if self.packing == "flux2" and samples.shape[1] == 4 * self.channels:
            return unpack_flux2(samples)
        self.check(samples)
        return samples if self.normalised_by_vae else self.to_model(samples)

    def model_to_comfy(self, latents: Tensor) -> Tensor:
        """Canonical model domain -> ComfyUI's ``samples``; inverse of `comfy_to_model`."""
        self.check(latents)
        if self.packing == "flux2":
            return pack_flux2(latents)
        return latents if self.normalised_by_vae else self.to_raw(latents)

    def check(self, latents: Tensor) -> None:
        """Raise `SpaceMismatchError` unless `latents` is ``(N, C, h, w)`` or ``(N, C, T, h, w)`` of this space."""
        if latents.ndim not in (4, 5) or latents.shape[1] != self.channels:
            raise SpaceMismatchError(
                f"latents of space {self.name!r}",
                expected=f"(N, {self.channels}, h, w) or (N, {self.channels}, T, h, w)",
                got=f"{tuple(latents.shape)}",
                remedy=f"{_channel_hint(latents)}",
            )
        if 0 in latents.shape[2:]:
            raise SpaceMismatchError(
                f"latents of space {self.name!r}",
                expected="at least one cell",
                got=f"{tuple(latents.shape)}",
                remedy="is the file whole?",
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, read back by `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Any, where: str = "latent space") -> "LatentSpace":
        """Build from what `to_dict` gave.

        Parameters
        ----------
        entry : mapping
            The entry as a file has it.
        where : str
            Names the file in errors.

        Raises
        ------
        BadFileError
            When a field is of another type or out of range, unknown or missing.
        """
        fields: dict[str, Any] = _ENTRY(entry, where)
        for key in ("shift", "scale"):
            if len(fields.get(key, (0,))) not in (1, fields["channels"]):
                raise schemas.wrong(part_of(where, f".{key}"), f"1 or {fields['channels']} numbers", fields[key])
        return cls(**fields)

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        self.check(latents)
        if self.normalised_by_vae:
            raise DomainError(
                f"space {self.name!r}: its normalisation lives in the VAE's weights, so raw latents cannot cross here",
                remedy=("load the VAE with Vae.load, whose encode and decode already speak the model domain"),
            )
        shape = (1, -1) + (1,) * (latents.ndim - 2)
        shift, scale = (latents.new_tensor(values).reshape(shape) for values in (self.shift, self.scale))
        return shift, scale


def unpack_flux2(packed: Tensor) -> Tensor:
    """``(N, 128, h, w)`` -> ``(N, 32, 2h, 2w)``; packed channel = ``c * 4 + py * 2 + px``."""
    if packed.ndim != 4 or packed.shape[1] % 4:
        raise SpaceMismatchError("packed latents", expected="(N, 4 * C, h, w)", got=f"{tuple(packed.shape)}")
    return torch.nn.functional.pixel_shuffle(packed, 2)


def pack_flux2(latents: Tensor) -> Tensor:
    """``(N, 32, 2h, 2w)`` -> ``(N, 128, h, w)``; inverse of `unpack_flux2`."""
    if latents.ndim != 4 or latents.shape[2] % 2 or latents.shape[3] % 2:
        raise SpaceMismatchError(
            "latents to pack",
            expected="(N, C, 2h, 2w) with even sides",
            got=f"{tuple(latents.shape)}",
            remedy=("this model's cells go in blocks of 2×2: cut a row or column off first"),
        )
    return torch.nn.functional.pixel_unshuffle(latents, 2)


def rgb_to_signed(rgb: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]."""
    return rgb * 2 - 1


def signed_to_rgb(signed: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return signed / 2 + 0.5


def list_spaces() -> list[LatentSpace]:
    """All registered spaces, in the registry's order."""
    return list(_registry().values())


def get_space(space: "str | LatentSpace") -> LatentSpace:
    """The registered space of that name or alias; a `LatentSpace` passes through.

    Raises
    ------
    SpaceMismatchError
        When no space has that name; the message offers the nearest ones.

    Examples
    --------
    >>> get_space("z-image").name
    'flux1'
    """
    if isinstance(space, LatentSpace):
        return space
    index = _index()
    found = index.get(_normalised(space))
    if found is None:
        near = difflib.get_close_matches(_normalised(space), index, n=3, cutoff=0.5)
        offer = ", ".join(dict.fromkeys(index[key].name for key in near)) or ", ".join(_registry())
        raise SpaceMismatchError(
            f"latent space {space!r}", expected="a registered name or alias", remedy=f"nearest: {offer}"
        )
    return found


def _normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _channel_hint(latents: Tensor) -> str:
    n_channels = latents.shape[1] if latents.ndim >= 2 else 0
    names = [space.name for space in list_spaces() if space.channels == n_channels]
    return (
        f"spaces of {n_channels} channels: {', '.join(names)}"
        if names
        else "layout is channels first, with a batch axis"
    )


@cache
def _registry() -> dict[str, LatentSpace]:
    return {space.name: space for space in _spaces_of(registered_entries())}


def spaces_in(path: Path) -> list[LatentSpace]:
    """The spaces of a file like the registry; it registers none of them.

    Raises
    ------
    BadFileError
        When an entry lacks a fact, has another than the registry's, or one that is out of range.
    """
    return _spaces_of(read_entries(path))


def _spaces_of(entries: Iterable[Mapping[str, Any]]) -> list[LatentSpace]:
    return [LatentSpace.from_dict({key: entry[key] for key in NUMBERS if key in entry}) for entry in entries]


@cache
def _index() -> dict[str, LatentSpace]:
    index = {_normalised(name): space for name, space in _registry().items()}  # a name comes before another's alias
    for space in _registry().values():
        for alias in space.aliases:
            index.setdefault(_normalised(alias), space)
    return index
