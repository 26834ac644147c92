"""A slice of CPU time ends at a checkpoint, and losses of coarse means see what is low in frequency alone."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from latentfit.errors import TrainError
from latentfit.train import PIXEL_LOSSES, Objective, TrainConfig, load_state, train


class Numbers:
    """Batches of a line's points."""

    def batch(self, images: range) -> dict[str, torch.Tensor]:
        at = torch.tensor([[image % 7 / 7.0] for image in images])[:, :, None, None]
        return {"input": at, "target": 2 * at}


def test_cpu_time_ends_a_slice_and_waiting_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(n_images=32, batch_images=4, warmup_images=0, log_images=8)
    spent = iter(range(1000))  # a second of the CPU a step, and once at the beginning
    monkeypatch.setattr(time, "process_time", lambda: float(next(spent)))
    slices = []
    for _ in range(3):
        part = train(
            nn.Conv2d(1, 1, 1), Objective({"mse": 1.0}), Numbers(), replace(config, cpu_seconds=3.0),
            tmp_path / "checkpoint.pt", device="cpu", progress=False,
        )  # fmt: skip
        slices.append(part.seen_images)
    assert slices == [12, 24, 32]
    assert load_state(tmp_path / "checkpoint.pt", {**config.deciding(), "processes": 1}) is not None  # not by slices
    with pytest.raises(TrainError, match="cpu_seconds"):
        replace(config, cpu_seconds=-1.0)


def test_coarse_means_see_low_frequencies_alone() -> None:
    loss, target = PIXEL_LOSSES["coarse_mse"], torch.zeros(2, 4, 16, 16)
    assert float(loss(target + 0.3, target)) == pytest.approx(0.09)
    board = torch.ones(16, 16)
    board[::2, ::2] = board[1::2, 1::2] = -1
    assert float(loss(target + board, target)) == pytest.approx(0, abs=1e-12)
    assert float(loss(torch.full((1, 4, 3, 3), 0.5), torch.zeros(1, 4, 3, 3))) == pytest.approx(0.25)
    odd = torch.zeros(1, 1, 6, 6)
    odd[..., 4:, :] = 9.0  # beyond the last whole square
    assert float(loss(odd, torch.zeros_like(odd))) == 0.0
