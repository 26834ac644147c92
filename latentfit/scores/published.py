"""The tables that other programs ship, each an Approximation with its own consumer's arithmetic."""

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import FitError, SpaceMismatchError
from latentfit.fit.polynomial_map import Kernel, smoothed
from latentfit.latents.spaces import LatentSpace, get_space, pack_flux2, rgb_to_signed, signed_to_rgb
from latentfit.maps.contracts import Approximation
from latentfit.runtime.storage import data_path


@dataclass(frozen=True)
class PublishedTable:
    """One table as its source prints it.

    Attributes
    ----------
    id, source, licence, status, notes : str
        ``status``: current, superseded, copy, dubious, random_search, placeholder, test_node.
    space : LatentSpace
    domain : {"model", "raw"}
        Domain of the latents it wants.
    output_range : tuple of float or str
        ``(-1, 1)``, ``(0, 1)``, ``(0, 255)``, or "logit", "minmax", "oklab".
    weights : tuple of tuple of float
        A row a channel; columns R, G, B.
    bias : tuple of float or None
        Bias as the consumer applies it: None where it has one and drops it.
    smoothing : tuple of tuple of float or None
        A 3×3 kernel that the consumer applies afterwards.
    overflow : {"clamp", "wrap"}
        What becomes of colours outside [0, 1]. SD.Next casts ``255 * rgb`` to uint8 without a clamp
        (modules/sd_samplers_common.py at 058a7f0cf3): a little over white is black.
    copy_of, suspect : str or None
    """

    id: str
    source: str
    licence: str
    space: LatentSpace
    domain: str
    output_range: tuple[float, float] | str
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...] | None
    smoothing: Kernel | None
    overflow: str
    status: str
    notes: str
    copy_of: str | None
    suspect: str | None

    @property
    def numbers(self) -> tuple[object, ...]:
        """All that its pixels depend on: equal for copies."""
        return (self.space.name, self.domain, self.output_range, self.weights, self.bias, self.smoothing, self.overflow)

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be run on a store of its space; None when it can."""
        if self.output_range in ("minmax", "oklab"):
            return f"its output is {self.output_range}: not a fixed map to sRGB"
        if self.domain == "raw" and self.space.normalised_by_vae:
            return "wants raw latents, whose statistics live in the VAE's weights"
        if len(self.weights) not in (self.space.channels, *self._packed_rows()):
            return f"{len(self.weights)} rows for a space of {self.space.channels} channels"
        return None

    def approximation(self) -> Approximation:
        """What the consumer computes, before it rounds to 8 bit (after, where colours wrap).

        Raises
        ------
        SpaceMismatchError
            When `obstacle` says why not.
        """
        if self.obstacle:
            raise SpaceMismatchError(
                f"{self.id}: cannot be run here: {self.obstacle}", remedy="take one without an obstacle"
            )
        scale = Fraction(1, 2) if len(self.weights) in self._packed_rows() else Fraction(1)
        card = {"published": self.id, "source": self.source, "status": self.status, "train_hashes": []}
        return Approximation(_ConsumerTable(self), self.space, scale, name=self.id, card=card)

    def clamped(self) -> "PublishedTable":
        """The same numbers in a program that clamps: what the table, apart from its program, is worth."""
        return replace(self, id=f"{self.id}, were it clamped", overflow="clamp", status="hypothetical")

    def run_on(self, approximation: Approximation) -> Approximation:
        """A map of ours as this table's consumer would run it in its place: smoothed or wrapped, where it does so."""
        if self.smoothing is None and self.overflow == "clamp":
            return approximation
        name = f"{approximation.name}, in {self.id.split('/')[0]}"
        module = _MapInItsPlace(approximation, self.smoothing, self.overflow)
        return Approximation(module, approximation.space, approximation.scale, name=name, card=approximation.card)

    def _packed_rows(self) -> tuple[int, ...]:
        return (4 * self.space.channels,) if self.space.packing == "flux2" else ()


def tables(space: LatentSpace | str | None = None) -> list[PublishedTable]:
    """All published tables, or those of one space.

    Examples
    --------
    >>> [table.id for table in tables("sd1")][:1]
    ['comfyui/SD15']
    """
    found = _all()
    return list(found) if space is None else [table for table in found if table.space == get_space(space)]


