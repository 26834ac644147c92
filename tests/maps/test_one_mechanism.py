"""What several rooms ask for is answered in one place: tiles, autoencoders, factors, and what a network tells."""

import pytest
import torch

import latentfit as lf
from latentfit.errors import VaeError
from latentfit.maps import AtScale, Autoencoder, Tiles
from latentfit.nets import AnyUpscaler, CellDecoder, TinyDecoder, TinyEncoder, Upscaler, n_fitted_of, receptive_cells_of
from latentfit.vae import TinyNetwork
from tests.support.fake_vae import FakeVae


def tiny_vae() -> lf.Vae:
    return lf.Vae.from_module(TinyNetwork(TinyEncoder(4, 8), TinyDecoder(4, 8)), name="untrained", space="sd1")


@pytest.mark.parametrize("make", [FakeVae, tiny_vae])
def test_every_vae_is_an_autoencoder(make: type) -> None:
    vae = make()
    assert isinstance(vae, Autoencoder)
    latents = vae.encode(torch.rand(1, 3, 16, 24))
    assert tuple(latents.shape) == (1, vae.space.channels, 2, 3)
    assert tuple(vae.decode(latents).shape) == (1, 3, 16, 24)
    assert len(vae.fingerprint) == 64
    assert not isinstance(torch.nn.Conv2d(4, 3, 1), Autoencoder)


@pytest.mark.parametrize(
    ("tile", "receptive", "block", "expected"),
    [
        (128, 20, 1, Tiles(128, 40, 20)),
        (128, 0, 1, Tiles(128, 0, 0)),
        (128, None, 1, Tiles(128, 32, 0)),
        (100, 5, 2, Tiles(50, 6, 3)),
        (101, 5, 2, Tiles(51, 6, 3)),
        (41, 20, 1, Tiles(41, 40, 20)),
        (40, 20, 1, None),
        (1, None, 1, Tiles(1, 0, 0)),
    ],
)
def test_tiles_overlap_by_one_rule(tile: int, receptive: int | None, block: int, expected: Tiles | None) -> None:
    assert Tiles.around(tile, receptive, block) == expected


def test_an_autoencoder_cuts_by_that_rule() -> None:
    vae = tiny_vae()
    receptive = vae.network.receptive_cells
    assert receptive is not None
    vae.tile_px = 8 * 64
    assert vae.tiles() == Tiles.around(64, receptive)
    vae.tile_px = 8 * 2 * receptive
    with pytest.raises(VaeError, match=f"more than {8 * 2 * receptive} px"):
        vae.tiles()


def test_a_map_between_latents_says_which_factors_it_gives() -> None:
    free = lf.LatentMap(AtScale(AnyUpscaler(4, 8, 1), 1.5), "sd1", "sd1", 1.5)
    assert free.is_any_factor
    assert free.factors == AnyUpscaler(4, 8, 1).factors
    assert free.at_scale(2).scale == 2
    fixed = lf.LatentMap(Upscaler(4, 8, 2), "sd1", "sd1", 2)
    assert not fixed.is_any_factor
    assert fixed.factors == (2.0, 2.0)


def test_networks_tell_what_they_know() -> None:
    cell = CellDecoder(4, 8, 2)
    assert receptive_cells_of(cell) == cell.receptive_cells
    assert receptive_cells_of(AtScale(AnyUpscaler(4, 8, 1), 2)) == AnyUpscaler(4, 8, 1).receptive_cells
    assert receptive_cells_of(torch.nn.Conv2d(4, 3, 3)) is None
    fitted = lf.ChannelMap("3").fit_arrays(torch.randn(2, 4, 16, 16), torch.rand(2, 3, 16, 16), space="sd1")
    assert n_fitted_of(fitted.module_) == fitted.module_.n_fitted == 3 * (1 + 9 * 4)
    assert n_fitted_of(torch.nn.Conv2d(4, 3, 1)) == 15
