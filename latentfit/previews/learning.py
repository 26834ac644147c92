"""Learner: a calibration that watches a pipeline's VAE decode, and gives the previews what it has learned."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from latentfit.calibration.cache import kept_for
from latentfit.calibration.calibration import Calibration
from latentfit.errors import BadFileError, LatentfitError, LatentfitWarning, PreviewError, reason_of
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.latents.spaces import LatentSpace, list_spaces
from latentfit.maps.contracts import Approximation
from latentfit.previews.first_error import FirstError
from latentfit.previews.method_hook import MethodHook, Watch
from latentfit.previews.rendering import Painter
from latentfit.previews.token_layouts import space_told, stated_by
from latentfit.runtime.weights import sketch_of
from latentfit.vae.networks import Crossing, DiffusersNetwork, plain_crossing
from latentfit.vae.spaces import own_crossing, speaks_model_domain

AUTO = "auto"
FIRST_SLOPE = 0.3
"""Of the signed range, for each of the first three channels, where nothing is known of a space yet."""


@final
class Learner:
    """Watches `decode` of a pipeline's VAE: each call is a pair for its calibration.

    Parameters
    ----------
    vae : nn.Module
        The pipeline's, with diffusers' `decode`.
    calibration : Calibration
    crossing : Crossing
        From the VAE's own latents to the model domain.

    Attributes
    ----------
    calibration : Calibration
    shown : Approximation
        What the previews show now.
    n_new : int
        Pictures that entered in this block.
    refused : Counter of str
        Reason -> pictures that did not.
    """

    def __init__(self, vae: nn.Module, calibration: Calibration, crossing: Crossing) -> None:
        self.calibration, self._vae, self._crossing = calibration, vae, crossing
        self.n_new = 0
        self.refused: Counter[str] = Counter()
        self._solved_with = calibration.n_pictures
        self._depth = 0
        self.shown = _solved(calibration)

    @classmethod
    def of(cls, pipe: Any, approximations: object) -> "Learner | None":
        """A pipeline's, where "auto" is asked for; None where it is not.

        Raises
        ------
        PreviewError
            When the pipeline has no VAE to learn from, or its space cannot be told.
        """
        if not _asks(approximations):
            return None
        vae = getattr(pipe, "vae", None)
        if not isinstance(vae, nn.Module) or not callable(getattr(vae, "decode", None)):
            raise PreviewError(
                f"preview: {type(pipe).__name__} has no vae to learn from", remedy="name an approximation"
            )
        try:
            fingerprint = sketch_of(vae)
            space, crossing = _space_of(pipe, vae, fingerprint)
        except BadFileError as error:
            raise PreviewError(f"preview: {error}", remedy="name an approximation") from error
        name = str(getattr(getattr(vae, "config", None), "_name_or_path", "") or type(vae).__name__)
        try:
            calibration = kept_for(space, fingerprint, name)
        except LatentfitError as error:
            warnings.warn(
                LatentfitWarning(f"latentfit preview: {reason_of(error)}", remedy="what is learned now is not kept"),
                stacklevel=3,
            )
            calibration = Calibration(space, fingerprint=fingerprint, vae=name)
        return cls(vae, calibration, crossing)

    @property
    def label(self) -> str:
        """How much it has learned, in words."""
        known = self.calibration.n_pictures
        return f"learned from {known} picture{'' if known == 1 else 's'}, {self.n_new} of them in this block"

    def hook(self, first_error: FirstError) -> MethodHook:
        """A hook to be opened; errors of learning are kept there."""

        def before(arguments: Mapping[str, Any]) -> None:
            self._depth += 1

        def at_end() -> None:
            self._depth -= 1

        def after(arguments: Mapping[str, Any], output: Any, noted: Any) -> None:
            if self._depth == 0:  # not of a decode within a decode, of tiles or slices
                with first_error.kept():
                    self._learn(arguments, output)

        return MethodHook(self._vae, {"decode": Watch(after, before, at_end)})

    def refresh(self, painter: Painter) -> None:
        """Show what has been learned since."""
        n_pictures = self.calibration.n_pictures
        if n_pictures == self._solved_with:
            return
        old, self.shown, self._solved_with = self.shown, _solved(self.calibration), n_pictures
        painter.replace(old, self.shown)

    def _learn(self, arguments: Mapping[str, Any], output: Any) -> None:
        own = next((value for value in arguments.values() if isinstance(value, Tensor)), None)
        rgb = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
        if own is None or not isinstance(rgb, Tensor):
            return
        with torch.no_grad():
            pair = _plain(own.detach()), _plain(rgb.detach())
            if pair[0] is None or pair[1] is None:
                self.refused["frames of a video"] += 1
                return
            crossing = self._crossing.to(pair[0].device)
            latents = crossing.to_model(pair[0])
            colours = (pair[1][:, :3].float() / 2 + 0.5).clamp(0, 1)
            cells = torch.nn.functional.interpolate(colours, tuple(latents.shape[-2:]), mode="area")
            found = self.calibration.observe(latents.cpu(), cells.cpu())
        self.n_new += found.n_new
        self.refused.update(found.refused)


def with_learned(approximations: Any, learned: Approximation) -> Any:
    """The same, with what is learned in the place of "auto"."""

    def one(source: Any) -> Any:
        return learned if _is_auto(source) else source

    if isinstance(approximations, Mapping):
        return {name: one(source) for name, source in approximations.items()}
    if isinstance(approximations, Sequence) and not isinstance(approximations, str):
        return [one(source) for source in approximations]
    return one(approximations)


def _asks(approximations: object) -> bool:
    if isinstance(approximations, Mapping):
        return any(map(_is_auto, approximations.values()))
    if isinstance(approximations, Sequence) and not isinstance(approximations, str):
        return any(map(_is_auto, approximations))
    return _is_auto(approximations)


def _is_auto(source: object) -> bool:
    return isinstance(source, str) and source == AUTO


def _plain(tensor: Tensor) -> Tensor | None:
    """A batch of pictures ``(N, C, H, W)``; of video the one frame, where it has no more."""
    if tensor.ndim == 5 and tensor.shape[2] == 1:
        return tensor[:, :, 0]
    return tensor if tensor.ndim == 4 else None


def _solved(calibration: Calibration) -> Approximation:
    if calibration.n_pictures or calibration.has_prior:
        return calibration.approximation()
    module = PolynomialMap(calibration.space.channels, (1,))
    coefficients = torch.zeros(1 + calibration.space.channels, 3)
    for channel in range(min(3, calibration.space.channels)):
        coefficients[1 + channel, channel] = FIRST_SLOPE
    module.set_coefficients(coefficients.numpy())
    return Approximation(module, calibration.space, 1, name="first three channels, nothing learned yet")


def _space_of(pipe: Any, vae: nn.Module, fingerprint: str) -> tuple[LatentSpace, Crossing]:
    """The space of a pipeline's latents, registered or not, and how its VAE's own cross into the model domain."""
    network = DiffusersNetwork(vae)
    stated = stated_by(vae)
    known = stated.space or (space_told(pipe) if stated.numbers is None else None)
    if known is not None:
        if speaks_model_domain(network):
            return known, plain_crossing((0.0,), (1.0,))
        return known, own_crossing(network) if known.normalised_by_vae else plain_crossing(known.shift, known.scale)
    n_channels, numbers = stated.n_channels, stated.numbers
    cell_px = getattr(pipe, "vae_scale_factor", None)
    if n_channels is None or numbers is None or not isinstance(cell_px, int):
        raise PreviewError(
            f"preview: the space of {type(pipe).__name__} cannot be told from its {type(vae).__name__}",
            remedy=f"name an approximation of it; spaces are {', '.join(space.name for space in list_spaces())}",
        )
    dims = 3 if network.has_time else 2
    space = LatentSpace(f"own-{fingerprint[:8]}", n_channels, cell_px, numbers[0], numbers[1], dims=dims)
    return space, plain_crossing(*numbers)
