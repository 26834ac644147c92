"""Two VAEs, one space or not: told apart by the 1×1 map between their latents."""

import copy

import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import NoPicturesError
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.scores import same_space
from latentfit.vae import TinyNetwork, Vae


class Moved(nn.Module):
    """An encoder whose latents are turned by a matrix and moved."""

    def __init__(self, encoder: nn.Module, matrix: Tensor, offset: float) -> None:
        super().__init__()
        self.encoder, self.matrix, self.offset = encoder, nn.Parameter(matrix), offset

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.einsum("oc,nchw->nohw", self.matrix, self.encoder(rgb)) + self.offset


@pytest.fixture(scope="module")
def first() -> Vae:
    return lf.Vae.load("mini-sd1", device="cpu")


def moved(first: Vae, matrix: Tensor, offset: float = 0.0) -> Vae:
    network = copy.deepcopy(first.network)
    assert isinstance(network, TinyNetwork | nn.Module)
    other = Vae.from_module(
        TinyNetwork(Moved(network.encoder, matrix, offset), network.decoder), name="moved", space="sd1"
    )
    return other


def test_a_vae_is_its_own_kin(first: Vae) -> None:
    found = same_space(first, first, limit=3, size=96)
    assert found.as_they_are == pytest.approx(1)
    assert found.verdict.startswith("One space: ")


def test_rescaled_latents_are_one_shape_moved(first: Vae) -> None:
    found = same_space(first, moved(first, torch.diag(torch.tensor([2.0, 0.5, 1.5, -1.0])), 0.7), limit=4, size=96)
    assert found.by_channel == pytest.approx(1, abs=1e-4)
    assert found.slopes == pytest.approx((2.0, 0.5, 1.5, -1.0), abs=1e-3)
    assert found.offsets == pytest.approx((0.7,) * 4, abs=1e-3)
    assert found.verdict.startswith("One shape, moved")


def test_mixed_channels_are_seen_through(first: Vae) -> None:
    turned = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    found = same_space(first, moved(first, turned), limit=4, size=96)
    assert found.by_table == pytest.approx(1, abs=1e-4)
    assert found.by_channel < 0.9
    assert "mixing of channels" in found.verdict


def test_an_unrelated_vae_is_another_space(first: Vae) -> None:
    torch.manual_seed(1)
    other = Vae.from_module(TinyNetwork(TinyEncoder(4, 16), TinyDecoder(4, 16)), name="random", space="sd1")
    found = same_space(first, other, limit=4, size=96)
    assert found.by_table < 0.9
    assert "interposer" in found.verdict


def test_other_cells_are_no_without_encoding(first: Vae) -> None:
    torch.manual_seed(1)
    flux = lf.Vae.load("mini-flux1", device="cpu")
    found = same_space(first, flux, limit=2, size=64)
    assert found.slopes == ()
    assert "Not one space" in found.verdict
    assert "R² of the latents as they are" not in str(found)


def test_too_few_cells_give_no_verdict(first: Vae) -> None:
    other = lf.Vae.load("mini-sdxl", device="cpu")
    with pytest.raises(NoPicturesError, match="cells in 1 pictures, expected 40 or more for a map of 5 terms"):
        same_space(first, other, limit=1, size=16)  # six cells: five terms would explain nearly all of them
