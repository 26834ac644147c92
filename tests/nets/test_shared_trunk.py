"""Maps between latents begin with what a decoder learned: its blocks, and a last convolution by least squares."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import SpaceMismatchError, TrainError
from latentfit.maps import AtScale
from latentfit.nets import AnyUpscaler, CellDecoder, Interposer, Upscaler, convolutions, put_trunk_in
from latentfit.pairs import JoinedStores
from latentfit.runtime import data_path, fingerprint_of
from latentfit.train import PRESETS, solve_head, train_latent_map
from tests.cli.test_cli_latents import refused
from tests.pairs.test_joined import write_store

Capture = pytest.CaptureFixture[str]
WIDTH, FINE = 12, 8
MAKERS: dict[str, Any] = {
    "interposer": lambda: Interposer(4, 4, WIDTH, 3, 3, 1),
    "upscaler": lambda: Upscaler(4, WIDTH, 2, FINE, 1, 3),
    "upscaler-any": lambda: AnyUpscaler(4, WIDTH, 2, FINE, 1),
}


def decoder(seed: int = 0, **changes: Any) -> lf.Approximation:
    """Random blocks of some size; its card says that it learned from one picture."""
    torch.manual_seed(seed)
    sizes = {"n_channels": 4, "width": WIDTH, "n_blocks": 2, "fine_width": FINE, "n_fine": 1}
    network = CellDecoder(**{**sizes, **changes}).eval()
    return lf.Approximation(network, "sd1", 8, name="a decoder", card={"train_hashes": ["e" * 64]})


def joined_by(scale: Fraction, folder: Path, target: str = "sd1", side: int = 24) -> JoinedStores:
    """Targets that the decoder's features explain almost: a fixed mixture of them, and a little noise."""
    generator = torch.Generator().manual_seed(5)
    features = CellDecoder(4, WIDTH, 2, 8, FINE, 1)
    features.load_state_dict(decoder().module.state_dict())
    mixture = torch.randn(4, WIDTH, 1, 1, generator=generator)
    small = {name: torch.randn(4, side, side, generator=generator) for name in "abcdefghij"}
    large = {}
    for name, one in small.items():
        with torch.no_grad():
            seen = nn.functional.conv2d(features.body[:4](one[None]), mixture)
        size = (int(side * scale),) * 2
        enlarged = seen if scale == 1 else nn.functional.interpolate(seen, size=size, mode="bilinear")
        large[name] = (enlarged[0] + 0.05 * torch.randn(4, *size, generator=generator)).clamp(-50, 50)
    vae = "b" if target != "sd1" else "a"
    return JoinedStores(
        write_store(folder / f"s{scale.numerator}", "sd1", small),
        write_store(folder / f"l{scale.numerator}", target, large, vae=vae),
    )


def error_of(network: nn.Module, joined: JoinedStores) -> float:
    here, there = next(joined.batches(joined.split("test")))
    with torch.no_grad():
        return float((network(here.latents) - there.latents).square().mean())


@pytest.mark.parametrize("name", MAKERS)
def test_blocks_are_the_decoders_and_further_ones_change_nothing(name: str) -> None:
    network, lent = MAKERS[name](), decoder()
    put_trunk_in(network, lent.module)
    latents = torch.randn(1, 4, 9, 7)
    wanted = lent.module.body[:4](latents)  # type: ignore[index]
    came: list[Tensor] = []
    _, fine, last = convolutions(network)
    (fine[0] if fine else last).register_forward_pre_hook(lambda _, inputs: came.append(inputs[0]))
    with torch.no_grad():
        network(latents, (12, 10)) if isinstance(network, AnyUpscaler) else network(latents)
    torch.testing.assert_close(came[0], wanted)
    if fine:
        theirs = convolutions(lent.module)[1]  # type: ignore[arg-type]
        assert all(torch.equal(a.weight, b.weight) for a, b in zip(fine, theirs, strict=True))


