"""Training palettized decoders: targets beside the store, losses, kills, and folders laid out as pixelvae's."""

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
from safetensors.torch import save_file
from torch import nn

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import PaletteError, SpaceMismatchError, StoreError, TrainError
from latentfit.images import save_png
from latentfit.latents import write_latents
from latentfit.nets import CellPalette, PixelVae
from latentfit.pairs import Origin, PairStore, Sample, collect_pixelvae, columns_of, sample_key, write_shard
from latentfit.palettes import Palette, PaletteTargets, Palettizing, palette_of, palettize
from latentfit.train import (
    PRESETS,
    ClassCrops,
    ClassObjective,
    CropSource,
    PalettePreset,
    TrainConfig,
    class_weights,
    preset_names,
    train,
    train_palette,
)
from tests.support.fake_vae import FakeVae
from tests.support.paths import environment

PICO = Palette.load("pico-8")
HOW = Palettizing(PICO)
QUICK = TrainConfig(n_images=64, batch_images=8, warmup_images=16, log_images=16, ema_images=8, lr=1e-2)
SMALL = PalettePreset("small", lambda space, palette: CellPalette(space.channels, palette.colours, 8, 1), 6, 1)
PLAIN = PalettePreset("plain", lambda space, palette: PixelVae(space.channels, len(palette), 8), 6, 1)


