"""Closed form: build the answer, ask for it back; numpy and scikit-learn are the oracles."""

import os
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import PolynomialFeatures

import latentfit as lf
from latentfit.errors import FitError, NotFittedError
from latentfit.fit import NEAR_BOUND, Basis, Moments, PolynomialMap, form_name, parse_kernels, solve
from latentfit.pairs import Origin, PairStore, Sample, sample_key, write_shard

FORMS: list[tuple[int, ...]] = [(1,), (1, 1), (1, 1, 1), (3,), (3, 1), (5, 3), (1, 3), (3, 1, 1)]


def expanded(basis: Basis, variables: np.ndarray) -> np.ndarray:
    out = np.empty((basis.n_terms, variables.shape[1]))
    basis.expand(variables, out)
    return out


@pytest.mark.parametrize(("kernels", "count"), [((1,), 5), ((1, 1), 15), ((1, 1, 1), 35), ((3,), 37), ((5, 3), 767)])
def test_counts_of_the_design_table(kernels: tuple[int, ...], count: int) -> None:
    assert lf.ChannelMap(kernels).n_terms(4) == count


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
@pytest.mark.parametrize("n_channels", [3, 4, 7])
def test_terms_are_polynomial_features_in_its_order(degree: int, n_channels: int) -> None:
    oracle = PolynomialFeatures(degree, include_bias=False)
    values = np.random.default_rng(0).standard_normal((50, n_channels))
    features = oracle.fit_transform(values)
    basis = Basis(n_channels, (1,) * degree)
    np.testing.assert_array_equal(basis.exponents, oracle.powers_)
    np.testing.assert_allclose(expanded(basis, values.T.copy()), features.T, rtol=1e-13)


@pytest.mark.parametrize("kernels", FORMS)
def test_expansion_follows_the_table(kernels: tuple[int, ...]) -> None:
    basis = Basis(3, kernels)
    values = np.random.default_rng(1).standard_normal((basis.n_variables, 20))
    by_table = np.stack([np.prod(values ** powers[:, None], 0) for powers in basis.exponents])
    np.testing.assert_allclose(expanded(basis, values), by_table, rtol=1e-12)
    assert len(set(basis.names)) == basis.n_terms


def test_neighbours_are_named_by_row_and_column() -> None:
    assert Basis(2, (3,)).names[:3] == ["x0[-1,-1]", "x0[-1,+0]", "x0[-1,+1]"]
    assert Basis(2, (3, 1)).names[18:] == ["x0*x0", "x0*x1", "x1*x1"]


@pytest.mark.parametrize("kernels", FORMS)
@pytest.mark.parametrize("scale", [1, 2])
def test_a_built_map_is_found_again(kernels: tuple[int, ...], scale: int) -> None:
    truth = PolynomialMap(3, kernels, scale)
    truth.set_coefficients(0.1 * torch.randn(truth.coefficients.shape))
    latents = torch.randn(12, 3, 12, 13)
    fitted = lf.ChannelMap(kernels, scale, censored=False, ridge=0.0)
    fitted.fit_arrays(latents, truth(latents), space=lf.LatentSpace("three", 3, 8))
    torch.testing.assert_close(fitted.module_.coefficients, truth.coefficients, atol=2e-4, rtol=0)
    assert fitted.solution_.rank == fitted.module_.basis.n_terms


def test_the_module_equals_its_terms_summed_in_numpy() -> None:
    module = PolynomialMap(4, (3, 1))
    module.set_coefficients(torch.randn(module.coefficients.shape))
    latents = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    terms = expanded(module.basis, module.basis.neighbourhoods(latents).numpy())
    signed = module.coefficients.double().numpy().T @ np.vstack([np.ones(terms.shape[1]), terms])
    expected = signed.reshape(3, 2, 6, 7).transpose(1, 0, 2, 3) / 2 + 0.5
    np.testing.assert_allclose(module(latents).numpy(), expected, atol=1e-12)


