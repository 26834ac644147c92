"""Training: a killed run ends at the same weights, two processes are one with twice the batch, NaN stops a run."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import latentfit as lf
from latentfit import runtime as parallel
from latentfit import train as losses_of
from latentfit.cli import main
from latentfit.errors import BadFileError, LatentfitError, SpaceMismatchError, TrainError
from latentfit.nets import CellDecoder, PatchDiscriminator, TinyDecoder, TinyEncoder
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.scores import LEAST_MS_SSIM_PX
from latentfit.train import (
    PRESETS,
    CropSource,
    MetricsCsv,
    Objective,
    Preset,
    TrainConfig,
    load_state,
    preset_names,
    rate_factor,
    train,
    train_decoder,
    train_encoder,
)
from tests.support.paths import environment

QUICK = TrainConfig(n_images=64, batch_images=8, warmup_images=16, log_images=16, ema_images=8, lr=1e-2)
SMALL = Preset("small", lambda space: CellDecoder(space.channels, 8, 1), 6, 1, {"charbonnier": 1.0, "gradient": 0.1})


def write_store(folder: Path, n_samples: int = 12, cells: int = 10, first: int = 0) -> PairStore:
    """Pictures that are a fixed linear function of their latents, enlarged."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(n_samples, 4, cells, cells, generator=generator)
    mixed = torch.einsum("nchw,cr->nrhw", latents, torch.randn(4, 3, generator=generator)) * 0.1 + 0.5
    rgb = torch.nn.functional.interpolate(mixed, scale_factor=8.0, mode="bilinear").clamp(0, 1)
    columns = columns_of(latents, rgb)
    samples = []
    for index in range(n_samples):
        sha256, box = f"{(index + first) * 7919 + 13:08x}" * 8, (0, 0, 8 * cells, 8 * cells)
        samples.append(Sample(sample_key(sha256, box), f"{index:02d}.png", sha256, "photograph", box, (cells, cells)))
    origin = Origin("fake", "a fake VAE", "f" * 64, lf.get_space("sd1"), 8 * cells)
    write_shard(folder, origin, samples, {**columns, "photo": columns["rgb"]})
    return PairStore(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    return write_store(tmp_path_factory.mktemp("store") / "pairs")


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return lf.load(path).module.state_dict()


def test_it_learns_and_keeps_a_record(store: PairStore, tmp_path: Path) -> None:
    config = replace(QUICK, n_images=1600, sample_images=800)
    made = train_decoder(store, SMALL, tmp_path / "a", config=config, progress=False)
    rows = pd.read_csv(tmp_path / "a.run" / "metrics.csv")
    assert rows["seen_images"].tolist()[-1] == 1600
    assert rows["loss"].iloc[-1] < 0.5 * rows["loss"].iloc[0]
    assert {"charbonnier", "gradient", "rate", "images_per_s"} <= set(rows.columns)
    assert {path.name for path in (tmp_path / "a.run" / "samples").iterdir()} == {"000000800.png", "000001600.png"}
    assert json.loads((tmp_path / "a.run" / "config.json").read_text())["lr"] == 1e-2
    assert list((tmp_path / "a.run" / "tensorboard").iterdir())
    assert not set(made.card["train_hashes"]) & {sample.sha256 for sample in store.split("test")}
    scores = lf.evaluate([made], store, split="test")
    assert scores[scores["image"] == "all"]["psnr"].min() > 24


def test_a_run_that_is_done_is_not_run_again(store: PairStore, tmp_path: Path) -> None:
    train_decoder(store, SMALL, tmp_path / "a", config=QUICK, progress=False)
    first, at = weights_of(tmp_path / "a.safetensors"), (tmp_path / "a.run" / "checkpoint.pt").stat().st_mtime_ns
    train_decoder(store, SMALL, tmp_path / "a", config=QUICK, progress=False)
    assert (tmp_path / "a.run" / "checkpoint.pt").stat().st_mtime_ns == at
    for name, tensor in weights_of(tmp_path / "a.safetensors").items():
        assert torch.equal(tensor, first[name])


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "prodigy", "lamb"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_a_run_in_two_parts_is_a_run_in_one(store: PairStore, tmp_path: Path, optimizer: str, schedule: str) -> None:
    class Stop(Exception):
        pass

    def stop(model: nn.Module, rows: list[dict[str, float]], seen_images: int) -> None:
        if seen_images == 48 and not (tmp_path / "went on").exists():
            raise Stop

    config = replace(
        QUICK, optimizer=optimizer, schedule=schedule, checkpoint_seconds=0.0, accumulate=2, batch_images=4
    )
    weights = {"l1": 1.0, "gan": 0.1, "features": 0.1}

    def go(checkpoint: Path, callbacks: list) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        source = CropSource(store, store.samples, 6)
        objective = Objective(weights, PatchDiscriminator(3, 4))
        model = CellDecoder(4, 8, 1)
        return train(
            model, objective, source, config, checkpoint, callbacks=callbacks, progress=False
        ).model.state_dict()

    whole = go(tmp_path / "whole.pt", [])
    with pytest.raises(Stop):
        go(tmp_path / "parts.pt", [stop])
    (tmp_path / "went on").touch()
    parts = go(tmp_path / "parts.pt", [])
    for name in whole:
        assert torch.equal(whole[name], parts[name]), name


LONGER = replace(QUICK, n_images=800, checkpoint_seconds=0.0)
SCRIPT = """
import sys
from pathlib import Path
import torch
from tests.train.test_training import LONGER, SMALL
from latentfit.pairs import PairStore
from latentfit.train import train_decoder
torch.set_num_threads(1)
train_decoder(PairStore(sys.argv[1]), SMALL, sys.argv[2], config=LONGER, progress=False)
"""


def test_killed_at_any_moment_it_ends_at_the_same_weights(store: PairStore, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)

    def start(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(script), str(store.path), str(tmp_path / out)]
        with (tmp_path / "stderr").open("w") as errors:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment())

    train_decoder(store, SMALL, tmp_path / "whole", config=LONGER, progress=False)
    draw, kills = random.Random(1), 0
    checkpoint = tmp_path / "killed.run" / "checkpoint.pt"
    for _ in range(3):
        process = start("killed")
        before, deadline = _mtime(checkpoint), time.monotonic() + 600
        while _mtime(checkpoint) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.4))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 1, (tmp_path / "stderr").read_text()
    train_decoder(store, SMALL, tmp_path / "killed", config=LONGER, progress=False)
    first, second = weights_of(tmp_path / "whole.safetensors"), weights_of(tmp_path / "killed.safetensors")
    for name in first:
        assert torch.equal(first[name], second[name]), name
    states = [load_state_plain(tmp_path / f"{name}.run" / "checkpoint.pt") for name in ("whole", "killed")]
    for part in ("model", "averaged"):
        for name in states[0][part]:
            assert torch.equal(states[0][part][name], states[1][part][name])
    curves = [pd.read_csv(tmp_path / f"{name}.run" / "metrics.csv")["loss"] for name in ("whole", "killed")]
    assert curves[0].tolist() == curves[1].tolist()


