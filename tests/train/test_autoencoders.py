"""KL autoencoders from pictures alone: crops, losses, runs that go on, and folders that diffusers reads."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import nn

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import TrainError
from latentfit.images import Picture, is_test
from latentfit.nets import PatchDiscriminator
from latentfit.train import (
    PIXEL_LOSSES,
    AutoencoderObjective,
    AutoencoderPreset,
    PictureCrops,
    ThereAndBack,
    TrainConfig,
    card_of,
    kl_autoencoder,
    train_autoencoder,
)

QUICK = TrainConfig(n_images=32, batch_images=4, warmup_images=8, log_images=8, ema_images=8, lr=3e-3)
TINY = AutoencoderPreset("tiny", kl_autoencoder((4, 4), n_channels=2, n_groups=2), 16, {"l1": 1.0, "kl": 1e-4})


def picture(name: str, side: int = 40, seed: int = 0) -> Picture:
    """A smooth gradient with some squares, as a PNG."""
    draw = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, side)
    rgb = np.stack([ramp[None] * draw.random() + ramp[:, None] * draw.random() * 0.5 for _ in range(3)], -1)
    for _ in range(4):
        top, left = draw.integers(0, side - 8, 2)
        rgb[top : top + 8, left : left + 8] = draw.integers(0, 256, 3)
    buffer = io.BytesIO()
    Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return Picture(name, "photograph", buffer.getvalue)


@pytest.fixture(scope="module")
def pictures() -> Mapping[str, Sequence[Picture]]:
    return {"photographs": [picture(f"{i}.png", seed=i) for i in range(6)], "drawings": [picture("d.png", seed=50)]}


def test_crops_are_of_their_number_alone(pictures: Mapping[str, Sequence[Picture]], tmp_path: Path) -> None:
    first, again = (PictureCrops(pictures, 16, tmp_path / "cache", seed=3) for _ in range(2))
    batch = first.batch([7, 2])["input"]
    assert torch.equal(batch, torch.from_numpy(np.stack([again.crop(7), again.crop(2)])))
    assert batch.shape == (2, 3, 16, 16)
    assert batch.dtype == torch.float32
    assert 0 <= float(batch.min()) <= float(batch.max()) <= 1
    assert not torch.equal(batch, PictureCrops(pictures, 16, tmp_path / "cache", seed=4).batch([7, 2])["input"])
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 7


def test_shares_say_how_many_crops_are_of_a_kind(tmp_path: Path) -> None:
    flat = {
        kind: [Picture(kind, "photograph", one_colour(value).getvalue)]
        for kind, value in (("black", 0), ("grey", 128), ("white", 255))
    }
    crops = PictureCrops(flat, 16, tmp_path, shares={"black": 3.0, "grey": 1.0, "white": 0.0}, seed=1)
    levels = np.array([crops.crop(image).max() for image in range(600)])
    dark = float(((levels < 0.1) | (levels > 0.9)).mean())  # inverted ones too
    assert dark == pytest.approx(0.75, abs=0.06)
    assert {sample.kind for sample in crops.samples} == {"black", "grey"}
    with pytest.raises(TrainError, match="one of 16 px or more of a kind with a share"):
        PictureCrops(flat, 16, tmp_path, shares=dict.fromkeys(flat, 0.0))
    with pytest.raises(TrainError, match="got 0 of black, 0 of grey, 0 of white"):
        PictureCrops(flat, 64, tmp_path)


def one_colour(value: int) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (value,) * 3).save(buffer, "PNG")
    return buffer


def test_a_split_holds_out_by_hash(pictures: Mapping[str, Sequence[Picture]], tmp_path: Path) -> None:
    many = {"photographs": [picture(f"{i}.png", seed=100 + i) for i in range(24)]}
    hashes = {side: {one.sha256 for one in PictureCrops(many, 16, tmp_path, split=side).samples}
              for side in ("train", "test", "all")}  # fmt: skip
    assert hashes["test"] == {one for one in hashes["all"] if is_test(one)}
    assert hashes["train"] == hashes["all"] - hashes["test"]
    assert hashes["test"]


def test_ssim_of_flat_pictures_is_that_of_their_levels() -> None:
    """Wang's formula without structure: (2ab + c1) / (a² + b² + c1), the same at all three scales."""
    ssim = PIXEL_LOSSES["ssim"]
    a, b, c1 = 0.3, 0.6, 1e-4
    first, second = (torch.full((2, 3, 64, 64), level) for level in (a, b))
    assert float(ssim(first, second)) == pytest.approx(1 - (2 * a * b + c1) / (a * a + b * b + c1), abs=5e-4)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert float(ssim(noise, noise)) == pytest.approx(0, abs=1e-6)
    assert float(ssim(noise, noise.mean().expand_as(noise))) > 0.9
    with pytest.raises(TrainError, match="pictures of 8 px or more"):
        ssim(first[..., :4, :4], second[..., :4, :4])


