"""Presets of upscalers: ours, and the recipes of those that came first, for any number of channels. One table.

Their numbers are those that their authors state: city96's and Ttl's training scripts, styler00dollar's README. What
cannot be had here is left out and said: LPIPS (its weights come from a hub) of Ttl's, and the EfficientNet that judged
latents for styler00dollar, in whose place a patch discriminator of as many channels stands.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from torch import nn

from latentfit.errors import TrainError
from latentfit.latents.spaces import LatentSpace
from latentfit.nets.any_scale_upscaler import AnyUpscaler
from latentfit.nets.model_domain import ModelDomain
from latentfit.nets.resizer import PRIVATE_FACTORS, LatentResizer
from latentfit.nets.transformers.craft import Craft
from latentfit.nets.transformers.dat import Dat
from latentfit.nets.transformers.drct import Drct
from latentfit.nets.transformers.swinfir import SwinFir
from latentfit.nets.upscaler import Upscaler, UpscalerV1, UpscalerV2
from latentfit.train.config import TrainConfig
from latentfit.train.latent_map_preset import LatentPreset, Maker, raw

TWICE = 2


def _within(make: Maker) -> Maker:
    """Of makers of networks that keep the space."""

    def made(source: LatentSpace, target: LatentSpace, scale: Fraction) -> nn.Module:
        if source != target:
            raise TrainError(
                f"an upscaler keeps the space, the stores lead from {source.name!r} to {target.name!r}",
                remedy="take an interposer's preset",
            )
        return make(source, target, scale)

    return made


def _twice(make: Callable[[int], nn.Module]) -> Maker:
    """Of networks that double the sides, by channels."""

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


_MUON = TrainConfig(n_images=6_000, batch_images=16, optimizer="muon", lr=5e-3, weight_decay=0.3)
_FINE = replace(_MUON, n_images=12_000, batch_images=8, lr=2e-3, weight_decay=1.0, ema_images=3_000.0)
_DRCT_ON = TrainConfig(n_images=100_000, batch_images=3, lr=1e-4)
_PRODIGY = TrainConfig(n_images=100_000, batch_images=16, optimizer="prodigy", lr=0.1, precision="bf16")

_PRESETS: dict[str, LatentPreset] = {
    "upscaler": LatentPreset(
        "upscaler, twice the sides: least squares, and a network for what it leaves",
        _twice(Upscaler), 16, 2,
        {"mse": 2.0, "decoded_mse": 400.0}, closed_form="5", takes_trunk=True, decoded_cells=16, config=_MUON,
    ),
    "upscaler-fine": LatentPreset(
        "upscaler, begun from one, through a decoder that draws texture",
        _twice(Upscaler), 16, 2,
        {"mse": 1.0, "decoded_mse": 300.0}, closed_form="5", decoded_cells=8, goes_on=True, config=_FINE,
    ),
    "upscaler-any": LatentPreset(
        "upscaler of any factor from 1 to 2", lambda source, target, scale: AnyUpscaler(source.channels),
        16, 2, {"mse": 2.0, "decoded_mse": 400.0}, takes_trunk=True, any_factor=True, decoded_cells=16, config=_MUON,
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
UPSCALERS = {name: replace(one, make=_within(one.make), kind="upscaler") for name, one in _PRESETS.items()}