def write_store(folder: Path, n_samples: int = 12, cells: int = 10) -> PairStore:
    """Pictures whose cells are a fixed linear function of their latents, with a bright corner in each cell."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(n_samples, 4, cells, cells, generator=generator)
    mixed = torch.einsum("nchw,cr->nrhw", latents, torch.randn(4, 3, generator=generator)) * 0.15 + 0.5
    rgb = torch.nn.functional.interpolate(mixed, scale_factor=8.0).clamp(0, 1)
    rgb[:, :, ::8, ::8] = 1
    samples = []
    for index in range(n_samples):
        sha256, box = f"{index * 7919 + 13:08x}" * 8, (0, 0, 8 * cells, 8 * cells)
        samples.append(Sample(sample_key(sha256, box), f"{index:02d}.png", sha256, "photograph", box, (cells, cells)))
    origin = Origin("fake", "a fake VAE", "f" * 64, lf.get_space("sd1"), 8 * cells)
    for part in (slice(0, 4), slice(4, None)):
        write_shard(folder, origin, samples[part], {name: v[part] for name, v in columns_of(latents, rgb).items()})
    return PairStore(folder)


@pytest.fixture
def store(tmp_path: Path) -> PairStore:
    return write_store(tmp_path / "pairs")


def test_it_learns_and_its_file_says_what(store: PairStore, tmp_path: Path) -> None:
    config = replace(QUICK, n_images=800, sample_images=400, optimizer="muon", lr=0.1)
    made = train_palette(store, HOW, SMALL, tmp_path / "a", config=config, progress=False)
    rows = pd.read_csv(tmp_path / "a.run" / "metrics.csv")
    assert rows["seen_images"].iloc[-1] == 800
    assert rows["cross_entropy"].iloc[-1] < 0.7 * rows["cross_entropy"].iloc[0]
    assert rows["accuracy"].iloc[-1] > 0.6
    assert {path.name for path in (tmp_path / "a.run" / "samples").iterdir()} == {"000000400.png", "000000800.png"}
    written = json.loads((tmp_path / "a.run" / "config.json").read_text())
    assert written["palette"]["colours"] == PICO.hex
    again = lf.load(tmp_path / "a.safetensors")
    latents = torch.randn(1, 4, 9, 7)
    assert torch.equal(again.indices(latents), made.indices(latents))
    assert palette_of(again).hex == PICO.hex
    assert again.card["targets"] == {"palette": "pico-8", "method": "k-centroid", "dither": "none", "strength": 1.0}
    assert set(again.card["train_hashes"]) == {sample.sha256 for sample in store.split("train")}


@pytest.mark.parametrize("preset", [SMALL, PLAIN], ids=lambda preset: preset.title)
def test_a_run_in_two_parts_is_a_run_in_one(store: PairStore, tmp_path: Path, preset: PalettePreset) -> None:
    class Stop(Exception):
        pass

    def stop(model: nn.Module, rows: list[dict[str, float]], seen_images: int) -> None:
        if seen_images == 48:
            raise Stop

    config = replace(QUICK, optimizer="muon", checkpoint_seconds=0.0, accumulate=2, batch_images=4)

    def go(checkpoint: Path, callbacks: list) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        crops = CropSource(store, store.samples, 6, "cells", 1, border_cells=1)
        objective = ClassObjective(PICO, torch.arange(1, 17), 0.5, 2.0)
        source = ClassCrops(crops, PaletteTargets(store, HOW))
        model = preset.make(store.space, PICO)
        made = train(model, objective, source, config, checkpoint, callbacks=callbacks, progress=False)
        return made.model.state_dict()

    whole = go(tmp_path / "whole.pt", [])
    with pytest.raises(Stop):
        go(tmp_path / "parts.pt", [stop])
    parts = go(tmp_path / "parts.pt", [])
    for name in whole:
        assert torch.equal(whole[name], parts[name]), name


LONGER = replace(QUICK, n_images=400, checkpoint_seconds=0.0)
SCRIPT = """
import sys
import torch
from tests.train.test_train_palette import HOW, LONGER, SMALL
from latentfit.pairs import PairStore
from latentfit.train import train_palette
torch.set_num_threads(1)
train_palette(PairStore(sys.argv[1]), HOW, SMALL, sys.argv[2], config=LONGER, progress=False)
"""


def test_killed_at_any_moment_it_ends_at_the_same_decoder(store: PairStore, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)

    def start(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(tmp_path / "run.py"), str(store.path), str(tmp_path / out)]
        with (tmp_path / "stderr").open("w") as errors:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment())

    draw, checkpoint = random.Random(2), tmp_path / "killed.run" / "checkpoint.pt"
    process, deadline = start("killed"), time.monotonic() + 600
    while not checkpoint.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.3))
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert was_running, (tmp_path / "stderr").read_text()
    for out in ("killed", "whole"):
        train_palette(store, HOW, SMALL, tmp_path / out, config=LONGER, progress=False)
    first, second = (lf.load(tmp_path / f"{out}.safetensors").module.state_dict() for out in ("whole", "killed"))
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_targets_are_the_palettized_pictures_made_once(store: PairStore) -> None:
    targets = PaletteTargets(store, HOW)
    for batch in store.batches(columns=["rgb"]):
        wanted = palettize(batch.rgb, PICO, 8)
        for sample, classes in zip(batch.samples, wanted, strict=True):
            assert torch.equal(torch.from_numpy(targets[sample]).long(), classes)
    assert targets.counts(store.samples).sum() == 12 * 100
    files = sorted(targets.folder.iterdir())
    assert [path.name for path in files] == sorted({sample.shard for sample in store.samples})
    before = [path.stat().st_mtime_ns for path in files]
    renamed = Palette(PICO.colours, "another name")
    again = PaletteTargets(store, Palettizing(renamed))
    assert again.folder == targets.folder
    assert [path.stat().st_mtime_ns for path in files] == before
    assert len(PairStore(store.path)) == 12


def test_targets_are_told_apart_by_what_decides_them(store: PairStore) -> None:
    turned = Palette(PICO.colours.flip(0), "pico-8")
    others = [Palettizing(turned), Palettizing(PICO, "vote"), Palettizing(PICO, "nearest", "bayer-2")]
    folders = {PaletteTargets(store, how).folder for how in [HOW, *others]}
    assert len(folders) == 4
    with pytest.raises(PaletteError, match="expected a method of k-centroid, vote, nearest"):
        Palettizing(PICO, "mean")
    with pytest.raises(PaletteError, match="'vote' leaves no colours to dither"):
        Palettizing(PICO, "vote", "bayer-2")


def test_broken_targets_are_made_again_and_edited_ones_refused(store: PairStore) -> None:
    targets, sample = PaletteTargets(store, HOW), store.samples[0]
    wanted, path = targets[sample].copy(), targets.folder / sample.shard
    path.write_bytes(path.read_bytes()[:80])
    assert (PaletteTargets(store, HOW)[sample] == wanted).all()
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(bytes(blob))
    with pytest.raises(StoreError, match="was edited or damaged; delete it"):
        PaletteTargets(store, HOW)[next(s for s in store.samples if s.shard == sample.shard)]


def test_targets_follow_a_shard_that_was_collected_anew(store: PairStore, tmp_path: Path) -> None:
    first = PaletteTargets(store, HOW).counts(store.samples)
    for path in store.path.glob("*.safetensors"):
        path.unlink()
    other = write_store(tmp_path / "pairs", cells=12)
    assert PaletteTargets(other, HOW).counts(other.samples).sum() != first.sum()


def test_a_store_of_cells_has_nothing_to_palettize(store: PairStore, tmp_path: Path) -> None:
    latents, rgb = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 64, 64)
    columns = {name: column for name, column in columns_of(latents, rgb).items() if name != "rgb"}
    sample = Sample(sample_key("0" * 64, (0, 0, 64, 64)), "a", "0" * 64, "photograph", (0, 0, 64, 64), (8, 8))
    write_shard(tmp_path / "cells", store.origin, [sample], columns)
    with pytest.raises(StoreError, match=r"keeps no rgb to palettize; collect it with keep='rgb'"):
        PaletteTargets(PairStore(tmp_path / "cells"), HOW)


def batch_of(n: int = 4, side: int = 6) -> dict[str, torch.Tensor]:
    inside = torch.ones(n, 1, side, side)
    inside[:, :, 0] = 0
    return {"input": torch.randn(n, 4, side, side), "target": torch.randint(0, 16, (n, side, side)), "inside": inside}


def test_cross_entropy_is_torchs_with_the_classes_weights() -> None:
    batch, network, counts = batch_of(), PixelVae(4, 16, 8), torch.arange(1, 17)
    batch["inside"][:] = 1
    logits = network(batch["input"])
    found = ClassObjective(PICO, counts, balance=0.5).losses(network, batch)
    weights = class_weights(counts, 0.5)
    theirs = nn.functional.cross_entropy(logits, batch["target"], weights, reduction="none").mean()
    torch.testing.assert_close(found["loss"], theirs)
    assert float(found["accuracy"]) == pytest.approx(float((logits.argmax(1) == batch["target"]).float().mean()))
    rare_to_common = weights[0] / weights[15]
    assert float(rare_to_common) == pytest.approx(4.0)


def test_the_expected_distance_is_the_palettes() -> None:
    class Sure(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(given), 16, *given.shape[-2:])
            logits[:, 7] = 100
            return logits

    batch = batch_of()
    objective = ClassObjective(PICO, torch.ones(16), oklab=3.0)
    for target in (7, 8):
        batch["target"][:] = target
        found = objective.losses(Sure(), batch)
        far = float((PICO.oklab[7] - PICO.oklab[target]).norm())
        assert float(found["oklab"]) == pytest.approx(far * 5 / 6, abs=1e-6)  # one row of six is left out
        torch.testing.assert_close(found["loss"], found["cross_entropy"] + 3 * found["oklab"])


def test_rims_teach_nothing_and_halves_of_a_batch_add_up() -> None:
    batch, network = batch_of(), PixelVae(4, 16, 8)
    objective = ClassObjective(PICO, torch.arange(1, 17), 1.0, 1.0)
    other = {**batch, "target": batch["target"].clone()}
    other["target"][:, 0] = (other["target"][:, 0] + 5) % 16
    halves = [{name: value[part] for name, value in batch.items()} for part in (slice(0, 2), slice(2, 4))]
    with torch.no_grad():
        whole, rim, first, second = (float(objective.losses(network, b)["loss"]) for b in (batch, other, *halves))
    assert whole == rim
    assert whole == pytest.approx((first + second) / 2, rel=1e-5)


def test_crops_are_as_small_as_most_samples_need(store: PairStore, tmp_path: Path) -> None:
    wide = PalettePreset("wide", PLAIN.make, 32, 1)
    train_palette(store, HOW, wide, tmp_path / "a", config=replace(QUICK, n_images=8), progress=False)
    assert json.loads((tmp_path / "a.run" / "config.json").read_text())["crop"] == [10, 1]


def test_what_cannot_be_learned_is_named(store: PairStore, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="expected balance of 0 to 1"):
        ClassObjective(PICO, torch.ones(16), balance=1.5)
    with pytest.raises(TrainError, match=r"scores: expected 16 classes of \(4, 6, 6\), got \(4, 55, 6, 6\)"):
        ClassObjective(PICO, torch.ones(16)).losses(PixelVae(4, 55, 8), batch_of())
    with pytest.raises(TrainError, match=r"one of a palette, got one of a decoder; .* take pixelvae, cell-palette"):
        train_palette(store, HOW, "cell", tmp_path / "a")
    with pytest.raises(TrainError, match=r"no sample is as large as a crop"):
        train_palette(store, HOW, "pixelvae", tmp_path / "a", samples=[])


def test_a_run_begins_from_another_decoder_of_as_many_classes(store: PairStore, tmp_path: Path) -> None:
    first = train_palette(store, HOW, PLAIN, tmp_path / "a", config=QUICK, progress=False)
    still = replace(QUICK, n_images=8, lr=0.0)
    ega = Palettizing(Palette.load("ega16"))
    second = train_palette(store, ega, PLAIN, tmp_path / "b", config=still, begin=first, progress=False)
    for name, tensor in first.module.state_dict().items():
        assert torch.equal(tensor, second.module.state_dict()[name])
    assert second.card["begun_from"]["targets"]["palette"] == "pico-8"
    nes = Palettizing(Palette.load("nes"))
    with pytest.raises(PaletteError, match=r"has 16 classes \(pico-8\), palette 'nes' has 55 colours"):
        train_palette(store, nes, PLAIN, tmp_path / "c", begin=first)
    elsewhere = lf.Approximation(first.module, "sdxl")
    with pytest.raises(SpaceMismatchError, match="is of space 'sdxl', the store of 'sd1'"):
        train_palette(store, HOW, PLAIN, tmp_path / "c", begin=elsewhere)


def test_every_preset_can_be_made() -> None:
    for name in preset_names("palette"):
        preset = PRESETS[name]
        network = preset.make(lf.get_space("flux1"), PICO)
        assert network(torch.randn(1, 16, 5, 6)).shape == (1, 16, 5, 6)


def write_folder(root: Path, sizes: dict[str, tuple[int, int]], channels: int = 4) -> Path:
    generator = torch.Generator().manual_seed(1)
    for name, (high, wide) in sizes.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        space = lf.get_space("sd1" if channels == 4 else "flux1")
        write_latents(root / name, torch.randn(1, channels, high, wide, generator=generator), space)
    return root


def test_a_folder_as_pixelvaes_keeps_its_test_set(tmp_path: Path) -> None:
    sizes = {"set1_train/0001.latent": (6, 8), "set1_train/0002.latent": (9, 7), "set1_test/0001.latent": (6, 6)}
    root = write_folder(tmp_path / "input", {**sizes, "more/a_test_1.latent": (6, 8)})
    save_png(torch.rand(3, 64, 64), root / "set1_train" / "a picture.png")
    found = collect_pixelvae(root, FakeVae(), tmp_path / "store", progress=False)
    assert {sample.name for sample in found.train} == {"set1_train/0001.latent", "set1_train/0002.latent"}
    assert {sample.name for sample in found.test} == {"set1_test/0001.latent", "more/a_test_1.latent"}
    assert {sample.size_cells for sample in found.store.samples} == {(6, 8), (9, 7), (6, 6)}
    made = train_palette(found.store, HOW, PLAIN, tmp_path / "a", config=QUICK, samples=found.train, progress=False)
    assert set(made.card["train_hashes"]) == {sample.sha256 for sample in found.train}


def test_a_latent_without_the_version_marker_is_read_as_comfyui_reads_it(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "input", {"a_test/1.latent": (6, 6), "a_train/new.latent": (6, 6)})
    space, latents = lf.get_space("sd1"), torch.randn(1, 4, 6, 6)
    save_file({"latent_tensor": space.to_raw(latents) * 0.18215}, root / "a_train" / "old.latent")
    store = collect_pixelvae(root, FakeVae(), tmp_path / "store", progress=False).store
    torch.testing.assert_close(store.sample("a_train/old.latent").latents, latents, atol=2e-3, rtol=0)


def test_folders_that_cannot_be_used_are_told_why(tmp_path: Path) -> None:
    def refused(name: str, sizes: dict[str, tuple[int, int]], said: str, channels: int = 4) -> None:
        root = write_folder(tmp_path / name, sizes, channels)
        root.mkdir(exist_ok=True)
        with pytest.raises(TrainError, match=said):
            collect_pixelvae(root, FakeVae(), tmp_path / f"{name} store", progress=False)

    one = {"set1_train/1.latent": (6, 6)}
    refused("no test", one, "no test set: none of its 1 latents has 'test' in its path")
    refused("all test", {"latest/1.latent": (6, 6)}, "all of its 1 latents have 'test' in their path")
    refused("empty", {}, "holds no .latent file")
    both = {**one, "set1_test/1.latent": (6, 6)}
    refused("wrong space", both, r"none of 2 .* expected \(N, 4, h, w\).* name the VAE of their space with vae", 16)


def test_a_test_set_of_another_space_is_missed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in", {"set_train/1.latent": (6, 6)})
    write_folder(root, {"set_test/1.latent": (6, 6)}, 16)
    with pytest.raises(TrainError, match="none of its 1 latents that could be used has 'test'"):
        collect_pixelvae(root, FakeVae(), tmp_path / "store", progress=False)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large, out = write_store(tmp_path / "large", 6, 32), tmp_path / "own.safetensors"
    flags = ["train", "palette", "--out", str(out), "--preset", "pixelvae"]
    for extra, said in (
        ([], "name one with --palette: 1-bit, "),
        (["--palette", "pico-8"], "name a pair store with --store or --folder"),
        (["--palette", "pico-8", "--folder", str(tmp_path)], "name what decodes them with --vae"),
        (["--palette", "piko", "--store", str(large.path)], "did you mean 'pico-8'"),
        (["--palette", "pico-8", "--store", str(large.path), "--balance", "2"], "expected balance of 0 to 1"),
    ):
        assert main([*flags, *extra]) == 2
        assert said in capsys.readouterr().err
    assert main([*flags, "--palette", "pico-8", "--store", str(large.path), "--vae", "taesd"]) == 2
    assert "--vae and --space go with --folder" in capsys.readouterr().err
    quick = ["--images", "8", "--batch", "2", "--palette", "pico-8", "--method", "vote"]
    assert main([*flags, *quick, "--store", str(large.path), "--oklab", "1"]) == 0
    assert "own.safetensors: pixelvae of pico-8, vote, 122384 numbers, 8 crops seen" in capsys.readouterr().out
    assert main(["info", str(out)]) == 0
    assert "16 classes of pico-8" in capsys.readouterr().out


def test_a_folder_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder(tmp_path / "in", {"a_train/1.latent": (32, 34), "a_test/1.latent": (20, 20)})
    out = tmp_path / "own.safetensors"
    flags = ["--folder", str(root), "--vae", "mini-sd1", "--palette", "ega16", "--out", str(out)]
    assert main(["train", "palette", *flags, "--preset", "pixelvae", "--images", "8", "--batch", "2"]) == 0
    said = capsys.readouterr().out
    assert "on the 1 latents of the test set:" in said
    assert "3×3 affine, nearest" in said
    assert len(PairStore(tmp_path / "own.pairs")) == 2
    assert main(["train", "palette", *flags, "--vae", "mini-sdxl", "--preset", "pixelvae"]) == 2
    assert "they differ in fingerprint" in (said := capsys.readouterr().err)
    assert said.endswith("choose another --store\n")
    assert main(["train", "palette", *flags, "--folder", str(root / "gone"), "--preset", "pixelvae"]) == 2
    assert "gone: no such folder" in capsys.readouterr().err
