"""Simulated x0: on Gaussian latents of a known spectrum the estimate's error is Wiener's formula."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

import latentfit as lf
from latentfit.errors import SpaceMismatchError, StoreError
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.scores import (
    N_BANDS,
    Spectrum,
    bands_of,
    cosine_transform,
    explained_by_band,
    noise_beside_x0,
    scores_over_sigma,
    simulate_x0,
    spectrum_of,
)

MIXING = torch.tensor([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0.3, 0.5, 0], [0, 0, 0, 2.0]], dtype=torch.float64)
MEAN = torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=torch.float64)
N_PICTURES, SIZE = 20, 24
Built = Callable[[torch.Tensor], PairStore]


class Repeating:
    """A decoder that repeats a linear map of each cell."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (0.5 + 0.1 * latents[:, :3]).clamp(0, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)


def weight(radius: np.ndarray) -> np.ndarray:
    """A made-up falling spectrum: standard deviation of a coefficient by its frequency."""
    return 3 / (1 + 20 * radius)


@pytest.fixture
def built(tmp_path: Path) -> Built:
    def build(latents: torch.Tensor) -> PairStore:
        samples = []
        for index in range(latents.shape[0]):
            sha256 = f"{index * 7919 % 4096:03x}" * 22
            box = (0, 0, 8 * SIZE, 8 * SIZE)
            samples.append(Sample(sample_key(sha256, box), str(index), sha256, "chart", box, (SIZE, SIZE)))
        origin = Origin("fake", "a fake VAE", "0" * 64, lf.get_space("sd1"), 8 * SIZE)
        write_shard(tmp_path, origin, samples, columns_of(latents, Repeating().decode(latents)))
        return PairStore(tmp_path)

    return build


@pytest.fixture
def coloured(built: Built) -> PairStore:
    """Latents with a known mean, mixing of channels and spectrum, made by scipy's cosine transform."""
    white = np.random.default_rng(0).standard_normal((N_PICTURES, 4, SIZE, SIZE))
    ramp = np.arange(SIZE) / (2 * SIZE)
    mixed = np.einsum("oc,nchw->nohw", MIXING.numpy(), white) * weight(np.hypot(ramp[:, None], ramp))
    return built(torch.from_numpy(idctn(mixed, axes=(2, 3), norm="ortho") + MEAN.numpy()[:, None, None]).float())


def clean_latents(store: PairStore) -> torch.Tensor:
    return torch.cat([batch.latents for batch in store.batches(store.samples, n_cells=1)])


def test_the_cosine_transform_is_scipys() -> None:
    values = torch.randn(2, 3, 9, 14, dtype=torch.float64)
    transformed = cosine_transform(values)
    np.testing.assert_allclose(transformed, dctn(values.numpy(), axes=(2, 3), norm="ortho"), atol=1e-12)
    torch.testing.assert_close(cosine_transform(transformed, inverse=True), values)


def test_bands_start_at_zero_and_grow_outwards() -> None:
    bands = bands_of(64, 48)
    assert bands[0, 0] == 0
    assert bands[-1, -1] == N_BANDS - 1
    assert (bands.diff(dim=0) >= 0).all()
    assert (bands.diff(dim=1) >= 0).all()


