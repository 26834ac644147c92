"""Presets of interposers and upscalers: a network between latents, what it learns, and how long. Two tables.

The numbers of those that came first are those that their authors state: city96's and Ttl's training scripts,
styler00dollar's README. What cannot be had here is left out and said: LPIPS (its weights come from a hub) of Ttl's, and
the EfficientNet that judged latents for styler00dollar, in whose place stands a patch discriminator.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from torch import nn

from latentfit.errors import TrainError
from latentfit.latents.spaces import LatentSpace
from latentfit.nets.any_scale_upscaler import AnyUpscaler
from latentfit.nets.interposer import Interposer, InterposerV1, InterposerV3, InterposerV4
from latentfit.nets.model_domain import ModelDomain
from latentfit.nets.resizer import PRIVATE_FACTORS, LatentResizer
from latentfit.nets.transformers.craft import Craft
from latentfit.nets.transformers.dat import Dat
from latentfit.nets.transformers.drct import Drct
from latentfit.nets.transformers.swinfir import SwinFir
from latentfit.nets.upscaler import Upscaler, UpscalerV1, UpscalerV2
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


# city96's p (the way there), r (there and back), b (back), h (back and there) by pair, of their v4.0 configs
CITY96: Mapping[tuple[str, str], tuple[float, float, float, float]] = {
    ("sd1", "sdxl"): (1, 1.4, 1, 0),
    ("sdxl", "sd1"): (1, 0, 0, 0),
    ("sd1", "sd3"): (1, 0.1, 1, 0),
    ("sdxl", "sd3"): (1, 0.1, 1, 0),
    ("sd3", "sd1"): (1, 1.4, 1, 0),
    ("sd3", "sdxl"): (1, 1.4, 1, 0),
    ("flux1", "sd1"): (1, 0.1, 1, 0),
    ("flux1", "sdxl"): (1, 0.1, 1, 0),
    ("flux1", "sd3"): (1, 0.1, 1, 0),
    ("cascade_b", "sd1"): (1, 1.4, 1, 0),
    ("cascade_b", "sdxl"): (1, 1.4, 1, 0),
    ("cascade_b", "sd3"): (1, 0.1, 1, 0),
}


def city96_losses(source: LatentSpace, target: LatentSpace) -> dict[str, float]:
    """City96's weights for a pair, by our names; those of most pairs where they have none."""
    there, around, back, back_round = CITY96.get((source.name, target.name), (1, 0.1, 1, 0))
    named = {"l1": there, "round": around, "back": back, "back_round": back_round}
    return {name: weight for name, weight in named.items() if weight}


