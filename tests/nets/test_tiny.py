"""The TAESD family: parameter counts and key names as published, variants told apart by keys alone."""

import pytest
import torch
from torch import nn

from latentfit.errors import BadFileError
from latentfit.nets import (
    TinyDecoder,
    TinyDecoder32,
    TinyEncoder,
    TinyEncoder32,
    load_tiny_decoder,
    load_tiny_encoder,
)

PAIRS = [
    (TinyEncoder(4), TinyDecoder(4), 1_222_532, 1_222_531, 8),
    (TinyEncoder(16), TinyDecoder(16), 1_229_456, 1_229_443, 8),
    (TinyEncoder(32, pool=True), TinyDecoder(32, pool=True), 1_338_528, 1_338_499, 8),
    (TinyEncoder32(32), TinyDecoder32(32), 1_256_288, 8_301_763, 32),
]
NAMES = ["taesd", "taef1", "taef2", "taesana"]


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("encoder", "decoder", "n_encoder", "n_decoder", "cell_px"), PAIRS, ids=NAMES)
def test_sizes_and_shapes_are_the_published_ones(encoder, decoder, n_encoder, n_decoder, cell_px):
    assert n_parameters(encoder) == n_encoder
    assert n_parameters(decoder) == n_decoder
    with torch.no_grad():
        latents = encoder(torch.rand(2, 3, 2 * cell_px, 3 * cell_px))
        assert latents.shape[2:] == (2, 3)
        assert decoder(latents).shape == (2, 3, 2 * cell_px, 3 * cell_px)


@pytest.mark.parametrize(("encoder", "decoder"), [pair[:2] for pair in PAIRS], ids=NAMES)
def test_weights_find_their_own_variant(encoder, decoder):
    for network, load in ((encoder, load_tiny_encoder), (decoder, load_tiny_decoder)):
        loaded = load({key: tensor.to(torch.bfloat16) for key, tensor in network.state_dict().items()})
        assert loaded.state_dict().keys() == network.state_dict().keys()
        assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())


def test_key_names_are_the_public_ones():
    encoder, decoder = TinyEncoder(4).state_dict(), TinyDecoder(32, pool=True).state_dict()
    assert {"0.weight", "1.conv.4.bias", "2.weight", "13.conv.0.weight", "14.bias"} <= encoder.keys()
    assert not {"2.bias", "6.bias", "10.bias"} & encoder.keys()
    assert {"1.weight", "3.pool.1.weight", "5.pool.3.weight", "7.weight", "17.weight", "19.bias"} <= decoder.keys()
    assert not {"7.bias", "12.bias", "17.bias", "8.pool.0.weight"} & decoder.keys()


def test_swapped_files_are_named():
    with pytest.raises(BadFileError, match="is this the file of a TAESD encoder"):
        load_tiny_encoder(TinyDecoder(4).state_dict())
    with pytest.raises(BadFileError, match="is this the file of a TAESD decoder"):
        load_tiny_decoder(TinyEncoder(4).state_dict())


def test_pooled_networks_of_any_number_of_blocks_too() -> None:
    for n_blocks in ((3, 3, 3, 1), (2, 3, 3, 1), (1, 1, 1, 1)):
        decoder = load_tiny_decoder(TinyDecoder(32, 8, pool=True, n_blocks=n_blocks).state_dict())
        assert (decoder.pool, decoder.n_blocks) == (True, n_blocks)  # type: ignore[union-attr]
    encoder = load_tiny_encoder(TinyEncoder(4, 64, n_blocks=(1, 4, 4, 4)).state_dict())
    assert encoder.n_blocks == (1, 4, 4, 4)  # type: ignore[union-attr]


def test_nan_and_other_shapes_are_named() -> None:
    for load, network, key in (
        (load_tiny_encoder, TinyEncoder(4, 8), "14.weight"),
        (load_tiny_decoder, TinyDecoder(4, 8), "1.weight"),
    ):
        weights = network.state_dict()
        with pytest.raises(BadFileError, match="that differ at"):
            load(weights | {key: torch.tensor(0.0)})
        with pytest.raises(BadFileError, match="holds NaN or Inf"):
            load(weights | {key: torch.full_like(weights[key], float("nan"))})


def test_any_number_of_blocks_is_read_off_the_keys() -> None:
    for n_blocks in ((3, 3, 3, 1), (5, 3, 1, 0), (1, 0, 2, 1), (0, 0, 0, 0)):
        decoder = load_tiny_decoder(TinyDecoder(4, 8, n_blocks=n_blocks).state_dict())
        assert isinstance(decoder, TinyDecoder)
        assert tuple(decoder.n_blocks) == n_blocks
        encoder = load_tiny_encoder(TinyEncoder(16, 8, n_blocks=n_blocks[::-1]).state_dict())
        assert isinstance(encoder, TinyEncoder)
        assert tuple(encoder.n_blocks) == n_blocks[::-1]


@pytest.mark.parametrize("n_blocks", [(3, 3, 3, 1), (5, 3, 1, 0), (1, 0, 2, 1), (0, 0, 0, 0)])
def test_receptive_field_is_what_tiling_counts_on(n_blocks: tuple[int, ...]) -> None:
    decoder = TinyDecoder(4, 16, n_blocks=n_blocks)
    latents = torch.zeros(1, 4, 1, 64, requires_grad=True)
    decoder(latents)[..., 32 * 8].abs().sum().backward()
    reached = latents.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert decoder.receptive_cells - 2 <= 32 - reached.min() <= decoder.receptive_cells
    assert reached.max() - 32 <= decoder.receptive_cells
