"""How pipelines lay out their latents in the loop, and whose latents they are."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from latentfit.errors import SpaceMismatchError
from latentfit.latents.spaces import LatentSpace, get_space, list_spaces, unpack_flux2
from latentfit.vae.networks import DiffusersNetwork
from latentfit.vae.spaces import speaks_model_domain, stated_numbers

Axes = Literal["channels first", "frames first", "channels last"]
_ELSEWHERE: tuple[Axes, ...] = ("frames first", "channels last")


def axes_of(pipe: Any) -> Axes | None:
    """How a pipeline's latents of video lie, by its class or that of its denoiser.

    Returns
    -------
    str or None
        "channels first", (N, C, T, h, w), is diffusers' own convention: all its pipelines but those that the registry
        of spaces lists. None: the class is none of diffusers', and its denoiser says nothing.
    """
    import diffusers

    parts = [pipe, *(getattr(pipe, name, None) for name in ("transformer", "unet"))]
    for axes in _ELSEWHERE:
        names = [name for space in list_spaces() for name in space.facts.video_axes.get(axes, ())]
        kinds = tuple(kind for name in names if isinstance(kind := getattr(diffusers, name, None), type))
        if any(isinstance(part, kinds) for part in parts):
            return axes
    return "channels first" if isinstance(pipe, diffusers.DiffusionPipeline | diffusers.ModularPipeline) else None


def canonical(
    latents: Tensor, space: LatentSpace, size_px: tuple[int, int] | None = None, axes: Axes | None = None
) -> Tensor:
    """A pipeline's latents as ``(N, C, h, w)`` or ``(N, C, T, h, w)``.

    Parameters
    ----------
    latents : Tensor
        ``(N, C, h, w)``; packed channels ``(N, 4 * C, h / 2, w / 2)``; video; or packed tokens ``(N, n, C * p * p)`` of
        p x p patches, rows first (FLUX, FLUX.2, Qwen-Image: p = 2; LTX: 1), frame after frame.
    space : LatentSpace
    size_px : tuple of int or None
        Height and width of the picture, which tokens do not tell.
    axes : str or None
        How video lies; see `axes_of`. None: the one axis as long as the space has channels is theirs, and where there
        are several, and the first is one of them, the first.

    Raises
    ------
    SpaceMismatchError
        When the shape is none of these, or several axes may be the channels' and nothing says which is.
    """
    n_channels = space.channels
    if latents.ndim == 3:
        return _from_tokens(latents, space, size_px)
    if latents.ndim == 4 and space.packing == "flux2" and latents.shape[1] == 4 * n_channels:
        return unpack_flux2(latents)
    if latents.ndim == 5:
        latents = latents.movedim(_channel_axis(latents, space, axes), 1)
    if latents.ndim < 3:
        raise SpaceMismatchError(
            f"latents of space {space.name!r}",
            expected="a picture's",
            got=f"{tuple(latents.shape)}, an embedding, as priors make",
            remedy=("preview the pipeline that paints, such as the decoder of Kandinsky or Stable Cascade"),
        )
    space.check(latents)
    return latents


def _channel_axis(latents: Tensor, space: LatentSpace, axes: Axes | None) -> int:
    known = {"channels first": 1, "frames first": 2, "channels last": 4}
    if axes is not None:
        return known[axes]
    fitting = [axis for axis in known.values() if latents.shape[axis] == space.channels]
    if len(fitting) > 1 and fitting[0] != 1:
        raise SpaceMismatchError(
            f"latents of space {space.name!r}",
            expected=f"one axis of {space.channels} channels",
            got=(f"{tuple(latents.shape)}, and neither the pipeline's class nor its denoiser's says which it is"),
            remedy="lay them out as (N, C, T, h, w)",
        )
    return fitting[0] if fitting else 1


def _from_tokens(tokens: Tensor, space: LatentSpace, size_px: tuple[int, int] | None) -> Tensor:
    n_pictures, n_tokens, width = tokens.shape
    patch = math.isqrt(width // space.channels)
    if width != space.channels * patch**2 or patch == 0:
        raise SpaceMismatchError(
            f"packed latents of space {space.name!r}",
            expected=f"tokens of {space.channels} * p * p numbers",
            got=f"{width}",
            remedy="take an approximation of the pipeline's own space",
        )
    if size_px is None:
        raise SpaceMismatchError(
            f"packed latents {tuple(tokens.shape)}: their height and width cannot be told, "
            "since neither the pipeline's call, nor its prepare_latents, nor its state "
            "says them",
            remedy="say them, in pixels: preview(..., picture_size=(height, width))",
        )
    rows, columns = (side // (space.cell_px * patch) for side in size_px)
    n_frames = n_tokens // max(rows * columns, 1)
    if n_frames * rows * columns != n_tokens or not n_frames:
        raise SpaceMismatchError(
            "packed latents",
            expected=(f"{rows}x{columns} tokens a frame for {size_px[0]}x{size_px[1]} px at {space.cell_px} px a cell"),
            got=f"{n_tokens}",
            remedy=f"is space {space.name!r} the pipeline's own?",
        )
    grid = tokens.reshape(n_pictures * n_frames, rows, columns, width).permute(0, 3, 1, 2)
    pictures = torch.nn.functional.pixel_shuffle(grid, patch)
    if n_frames == 1:
        return pictures
    return pictures.reshape(n_pictures, n_frames, *pictures.shape[1:]).movedim(1, 2)


@dataclass(frozen=True)
class VaeStatement:
    """What a pipeline's autoencoder states of its latents in its config, read once.

    Attributes
    ----------
    class_name : str
        Class of the autoencoder, for errors.
    n_channels : int or None
    numbers : tuple of tuple of float, or None
        Shift and scale. TAESD's kind speaks the model domain of any space, and states none.
    """

    class_name: str
    n_channels: int | None = None
    numbers: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def space(self) -> LatentSpace | None:
        """The one registered space of this shift and scale; None unless just one fits."""
        if self.numbers is None:
            return None
        known = [one for one in list_spaces() if one.channels == self.n_channels and not one.normalised_by_vae]
        fitting = [one for one in known if all(map(_agree, self.numbers, (one.shift, one.scale)))]
        return fitting[0] if len(fitting) == 1 else None

    def tells(self, space: LatentSpace) -> bool:
        """Compare it with a space; what it does not state passes.

        Returns
        -------
        bool
            Whether it states shift and scale, and these are the space's.

        Raises
        ------
        SpaceMismatchError
            When channels, or shift and scale, are another space's.
        """
        if self.n_channels is not None and self.n_channels != space.channels:
            raise SpaceMismatchError(
                f"preview: the approximation is of space {space.name!r} with {space.channels} "
                f"channels, the pipeline's {self.class_name} has {self.n_channels}",
                remedy="take an approximation of the pipeline's own space",
            )
        if self.numbers is None or space.normalised_by_vae:
            return False
        if not all(map(_agree, self.numbers, (space.shift, space.scale))):
            raise SpaceMismatchError(
                f"preview: the approximation is of space {space.name!r}, shift "
                f"{_brief(space.shift)} and scale {_brief(space.scale)}; the pipeline's "
                f"{self.class_name} states {_brief(self.numbers[0])} and {_brief(self.numbers[1])}: another "
                "space of as many channels",
                remedy="take an approximation of that one",
            )
        return True


def stated_by(vae: Any) -> VaeStatement:
    """Read what a pipeline's autoencoder states; anything may stand in its place, or nothing."""
    called = type(vae).__name__
    config: Any = getattr(vae, "config", None)
    if not hasattr(config, "get"):
        return VaeStatement(called)
    stated = [config.get(name) for name in ("latent_channels", "z_dim")]
    n_channels = next((value for value in stated if isinstance(value, int)), None)
    if n_channels is None or not isinstance(vae, torch.nn.Module):
        return VaeStatement(called, n_channels)
    network = DiffusersNetwork(vae)
    return VaeStatement(
        called, n_channels, None if speaks_model_domain(network) else stated_numbers(network, n_channels)
    )