def test_big_pictures_go_through_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    module = PolynomialMap(4, (3, 3)).set_coefficients(torch.randn(1 + Basis(4, (3, 3)).n_terms, 3))
    latents = torch.randn(2, 4, 9, 8)
    whole = module(latents)
    monkeypatch.setattr("latentfit.fit.polynomial_map.CHUNK_VALUES", 5000)
    torch.testing.assert_close(module(latents), whole)


@pytest.mark.parametrize("intercept", [True, False])
def test_solution_equals_scikit_learn(intercept: bool) -> None:
    rng = np.random.default_rng(3)
    features, targets = rng.standard_normal((500, 6)) + 2, rng.standard_normal((500, 3))
    moments = Moments(6, 3)
    moments.add(np.vstack([np.ones(500), features.T, targets.T]))
    oracle = LinearRegression(fit_intercept=intercept).fit(features, targets)
    solution = solve(moments, intercept=intercept, ridge=0.0)
    np.testing.assert_allclose(solution.coefficients[1:], oracle.coef_.T, atol=1e-10)
    np.testing.assert_allclose(solution.coefficients[0], oracle.intercept_, atol=1e-10)
    residual = np.sqrt(np.mean((oracle.predict(features) - targets) ** 2))
    assert solution.residual == pytest.approx(residual, rel=1e-9)


def test_ridge_equals_scikit_learn_on_standardised_terms() -> None:
    rng = np.random.default_rng(4)
    features, targets = rng.standard_normal((300, 5)) * [1, 10, 0.1, 3, 1], rng.standard_normal((300, 2))
    moments = Moments(5, 2)
    moments.add(np.vstack([np.ones(300), features.T, targets.T]))
    standard = (features - features.mean(0)) / features.std(0)
    oracle = Ridge(alpha=0.01 * 300).fit(standard, targets)
    np.testing.assert_allclose(
        solve(moments, ridge=0.01).coefficients[1:], (oracle.coef_ / features.std(0)).T, rtol=1e-9
    )


def parts(total: int, cuts: list[int]) -> Iterator[slice]:
    for first, last in zip([0, *cuts], [*cuts, total], strict=True):
        yield slice(first, last)


@pytest.mark.parametrize("cuts", [[], [1], [10, 20, 30], [99]])
def test_chunks_order_and_merging_do_not_matter(cuts: list[int]) -> None:
    rows = np.random.default_rng(5).standard_normal((1 + 8 + 2, 100))
    whole, apart = Moments(8, 2, 3), Moments(8, 2, 3)
    whole.add(rows, 1)
    for part in reversed(list(parts(100, cuts))):
        worker = Moments(8, 2, 3)
        worker.add(np.ascontiguousarray(rows[:, part]), 1)
        apart.merge(worker)
    np.testing.assert_allclose(apart.sums, whole.sums, atol=1e-10)
    np.testing.assert_allclose(whole.gram(), rows[:9] @ rows[:9].T, atol=1e-10)
    np.testing.assert_allclose(whole.cross()[1], rows[:9] @ rows[9:].T, atol=1e-10)
    np.testing.assert_allclose(whole.power()[1], (rows[9:] ** 2).sum(1), atol=1e-10)
    np.testing.assert_allclose(whole.gram(without=1), 0)


def test_ridge_is_chosen_by_left_out_folds() -> None:
    rng = np.random.default_rng(6)
    moments = Moments(40, 1, 5)
    slope = rng.standard_normal(40)
    squared = dict.fromkeys((0.0, 1e-1), 0.0)
    folds = []
    for fold in range(5):
        features = rng.standard_normal((12, 40))
        targets = features @ slope + 8 * rng.standard_normal(12)
        folds.append((features, targets))
        moments.add(np.vstack([np.ones(12), features.T, targets[None]]), fold)
    solution = solve(moments, ridges=(0.0, 1e-1))
    for ridge in squared:
        for fold, (features, targets) in enumerate(folds):
            rest = [folds[i] for i in range(5) if i != fold]
            x, y = np.vstack([f for f, _ in rest]), np.concatenate([t for _, t in rest])
            mean, spread = x.mean(0), x.std(0)
            model = Ridge(alpha=max(ridge, 1e-12) * len(y)).fit((x - mean) / spread, y)
            squared[ridge] += float(((model.predict((features - mean) / spread) - targets) ** 2).sum())
    for ridge, value in solution.cv_mse.items():
        assert value == pytest.approx(squared[ridge] / 60, rel=1e-4)
    assert solution.ridge == min(squared, key=lambda r: squared[r])


