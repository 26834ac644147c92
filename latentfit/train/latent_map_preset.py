"""LatentPreset: a network between latents, what it learns, and how long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from torch import nn

from latentfit.latents.spaces import LatentSpace
from latentfit.nets.model_domain import ModelDomain
from latentfit.train.config import TrainConfig
from latentfit.train.decoder_presets import CHARTS_COUNT_LESS

Maker = Callable[[LatentSpace, LatentSpace, Fraction], nn.Module]
Losses = Mapping[str, float] | Callable[[LatentSpace, LatentSpace], Mapping[str, float]]


@dataclass(frozen=True)
class LatentPreset:
    """A network between latents, what it learns, and how long.

    Attributes
    ----------
    title : str
    make : callable
        (source, target, scale) -> network in the model domain, its weights drawn from torch's generator.
    crop_cells, border_cells : int
        Side of a crop in source cells (at most: whole blocks of the scale), and the rim of the target's that no loss
        sees unless it is the picture's own.
    losses : mapping of str to float, or callable
        See `LatentObjective`; a callable gives those of (source, target).
    closed_form : str or None
        The linear form that is put in as the network's skip: "5"; None: there is no skip.
    takes_trunk : bool
        It may begin with a decoder's blocks, see `latentfit.nets.shared_trunk`; its last convolution is solved then.
    both_ways : bool
        Train the inverse with it.
    decoded_cells : int or None
        See `LatentObjective`.
    any_factor : bool
        One network for every factor; it is told the size, and learns from stores of several scales.
    goes_on : bool
        A last course: it needs a trained map to begin from.
    draw : mapping of str to float
        How often pictures of a kind are drawn, relative to 1.
    config : TrainConfig
    kind : {"interposer", "upscaler"}
        What it trains.
    """

    title: str
    make: Maker
    crop_cells: int
    border_cells: int
    losses: Losses
    closed_form: str | None = None
    takes_trunk: bool = False
    both_ways: bool = False
    decoded_cells: int | None = None
    any_factor: bool = False
    goes_on: bool = False
    draw: Mapping[str, float] = field(default_factory=lambda: CHARTS_COUNT_LESS)
    config: TrainConfig = field(default_factory=TrainConfig)
    kind: Literal["interposer", "upscaler"] = "interposer"

    def losses_of(self, source: LatentSpace, target: LatentSpace) -> Mapping[str, float]:
        """The losses between two spaces."""
        return self.losses(source, target) if callable(self.losses) else self.losses


def raw(make: Maker) -> Maker:
    """Return the maker for networks that want raw latents."""

    def made(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
        return ModelDomain.of_raw(make(source, target, scale), source, target)

    return made