def check_pipeline(pipe: Any, space: LatentSpace, stated: VaeStatement) -> bool:
    """Compare a space with what a pipeline's autoencoder states; where that states no numbers, with its denoiser's.

    What neither tells passes, as do spaces of one's own, which are not registered.

    Parameters
    ----------
    pipe : diffusers pipeline
    space : LatentSpace
    stated : VaeStatement
        What its autoencoder states; see `stated_by`.

    Returns
    -------
    bool
        Whether one of them tells that the pipeline's latents are of this space.

    Raises
    ------
    SpaceMismatchError
        When channels, shift or scale are another space's, or the denoiser is of other spaces.
    """
    is_told = stated.tells(space)
    if is_told or not any(space == one for one in list_spaces()):
        return is_told
    for part in ("transformer", "unet", "prior"):
        denoiser = getattr(pipe, part, None)
        names = _spaces_of(denoiser)
        if names and space.name not in names:
            raise SpaceMismatchError(
                f"preview: the approximation is of space {space.name!r}, the pipeline's "
                f"{type(denoiser).__name__} makes latents of {' or '.join(names)}",
                remedy="take an approximation of that space",
            )
        is_told = is_told or names == (space.name,)
    return is_told


def _spaces_of(denoiser: Any) -> tuple[str, ...]:
    """Names of the spaces that a denoiser may be of, by its class; empty where the class leaves it open."""
    return tuple(space.name for space in list_spaces() if any(one.fits(denoiser) for one in space.facts.denoisers))


def space_told(pipe: Any) -> LatentSpace | None:
    """The one registered space that a pipeline's denoiser makes latents of; None where its class leaves it open."""
    for part in ("transformer", "unet", "prior"):
        names = _spaces_of(getattr(pipe, part, None))
        if len(names) == 1:
            return get_space(names[0])
    return None


def _agree(stated: tuple[float, ...], known: tuple[float, ...]) -> bool:
    n_values = max(len(stated), len(known))
    ours, theirs = (torch.tensor(values).expand(n_values) for values in (stated, known))
    return torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def _brief(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.5g}" for value in values[:3]) + (", ..." if len(values) > 3 else "")
