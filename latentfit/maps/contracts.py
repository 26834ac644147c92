"""The two contracts: latents -> rgb, and latents -> latents. Final wrappers; modules inside write only mathematics."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from latentfit.errors import PaletteError, ScaleError, SpaceMismatchError
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.scales import AtScale, Scale, as_scale, is_any_factor
from latentfit.nets.traits import Classifies, n_fitted_of


@final
class Approximation(nn.Module):
    """A map from latents to pictures that keeps one promise.

    Parameters
    ----------
    module : nn.Module
        ``(N, C, h, w)`` float -> rgb ``(N, 3, h * scale, w * scale)``, sRGB-encoded, about [0, 1], not clamped.
    space : LatentSpace or str
        What the latents mean; always the model domain.
    scale : int, Fraction or str
        Pixels per latent cell: 1 for tables, `cell_px` for decoders.
    name : str
        Label in scores and figures.
    card : mapping
        Provenance, JSON-able: form, VAE, training pictures, scores.

    Examples
    --------
    >>> tables = Approximation(nn.Conv2d(4, 3, 1), "sd1")
    >>> tables(torch.zeros(1, 4, 8, 8)).shape
    torch.Size([1, 3, 8, 8])
    """

    def __init__(
        self,
        module: nn.Module,
        space: LatentSpace | str,
        scale: Scale = 1,
        *,
        name: str = "",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.space = get_space(space)
        self.scale = as_scale(scale)
        self.name = name or type(module).__name__
        self.card: dict[str, Any] = dict(card or {})

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents ``(N, C, h, w)`` or ``(N, C, T, h, w)``, model domain -> rgb ``(N, 3, [T,] H, W)`` in [0, 1]."""
        rgb = self.unclamped(latents)
        return rgb.clamp(0, 1) if _share_memory(rgb, latents) else rgb.clamp_(0, 1)

    @torch.no_grad()
    def unclamped(self, latents: Tensor) -> Tensor:
        """Decode without clamping: what clipping scores look at. Keeps dtype and device of `latents`."""
        return _run(self, self.space, latents, (3,), self.module)

    @torch.no_grad()
    def indices(self, latents: Tensor) -> Tensor:
        """Latents as in the call -> the class of each cell, ``(N, [T,] h, w)`` int64, where the module has a palette.

        Raises
        ------
        PaletteError
            When it has none.
        """
        if not isinstance(self.module, Classifies):
            raise PaletteError(
                f"{self.name!r}: gives colours, not classes of a palette",
                remedy=(
                    "train a palettized decoder, or take the "
                    "nearest of its colours: Palette.nearest(approximation(latents))"
                ),
            )
        return _run(self, self.space, latents, (), self.module.indices)

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted or trained."""
        return n_fitted_of(self.module)

    def extra_repr(self) -> str:
        return f"name={self.name!r}, space={self.space.name!r}, scale={self.scale}"


@final
class LatentMap(nn.Module):
    """A map from latents to latents of another space or size.

    Parameters
    ----------
    module : nn.Module
        ``(N, C, h, w)`` -> ``(N, C', h * scale, w * scale)``, model domain of both spaces. A network of any factor
        comes as an `AtScale`.
    source, target : LatentSpace or str
    scale : int, Fraction or str
        Target cells per source cell.

    Raises
    ------
    ScaleError
        When the module is held at another scale.
    """

    def __init__(
        self,
        module: nn.Module,
        source: LatentSpace | str,
        target: LatentSpace | str,
        scale: Scale = 1,
        *,
        name: str = "",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.source = get_space(source)
        self.target = get_space(target)
        self.scale = as_scale(scale)
        if isinstance(module, AtScale) and module.scale != self.scale:
            raise ScaleError(
                "scale", expected=f"the module's, {module.scale}", got=f"{self.scale}", remedy="give both the same"
            )
        self.name = name or type(module).__name__
        self.card: dict[str, Any] = dict(card or {})

    @torch.no_grad()
    def __call__(self, latents: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Latents of `source` -> latents of `target`; `size` ``(h, w)`` asks for another output size.

        A network of any factor makes that size itself; what others give is resampled bilinearly. Keeps dtype and device
        of `latents`; a network's weights may have another dtype.
        """
        channels = (self.target.channels,)
        if self.is_any_factor:
            return _run(self, self.source, latents, channels, partial(self.module, size=size), size)
        mapped = _run(self, self.source, latents, channels, self.module)
        if size is not None and tuple(mapped.shape[-2:]) != tuple(size):
            mapped = nn.functional.interpolate(mapped, size=size, mode="bilinear", antialias=True)
        return mapped

    @property
    def is_any_factor(self) -> bool:
        """Whether `at_scale` gives other factors, and the call any size within `factors`."""
        return is_any_factor(self.module)

    @property
    def factors(self) -> tuple[float, float]:
        """The least and the largest factor that the network gives; of a map of one factor that one, twice."""
        return self.module.factors if isinstance(self.module, AtScale) else (float(self.scale), float(self.scale))

    def at_scale(self, scale: Scale) -> "LatentMap":
        """The same weights at another factor.

        Raises
        ------
        ScaleError
            When the map gives one factor only, or not that one.
        """
        if as_scale(scale) == self.scale:
            return self
        if not isinstance(self.module, AtScale):
            raise ScaleError(
                f"{self.name!r}: gives {self.scale} target cells a cell, not {as_scale(scale)}",
                remedy="use a map of any factor, or another file",
            )
        module = AtScale(self.module.network, scale)
        return LatentMap(module, self.source, self.target, scale, name=self.name, card=self.card)

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted or trained."""
        return n_fitted_of(self.module)

    def extra_repr(self) -> str:
        return f"name={self.name!r}, {self.source.name!r} -> {self.target.name!r}, scale={self.scale}"


def chain(*maps: LatentMap | Approximation) -> Approximation:
    """Latent maps followed by an approximation, as one approximation of the first map's source space.

    Raises
    ------
    SpaceMismatchError
        When a map's target is not the next one's source, or the last is no `Approximation`.
    """
    if not maps or not isinstance(maps[-1], Approximation):
        raise SpaceMismatchError(
            "chain", expected="latent maps followed by one Approximation", remedy="put a decoder or table last"
        )
    last = maps[-1]
    space: LatentSpace = last.space
    scale: Fraction = last.scale
    multiple = scale.denominator
    for part in reversed(maps[:-1]):
        if not isinstance(part, LatentMap):
            raise SpaceMismatchError(
                "chain", expected="latent maps before the last part", got="an Approximation in the middle"
            )
        if part.target != space:
            raise SpaceMismatchError(
                f"chain: {part.name!r} gives space {part.target.name!r}, the next part takes {space.name!r}",
                remedy=f"put a map {part.target.name} -> {space.name} between them",
            )
        space, scale, multiple = part.source, scale * part.scale, multiple * part.scale.denominator
    name = " -> ".join(part.name for part in maps)
    return Approximation(_Chain(multiple, [part.module for part in maps]), space, scale, name=name)


class _Chain(nn.Sequential):
    """One after the other, on sides that every one's scale keeps whole; the wrapper cuts what is too much."""

    def __init__(self, multiple: int, modules: Sequence[nn.Module]) -> None:
        super().__init__(*modules)
        self.multiple = multiple

    def forward(self, latents: Tensor) -> Tensor:
        made: Tensor = super().forward(as_blocks(latents, self.multiple))  # type: ignore[no-untyped-call]
        return made


def _run(
    wrapper: Approximation | LatentMap,
    space: LatentSpace,
    latents: Tensor,
    channels: tuple[int, ...],
    call: Callable[[Tensor], Tensor],
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Check, fold time into the batch, run, check the shape, unfold; no `channels`: the result has no such axis."""
    if not isinstance(latents, Tensor) or not latents.is_floating_point():
        kind = latents.dtype if isinstance(latents, Tensor) else type(latents).__name__
        raise SpaceMismatchError("latents", expected=f"a floating tensor (N, {space.channels}, h, w)", got=f"{kind}")
    space.check(latents)
    n_frames = latents.shape[2] if latents.ndim == 5 else None
    flat = latents if n_frames is None else latents.movedim(2, 1).flatten(0, 1)
    rows, columns = flat.shape[-2:]
    expected = (flat.shape[0], *channels, *(size or (int(rows * wrapper.scale), int(columns * wrapper.scale))))
    if min(expected[-2:]) < 1 <= min(rows, columns):
        raise ScaleError(
            f"{wrapper.name!r}: {rows}x{columns} cells at scale {wrapper.scale} are less than one",
            remedy="give larger latents",
        )
    denominator = 1 if is_any_factor(wrapper.module) else wrapper.scale.denominator
    given = as_blocks(in_dtype_of(wrapper.module, flat), denominator)
    if _share_memory(given, latents) and any(getattr(part, "inplace", False) for part in wrapper.module.modules()):
        given = given.clone()  # nn.ReLU(inplace=True) may come first
    mapped: Tensor = call(given)
    mapped = mapped.to(latents.dtype) if mapped.is_floating_point() else mapped
    mapped = mapped[..., : expected[-2], : expected[-1]]
    if tuple(mapped.shape) != expected:
        raise SpaceMismatchError(
            f"{wrapper.name!r}", expected=f"an output {expected}, its module gave {tuple(mapped.shape)}"
        )
    if n_frames is None:
        return mapped
    unfolded = mapped.reshape(-1, n_frames, *mapped.shape[1:])
    return unfolded.movedim(1, 2) if channels else unfolded


def _share_memory(first: Tensor, second: Tensor) -> bool:
    return first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def in_dtype_of(module: nn.Module, latents: Tensor) -> Tensor:
    """Latents as the module computes: half-precision latents go through float32 weights, and the other way round."""
    first = next(module.parameters(), None)
    return latents if first is None or not first.is_floating_point() else latents.to(first.dtype)


def as_blocks(latents: Tensor, denominator: int) -> Tensor:
    """Replicate the last row and column until both sides divide, so that a scale of 1/2 takes odd sizes."""
    if denominator == 1:
        return latents
    down, right = -latents.shape[-2] % denominator, -latents.shape[-1] % denominator
    return nn.functional.pad(latents, (0, right, 0, down), mode="replicate") if down or right else latents