def test_the_last_convolution_is_the_least_squares_one(tmp_path: Path) -> None:
    """By a second way: all neighbourhoods of all features at once, through numpy's solver."""
    joined = joined_by(Fraction(1), tmp_path, "sdxl")
    network = Interposer(4, 4, WIDTH, 2, 1, 0)
    put_trunk_in(network, decoder().module)
    network.set_skip(torch.zeros(4, 4, 1, 1), torch.zeros(4))
    solution = solve_head(network, [joined], "train", {})
    here, there = next(joined.batches(joined.split("train")))
    with torch.no_grad():
        features = decoder().module.body[:4](here.latents)  # type: ignore[index]
        terms = nn.functional.unfold(features, 3, padding=1).movedim(1, 2).flatten(0, 1).double()
        targets = there.latents.movedim(1, 3).flatten(0, 2).double()
        terms = torch.cat([terms, torch.ones(len(terms), 1)], 1)
        best = float((terms @ torch.linalg.lstsq(terms, targets).solution - targets).square().mean())
        made = float((network(here.latents) - there.latents).square().mean())
    assert best == pytest.approx(0.05**2, rel=0.2)
    assert made == pytest.approx(best, rel=0.02)
    assert solution.residual**2 == pytest.approx(made, rel=0.01)


def test_any_factor_is_solved_over_all_its_stores(tmp_path: Path) -> None:
    """At the least squared error of both together no change of the last convolution helps: the slope is gone."""
    stores = [joined_by(scale, tmp_path) for scale in (Fraction(2), Fraction(4, 3))]
    network = AnyUpscaler(4, WIDTH, 2, FINE, 1)
    put_trunk_in(network, decoder().module)
    last = convolutions(network)[2]

    def slope() -> tuple[float, float]:
        errors = []
        for one in stores:
            here, there = next(one.batches(one.split("train")))
            errors.append((AtScale(network, one.scale)(here.latents) - there.latents).square().sum())
        network.zero_grad()
        total = torch.stack(errors).sum()
        total.backward()
        assert last.weight.grad is not None
        return float(total.detach()), float(last.weight.grad.norm())

    before, steep = slope()
    solve_head(AtScale(network, 2), stores, "train", {})
    after, flat = slope()
    assert after < before
    assert flat < 0.01 * steep


def test_training_begins_with_it_and_the_card_says_so(tmp_path: Path) -> None:
    joined, lent = joined_by(Fraction(1), tmp_path, "sdxl"), decoder()
    preset = PRESETS["interposer"]
    config = replace(preset.config, n_images=8, lr=0.0, optimizer="adamw", warmup_images=0, ema_images=0)
    preset = replace(
        preset,
        make=lambda *_: MAKERS["interposer"](),
        losses={"mse": 1.0},
        closed_form="3",
        crop_cells=16,
        config=config,
    )
    made = train_latent_map(joined, preset, tmp_path / "m", trunk=lent, progress=False)
    closed = lf.ChannelMap("3").fit_joined(joined).latent_map()
    assert error_of(made, joined) < 0.6 * error_of(closed, joined)
    assert made.card["trunk"] == {"name": "a decoder", "fingerprint": fingerprint_of(lent.module)}
    assert "e" * 64 in made.card["train_hashes"]
    loaded = lf.load(tmp_path / "m.safetensors")
    assert loaded.card["trunk"] == made.card["trunk"]
    with pytest.raises(TrainError, match="trunk"):  # the run is another one with other blocks
        train_latent_map(joined, preset, tmp_path / "m", trunk=decoder(1), progress=False)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    joined = joined_by(Fraction(1), tmp_path, "sdxl")
    plain = replace(PRESETS["interposer"], losses={"mse": 1.0})
    small = replace(plain, make=lambda *_: MAKERS["interposer"](), crop_cells=16)
    lent = decoder()
    elsewhere = lf.Approximation(lent.module, "sdxl", 8)
    with pytest.raises(SpaceMismatchError, match="the map begins at 'sd1'"):
        train_latent_map(joined, small, tmp_path / "x", trunk=elsewhere, progress=False)
    with pytest.raises(TrainError, match="takes no trunk: its network has other blocks"):
        train_latent_map(joined, "interposer-v4", tmp_path / "x", trunk=lent, progress=False)
    begun = lf.LatentMap(MAKERS["interposer"](), "sd1", "sdxl")
    with pytest.raises(TrainError, match="brings all weights"):
        train_latent_map(joined, small, tmp_path / "x", trunk=lent, begin=begun, progress=False)
    for changes in ({"width": 10}, {"n_blocks": 4}):
        with pytest.raises(TrainError, match="expected a network of as many channels, as wide"):
            train_latent_map(joined, small, tmp_path / "x", trunk=decoder(**changes), progress=False)
    with pytest.raises(TrainError, match="plain blocks"):
        put_trunk_in(Interposer(4, 4, WIDTH, 2, 3, 1), lent.module)
    with pytest.raises(TrainError, match="expected a cell decoder and a network of ours"):
        put_trunk_in(MAKERS["interposer"](), nn.Conv2d(4, 3, 1))
    with pytest.raises(TrainError, match="expected a network of ours to solve"):
        solve_head(nn.Conv2d(4, 4, 1), [joined], "train", {})
    assert not (tmp_path / "x.safetensors").exists()