def test_rank_deficient_and_constant_data_are_solved_and_said() -> None:
    latents = torch.randn(4, 4, 8, 8)
    latents[:, 1] = latents[:, 0]
    latents[:, 2] = 3.0
    rgb = 0.5 + 0.1 * latents[:, [0, 1, 3]]
    fitted = lf.ChannelMap("affine", censored=False).fit_arrays(latents, rgb, space="sd1")
    assert fitted.solution_.rank == 2
    assert np.isfinite(fitted.solution_.coefficients).all()
    torch.testing.assert_close(fitted.module_(latents), rgb, atol=1e-4, rtol=0)


def test_more_terms_than_cells_stay_finite() -> None:
    latents, rgb = torch.randn(3, 4, 2, 2), torch.rand(3, 3, 2, 2)
    fitted = lf.ChannelMap((3, 1)).fit_arrays(latents, rgb, space="sd1")
    assert fitted.solution_.rank < fitted.module_.basis.n_terms
    assert fitted.approximation()(latents).isfinite().all()


def test_fewer_cells_than_terms_are_met_exactly() -> None:
    latents, rgb = torch.randn(5, 4, 2, 2), torch.rand(5, 3, 2, 2)
    fitted = lf.ChannelMap("cubic", ridge=0.0, censored=False).fit_arrays(latents, rgb, space="sd1")
    assert fitted.solution_.rank == 19  # of 34: twenty cells, less their mean
    torch.testing.assert_close(fitted.module_(latents), rgb, atol=1e-4, rtol=0)


def test_censored_fit_finds_the_line_behind_clipped_targets() -> None:
    latents = torch.randn(40, 4, 16, 16)
    mixing = torch.tensor([[0.5, 0.1, 0, 0], [0, 0.5, 0.1, 0], [0.2, 0, 0.4, 0.1]])
    line = torch.einsum("oc,nchw->nohw", mixing, latents) + 0.6
    clipped = line.clamp(0, 1)
    plain = lf.ChannelMap("affine", censored=False).fit_arrays(latents, clipped, space="sd1")
    censored = lf.ChannelMap("affine").fit_arrays(latents, clipped, space="sd1")
    truth = 2 * mixing.T

    def worst(fitted: lf.ChannelMap) -> float:
        return float((fitted.module_.coefficients[1:] - truth).abs().max())

    assert worst(plain) > 0.2
    assert worst(censored) < 0.02
    np.testing.assert_array_equal(censored.plain_.coefficients, plain.solution_.coefficients)


def test_censored_answer_is_the_minimum_of_its_loss() -> None:
    latents = torch.randn(10, 3, 12, 12)
    line = 0.5 + 0.35 * latents[:, [0]] - 0.2 * latents[:, [1]] + 0.05 * torch.randn(10, 1, 12, 12)
    clipped = line.clamp(0, 1).expand(-1, 3, -1, -1)
    fitted = lf.ChannelMap("affine", ridge=0.0).fit_arrays(latents, clipped, space=lf.LatentSpace("three", 3, 8))
    rows = np.vstack([np.ones(1440), latents.double().movedim(1, 0).reshape(3, -1).numpy()])
    wanted = 2 * clipped[:, 0].double().flatten().numpy() - 1
    low, high = wanted <= -1 + 2 * NEAR_BOUND, wanted >= 1 - 2 * NEAR_BOUND
    assert low.mean() > 0.1
    assert high.mean() > 0.1

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        apart = coefficients @ rows - wanted
        apart[(low & (apart < 0)) | (high & (apart > 0))] = 0
        return apart @ apart, 2 * rows @ apart

    oracle = minimize(loss, np.zeros(4), jac=True, tol=1e-12).x
    np.testing.assert_allclose(fitted.solution_.coefficients[:, 0], oracle, atol=0.01)  # it stops at steps of 0.1 %
    assert np.abs(fitted.plain_.coefficients[:, 0] - oracle).max() > 0.1


