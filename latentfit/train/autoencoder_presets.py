"""Presets of KL autoencoders, trained from pictures alone. One table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from latentfit.train.config import TrainConfig


@dataclass(frozen=True)
class AutoencoderPreset:
    """An autoencoder of diffusers' AutoencoderKL, what it learns, and how long.

    Attributes
    ----------
    title : str
        For people.
    make : callable
        Nothing -> the autoencoder, its weights drawn from torch's generator.
    crop_px : int
        Side of a crop.
    losses : mapping of str to float
        See `latentfit.train.AutoencoderObjective`; "gan" and "features" bring an adversary in.
    goes_on : bool
        A last course: it needs a trained autoencoder to begin from.
    shares : mapping of str to float
        Kind of pictures -> how many of the crops are of it, relative to the others.
    config : TrainConfig
    """

    title: str
    make: Callable[[], nn.Module]
    crop_px: int
    losses: Mapping[str, float]
    goes_on: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    config: TrainConfig = field(default_factory=TrainConfig)

    @property
    def kind(self) -> Literal["vae"]:
        """What it trains."""
        return "vae"


def kl_autoencoder(
    widths: tuple[int, ...], n_blocks: int = 1, n_channels: int = 4, n_groups: int = 8
) -> Callable[[], nn.Module]:
    """A maker of `AutoencoderKL`: a level a width, attention in the middle, 2 ** (levels - 1) px a cell."""

    def make() -> nn.Module:
        from diffusers import AutoencoderKL

        module: nn.Module = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(widths), up_block_types=("UpDecoderBlock2D",) * len(widths),
            block_out_channels=widths, layers_per_block=n_blocks, latent_channels=n_channels, norm_num_groups=n_groups,
            sample_size=256, scaling_factor=1.0, force_upcast=False,
        )  # fmt: skip
        return module

    return make


_MINI = kl_autoencoder((16, 32, 48, 64))
_SHARES: Mapping[str, float] = {"photographs": 0.5, "paintings": 0.15, "drawings": 0.2, "pixel art": 0.15}

AUTOENCODER_KL_PRESETS: dict[str, AutoencoderPreset] = {
    "mini-kl": AutoencoderPreset(
        "a small AutoencoderKL: attention, group norms, posterior", _MINI, 64,
        {"l1": 1.0, "ssim": 0.1, "kl": 1e-5}, shares=_SHARES,
        config=TrainConfig(
            n_images=1_000_000, batch_images=8, optimizer="muon", lr=5e-3, weight_decay=0.1, schedule="constant",
            ema_images=4_000.0, precision="bf16", warmup_images=800, log_images=1_600, checkpoint_seconds=120.0,
        ),
    ),
    "mini-kl-fine": AutoencoderPreset(
        "a small AutoencoderKL, begun from one: a falling rate, and a small adversary", _MINI, 128,
        {"l1": 1.0, "ssim": 0.1, "kl": 1e-5, "features": 0.02, "gan": 0.002}, goes_on=True, shares=_SHARES,
        config=TrainConfig(
            n_images=20_000, batch_images=8, optimizer="muon", lr=3e-3, weight_decay=0.1, ema_images=2_000.0,
            precision="bf16", warmup_images=400, log_images=800, checkpoint_seconds=120.0,
        ),
    ),
}  # fmt: skip
