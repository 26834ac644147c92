"""Trunks: what our networks of cells share, so that a map between latents begins with what a decoder has learned.

A decoder's blocks know what a latent looks like; where another space or size wants the same picture, that need not be
learned again.
"""

import torch
from torch import nn

from latentfit.errors import TrainError
from latentfit.nets.any_scale_upscaler import AnyUpscaler
from latentfit.nets.cell import CellDecoder
from latentfit.nets.interposer import Interposer
from latentfit.nets.upscaler import Upscaler

Trunked = CellDecoder | Interposer | Upscaler | AnyUpscaler
_NOT_TRUNK = ("skip", "sharp")


@torch.no_grad()
def put_trunk_in(network: nn.Module, decoder: nn.Module) -> None:
    """Give `network` the convolutions of `decoder` up to the last, as far as they are alike.

    Blocks that it has beyond the decoder's begin by changing nothing. The fine convolutions come along where both have
    as many of one width.

    Parameters
    ----------
    network : Interposer, Upscaler or AnyUpscaler
        A network of the decoder's channels and width, with at least as many blocks.
    decoder : CellDecoder

    Raises
    ------
    TrainError
        When they are not alike.
    """
    if not isinstance(network, Interposer | Upscaler | AnyUpscaler) or not isinstance(decoder, CellDecoder):
        raise TrainError(
            "trunk",
            expected="a cell decoder and a network of ours",
            got=f"{type(decoder).__name__} and {type(network).__name__}",
            remedy="leave the trunk out",
        )
    coarse, fine, _ = convolutions(network)
    theirs, theirs_fine, _ = convolutions(decoder)
    sizes = (network.n_channels, network.width, network.n_blocks)
    wanted = (decoder.n_channels, decoder.width, decoder.n_blocks)
    if sizes[:2] != wanted[:2] or sizes[2] < wanted[2] or any(_dilations(coarse[: len(theirs)])):
        raise TrainError(
            f"trunk: the decoder has {wanted[0]} channels, {wanted[1]} wide, in {wanted[2]} blocks",
            expected="a network of as many channels, as wide, with as many plain blocks",
            got=f"{sizes[0]}, {sizes[1]} and {sizes[2]}",
        )
    for mine, other in zip(coarse, theirs, strict=False):
        _copy(mine, other)
    for leaving in coarse[len(theirs) + 1 :: 2]:
        _clear(leaving)
    if [one.weight.shape for one in fine] == [one.weight.shape for one in theirs_fine]:
        for mine, other in zip(fine, theirs_fine, strict=True):
            _copy(mine, other)


def convolutions(network: Trunked) -> tuple[list[nn.Conv2d], list[nn.Conv2d], nn.Conv2d]:
    """The first one and those of the blocks; those that work at finer places; the last."""
    named = network.named_modules()
    every = [one for name, one in named if isinstance(one, nn.Conv2d) and not name.startswith(_NOT_TRUNK)]
    n_coarse = 1 + 2 * network.n_blocks
    return every[:n_coarse], every[n_coarse:-1], every[-1]


def _dilations(convs: list[nn.Conv2d]) -> list[bool]:
    return [one.dilation != (1, 1) for one in convs]


def _copy(mine: nn.Conv2d, other: nn.Conv2d) -> None:
    assert mine.bias is not None
    assert other.bias is not None
    mine.weight.copy_(other.weight)
    mine.bias.copy_(other.bias)


def _clear(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