def test_what_is_explained_is_found_in_its_band_and_channel() -> None:
    true = torch.randn(4, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    coefficients = cosine_transform(true.double())
    lost = bands_of(16, 16) > N_BANDS // 2
    coefficients[:, 1, lost] = 0
    frequencies, r2 = explained_by_band(cosine_transform(coefficients, inverse=True).float(), true)
    assert r2.shape == (2, len(frequencies))
    torch.testing.assert_close(r2[0], torch.ones_like(r2[0]), atol=1e-5, rtol=0)
    fine = frequencies > (N_BANDS // 2 + 1) ** 2 / N_BANDS**2 * math.sqrt(0.5)
    torch.testing.assert_close(r2[1], (~fine).double(), atol=1e-4, rtol=0)
    assert float(explained_by_band(true.mean((0, 2, 3), keepdim=True).expand_as(true), true)[1].abs().max()) < 1e-5
    with pytest.raises(ValueError, match="equal shape"):
        explained_by_band(true, true[:1])


def test_mean_and_spectrum_are_found_again(coloured: PairStore) -> None:
    measured = spectrum_of(coloured)
    torch.testing.assert_close(measured.mean, MEAN, atol=0.15, rtol=0)
    ramp = np.arange(SIZE) / (2 * SIZE)
    power = torch.from_numpy(weight(np.hypot(ramp[:, None], ramp)) ** 2)
    for band in (12, 17, 21):
        expected = MIXING @ MIXING.T * power[bands_of(SIZE, SIZE) == band].mean()
        torch.testing.assert_close(measured.covariance[band], expected, atol=0.08 * float(expected.max()), rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 3.0])
def test_the_error_is_wieners_formula(coloured: PairStore, sigma: float) -> None:
    estimates = simulate_x0(coloured, sigma, samples=coloured.samples)
    error = float((torch.cat(estimates.latents) - clean_latents(coloured)).square().mean())
    ramp = np.arange(SIZE) / (2 * SIZE)
    known = weight(np.hypot(ramp[:, None], ramp))[..., None, None] ** 2 * (MIXING @ MIXING.T).numpy()
    posterior = known - known @ np.linalg.inv(known + sigma**2 * np.eye(4)) @ known
    assert error == pytest.approx(np.trace(posterior, axis1=2, axis2=3).mean() / 4, rel=0.05)
    assert error == pytest.approx(estimates.spectrum.expected_mse(sigma, (SIZE, SIZE)), rel=0.05)


def test_channels_help_each_other(coloured: PairStore) -> None:
    full = spectrum_of(coloured)
    alone = Spectrum(full.mean, torch.diag_embed(full.covariance.diagonal(dim1=1, dim2=2)))
    clean = clean_latents(coloured)
    together, apart = (
        (torch.cat(simulate_x0(coloured, 1.0, samples=coloured.samples, spectrum=known).latents) - clean)
        .square()
        .mean()
        for known in (full, alone)
    )
    assert together < 0.985 * apart


def test_two_pictures_do_not_make_all_channels_one(built: Built) -> None:
    spectrum = spectrum_of(built(torch.randn(2, 4, SIZE, SIZE)))
    assert torch.linalg.matrix_rank(spectrum.covariance[0]) == 4


def test_no_noise_gives_the_latents_and_gain_multiplies(coloured: PairStore) -> None:
    estimates, louder = (simulate_x0(coloured, 0, gain=gain, samples=coloured.samples) for gain in (1.0, 1.5))
    assert "simulated" in estimates.label
    assert torch.equal(torch.cat(estimates.latents), clean_latents(coloured))
    torch.testing.assert_close(louder.latents[0], 1.5 * estimates.latents[0])


def test_an_estimate_depends_on_nothing_but_its_sample_and_seed(coloured: PairStore) -> None:
    whole = {sample.key: latents for sample, latents in simulate_x0(coloured, 0.7, samples=coloured.samples)}
    known = spectrum_of(coloured, coloured.split("train") or None)
    last = coloured.samples[-1:]
    ((sample, latents),) = simulate_x0(coloured, 0.7, samples=last, spectrum=known)
    torch.testing.assert_close(latents, whole[sample.key], atol=1e-5, rtol=0)
    ((_, other),) = simulate_x0(coloured, 0.7, samples=last, spectrum=known, seed=1)
    assert float((other - latents).abs().max()) > 0.01


def test_schedules_are_noise_beside_x0() -> None:
    assert noise_beside_x0(0.5) == 0.5
    assert noise_beside_x0(0.5, "flow") == pytest.approx(1.0)
    assert noise_beside_x0(0.6, "vp") == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("sigma", "schedule"),
    [(-1.0, "ve"), (math.nan, "ve"), (math.inf, "ve"), (1.0, "flow"), (1.0, "vp"), (0.5, "cosine")],
)
def test_bad_sigma_or_schedule(coloured: PairStore, sigma: float, schedule: str) -> None:
    with pytest.raises(StoreError, match=r"finite sigma|expected 've'"):
        simulate_x0(coloured, sigma, schedule=schedule)  # type: ignore[arg-type]


