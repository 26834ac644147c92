"""Simulated x0: on Gaussian latents of a known spectrum the estimate's error is Wiener's formula."""

from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit.collector import columns_of
from latentfit.errors import StoreError
from latentfit.estimates import flicker, scores_over_sigma, simulate_x0, spectrum_of
from latentfit.pairs import Origin, PairStore, Sample, sample_key, write_shard

MIXING = torch.tensor([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0.3, 0.5, 0], [0, 0, 0, 2.0]])


class Affine:
    """A decoder that repeats a linear map of each cell."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (0.5 + 0.1 * latents[:, :3]).repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.fixture
def white(tmp_path: Path) -> PairStore:
    """Spatially white latents with a known covariance between channels."""
    latents = torch.einsum("oc,nchw->nohw", MIXING, torch.randn(24, 4, 32, 32))
    samples = []
    for index in range(24):
        sha256 = f"{index * 7919 % 4096:03x}" * 22
        samples.append(
            Sample(sample_key(sha256, (0, 0, 256, 256)), str(index), sha256, "chart", (0, 0, 256, 256), (32, 32))
        )
    columns = columns_of(latents, Affine().decode(latents).clamp(0, 1))
    origin = Origin("fake", "a fake VAE", "0" * 64, lf.get_space("sd1"), 256)
    write_shard(tmp_path, origin, samples, {key: columns[key] for key in ("latents", "cells", "clipped", "rgb")})
    return PairStore(tmp_path)


def test_the_spectrum_is_found_again(white: PairStore) -> None:
    covariance = MIXING.double() @ MIXING.double().T
    measured = spectrum_of(white).covariance
    torch.testing.assert_close(measured[8:20].mean(0), covariance, atol=0.08, rtol=0)


@pytest.mark.parametrize("sigma", [0.25, 1.0, 3.0])
def test_the_error_is_wieners(white: PairStore, sigma: float) -> None:
    estimates = simulate_x0(white, sigma, samples=white.samples)
    assert "simulated" in estimates.label
    clean = torch.cat([batch.latents for batch in white.batches(white.samples, n_cells=1)])
    error = (torch.cat(estimates.latents) - clean).square().mean()
    covariance = MIXING.double() @ MIXING.double().T
    posterior = covariance - covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(4)) @ covariance
    assert float(error) == pytest.approx(float(posterior.trace() / 4), rel=0.05)


def test_no_noise_gives_the_latents_and_gain_multiplies(white: PairStore) -> None:
    clean, louder = simulate_x0(white, 0), simulate_x0(white, 0, gain=1.5)
    torch.testing.assert_close(louder.latents[0], 1.5 * clean.latents[0])


def test_the_right_map_scores_high_and_does_not_flicker(white: PairStore) -> None:
    right = lf.ChannelMap("affine").fit(white, "all").approximation()
    blind = torch.nn.Conv2d(4, 3, 1)
    torch.nn.init.zeros_(blind.weight)
    torch.nn.init.constant_(blind.bias, 0.5)
    maps = {"right": right, "blind": lf.Approximation(blind, "sd1")}
    frame = scores_over_sigma(maps, Affine(), white, (0.5, 1.0), (1.0, 1.4))
    rights, blinds = (frame[frame["approximation"] == name] for name in ("right", "blind"))
    assert (rights["psnr"] > 40).all()
    assert rights["flicker"].dropna().max() < 0.01
    assert blinds["flicker"].dropna().to_numpy() == pytest.approx(1.0)
    assert len(frame) == 8


def test_flicker_of_a_constant_error_is_nothing() -> None:
    old, new = [torch.rand(1, 3, 4, 4)], [torch.rand(1, 3, 4, 4)]
    assert flicker([old[0] + 0.1], [new[0] + 0.1], old, new) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_bad_sigma(white: PairStore, sigma: float) -> None:
    with pytest.raises(StoreError, match="finite sigma"):
        simulate_x0(white, sigma)