def test_from_the_command_line(tmp_path: Path, capsys: Capture) -> None:
    joined = joined_by(Fraction(1), tmp_path, "sdxl", side=32)
    how = ["train", "interposer", "--source", str(joined.source.path), "--target", str(joined.target.path)]
    how += ["--preset", "interposer", "--images", "1", "--batch", "1"]
    assert main([*how, "--out", str(tmp_path / "a")]) == 0
    assert "begins with the blocks of sd1-cell-large.safetensors, the bundled decoder" in capsys.readouterr().out
    assert lf.load(tmp_path / "a.safetensors").card["trunk"]["name"] == "sd1-cell-large"
    assert main([*how, "--out", str(tmp_path / "b"), "--trunk", "none"]) == 0
    assert "begins with" not in capsys.readouterr().out
    assert "trunk" not in lf.load(tmp_path / "b.safetensors").card
    lent = lf.save(decoder(), tmp_path / "lent.safetensors")
    theirs = [*how[:-6], "--preset", "interposer-v1", "--images", "1", "--trunk", str(lent)]
    assert "has other blocks than a cell decoder" in refused([*theirs, "--out", str(tmp_path / "c")], capsys)
    begun = [*how, "--begin", str(tmp_path / "a.safetensors"), "--trunk", str(lent), "--out", str(tmp_path / "d")]
    assert "brings all weights" in refused(begun, capsys)
    line = refused([*how[:-6], "--preset", "none", "--out", str(tmp_path / "e")], capsys)
    assert "interposer-colour" in line
    assert "upscaler" not in line


def test_the_preset_against_shifts_of_colour_sees_them(tmp_path: Path) -> None:
    joined = joined_by(Fraction(1), tmp_path, "sdxl", side=32)
    preset = PRESETS["interposer-colour"]
    config = replace(preset.config, n_images=1, batch_images=1, warmup_images=0)
    looks = lf.load(data_path("models") / "sdxl-cell.safetensors")
    assert isinstance(looks, lf.Approximation)
    small = replace(preset, make=lambda *_: MAKERS["interposer"](), closed_form="3", config=config)
    made = train_latent_map(joined, small, tmp_path / "m", decoder=looks, progress=False)
    assert made.card["losses"] == {"mse": 2.0, "decoded_mse": 200.0, "oklab": 20.0, "decoded_ms_ssim": 1.0}
    measured = (tmp_path / "m.run" / "metrics.csv").read_text("utf-8").splitlines()[0].split(",")
    assert {"oklab", "decoded_ms_ssim"} <= set(measured)
