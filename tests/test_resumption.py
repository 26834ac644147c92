"""A run that is gone on with: all of its state is there again, its random numbers too, and nothing is unpickled."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.dialects import export, read
from latentfit.errors import LatentfitError, TrainError
from latentfit.fit.module import PolynomialMap
from latentfit.nets.cell import CellDecoder
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.train import TrainConfig, Trained, train
from latentfit.train.checkpoint import State, load_state, save_state
from latentfit.train.objective import Objective
from latentfit.train.state import RunState

CONFIG = TrainConfig(n_images=48, batch_images=8, lr=1e-2, warmup_images=0, log_images=24, ema_images=20.0)


class Drawn:
    """Batches that only their images' numbers decide."""

    def batch(self, images: range) -> dict[str, Tensor]:
        generators = [torch.Generator().manual_seed(number) for number in images]
        latents = torch.stack([torch.randn(4, 4, 4, generator=generator) for generator in generators])
        target = torch.stack([torch.rand(3, 32, 32, generator=generator) for generator in generators])
        return {"input": latents, "target": target}


class Noisy(nn.Module):
    """A network that draws random numbers in every step, as dropout and augmentation do."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = CellDecoder(4, 8, 1)

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(latents + torch.randn_like(latents) if self.training else latents)


def go(folder: Path, elsewhere: int, **changes: Any) -> Trained:
    """A run, or what is left of it, in a process whose own random numbers are somewhere else."""
    torch.manual_seed(0)
    model = Noisy()
    torch.manual_seed(elsewhere)
    return train(
        model, Objective({"mse": 1.0}), Drawn(), replace(CONFIG, **changes), folder / "checkpoint.pt", device="cpu",
        progress=False,
    )  # fmt: skip


def test_a_step_draws_from_the_seed_and_the_images_seen(tmp_path: Path) -> None:
    whole = go(tmp_path / "whole", 1).model.state_dict()
    while go(tmp_path / "parts", 2, wall_seconds=1e-9).seen_images < CONFIG.n_images:
        pass  # a step at a time
    parts = go(tmp_path / "parts", 3).model.state_dict()
    other = go(tmp_path / "other", 1, seed=1).model.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name
    assert any(not torch.equal(tensor, other[name]) for name, tensor in whole.items())


def made(folder: Path, seed: int) -> RunState:
    torch.manual_seed(seed)
    objective = Objective({"mse": 1.0, "gan": 0.1}, PatchDiscriminator(3, 4))
    return RunState(CellDecoder(4, 8, 1), objective, CONFIG, folder / "checkpoint.pt", {}, "cpu")


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(equal, one, other)) if isinstance(one, list) else bool(one == other)


def test_every_part_of_the_state_is_there_again(tmp_path: Path) -> None:
    state = made(tmp_path, 1)
    for network in (state.model, state.adversary):
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter)
    state.optimizer.step()
    state.adversary_optimizer.step()
    state.seen_images, state.rows = 24, [{"seen_images": 24.0, "loss": 0.5}]
    state.average()
    state.means.add({"loss": torch.tensor(0.25), "mse": torch.tensor(0.125)})
    state.save()
    again = made(tmp_path, 2)
    parts = ("model", "averaged", "optimizer", "adversary", "adversary_optimizer", "means")
    for name in parts:  # before: another run's
        assert not equal(getattr(state, name).state_dict(), getattr(again, name).state_dict()), name
    again.resume()
    for name in parts:
        assert equal(getattr(state, name).state_dict(), getattr(again, name).state_dict()), name
    assert not equal(dict(again.model.state_dict()), dict(again.averaged.state_dict()))
    assert (again.seen_images, again.rows) == (state.seen_images, state.rows)
    again.means.add({"loss": torch.tensor(0.75), "mse": torch.tensor(0.375)})
    assert again.means.taken() == {"loss": 0.5, "mse": 0.25}


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("is_zip", [True, False], ids=["as torch saves", "as torch once saved"])
def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path, is_zip: bool) -> None:
    path, ran = tmp_path / "checkpoint.pt", tmp_path / "ran"
    save_state(path, State(8, {"model": {"weight": torch.ones(2)}}, []), {"seed": 0})
    found = load_state(path, {"seed": 0})
    assert found is not None
    assert found.seen_images == 8
    whole = torch.load(path, weights_only=True)
    torch.save({**whole, "tensors": {"model": Code(ran)}}, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(TrainError, match=r"checkpoint\.pt: not a whole checkpoint of a run .*remove it"):
        load_state(path, {"seed": 0})
    assert not ran.exists()
    torch.load(path, weights_only=False)  # it would have
    assert ran.is_dir()


@pytest.mark.parametrize("part", ["config", "coefficients", "exponents", "terms"])
def test_a_table_of_arrays_with_code_is_refused_and_not_run(tmp_path: Path, part: str) -> None:
    module = PolynomialMap(4, (1,)).set_coefficients(torch.linspace(-1, 1, 15).reshape(5, 3).double().numpy())
    path, ran = tmp_path / "table.npz", tmp_path / "ran"
    export(lf.Approximation(module, "sd1"), "numpy", path)
    with np.load(path) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    assert part in parts
    space = lf.get_space("sd1")
    assert read(path, "numpy", space).module.coefficients.shape == (5, 3)
    evil = np.empty((), object)
    evil[()] = Code(ran)
    np.savez(path, allow_pickle=True, **{**parts, part: evil})
    if part in ("config", "coefficients"):
        with pytest.raises(LatentfitError, match=r"table\.npz"):
            read(path, "numpy", space)
    else:  # for people: never looked at
        read(path, "numpy", space)
    assert not ran.exists()