def test_bad_gain(coloured: PairStore) -> None:
    with pytest.raises(StoreError, match="gain"):
        simulate_x0(coloured, 1, gain=0)


@pytest.fixture
def maps(coloured: PairStore) -> dict[str, lf.Approximation]:
    right, blind = torch.nn.Conv2d(4, 3, 1), torch.nn.Conv2d(4, 3, 1)
    with torch.no_grad():
        right.weight.copy_(0.1 * torch.eye(3, 4)[:, :, None, None])
        blind.weight.zero_()
        right.bias.fill_(0.5)
        blind.bias.fill_(0.5)
    return {"right": lf.Approximation(right, "sd1"), "blind": lf.Approximation(blind, "sd1")}


def test_the_right_map_is_right_on_estimates_and_a_blind_one_flickers_as_much_as_the_picture(
    coloured: PairStore, maps: dict[str, lf.Approximation]
) -> None:
    frame = scores_over_sigma(maps, Repeating(), coloured, (0.5, 1.0, 2.0), (1.0, 1.4), samples=coloured.samples[:5])
    assert len(frame) == 2 * 3 * 2
    rights, blinds = (frame[frame["approximation"] == name] for name in ("right", "blind"))
    assert (rights["psnr"] > 80).all()
    assert rights["flicker"].dropna().max() < 1e-6
    assert blinds["flicker"].dropna().to_numpy() == pytest.approx(1.0)
    assert frame[frame["sigma"] == 0.5]["flicker"].isna().all()
    psnr = blinds.groupby("gain")["psnr"].mean()
    assert psnr[1.4] == pytest.approx(psnr[1.0] - 20 * math.log10(1.4), abs=0.1)
    assert frame.attrs["n_images"] == 5
    assert "simulated" in frame.attrs["label"]
    assert set(frame.attrs["columns"]) == {"gain", "sigma", "flicker"} <= set(frame.columns)


def test_seen_is_judged_at_the_pictures_size(coloured: PairStore, maps: dict[str, lf.Approximation]) -> None:
    frame = scores_over_sigma(
        maps, Repeating(), coloured, (1.0,), places=("cells", "seen"), samples=coloured.samples[:2]
    ).set_index(["approximation", "place"])
    assert frame.loc[("right", "seen"), "psnr"] < frame.loc[("right", "cells"), "psnr"]


def test_fitted_pictures_are_left_out_and_counted(coloured: PairStore, maps: dict[str, lf.Approximation]) -> None:
    considered = coloured.split("test") or coloured.samples
    maps["right"].card["train_hashes"] = [considered[0].sha256]
    frame = scores_over_sigma(maps, Repeating(), coloured, (0.0,))
    assert frame.attrs["n_left_out"] == 1
    assert frame.attrs["n_images"] == len(considered) - 1
    maps["right"].card["train_hashes"] = [sample.sha256 for sample in coloured.samples]
    with pytest.raises(StoreError, match="none of"):
        scores_over_sigma(maps, Repeating(), coloured, (0.0,))


def test_another_vae_or_another_space_is_refused(coloured: PairStore, maps: dict[str, lf.Approximation]) -> None:
    decoder = lf.Approximation(torch.nn.Identity(), "sd1", card={"fingerprint": "1" * 64})
    with pytest.raises(StoreError, match="own VAE"):
        scores_over_sigma(maps, decoder, coloured, (0.0,))
    with pytest.raises(SpaceMismatchError):
        scores_over_sigma([lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sdxl")], Repeating(), coloured, (0.0,))


def test_without_noise_scores_are_those_of_evaluate(coloured: PairStore, maps: dict[str, lf.Approximation]) -> None:
    samples = coloured.samples[:4]
    here = scores_over_sigma(maps, Repeating(), coloured, (0.0,), samples=samples).set_index("approximation")
    there = lf.evaluate(maps, coloured, samples=samples, places=("cells",))
    pooled = there[(there["image"] == "all") & (there["kind"] == "all")].set_index("approximation")
    assert here.loc["blind", "psnr"] == pytest.approx(pooled.loc["blind", "psnr"], abs=0.02)
    assert here.loc["blind", "delta_e"] == pytest.approx(pooled.loc["blind", "delta_e"], abs=0.02)