class Fixed(nn.Module):
    """An autoencoder of one latent channel with a posterior that is known."""

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__()
        self.mean, self.variance = mean, variance
        self.seen: list[torch.Tensor] = []

    def encode(self, signed: torch.Tensor) -> SimpleNamespace:
        cells = torch.ones(len(signed), 1, 2, 2)
        self.seen.append(signed)
        posterior = SimpleNamespace(mean=self.mean * cells, logvar=math.log(self.variance) * cells)
        return SimpleNamespace(latent_dist=posterior)

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=latents.mean().expand(len(latents), 3, 8, 8))


def test_the_divergence_is_that_of_two_normals() -> None:
    autoencoder = Fixed(1.5, 0.25)
    model, rgb = ThereAndBack(autoencoder).eval(), torch.full((2, 3, 8, 8), 0.75)
    made, divergence = model(rgb)
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(1.5, 0.5), normal(0.0, 1.0))
    torch.testing.assert_close(divergence, wanted.expand(2, 1, 2, 2))
    assert torch.equal(autoencoder.seen[0], torch.full((2, 3, 8, 8), 0.5))  # pictures enter in [-1, 1]
    assert torch.equal(made, torch.full((2, 3, 8, 8), 1.25))  # the mode, 1.5, back in [0, 1]
    torch.manual_seed(0)
    drawn, _ = model.train()(rgb)
    assert not torch.equal(drawn, made)
    losses = AutoencoderObjective({"l1": 2.0, "kl": 0.1}).losses(model.eval(), {"input": rgb, "target": rgb})
    assert float(losses["l1"]) == pytest.approx(0.5)
    assert float(losses["loss"]) == pytest.approx(2 * 0.5 + 0.1 * float(wanted))


@pytest.mark.parametrize("weights", [{"kl": 1.0}, {"l1": 1.0, "gan": 0.1}, {"l1": 1.0, "nothing": 1.0}, {}])
def test_losses_that_cannot_train_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(TrainError, match="one of the pictures among them"):
        AutoencoderObjective(weights)
    assert AutoencoderObjective({"l1": 1.0, "gan": 0.1}, PatchDiscriminator()).weights["gan"] == 0.1


def test_what_is_trained_is_a_folder_that_diffusers_reads(
    pictures: Mapping[str, Sequence[Picture]], tmp_path: Path
) -> None:
    config = replace(QUICK, n_images=480, log_images=80, lr=1e-2)
    made = train_autoencoder(pictures, TINY, tmp_path / "own", config=config, split="all", progress=False)
    rows = pd.read_csv(tmp_path / "own.run" / "metrics.csv")
    assert rows["l1"].iloc[-1] < 0.8 * rows["l1"].iloc[0]
    theirs = AutoencoderKL.from_pretrained(tmp_path / "own").eval()
    assert (theirs.config.latent_channels, theirs.config.mid_block_add_attention) == (2, True)
    rgb = PictureCrops(pictures, 16, tmp_path / "own.run" / "pictures", seed=config.seed).batch(range(256))["input"]
    with torch.no_grad():
        raw = theirs.encode(2 * rgb - 1).latent_dist.mode()
        back = theirs.decode(raw[:2]).sample / 2 + 0.5
    assert theirs.config.scaling_factor == pytest.approx(1 / float(raw.std()), rel=1e-4)
    latents = made.encode(rgb)
    torch.testing.assert_close(latents, raw * theirs.config.scaling_factor, atol=1e-4, rtol=1e-4)
    assert float(latents.std()) == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(made.decode(latents[:2]), back.clamp(0, 1), atol=1e-4, rtol=1e-4)
    assert (made.space.channels, made.cell_px) == (2, 2)
    card = card_of(tmp_path / "own")
    assert card is not None
    assert (card["form"], card["seen_images"], card["n_images"]) == ("tiny", 480, 7)
    assert made.tiles() is not None
    assert made.network.receptive_cells is None


