"""A training that is bounded in time by the clock: it stops at a checkpoint, goes on, and says how far it came."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import TrainError
from latentfit.nets import CellDecoder
from latentfit.train import Objective, TrainConfig, Trained, train
from latentfit.train import loop as loop_module
from latentfit.tutorial import say_training

CONFIG = TrainConfig(n_images=64, batch_images=8, lr=1e-2, warmup_images=0, log_images=24, ema_images=20.0)


class Noise:
    """Batches that only their images' numbers decide."""

    def batch(self, images: range) -> dict[str, Tensor]:
        generators = [torch.Generator().manual_seed(number) for number in images]
        latents = torch.stack([torch.randn(4, 6, 6, generator=generator) for generator in generators])
        target = torch.stack([torch.rand(3, 48, 48, generator=generator) for generator in generators])
        return {"input": latents, "target": target}


class Watch:
    """In place of the loop's `time`: each reading of the monotonic clock is so many seconds after the one before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.time, self.seconds = 0.0, seconds
        monkeypatch.setattr(loop_module, "time", self)

    def monotonic(self) -> float:
        self.time += self.seconds
        return self.time

    perf_counter = monotonic

    def process_time(self) -> float:
        return 0.0


def go(folder: Path, rows: list[list[float]] | None = None, **changes: object) -> Trained:
    def note(model: nn.Module, all_rows: list[dict[str, float]], seen_images: int) -> None:
        if rows is not None:
            rows.append([row["seen_images"] for row in all_rows])

    torch.manual_seed(0)
    model, config = CellDecoder(4, 8, 1), replace(CONFIG, **changes)  # type: ignore[arg-type]
    return train(
        model, Objective({"mse": 1.0}), Noise(), config, folder / "checkpoint.pt", callbacks=[note], device="cpu",
        progress=False,
    )  # fmt: skip


def test_it_stops_in_time_and_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = go(tmp_path / "whole")
    Watch(monkeypatch, 1.0)
    seen, told = [], list[list[float]]()
    while not seen or seen[-1] < CONFIG.n_images:
        seen.append(go(tmp_path / "parts", told, wall_seconds=5.0).seen_images)
    assert len(seen) > 2
    assert seen == sorted(set(seen))
    assert all(images % 8 == 0 for images in seen)
    parts = go(tmp_path / "parts", wall_seconds=0.0)  # a limit is no other run
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, parts.model.state_dict()[name]), name
    shown = ("seen_images", "rate", "loss", "mse")  # all but the speed
    assert [[row[key] for key in shown] for row in whole.rows] == [[row[key] for key in shown] for row in parts.rows]
    assert told[0][-1] == seen[0]  # where it stopped was told, also between two rows
    assert told[-1] == [24, 48, 64]


def test_a_step_is_made_however_little_time_there_is(tmp_path: Path) -> None:
    assert [go(tmp_path, wall_seconds=1e-9).seen_images for _ in range(3)] == [8, 16, 24]
    with pytest.raises(TrainError, match="wall_seconds"):
        TrainConfig(wall_seconds=-1)


def test_without_a_limit_or_within_it_all_is_seen(tmp_path: Path) -> None:
    assert go(tmp_path / "a").seen_images == 64
    assert go(tmp_path / "b", wall_seconds=1e6).seen_images == 64


def test_a_notebook_says_how_far_it_came_and_what_was_trained_longer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[tuple[str, dict[str, dict[str, bool]]]] = []
    monkeypatch.setattr("IPython.display.display", lambda one, metadata: shown.append((one.data, metadata)))
    space = lf.get_space("sd1")

    def made(seen: int) -> lf.Approximation:
        card = {"seen_images": seen, "config": {"n_images": 5000}}
        return lf.Approximation(CellDecoder(4, 8, 1), space, 8, name="x", card=card)

    bundled = lf.save(lf.Approximation(CellDecoder(4, 8, 1), space, 8, name="y", card={
        "seen_images": 4000, "begun_from": {"seen_images": 30_000}}), tmp_path / "longer.safetensors")  # fmt: skip
    say_training({"whole": made(5008)}, {"longer †": bundled, "none": tmp_path / "none.safetensors"})
    say_training({"whole": made(5000), "stopped": made(3200)})
    (text, metadata), (stopped, its_metadata) = shown
    assert "*whole*: 5,000 of 5,000 crops" in text
    assert "*longer †*, trained longer, comes along: 34,000 crops" in text
    assert "none" not in text
    assert "goes on" not in text
    assert metadata == {"latentfit": {"goes_on": False}}
    assert "*stopped*: 3,200 of 5,000 crops; its time was up, **the next run of this notebook goes on" in stopped
    assert its_metadata == {"latentfit": {"goes_on": True}}


def test_metrics_of_a_run_that_stopped_before_its_first_row_are_there(tmp_path: Path) -> None:
    from latentfit.train import MetricsCsv

    torch.manual_seed(0)
    train(
        CellDecoder(4, 8, 1), Objective({"mse": 1.0}), Noise(), replace(CONFIG, wall_seconds=1e-9),
        tmp_path / "checkpoint.pt", callbacks=[MetricsCsv(tmp_path / "metrics.csv")], device="cpu", progress=False,
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "metrics.csv")["seen_images"].tolist() == [8]