def test_bounded_cells_that_are_too_many_to_keep_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    latents = torch.randn(6, 4, 8, 8)
    clipped = (0.5 + 0.5 * latents[:, :3]).clamp(0, 1)
    kept = lf.ChannelMap("quadratic").fit_arrays(latents, clipped, space="sd1")
    monkeypatch.setattr("latentfit.fit.censored.KEPT_BYTES", 0)
    anew = lf.ChannelMap("quadratic").fit_arrays(latents, clipped, space="sd1")
    np.testing.assert_allclose(anew.solution_.coefficients, kept.solution_.coefficients, atol=1e-9)
    assert np.abs(kept.solution_.coefficients - kept.plain_.coefficients).max() > 0.05


def test_ridge_is_judged_on_pictures_that_were_left_out() -> None:
    once = torch.randn(10, 8, 2, 2)
    target = 0.5 + 0.02 * once[:, :3] + 0.1 * torch.randn(10, 3, 2, 2)
    crops, targets = once.repeat(3, 1, 1, 1), target.repeat(3, 1, 1, 1)  # three crops that show the same
    space = lf.LatentSpace("eight", 8, 8)
    by_picture = lf.ChannelMap("quadratic", censored=False)
    by_picture.fit_arrays(crops, targets, groups=[*range(10)] * 3, space=space)
    shuffled = [(index + copy) % 5 for copy in range(3) for index in range(10)]
    leaking = lf.ChannelMap("quadratic", censored=False).fit_arrays(crops, targets, groups=shuffled, space=space)
    assert by_picture.solution_.cv_mse[0.0] > 10 * leaking.solution_.cv_mse[0.0]
    assert by_picture.solution_.ridge > 100 * leaking.solution_.ridge


def test_linear_has_no_intercept_and_goes_through_mid_grey() -> None:
    fitted = lf.ChannelMap("linear").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1")
    assert fitted.module_(torch.zeros(1, 4, 1, 1)).flatten().tolist() == [0.5, 0.5, 0.5]
    assert fitted.approximation().n_parameters == 12


def test_a_basis_too_large_is_refused_with_its_count() -> None:
    with pytest.raises(FitError, match=r"131115984 terms.*takes [\d.]+ GiB.*degree that fits is 2: quadratic"):
        lf.ChannelMap((1,) * 6).fit_arrays(torch.randn(1, 64, 2, 2), torch.rand(1, 3, 2, 2), space="hunyuan_image21")


def test_neighbourhoods_too_large_are_refused_before_anything_is_allocated() -> None:
    latents, rgb = torch.randn(1, 16, 2, 2), torch.rand(1, 3, 2, 2)
    tracemalloc.start()
    try:
        with pytest.raises(FitError, match=r"10827400 terms.*[0-9]+\.[0-9] GiB.*fits is 1: 5×5 affine, kernels \(5,\)"):
            lf.ChannelMap((5, 5, 5)).fit_arrays(latents, rgb, space="flux1")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_pictures_of_one_colour_give_that_colour() -> None:
    fitted = lf.ChannelMap("quadratic").fit_arrays(torch.randn(3, 4, 6, 6), torch.full((3, 3, 6, 6), 0.25), space="sd1")
    torch.testing.assert_close(fitted.approximation()(torch.randn(1, 4, 5, 5)), torch.full((1, 3, 5, 5), 0.25))
    assert np.isnan(fitted.solution_.r2)  # no variance to explain
    flat = lf.ChannelMap("affine").fit_arrays(torch.ones(3, 4, 6, 6), torch.rand(3, 3, 6, 6), space="sd1")
    assert flat.solution_.rank == 0
    assert flat.approximation()(torch.ones(1, 4, 2, 2)).isfinite().all()