def _ours(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
    if scale != 1:
        raise TrainError(f"this interposer keeps the size, the stores have scale {scale}", remedy="take interposer-v4")
    return Interposer(source.channels, target.channels)


def _same_size(kind: type[InterposerV1] | type[InterposerV3]) -> Maker:
    def make(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
        if scale != 1 or source.channels != target.channels:
            raise TrainError(
                f"{kind.__name__}",
                expected="spaces of equal size and channels",
                got=f"{source.channels} and {target.channels} channels at scale {scale}",
                remedy="take interposer-v4",
            )
        return kind(source.channels)

    return raw(make)


_INTERPOSE = TrainConfig(n_images=6_000, batch_images=8, optimizer="muon", lr=5e-3, weight_decay=0.3)

INTERPOSERS: dict[str, LatentPreset] = {
    "interposer": LatentPreset(
        "interposer: least squares, and a network for what it leaves", _ours, 32, 2,
        {"mse": 2.0, "decoded_mse": 400.0}, closed_form="5", takes_trunk=True, decoded_cells=16, config=_INTERPOSE,
    ),
    "interposer-low": LatentPreset(
        "interposer, its low frequencies weighed by themselves", _ours, 32, 2,
        {"mse": 2.0, "coarse_mse": 16.0, "decoded_mse": 400.0}, closed_form="5", takes_trunk=True, decoded_cells=16,
        config=_INTERPOSE,
    ),
    "interposer-fine": LatentPreset(
        "interposer, begun from one, through a decoder that draws texture", _ours, 24, 2,
        {"mse": 2.0, "decoded_mse": 300.0}, closed_form="5", decoded_cells=12, goes_on=True,
        config=replace(_INTERPOSE, lr=3e-3, weight_decay=1.0, ema_images=2_000.0),
    ),
    "interposer-round": LatentPreset(
        "interposer, its inverse trained with it", _ours, 32, 2,
        {"mse": 2.0, "decoded_mse": 400.0, "round": 0.1, "back": 1.0}, closed_form="5", both_ways=True,
        takes_trunk=True, decoded_cells=16, config=_INTERPOSE,
    ),
    "interposer-colour": LatentPreset(
        "interposer against shifts of hue and saturation: OKLab of the cells, decoded MS-SSIM", _ours, 32, 2,
        {"mse": 2.0, "decoded_mse": 200.0, "oklab": 20.0, "decoded_ms_ssim": 1.0}, closed_form="5", takes_trunk=True,
        decoded_cells=24, config=_INTERPOSE,
    ),
    "interposer-v4": LatentPreset(
        "city96's v4.0 network and losses", raw(lambda a, b, scale: InterposerV4(
            a.channels, b.channels, scale=float(scale))), 32, 0, city96_losses, both_ways=True,
        config=TrainConfig(n_images=100_000, batch_images=16, lr=5e-4, betas=(0.5, 0.95)),
    ),
    "interposer-v3": LatentPreset(
        "city96's v3.1 network", _same_size(InterposerV3), 32, 0, {"l1": 1.0},
        config=TrainConfig(n_images=100_000, batch_images=16, lr=5e-4),
    ),
    "interposer-v1": LatentPreset(
        "city96's v1 network", _same_size(InterposerV1), 32, 0, {"l1": 1.0},
        config=TrainConfig(n_images=100_000, batch_images=16, lr=5e-4),
    ),
}  # fmt: skip

TWICE = 2


def _within(make: Maker) -> Maker:
    """The maker for networks that keep the space."""

    def made(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
        if source != target:
            raise TrainError(
                f"an upscaler keeps the space, the stores lead from {source.name!r} to {target.name!r}",
                remedy="take an interposer's preset",
            )
        return make(source, target, scale)

    return made


def _twice(make: Callable[[int], nn.Module]) -> Maker:
    """The maker for networks that double the sides, of one by its channels."""

    def made(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
        if scale != TWICE:
            raise TrainError(
                f"this upscaler doubles the sides, the stores have scale {scale}", remedy="take upscaler-any"
            )
        return make(source.channels)

    return made


def _resizer(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
    times = PRIVATE_FACTORS.get(source.channels, 1.0)
    return ModelDomain.of_raw(LatentResizer(source.channels), source, times=times)


_UPSCALE = TrainConfig(n_images=6_000, batch_images=16, optimizer="muon", lr=5e-3, weight_decay=0.3)
_FINE = replace(_UPSCALE, n_images=12_000, batch_images=8, lr=2e-3, weight_decay=1.0, ema_images=3_000.0)
_DRCT_ON = TrainConfig(n_images=100_000, batch_images=3, lr=1e-4)
_PRODIGY = TrainConfig(n_images=100_000, batch_images=16, optimizer="prodigy", lr=0.1, precision="bf16")

_UPSCALERS: dict[str, LatentPreset] = {
    "upscaler": LatentPreset(
        "upscaler, twice the sides: least squares, and a network for what it leaves",
        _twice(Upscaler), 16, 2,
        {"mse": 2.0, "decoded_mse": 400.0}, closed_form="5", takes_trunk=True, decoded_cells=16, config=_UPSCALE,
    ),
    "upscaler-fine": LatentPreset(
        "upscaler, begun from one, through a decoder that draws texture",
        _twice(Upscaler), 16, 2,
        {"mse": 1.0, "decoded_mse": 300.0}, closed_form="5", decoded_cells=8, goes_on=True, config=_FINE,
    ),
    "upscaler-any": LatentPreset(
        "upscaler of any factor from 1 to 2", lambda source, target, scale: AnyUpscaler(source.channels),
        16, 2, {"mse": 2.0, "decoded_mse": 400.0}, takes_trunk=True, any_factor=True, decoded_cells=16, config=_UPSCALE,
    ),
    "upscaler-any-fine": LatentPreset(
        "upscaler of any factor, begun from one, through a decoder that draws texture",
        lambda source, target, scale: AnyUpscaler(source.channels), 16, 2,
        {"mse": 1.0, "decoded_mse": 300.0}, any_factor=True, decoded_cells=8, goes_on=True, config=_FINE,
    ),
    "city96-v2": LatentPreset(
        "city96's v2 network", raw(lambda source, target, scale: UpscalerV2(source.channels, scale=float(scale))),
        32, 0, {"l1": 1.0},
        config=TrainConfig(n_images=500_000, batch_images=4, lr=1.25e-4, schedule="one_cycle", precision="fp16"),
    ),
    "city96-v1": LatentPreset(
        "city96's v1 network", raw(lambda source, target, scale: UpscalerV1(source.channels, scale=float(scale))),
        32, 0, {"mse": 1.0}, config=TrainConfig(n_images=500_000, batch_images=4, lr=1.25e-4, schedule="one_cycle"),
    ),
    "ttl-resizer": LatentPreset(
        "Ttl's LatentResizer, without its LPIPS", _resizer, 16, 0, {"decoded_mse": 1.0, "mse": 0.01}, any_factor=True,
        config=TrainConfig(n_images=400_000, batch_images=4, lr=2e-4, warmup_images=800, clip=5.0),
    ),
    "swinfir-mse": LatentPreset(
        "SwinFIR, squared error", raw(_twice(SwinFir)), 32, 0, {"mse": 0.08},
        config=TrainConfig(n_images=100_000, batch_images=16, optimizer="lamb", lr=3e-4),
    ),
    "swinfir-fft": LatentPreset(
        "SwinFIR, L1 and spectra", raw(_twice(SwinFir)), 32, 0, {"l1": 1.0, "fft": 1.0}, config=_PRODIGY,
    ),
    "craft": LatentPreset(
        "CRAFT, L1 and an adversary", raw(_twice(Craft)), 32, 0, {"l1": 0.08, "gan": 0.01}, config=_PRODIGY,
    ),
    "dat": LatentPreset(
        "DAT 6 × 6, L1 and an adversary", raw(_twice(Dat)), 32, 0, {"l1": 0.08, "gan": 0.01}, config=_PRODIGY,
    ),
    "dat-large": LatentPreset(
        "DAT 12 × 6, L1 and an adversary", raw(_twice(lambda n_channels: Dat(n_channels, depths=(6,) * 12))), 32, 0,
        {"l1": 0.08, "gan": 0.01}, config=_PRODIGY,
    ),
    "drct": LatentPreset(
        "DRCT, L1", raw(_twice(Drct)), 32, 0, {"l1": 0.08},
        config=TrainConfig(n_images=100_000, batch_images=40, lr=1e-4),
    ),
    "drct-hfen": LatentPreset(
        "DRCT, begun from one: decoded L1 and HFEN", raw(_twice(Drct)), 32, 0,
        {"l1": 0.1, "decoded_l1": 1.0, "decoded_hfen": 0.1}, goes_on=True,
        config=_DRCT_ON,
    ),
    "drct-fft": LatentPreset(
        "DRCT, begun from one: decoded L1 and spectra", raw(_twice(Drct)), 32, 0,
        {"l1": 0.1, "decoded_l1": 1.0, "decoded_fft": 1.0}, goes_on=True,
        config=_DRCT_ON,
    ),
    "drctfir": LatentPreset(
        "DRCT with a Fourier branch, L1", raw(_twice(lambda n_channels: Drct(n_channels, fourier=True))), 32, 0,
        {"l1": 0.08}, config=TrainConfig(n_images=100_000, batch_images=40, lr=1e-4),
    ),
}  # fmt: skip
UPSCALERS = {name: replace(one, make=_within(one.make), kind="upscaler") for name, one in _UPSCALERS.items()}