def table(identifier: str) -> PublishedTable:
    """The published table of that id, such as ``"comfyui/SD15"``."""
    for found in _all():
        if found.id == identifier:
            return found
    near = ", ".join(found.id for found in _all() if identifier.split("/")[0].lower() in found.id.lower()) or "tables()"
    raise SpaceMismatchError(f"published table {identifier!r}", expected=f"one of {near}")


def smoothing_of(program: str, space: LatentSpace) -> Kernel:
    """The kernel that a program runs over its previews of a space, as its published table records it.

    Raises
    ------
    FitError
        When none is known.
    """
    known = {one.id.split("/")[0]: one.smoothing for one in tables(space) if one.smoothing is not None}
    if program not in known:
        raise FitError(
            f"{program!r} is not known to smooth previews of space {space.name!r}; "
            f"expected one of {', '.join(known) or 'none'}",
            remedy="fit without smoothing",
        )
    found: Kernel = known[program]
    return found


class _ConsumerTable(nn.Module):
    """Latents -> rgb, as the consumer computes it."""

    weights: Tensor
    bias: Tensor

    def __init__(self, published: PublishedTable) -> None:
        super().__init__()
        self._published = published
        self.register_buffer("weights", torch.tensor(published.weights))
        self.register_buffer("bias", torch.tensor(published.bias or (0.0, 0.0, 0.0)))
        self.n_fitted = self.weights.numel() + (3 if published.bias else 0)

    def forward(self, latents: Tensor) -> Tensor:
        published = self._published
        if published.domain == "raw":
            latents = published.space.to_raw(latents)
        if self.weights.shape[0] == 4 * latents.shape[1]:
            latents = pack_flux2(latents)
        linear = nn.functional.linear(latents.movedim(1, -1), self.weights.to(latents).mT, self.bias.to(latents))
        rgb = _to_rgb(smoothed(linear.movedim(-1, 1), published.smoothing), published.output_range)
        return _wrapped(rgb) if published.overflow == "wrap" else rgb


class _MapInItsPlace(nn.Module):
    """A map of ours, smoothed in the signed range and wrapped as a consumer does with its own table."""

    def __init__(self, approximation: Approximation, kernel: Kernel | None, overflow: str) -> None:
        super().__init__()
        self.module, self.n_fitted = approximation.module, approximation.n_parameters
        self.kernel, self.overflow = kernel, overflow

    def forward(self, latents: Tensor) -> Tensor:
        rgb = signed_to_rgb(smoothed(rgb_to_signed(self.module(latents)), self.kernel))
        return _wrapped(rgb) if self.overflow == "wrap" else rgb


def _to_rgb(output: Tensor, output_range: tuple[float, float] | str) -> Tensor:
    if output_range == "logit":
        return torch.sigmoid(output)
    if output_range == (-1.0, 1.0):
        return signed_to_rgb(output)
    return output / 255 if output_range == (0.0, 255.0) else output


def _wrapped(rgb: Tensor) -> Tensor:
    """8-bit levels modulo 256, as a cast without a clamp leaves them."""
    return (255 * rgb).trunc().remainder(256) / 255


@cache
def _all() -> tuple[PublishedTable, ...]:
    entries = json.loads(data_path("published/tables.json").read_text("utf-8"))["tables"]
    return tuple(_published(entry) for entry in entries)


def _published(entry: dict[str, Any]) -> PublishedTable:
    limits = entry["output_range"]
    smoothing = entry.get("smooth_kernel_3x3")
    return PublishedTable(
        id=entry["id"],
        source=entry["source"],
        licence=entry["license"],
        space=get_space(entry["space"]),
        domain=entry["domain"],
        output_range=limits if isinstance(limits, str) else (float(limits[0]), float(limits[1])),
        weights=tuple(map(tuple, entry["weights"])),
        bias=tuple(entry["bias"]) if entry["bias"] and entry["bias_applied"] else None,
        smoothing=tuple(map(tuple, smoothing)) if smoothing else None,
        overflow=entry.get("overflow", "clamp"),
        status=entry["status"],
        notes=entry["notes"],
        copy_of=entry["copy_of"],
        suspect=entry.get("suspect"),
    )