@pytest.mark.parametrize("column", ["latents", "cells"])
def test_nan_in_a_store_is_named(tmp_path: Path, column: str) -> None:
    tensors = {"latents": torch.randn(2, 4, 6, 6).half(), "cells": torch.rand(2, 3, 6, 6).half()}
    tensors[column][1, 2, 3, 4] = float("nan")
    write_store(tmp_path, tensors)
    with pytest.raises(FitError, match=r"NaN or Inf; load the VAE with dtype='float32'"):
        lf.ChannelMap("affine").fit(PairStore(tmp_path), "all")


def write_store(folder: Path, tensors: dict[str, torch.Tensor], kinds: tuple[str, ...] = ("photograph",) * 2) -> None:
    box = (0, 0, 48, 48)
    samples = [
        Sample(sample_key(f"{i}" * 64, box), f"{i}", f"{i}" * 64, kind, box, (6, 6)) for i, kind in enumerate(kinds)
    ]
    write_shard(folder, Origin("fake", "a fake VAE", "0" * 64, lf.get_space("sd1"), 48), samples, tensors)


def test_two_processes_fit_what_one_fits(tmp_path: Path) -> None:
    store, kinds = tmp_path / "store", ("photograph",) * 7
    latents = torch.randn(7, 4, 6, 6)
    cells = (0.5 + 0.4 * latents[:, :3] + 0.05 * torch.randn(7, 3, 6, 6)).clamp(0, 1)
    write_store(store, {"latents": latents.half(), "cells": cells.half()}, kinds)
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--local_addr", "127.0.0.1"]
    launch += ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    command = ["-m", "latentfit", "fit", str(store), "--kernels", "3", "--split", "all", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launch, *command, str(tmp_path / "two.safetensors")],
        capture_output=True, text=True, timeout=1800, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("two.safetensors") == 1  # one rank writes and says so
    alone = lf.ChannelMap("3").fit(PairStore(store), "all")
    together = lf.load(tmp_path / "two.safetensors")
    torch.testing.assert_close(together.module.coefficients, alone.module_.coefficients, atol=1e-6, rtol=1e-6)
    card = alone.approximation().card
    assert {key: together.card[key] for key in ("n_cells", "ridge", "rank", "train_hashes")} == {
        key: card[key] for key in ("n_cells", "ridge", "rank", "train_hashes")
    }
    assert np.abs(alone.solution_.coefficients - alone.plain_.coefficients).max() > 0.01  # passes over both shares


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("bad", ["septic", "2", "3,4", "", (0,), "-1"])
def test_bad_kernels_are_named(bad: str | tuple[int, ...]) -> None:
    with pytest.raises(FitError, match="kernels: expected linear, affine"):
        parse_kernels(bad)


def test_names() -> None:
    assert [form_name(*parse_kernels(form)) for form in ("linear", "cubic", "3", "5,3")] == [
        "linear", "cubic", "3×3 affine", "5×5 linear + 3×3 quadratic",
    ]  # fmt: skip


def test_unfitted_and_nan_are_errors() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        lf.ChannelMap().approximation()
    with pytest.raises(NotFittedError, match="no coefficients"):
        PolynomialMap(4)(torch.zeros(1, 4, 2, 2))
    bad = torch.full((2, 4, 4, 4), float("nan"))
    with pytest.raises(FitError, match="NaN"):
        lf.ChannelMap().fit_arrays(bad, torch.rand(2, 3, 4, 4), space="sd1")


def test_latent_targets_give_a_latent_map() -> None:
    source, mixing = torch.randn(3, 4, 8, 8), torch.randn(16, 4)
    target = torch.einsum("oc,nchw->nohw", mixing, source)
    fitted = lf.ChannelMap("affine").fit_arrays(source, target, space="sd1", target_space="flux1")
    torch.testing.assert_close(fitted.latent_map()(source), target, atol=1e-4, rtol=1e-4)
    with pytest.raises(NotFittedError, match="fitted to latents"):
        fitted.approximation()


