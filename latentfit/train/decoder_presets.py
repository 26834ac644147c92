"""Presets of decoders and encoders: a network, what it learns from, and how long. One table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from latentfit.errors import TrainError
from latentfit.latents.spaces import LatentSpace
from latentfit.nets.approx_cnn import ApproxCnn
from latentfit.nets.cell import CellDecoder
from latentfit.nets.pixel_mlp import PixelMlp
from latentfit.nets.tiny import DECODER_BLOCKS, ENCODER_BLOCKS, TinyDecoder, TinyEncoder
from latentfit.train.config import TrainConfig
from latentfit.train.crops import Target

CHARTS_COUNT_LESS: Mapping[str, float] = {"chart": 0.25, "drawing": 0.25}


@dataclass(frozen=True)
class Preset:
    """A network, what it learns from, and how long.

    Attributes
    ----------
    title : str
        For people.
    make : callable
        Space -> network, its weights drawn from torch's generator.
    scale : int or None
        Output pixels a cell; None: the space's `cell_px`.
    crop_cells, border_cells : int
        Side of a crop, and the rim that no loss sees unless it is the picture's own. The receptive field is wider; what
        lies beyond counts less.
    losses : mapping of str to float
        Weights by name, see `latentfit.train.losses`; "gan" and "features" bring an adversary in.
    target : {"rgb", "photo", "cells"}
        The other side of the latents: what a decoder gives, what an encoder takes.
    encodes : bool
        The network goes from pictures to latents.
    closed_form : bool
        Begin from the 3×3 decoder that least squares finds on the same pictures.
    draw : mapping of str to float
        How often pictures of a kind are drawn, relative to 1.
    config : TrainConfig
    """

    title: str
    make: Callable[[LatentSpace], nn.Module]
    crop_cells: int
    border_cells: int
    losses: Mapping[str, float]
    target: Target = "rgb"
    scale: int | None = None
    encodes: bool = False
    closed_form: bool = False
    draw: Mapping[str, float] = field(default_factory=lambda: CHARTS_COUNT_LESS)
    config: TrainConfig = field(default_factory=TrainConfig)

    @property
    def kind(self) -> Literal["decoder", "encoder"]:
        """The kind of network that it trains."""
        return "encoder" if self.encodes else "decoder"


def _cell(width: int, n_blocks: int, fine_width: int, n_fine: int) -> Callable[[LatentSpace], nn.Module]:
    return lambda space: CellDecoder(space.channels, width, n_blocks, space.cell_px, fine_width, n_fine)


def _tiny(
    kind: type[TinyDecoder] | type[TinyEncoder], width: int, n_blocks: Sequence[int] | None = None
) -> Callable[[LatentSpace], nn.Module]:
    def make(space: LatentSpace) -> nn.Module:
        if space.cell_px != 8:
            raise TrainError(
                f"TAESD's networks have 8 px a cell, {space.name!r} has {space.cell_px}", remedy="take a cell decoder"
            )
        usual = DECODER_BLOCKS if kind is TinyDecoder else ENCODER_BLOCKS
        return kind(space.channels, width, n_blocks=n_blocks or usual)

    return make


AUTOENCODER_PRESETS: dict[str, Preset] = {
    "cell-small": Preset(
        "cell decoder, small: half a megabyte, minutes on a CPU", _cell(48, 3, 32, 1), 24, 2, {"mse": 10.0},
        closed_form=True, config=TrainConfig(n_images=20_000, batch_images=8, optimizer="muon", lr=1e-2),
    ),
    "cell": Preset(
        "cell decoder: a megabyte", _cell(62, 4, 48, 2), 32, 2, {"mse": 10.0},
        closed_form=True, config=TrainConfig(n_images=30_000, batch_images=8, optimizer="muon", lr=1e-2),
    ),
    "cell-large": Preset(
        "cell decoder, large: learns from photographs", _cell(96, 5, 72, 3), 32, 2, {"mse": 10.0},
        target="photo", closed_form=True,
        config=TrainConfig(n_images=20_000, batch_images=8, optimizer="muon", lr=1e-2, weight_decay=0.3),
    ),
    "tiny": Preset(
        "TAESD's decoder, anew", _tiny(TinyDecoder, 64), 32, 5,
        {"l1": 1.0, "ms_ssim": 0.2, "gan": 0.01, "features": 0.2}, target="photo",
        config=TrainConfig(n_images=400_000, lr=5e-4),
    ),
    "tiny-encoder": Preset(
        "TAESD's encoder, anew", _tiny(TinyEncoder, 64), 24, 4, {"l1": 1.0}, target="photo", encodes=True,
        config=TrainConfig(n_images=200_000, lr=1e-3),
    ),
    "mini-decoder": Preset(
        "a third of TAESD's decoder", _tiny(TinyDecoder, 40, (5, 3, 1, 0)), 32, 2, {"mse": 10.0}, target="photo",
        config=TrainConfig(n_images=6_000, batch_images=4, optimizer="muon", lr=1e-2),
    ),
    "mini-encoder": Preset(
        "a third of TAESD's encoder", _tiny(TinyEncoder, 40, (0, 1, 2, 4)), 32, 2, {"l1": 1.0}, target="photo",
        encodes=True, config=TrainConfig(n_images=6_000, batch_images=4, optimizer="muon", lr=1e-2),
    ),
    "mini-decoder-48": Preset(
        "half of TAESD's decoder", _tiny(TinyDecoder, 48, (5, 3, 1, 0)), 32, 2, {"mse": 10.0}, target="photo",
        config=TrainConfig(n_images=12_000, batch_images=4, optimizer="muon", lr=1e-2),
    ),
    "mini-encoder-48": Preset(
        "half of TAESD's encoder", _tiny(TinyEncoder, 48, (0, 1, 2, 4)), 32, 2, {"l1": 1.0}, target="photo",
        encodes=True, config=TrainConfig(n_images=12_000, batch_images=4, optimizer="muon", lr=1e-2),
    ),
    "pixel-mlp": Preset(
        "Birch-san's pixel MLP", lambda space: PixelMlp(space.channels), 32, 0, {"mse": 1.0}, target="cells", scale=1,
        config=TrainConfig(n_images=10_000, lr=1e-2),
    ),
    "approx-cnn": Preset(
        "A1111's approximate decoder", lambda space: ApproxCnn(space.channels), 24, 3, {"l1": 1.0}, scale=2,
        config=TrainConfig(n_images=40_000, lr=2e-3),
    ),
}  # fmt: skip