def _mtime(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def load_state_plain(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    return torch.load(path, weights_only=True)["tensors"]


RANKS = """
import sys
from pathlib import Path
import torch
from tests.train.test_training import run_rank
from latentfit import runtime as parallel
from latentfit.pairs import PairStore
torch.set_num_threads(1)
parallel.start_ranks()
run_rank(PairStore(sys.argv[1]), Path(sys.argv[2]))
parallel.stop_ranks()
"""


def run_rank(store: PairStore, out: Path) -> None:
    """One process's part of a run of eight crops a batch."""
    out.mkdir(exist_ok=True)
    torch.manual_seed(0)
    config = replace(QUICK, batch_images=8 // parallel.world_size())
    source, curve = CropSource(store, store.samples, 6), MetricsCsv(out / "m.csv")
    train(CellDecoder(4, 8, 1), Objective({"l1": 1.0}), source, config, out / "c.pt", callbacks=[curve], progress=False)
    (out / f"rank{parallel.rank()}of{parallel.world_size()}").touch()


def test_two_processes_are_one_with_twice_the_batch(store: PairStore, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(RANKS)
    out = tmp_path / "2"
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc_per_node=2"]
    done = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "run.py"), str(store.path), str(out)],
        capture_output=True, timeout=1800, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert {path.name for path in out.glob("rank*")} == {"rank0of2", "rank1of2"}
    run_rank(store, tmp_path / "1")
    assert (tmp_path / "1" / "rank0of1").exists()
    curves = [torch.tensor(pd.read_csv(tmp_path / n / "m.csv")["loss"]) for n in "12"]
    torch.testing.assert_close(curves[1], curves[0], rtol=1e-4, atol=0)


def test_nan_stops_the_run_and_keeps_the_checkpoint(store: PairStore, tmp_path: Path) -> None:
    class Broken(Objective):
        def losses(self, model, batch):
            found = super().losses(model, batch)
            if broken:
                found["loss"] = found["loss"] * float("nan")
            return found

    source, config = CropSource(store, store.samples, 6), replace(QUICK, checkpoint_seconds=0.0, n_images=32)
    broken, path = False, tmp_path / "c.pt"
    train(CellDecoder(4, 8, 1), Broken({"l1": 1.0}), source, config, path, progress=False)
    kept = path.read_bytes()
    broken = True
    with pytest.raises(TrainError, match=r"other settings: n_images 32 there and 64 here"):
        train(CellDecoder(4, 8, 1), Broken({"l1": 1.0}), source, replace(config, n_images=64), path, progress=False)
    assert path.read_bytes() == kept
    with pytest.raises(TrainError, match=r"no longer finite after .* images.*smaller rate than 0.01"):
        train(CellDecoder(4, 8, 1), Broken({"l1": 1.0}), source, config, tmp_path / "d.pt", progress=False)
    assert not (tmp_path / "d.pt").exists()


def test_a_spoilt_adversary_never_replaces_a_good_checkpoint(store: PairStore, tmp_path: Path) -> None:
    class Spoilt(Objective):
        steps = 0

        def adversary_loss(self, adversary, losses):
            self.steps += 1
            return super().adversary_loss(adversary, losses) * (float("inf") if self.steps == 3 else 1.0)

    source, config = CropSource(store, store.samples, 6), replace(QUICK, checkpoint_seconds=0.0, clip=0.0)
    spoilt = Spoilt({"l1": 1.0, "gan": 0.1}, PatchDiscriminator(3, 4))
    with pytest.raises(TrainError, match="no longer finite after"):
        train(CellDecoder(4, 8, 1), spoilt, source, config, tmp_path / "c.pt", progress=False)
    kept = torch.load(tmp_path / "c.pt", weights_only=True)
    assert kept["seen_images"] == 16
    assert all(bool(tensor.isfinite().all()) for tensor in kept["tensors"]["adversary"].values())


def test_the_closed_form_stays_as_least_squares_found_it(store: PairStore, tmp_path: Path) -> None:
    preset = replace(PRESETS["cell-small"], make=lambda space: CellDecoder(space.channels, 8, 1), crop_cells=8)
    trained = train_decoder(
        store, preset, tmp_path / "a", config=replace(preset.config, n_images=64), split="all", progress=False
    )
    values = lf.ChannelMap("3", scale=8).fit(store, split="all").module_.coefficients
    skip = trained.module.skip
    torch.testing.assert_close(skip.bias, values[0] / 2 + 0.5, atol=1e-6, rtol=0)
    torch.testing.assert_close(skip.weight.flatten(1), values[1:].T / 2, atol=1e-6, rtol=0)
    assert max(float(p.detach().abs().max()) for p in trained.module.body[-2].parameters()) > 1e-4  # was zero


def test_another_stores_run_is_not_taken_over(store: PairStore, tmp_path: Path) -> None:
    preset = replace(PRESETS["cell-small"], make=lambda space: CellDecoder(space.channels, 8, 1), crop_cells=8)
    config = replace(QUICK, n_images=16)
    train_decoder(store, preset, tmp_path / "a", config=config, split="all", progress=False)
    wider = replace(preset, make=lambda space: CellDecoder(space.channels, 12, 1))
    with pytest.raises(TrainError, match="other settings: network"):
        train_decoder(store, wider, tmp_path / "a", config=config, split="all", progress=False)
    other = write_store(tmp_path / "other", len(store.samples), 10, first=100)
    with pytest.raises(TrainError, match="other settings: samples"):
        train_decoder(other, preset, tmp_path / "a", config=config, split="all", progress=False)
    elsewhere = lf.Approximation(CellDecoder(4, 8, 1), "sdxl", 8)
    with pytest.raises(SpaceMismatchError, match="begin from one of the same space"):
        train_decoder(store, preset, tmp_path / "b", config=config, begin=elsewhere, progress=False)


@pytest.mark.parametrize(
    "blob", [b"", b"no checkpoint", b"\x80\x04\x95cos\nsystem\n(S'touch pwned'\ntR."], ids=["empty", "text", "pickle"]
)
def test_damaged_checkpoints_are_named(blob: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(blob)
    with pytest.raises(TrainError, match=r"c\.pt: not a whole checkpoint.*remove it"):
        load_state(tmp_path / "c.pt", {})
    assert not Path("pwned").exists()


def test_a_full_disk_keeps_the_checkpoint_before(
    store: PairStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from latentfit.runtime import write_atomic as real

    calls: list[Path] = []

    def full(path: Path, blob: bytes) -> Path:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(path, blob)

    monkeypatch.setattr("latentfit.train.checkpoint.write_atomic", full)
    source, config = CropSource(store, store.samples, 6), replace(QUICK, checkpoint_seconds=0.0)
    with pytest.raises(TrainError, match=r"No space left.*the one before is still there"):
        train(CellDecoder(4, 8, 1), Objective({"l1": 1.0}), source, config, tmp_path / "c.pt", progress=False)
    assert torch.load(tmp_path / "c.pt", weights_only=True)["seen_images"] == 16


def test_crops_are_a_function_of_the_image_alone(store: PairStore) -> None:
    source, again = (CropSource(store, store.samples, 6, seed=5) for _ in range(2))
    whole = source.batch(range(30))
    for image in (17, 3, 29):
        one = again.batch([image])
        assert torch.equal(one["input"][0], whole["input"][image])
        assert torch.equal(one["target"][0], whole["target"][image])
    other = CropSource(store, store.samples, 6, seed=6).batch(range(30))
    assert not torch.equal(other["input"], whole["input"])


def test_crops_lie_on_cells(store: PairStore) -> None:
    stored = torch.cat([batch.latents for batch in store.batches()])
    small = CropSource(store, store.samples, 4, target="rgb")
    batch = small.batch(range(8))
    rgb = torch.cat([part.rgb for part in store.batches(columns=("rgb",))])
    for latents, picture in zip(batch["input"], batch["target"], strict=True):
        windows = stored.unfold(2, 4, 1).unfold(3, 4, 1).permute(0, 2, 3, 1, 4, 5)
        sample, top, left = (windows == latents).all(-1).all(-1).all(-1).nonzero()[0].tolist()
        assert torch.equal(rgb[sample, :, 8 * top : 8 * top + 32, 8 * left : 8 * left + 32], picture)


@pytest.mark.parametrize("encodes", [False, True])
def test_losses_leave_out_the_rims_that_are_not_the_pictures_own(store: PairStore, encodes: bool) -> None:
    source = CropSource(store, store.samples, 6, "rgb", encodes=encodes, border_cells=2)
    scale = 1 if encodes else 8
    batch, stored = source.batch(range(40)), torch.cat([part.latents for part in store.batches()])
    latents, seen = batch["target" if encodes else "input"], set()
    for crop, inside in zip(latents, batch["inside"], strict=True):
        windows = stored.unfold(2, 6, 1).unfold(3, 6, 1).permute(0, 2, 3, 1, 4, 5)
        _, top, left = (windows == crop).all(-1).all(-1).all(-1).nonzero()[0].tolist()
        expected = torch.zeros(6, 6)
        rows, columns = (slice(2 * (start > 0), 6 - 2 * (start < 4)) for start in (top, left))
        expected[rows, columns] = 1
        assert torch.equal(inside[0], expected.repeat_interleave(scale, 0).repeat_interleave(scale, 1))
        seen.add((top, left))
    assert {0, 4} <= {top for top, _ in seen}
    assert {0, 4} <= {left for _, left in seen}
    made = batch["target"] + torch.where(batch["inside"] > 0, 0.0, 1.0)
    losses = Objective({"l1": 1.0}).losses(lambda _: made, batch)
    assert float(losses["loss"]) == 0
    losses = Objective({"l1": 1.0}).losses(lambda _: made, {"input": batch["input"], "target": batch["target"]})
    assert float(losses["loss"]) > 0.1


def test_kinds_are_drawn_as_often_as_their_weights_say(store: PairStore) -> None:
    samples = [
        replace(sample, kind="chart" if index < 3 else "photograph") for index, sample in enumerate(store.samples)
    ]
    drawn = CropSource(store, samples, 10, weights={"chart": 0.25}).batch(range(2000))["input"].sum((1, 2, 3))
    sums = torch.cat([batch.latents for batch in store.batches()]).sum((1, 2, 3))
    counts = torch.stack([(drawn - value).abs() < 1e-3 for value in sums]).sum(1).double()
    expected = torch.tensor([0.25 if sample.kind == "chart" else 1.0 for sample in samples], dtype=torch.float64)
    expected *= 2000 / expected.sum()
    assert float(((counts - expected).square() / expected).sum()) < 40  # chi², 11 degrees of freedom
    with pytest.raises(TrainError, match="leave no sample to draw"):
        CropSource(store, samples[:3], 10, weights={"chart": 0.0})


def test_a_run_begins_from_a_trained_network(store: PairStore, tmp_path: Path) -> None:
    preset = replace(PRESETS["cell-small"], make=lambda space: CellDecoder(space.channels, 8, 1), crop_cells=8)
    config = replace(QUICK, n_images=64, lr=1e-3)
    first = train_decoder(store, preset, tmp_path / "first", config=config, progress=False)
    still = train_decoder(
        store, preset, tmp_path / "still", config=replace(config, lr=0.0), begin=first, progress=False
    )
    elsewhere = lf.Approximation(first.module, first.space, 8, card={"train_hashes": ["f" * 64]})
    both = train_decoder(store, preset, tmp_path / "both", config=config, begin=elsewhere, progress=False)
    assert set(both.card["train_hashes"]) == {"f" * 64, *first.card["train_hashes"]}
    for before, after in zip(first.module.parameters(), still.module.parameters(), strict=True):
        assert torch.equal(before, after)
    moved = train_decoder(store, preset, tmp_path / "moved", config=config, begin=first, progress=False)
    assert any(not torch.equal(a, b) for a, b in zip(moved.module.parameters(), first.module.parameters(), strict=True))
    with pytest.raises(BadFileError, match="that differ at"):
        train_decoder(
            store,
            preset,
            tmp_path / "other",
            config=config,
            begin=lf.Approximation(CellDecoder(4, 12, 1), "sd1", 8),
            progress=False,
        )
    with pytest.raises(TrainError, match="begun_from"):
        train_decoder(store, preset, tmp_path / "moved", config=config, begin=moved, progress=False)


def test_all_pictures_or_the_training_ones(store: PairStore, tmp_path: Path) -> None:
    preset = replace(PRESETS["cell-small"], make=lambda space: CellDecoder(space.channels, 8, 1), crop_cells=8)
    config = replace(QUICK, n_images=16)
    some = train_decoder(store, preset, tmp_path / "some", config=config, progress=False)
    every = train_decoder(store, preset, tmp_path / "every", config=config, split="all", progress=False)
    assert set(every.card["train_hashes"]) == {sample.sha256 for sample in store.samples}
    assert set(some.card["train_hashes"]) == {sample.sha256 for sample in store.split("train")}


def test_what_cannot_be_trained_is_named(store: PairStore, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"no sample is as large as a crop of 11 cells .* is 10\)"):
        CropSource(store, store.samples, 11)
    with pytest.raises(TrainError, match="expected one of cell-small"):
        train_decoder(store, "cel", tmp_path / "a")
    with pytest.raises(TrainError, match="losses: expected some of"):
        Objective({"gan": 1.0})
    with pytest.raises(TrainError, match=r"MS-SSIM: expected pictures of 176 px or more"):
        losses_of.PIXEL_LOSSES["ms_ssim"](torch.rand(1, 3, 160, 200), torch.rand(1, 3, 160, 200))
    with pytest.raises(TrainError, match=r"n_images: expected 1 or more, got 0"):
        TrainConfig(n_images=0)
    for wrong, said in (
        ({"optimizer": "sgd"}, "expected one of adamw, muon, prodigy, lamb"),
        ({"schedule": "linear"}, "expected one of constant"),
        ({"precision": "fp32"}, "expected one of no, bf16, fp16"), ({"betas": (0.9, 1.5)}, "less than 1"),
    ):  # fmt: skip
        with pytest.raises(TrainError, match=said):
            TrainConfig(**wrong)
    with pytest.raises(TrainError, match=r"lr: expected a finite number"):
        TrainConfig(lr=float("nan"))


@pytest.mark.parametrize("name", losses_of.PIXEL_LOSSES)
def test_losses_are_zero_at_the_target_and_fall_towards_it(name: str) -> None:
    loss = losses_of.PIXEL_LOSSES[name]
    generator = torch.Generator().manual_seed(0)
    target = torch.nn.functional.interpolate(
        torch.rand(2, 3, 24, 24, generator=generator), size=(192, 192), mode="bilinear"
    )
    noise = torch.randn(target.shape, generator=generator)
    values = [float(loss(target + amount * noise, target)) for amount in (0.0, 0.01, 0.1)]
    assert values[0] == pytest.approx(1e-3 if name == "charbonnier" else 0.0, abs=1e-6)
    assert values[0] < values[1] < values[2]
    doubled = loss(torch.cat([target + 0.1 * noise] * 2), torch.cat([target] * 2))
    assert float(doubled) == pytest.approx(values[2], rel=1e-4)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_rates_rise_and_fall(schedule: str) -> None:
    config = TrainConfig(n_images=1000, warmup_images=100, schedule=schedule)
    factors = [rate_factor(config, seen) for seen in range(1001)]
    assert min(factors) >= 0
    assert max(factors) == pytest.approx(1)
    assert factors[50] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(1 if schedule == "constant" else 0)


def test_every_preset_can_be_made_and_has_what_its_losses_need() -> None:
    for name in preset_names("decoder", "encoder"):
        preset = PRESETS[name]
        space = lf.get_space("flux1")
        module = preset.make(space)
        scale = preset.scale or space.cell_px
        latents = torch.randn(1, 16, preset.crop_cells, preset.crop_cells)
        if preset.encodes:
            assert module(torch.rand(1, 3, 8 * preset.crop_cells, 8 * preset.crop_cells)).shape == latents.shape
            continue
        made = module(latents)
        assert made.shape[-1] == preset.crop_cells * scale, name
        if "ms_ssim" in preset.losses:
            assert made.shape[-1] >= LEAST_MS_SSIM_PX


def test_from_the_command_line(store: PairStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mlp.safetensors"
    flags = ["--store", str(store.path), "--out", str(out)]
    assert main(["train", "decoder", *flags, "--preset", "pixel-mlp", "--images", "64"]) == 2
    assert "no sample is as large as a crop of 32 cells" in capsys.readouterr().err
    assert main(["train", "decoder", *flags, "--preset", "mlp"]) == 2
    assert "expected one of cell-small, cell, cell-large" in capsys.readouterr().err
    for kind, lacking in (("decoder", ["--preset", "cell"]), ("encoder", ["--store", str(store.path)])):
        with pytest.raises(SystemExit) as stopped:
            main(["train", kind, "--out", str(out), *lacking])
        assert stopped.value.code == 2
        assert f"latentfit: train {kind}: expected --" in capsys.readouterr().err
    assert main(["train", "encoder", *flags, "--preset", "cell"]) == 2
    assert "preset 'cell': expected one of an encoder, got one of a decoder" in capsys.readouterr().err
    large = write_store(tmp_path / "large", 6, 32)
    flags[1] = str(large.path)
    assert main(["train", "decoder", *flags, "--preset", "pixel-mlp", "--images", "64", "--batch", "4"]) == 0
    said = capsys.readouterr()
    assert "mlp.safetensors: pixel-mlp, 255 numbers, 64 crops seen" in said.out
    assert "image/s" in said.err
    assert main(["evaluate", str(out), "--store", str(large.path)]) == 0
    assert main(["train", "decoder", *flags, "--preset", "pixel-mlp", "--images", "64", "--lr", "0.5"]) == 2
    assert "belongs to a run with other settings" in capsys.readouterr().err
    again = ["--preset", "pixel-mlp", "--images", "8", "--batch", "4", "--begin", str(out), "--samples", "4"]
    begun = tmp_path / "begun"
    assert main(["train", "decoder", *flags[:2], "--out", str(begun), *again]) == 0
    assert f"its curve and samples: {begun}.run" in capsys.readouterr().out
    assert lf.load(begun.with_suffix(".safetensors")).card["begun_from"]["form"] == "pixel-mlp"
    pictures = ["train", "encoder", *flags[:2], "--out", str(tmp_path / "e"), "--preset", "mini-encoder"]
    assert main([*pictures, "--images", "2", "--batch", "1"]) == 0
    assert f"e.safetensors: mini-encoder\nits curve: {tmp_path / 'e.run'}\n" in capsys.readouterr().out


def test_an_encoder_learns_the_latents_and_makes_a_pair(store: PairStore, tmp_path: Path) -> None:
    preset = Preset("e", lambda space: TinyEncoder(space.channels, 8), 6, 1, {"l1": 1.0}, target="photo", encodes=True)
    config = replace(QUICK, n_images=640, lr=3e-3)
    train_encoder(store, preset, tmp_path / "own_encoder", config=config, progress=False)
    rows = pd.read_csv(tmp_path / "own_encoder.run" / "metrics.csv")
    assert rows["loss"].iloc[-1] < 0.95 * rows["loss"].iloc[0]
    decoder = Preset("d", lambda space: TinyDecoder(space.channels, 8), 6, 1, {"l1": 1.0})
    train_decoder(store, decoder, tmp_path / "own_decoder", config=QUICK, progress=False)
    vae = lf.Vae.load(str(tmp_path / "own"), space="sd1", device="cpu")
    assert vae.decode(vae.encode(torch.rand(1, 3, 32, 40))).shape == (1, 3, 32, 40)
    with pytest.raises(TrainError, match="expected one of an encoder, got one of a decoder"):
        train_encoder(store, decoder, tmp_path / "x")


def test_the_adversary_too_is_drawn_from_the_seed(store: PairStore, tmp_path: Path) -> None:
    preset = replace(SMALL, losses={"l1": 1.0, "gan": 0.1})
    for name in ("a", "b"):
        torch.manual_seed(ord(name))  # whatever went on before in the process
        train_decoder(store, preset, tmp_path / name, config=QUICK, progress=False)
    first, second = (weights_of(tmp_path / f"{name}.safetensors") for name in ("a", "b"))
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_weights_that_a_step_spoilt_do_not_replace_good_ones(store: PairStore, tmp_path: Path) -> None:
    class Spoiling(Objective):
        def losses(self, model, batch):
            found = super().losses(model, batch)
            steps.append(1)
            if len(steps) == 3:  # the loss is fine, its gradient is not
                found["loss"].register_hook(lambda gradient: gradient * float("inf"))
            return found

    steps: list[int] = []
    config = replace(QUICK, checkpoint_seconds=0.0, log_images=1000, n_images=24, clip=0.0)
    path, source = tmp_path / "c.pt", CropSource(store, store.samples, 6)
    with pytest.raises(TrainError, match=r"a weight .* is no longer finite after 24 images; the last good checkpoint"):
        train(CellDecoder(4, 8, 1), Spoiling({"l1": 1.0}), source, config, path, progress=False)
    state = torch.load(path, weights_only=True)
    assert state["seen_images"] == 16
    assert all(bool(tensor.isfinite().all()) for tensor in state["tensors"]["model"].values())


def test_a_refused_run_leaves_the_config_that_it_finds(store: PairStore, tmp_path: Path) -> None:
    train_decoder(store, SMALL, tmp_path / "a", config=QUICK, progress=False)
    before = (tmp_path / "a.run" / "config.json").read_text()
    with pytest.raises(TrainError, match="other settings"):
        train_decoder(store, SMALL, tmp_path / "a", config=replace(QUICK, lr=0.5), progress=False)
    assert (tmp_path / "a.run" / "config.json").read_text() == before


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a device to fall back from")
def test_a_device_that_is_not_there_is_no_silent_cpu(store: PairStore, tmp_path: Path) -> None:
    with pytest.raises(LatentfitError, match="expected one of auto, cpu"):
        train_decoder(store, SMALL, tmp_path / "a", config=QUICK, device="cuda", progress=False)