@pytest.mark.parametrize("kernels", [(1,), (1, 1)])
@pytest.mark.parametrize("n_channels", [3, 4, 8, 12, 16, 32, 48, 64, 96, 128])
def test_any_channel_count(n_channels: int, kernels: tuple[int, ...]) -> None:
    if kernels == (1, 1) and n_channels > 32:
        kernels = (3,)  # up to 1152 terms instead of 8384
    space = lf.LatentSpace("any", n_channels, 8)
    truth = PolynomialMap(n_channels, kernels)
    truth.set_coefficients(0.02 * torch.randn(truth.coefficients.shape))
    latents = torch.randn(8, n_channels, 16, 16)
    fitted = lf.ChannelMap(kernels, ridge=0.0, censored=False).fit_arrays(latents, truth(latents), space=space)
    torch.testing.assert_close(fitted.module_.coefficients, truth.coefficients, atol=1e-4, rtol=0)
    assert fitted.approximation()(torch.randn(1, n_channels, 3, 3)).shape == (1, 3, 3, 3)


@pytest.mark.parametrize("kernels", ["linear", "cubic", "5,3"])
def test_saved_and_loaded_maps_are_equal(kernels: str, tmp_path) -> None:
    fitted = (
        lf.ChannelMap(kernels).fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1").approximation()
    )
    again = lf.load(lf.save(fitted, tmp_path / "map"))
    latents = torch.randn(2, 4, 5, 5)
    assert torch.equal(again(latents), fitted(latents))
    assert again.card == fitted.card
    assert again.n_parameters == fitted.n_parameters


def test_weights_of_kinds_are_as_good_as_repeating_the_pictures(tmp_path: Path) -> None:
    latents = torch.randn(4, 4, 6, 6).half()
    cells = (0.5 + 0.1 * latents[:, :3] + 0.05 * torch.randn(4, 3, 6, 6)).clamp(0.1, 0.9).half()
    write_store(tmp_path, {"latents": latents, "cells": cells}, ("chart", "chart", "photograph", "photograph"))
    weighted = lf.ChannelMap("affine", ridge=0.0, censored=False, weights={"chart": 3.0})
    weighted.fit(PairStore(tmp_path), "all")
    order = [0, 0, 0, 1, 1, 1, 2, 3]
    repeated = lf.ChannelMap("affine", ridge=0.0, censored=False)
    repeated.fit_arrays(latents[order].float(), cells[order].float(), space="sd1")
    np.testing.assert_allclose(weighted.solution_.coefficients, repeated.solution_.coefficients, atol=1e-9)
    card = weighted.approximation().card
    assert (card["weights"], card["n_cells"]) == ({"chart": 3.0}, 4 * 36)


def test_a_store_of_fewer_cells_than_terms_is_refused(tmp_path: Path) -> None:
    box = (0, 0, 48, 48)
    sample = Sample(sample_key("0" * 64, box), "0", "0" * 64, "photograph", box, (6, 6))
    tensors = {"latents": torch.randn(1, 4, 6, 6).half(), "cells": torch.rand(1, 3, 6, 6).half()}
    write_shard(tmp_path, Origin("fake", "a fake VAE", "0" * 64, lf.get_space("sd1"), 48), [sample], tensors)
    with pytest.raises(FitError, match="36 cells in 1 samples for 37 terms"):
        lf.ChannelMap("3").fit(PairStore(tmp_path), "all")


@pytest.mark.parametrize("ridge", [-1.0, float("nan"), float("inf")])
def test_a_ridge_out_of_range_is_named(ridge: float) -> None:
    with pytest.raises(FitError, match="ridge: expected None or a finite number of 0 or more"):
        lf.ChannelMap("affine", ridge=ridge).fit_arrays(torch.randn(2, 4, 6, 6), torch.rand(2, 3, 6, 6), space="sd1")