def test_a_run_that_stopped_ends_at_the_same_weights(pictures: Mapping[str, Sequence[Picture]], tmp_path: Path) -> None:
    losses = {"l1": 1.0, "kl": 1e-3, "features": 0.1, "gan": 0.01}
    preset = replace(TINY, losses=losses)
    whole = train_autoencoder(pictures, preset, tmp_path / "whole", config=QUICK, split="all", progress=False)
    short = replace(QUICK, wall_seconds=1e-6)
    for _ in range(8):
        train_autoencoder(pictures, preset, tmp_path / "parts", config=short, split="all", progress=False)
    parts = lf.Vae.load(tmp_path / "parts", device="cpu")
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["_class_name"] == "AutoencoderKL"
    assert card_of(tmp_path / "parts")["seen_images"] == 32
    for (name, a), b in zip(whole.network.state_dict().items(), parts.network.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    with pytest.raises(TrainError, match="belongs to a run with other settings: shares"):
        train_autoencoder(
            pictures, preset, tmp_path / "parts", config=QUICK, split="all", shares={"drawings": 2.0}, progress=False
        )


def test_a_last_course_begins_from_one_and_counts_its_pictures(
    pictures: Mapping[str, Sequence[Picture]], tmp_path: Path
) -> None:
    train_autoencoder(pictures, TINY, tmp_path / "first", config=QUICK, split="all", progress=False)
    last = replace(TINY, goes_on=True)
    with pytest.raises(TrainError, match="goes on from a trained autoencoder"):
        train_autoencoder(pictures, last, tmp_path / "last", config=QUICK, progress=False)
    begin, slow = tmp_path / "first", replace(QUICK, n_images=4, lr=0.0)
    few = {"drawings": pictures["drawings"]}
    last_vae = train_autoencoder(few, last, tmp_path / "last", config=slow, split="all", begin=begin, progress=False)
    first_vae = lf.Vae.load(begin, device="cpu")
    for a, b in zip(first_vae.network.parameters(), last_vae.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert card_of(tmp_path / "last")["n_images"] == 7
    assert card_of(tmp_path / "last")["begun_from"]["seen_images"] == 32


def test_the_command_trains_from_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, seeds in (("photographs", range(3)), ("drawings", range(3, 5))):
        for seed in seeds:
            path = tmp_path / kind / f"{seed}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(path.name, 80, seed).read())
    folders = [str(tmp_path / "photographs"), str(tmp_path / "drawings")]
    train = ["train", "vae", "--preset", "mini-kl", "--out", str(tmp_path / "own"), "--device", "cpu"]
    quick = ["--images", "2", "--batch", "1", "--split", "all", "--precision", "no"]
    assert main([*train, *quick, "--pictures", *folders]) == 0
    said = capsys.readouterr().out
    assert "858583 numbers, 2 crops seen of 5 pictures, scaling factor" in said
    assert (tmp_path / "own" / "config.json").is_file()
    assert main([*train, *quick, "--pictures", folders[0], folders[0]]) == 2
    assert "expected folders of different names" in capsys.readouterr().err
    assert main([*train, "--samples", "8", "--pictures", folders[0]]) == 2
    assert "draws no sample sheets" in capsys.readouterr().err
