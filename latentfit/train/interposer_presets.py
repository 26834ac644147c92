"""Presets of interposers, and city96's weights of the losses by pair. One table."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from torch import nn

from latentfit.errors import TrainError
from latentfit.latents.spaces import LatentSpace
from latentfit.nets.interposer import Interposer, InterposerV1, InterposerV3, InterposerV4
from latentfit.train.config import TrainConfig
from latentfit.train.latent_map_preset import LatentPreset, Maker, raw

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


_MUON = TrainConfig(n_images=6_000, batch_images=8, optimizer="muon", lr=5e-3, weight_decay=0.3)

INTERPOSERS: dict[str, LatentPreset] = {
    "interposer": LatentPreset(
        "interposer: least squares, and a network for what it leaves", _ours, 32, 2,
        {"mse": 2.0, "decoded_mse": 400.0}, closed_form="5", takes_trunk=True, decoded_cells=16, config=_MUON,
    ),
    "interposer-low": LatentPreset(
        "interposer, its low frequencies weighed by themselves", _ours, 32, 2,
        {"mse": 2.0, "coarse_mse": 16.0, "decoded_mse": 400.0}, closed_form="5", takes_trunk=True, decoded_cells=16,
        config=_MUON,
    ),
    "interposer-fine": LatentPreset(
        "interposer, begun from one, through a decoder that draws texture", _ours, 24, 2,
        {"mse": 2.0, "decoded_mse": 300.0}, closed_form="5", decoded_cells=12, goes_on=True,
        config=replace(_MUON, lr=3e-3, weight_decay=1.0, ema_images=2_000.0),
    ),
    "interposer-round": LatentPreset(
        "interposer, its inverse trained with it", _ours, 32, 2,
        {"mse": 2.0, "decoded_mse": 400.0, "round": 0.1, "back": 1.0}, closed_form="5", both_ways=True,
        takes_trunk=True, decoded_cells=16, config=_MUON,
    ),
    "interposer-colour": LatentPreset(
        "interposer against shifts of hue and saturation: OKLab of the cells, decoded MS-SSIM", _ours, 32, 2,
        {"mse": 2.0, "decoded_mse": 200.0, "oklab": 20.0, "decoded_ms_ssim": 1.0}, closed_form="5", takes_trunk=True,
        decoded_cells=24, config=_MUON,
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
