"""Upscalers learn: ours from the closed form, any factor from several stores, the seed's recipes on small networks."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import latentfit as lf
from latentfit.cli import TrainFlags, main
from latentfit.errors import ScaleError, SpaceMismatchError, TrainError
from latentfit.latents import open_latents, write_latents
from latentfit.maps import AtScale, enlarge, resampling, steps_to
from latentfit.nets import (
    AnyUpscaler,
    Craft,
    Dat,
    Drct,
    LatentResizer,
    ModelDomain,
    PatchDiscriminator,
    SwinFir,
    Upscaler,
    UpscalerV2,
)
from latentfit.pairs import JoinedStores
from latentfit.train import (
    PIXEL_LOSSES,
    PRESETS,
    JoinedCrops,
    LatentObjective,
    preset_named,
    preset_names,
    train_latent_map,
)
from tests.cli.test_cli_latents import refused
from tests.pairs.test_joined import write_store

SD1 = lf.get_space("sd1")
Capture = pytest.CaptureFixture[str]
SMALL = {
    "upscaler": lambda a, b, scale: Upscaler(4, 12, 2, 8, 1, 3),
    "upscaler-any": lambda a, b, scale: AnyUpscaler(4, 12, 2, 8, 1),
    "city96-v2": lambda a, b, scale: ModelDomain.of_raw(UpscalerV2(4, 8, 2, float(scale)), a),
    "ttl-resizer": lambda a, b, scale: ModelDomain.of_raw(LatentResizer(4, 32, 2, 2), a, times=0.13025),
    "swinfir-mse": lambda a, b, scale: ModelDomain.of_raw(SwinFir(4, 12, (2,), 2, 8, 24), a),
    "swinfir-fft": lambda a, b, scale: ModelDomain.of_raw(SwinFir(4, 12, (2,), 2, 8, 24), a),
    "craft": lambda a, b, scale: ModelDomain.of_raw(Craft(4, 32, (1,), 2, (4, 8), 48, 32), a),
    "dat": lambda a, b, scale: ModelDomain.of_raw(Dat(4, 32, (2,), 2, (4, 8), 48), a),
    "drct": lambda a, b, scale: ModelDomain.of_raw(Drct(4, 12, 1, 2, 8, 4), a),
    "drctfir": lambda a, b, scale: ModelDomain.of_raw(Drct(4, 12, 1, 2, 8, 4, fourier=True), a),
}


@pytest.fixture
def stores(tmp_path: Path) -> list[JoinedStores]:
    """Large latents are small ones enlarged, and stripes as strong as they are: no linear map sees those."""
    generator = torch.Generator().manual_seed(5)
    made = []
    for scale in (Fraction(2), Fraction(4, 3)):
        small = {name: torch.randn(4, 24, 24, generator=generator) for name in "abcdefghij"}
        large = {name: with_stripes(one, int(24 * scale)) for name, one in small.items()}
        folder = tmp_path / f"{scale.numerator}"
        made.append(JoinedStores(write_store(folder / "s", "sd1", small), write_store(folder / "l", "sd1", large)))
    return made


def with_stripes(small: Tensor, side: int) -> Tensor:
    large = nn.functional.interpolate(small[None], size=(side, side), mode="bilinear")[0]
    return large + 0.5 * large.abs() * torch.tensor([1.0, -1.0]).repeat(side // 2)


def quick(name: str, **changes: Any) -> Any:
    preset = PRESETS[name]
    config = replace(
        preset.config, n_images=1_200, batch_images=8, precision="no", warmup_images=0, ema_images=0,
        checkpoint_seconds=0, **changes,
    )  # fmt: skip
    return replace(preset, make=SMALL.get(name, preset.make), crop_cells=16, draw={}, config=config)


def error_of(one: lf.LatentMap, joined: JoinedStores) -> float:
    here, there = next(joined.batches(joined.split("test")))
    return float((one(here.latents) - there.latents).square().mean())


def test_it_begins_as_least_squares_and_ends_better(stores: list[JoinedStores], tmp_path: Path) -> None:
    joined = stores[0]
    closed = lf.ChannelMap("3", scale=2).fit_joined(joined).latent_map()
    preset = replace(quick("upscaler"), losses={"mse": 1.0}, closed_form="3")
    preset = replace(preset, config=replace(preset.config, optimizer="adamw", lr=5e-3, weight_decay=0.0))
    still = replace(preset, config=replace(preset.config, n_images=8, lr=0.0))
    begun = train_latent_map(joined, still, tmp_path / "b", progress=False)
    here, _ = next(joined.batches())
    torch.testing.assert_close(begun(here.latents), closed(here.latents), atol=1e-4, rtol=1e-4)
    trained = train_latent_map(joined, preset, tmp_path / "t", progress=False)
    assert error_of(trained, joined) < 0.8 * error_of(closed, joined)
    again = lf.load(tmp_path / "t.safetensors")
    assert isinstance(again, lf.LatentMap)
    assert again.scale == 2
    assert torch.equal(again(here.latents), trained(here.latents))


def test_one_network_learns_every_factor(stores: list[JoinedStores], tmp_path: Path) -> None:
    preset = replace(quick("upscaler-any", optimizer="adamw", lr=5e-3, weight_decay=0.0), losses={"mse": 1.0})
    trained = train_latent_map(stores, preset, tmp_path / "t", progress=False)
    assert isinstance(trained.module, AtScale)
    assert trained.scale == 2
    for joined in stores:
        bicubic = resampling("bicubic", "sd1", joined.scale)
        assert error_of(trained.at_scale(joined.scale), joined) < 0.9 * error_of(bicubic, joined)
    loaded = lf.load(tmp_path / "t.safetensors", scale=1.25)
    assert isinstance(loaded, lf.LatentMap)
    assert loaded(torch.zeros(1, 4, 8, 12)).shape[-2:] == (10, 15)
    of_one = replace(preset, config=replace(preset.config, n_images=8, lr=0.0))
    least = min(stores, key=lambda one: one.scale)
    assert train_latent_map(least, of_one, tmp_path / "o", begin=trained, progress=False).scale == least.scale
    goes_on = replace(quick("upscaler-any-fine"), losses={"mse": 1.0}, make=SMALL["upscaler-any"])
    still = replace(goes_on, config=replace(goes_on.config, n_images=8, lr=0.0))
    second = train_latent_map(stores, still, tmp_path / "u", begin=trained, progress=False)
    for before, after in zip(trained.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(before, after)


def test_batches_of_several_stores_are_of_one_factor_and_functions_of_the_images(stores: list[JoinedStores]) -> None:
    crops = JoinedCrops(stores, "train", 16, seed=3)
    seen = set()
    for start in range(0, 80, 4):
        batch = crops.batch(range(start, start + 4))
        again = JoinedCrops(stores, "train", 16, seed=3).batch(range(start, start + 4))
        assert all(torch.equal(batch[name], again[name]) for name in batch)
        factor = Fraction(batch["target"].shape[-1], batch["input"].shape[-1])
        assert batch["input"].shape[-1] <= 16
        seen.add(factor)
    assert seen == {Fraction(2), Fraction(4, 3)}


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("upscaler", "upscaler-any")])
def test_the_recipes_of_those_that_came_first_run(name: str, stores: list[JoinedStores], tmp_path: Path) -> None:
    """Forwards, backwards, saved and loaded: on small networks of their make, with their losses and optimisers."""
    preset = replace(quick(name), config=replace(quick(name).config, n_images=16, batch_images=4, ema_images=0))
    decoder = lf.Approximation(nn.Conv2d(4, 3, 1), "sd1")
    trained = train_latent_map(stores[0], preset, tmp_path / "t", decoder=decoder, progress=False)
    loaded = lf.load(tmp_path / "t.safetensors")
    assert isinstance(loaded, lf.LatentMap)
    latents = torch.randn(1, 4, 19, 13)
    made = loaded(latents)
    assert made.shape == (1, 4, 38, 26)
    torch.testing.assert_close(made, trained(latents))
    torch.manual_seed(preset.config.seed)
    untrained = preset.make(loaded.source, loaded.source, Fraction(2))
    changed = [
        before for before, after in zip(untrained.parameters(), trained.module.parameters(), strict=True)
        if not torch.equal(before, after)
    ]  # fmt: skip
    assert len(changed) > 4


def test_every_preset_says_what_it_needs() -> None:
    known = {*PIXEL_LOSSES, *(f"decoded_{name}" for name in PIXEL_LOSSES), "gan"}
    for name in preset_names("upscaler"):
        preset = preset_named(name, "upscaler")
        assert set(preset.losses_of(lf.get_space("sd1"), lf.get_space("sd1"))) <= known, name


def test_an_adversary_judges_latents_as_they_are() -> None:
    judge = PatchDiscriminator(4, 8, sees_detail=False)
    objective = LatentObjective({"l1": 1.0, "gan": 0.1, "features": 0.1}, adversary=judge)
    model = nn.Conv2d(4, 4, 1)
    source, target = torch.randn(2, 4, 32, 32), torch.randn(2, 4, 32, 32)
    found = objective.losses(model, {"input": source, "target": target})
    total = found["l1"] + 0.1 * found["gan"] + 0.1 * found["features"]
    torch.testing.assert_close(found["loss"], total)
    found["loss"].backward()
    assert model.weight.grad is not None
    assert float(model.weight.grad.abs().sum()) > 0
    own = objective.adversary_loss(judge, found)
    assert float(own.detach()) == pytest.approx(2.0, abs=1.0)
    shifted = judge(target + 3.0)
    assert not torch.allclose(shifted, judge(target))  # a mean is seen: latents have no hue that a pixel loss holds
    with pytest.raises(TrainError, match="expected some of"):
        LatentObjective({"gan": 0.1})


def test_what_cannot_be_trained_is_refused(stores: list[JoinedStores], tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="doubles the sides, the stores have scale 4/3"):
        train_latent_map(stores[1], replace(quick("swinfir-mse"), make=PRESETS["swinfir-mse"].make), tmp_path / "x")
    with pytest.raises(TrainError, match=r"learns one factor, got stores of 2, 4/3"):
        train_latent_map(stores, quick("city96-v2"), tmp_path / "x")
    other = write_store(tmp_path / "o", "sdxl", {name: torch.randn(4, 48, 48) for name in "abcdefghij"}, vae="o")
    across = JoinedStores(stores[0].source, other)
    with pytest.raises(TrainError, match="keeps the space, the stores lead from 'sd1' to 'sdxl'"):
        train_latent_map(
            across, replace(quick("upscaler"), make=PRESETS["upscaler"].make, losses={"mse": 1.0}), tmp_path / "x"
        )
    with pytest.raises(TrainError, match="goes on from a trained map"):
        train_latent_map(
            stores[0], "upscaler-fine", tmp_path / "x", decoder=lf.Approximation(nn.Conv2d(4, 3, 1), "sd1")
        )


def twice(scale: int = 2) -> lf.LatentMap:
    network = Upscaler(4, 8, 1, 8, 1, 3).eval()
    nn.init.normal_(network.body[-1].weight, std=0.1)
    return lf.LatentMap(network, "sd1", "sd1", scale, name="twice")


def of_any() -> lf.LatentMap:
    network = AnyUpscaler(4, 8, 1, 8, 1).eval()
    nn.init.normal_(network.fine[-1].weight, std=0.1)
    return lf.LatentMap(AtScale(network, 2), "sd1", "sd1", 2, name="any")


@pytest.mark.parametrize(
    ("make", "factor", "steps"),
    [
        (twice, 2, [2]), (twice, 4, [2, 2]), (twice, 8, [2, 2, 2]), (of_any, 1.5, [Fraction(3, 2)]),
        (of_any, 3, [2, Fraction(3, 2)]), (of_any, 4, [2, 2]), (of_any, 1, [1]), (of_any, "4/3", [Fraction(4, 3)]),
    ],
)  # fmt: skip
def test_larger_factors_are_reached_in_steps(make: Any, factor: float | str, steps: list[Fraction]) -> None:
    one, latents = make(), torch.randn(1, 4, 12, 18)
    assert steps_to(one, factor) == steps
    made = enlarge(one, latents, factor)
    for step in steps:
        latents = one.at_scale(step)(latents)
    torch.testing.assert_close(made, latents)


@pytest.mark.parametrize(
    ("make", "factor"), [(twice, 3), (twice, 1.5), (twice, 1), (twice, 64), (of_any, 0.5), (of_any, 64)]
)
def test_factors_out_of_reach_are_refused(make: Any, factor: float) -> None:
    with pytest.raises(ScaleError, match="gives"):
        enlarge(make(), torch.randn(1, 4, 8, 8), factor)


@pytest.mark.parametrize(("factor", "size"), [(1.5, (150, 132)), (1.37, (150, 131)), (1.37, (500, 60))])
def test_big_latents_of_any_factor_go_in_tiles(factor: float, size: tuple[int, int]) -> None:
    one, latents = of_any(), torch.randn(1, 4, *size)
    made = enlarge(one, latents, factor)
    whole = one.at_scale(factor)(latents)
    assert made.shape == whole.shape
    if size != (500, 60):  # there 1.37 times 60 is no whole number, so that places differ by a fraction of a cell
        torch.testing.assert_close(made, whole, atol=1e-4, rtol=1e-4)


def test_a_recipes_precision_holds_until_another_is_told() -> None:
    flags = TrainFlags("swinfir-fft", Path("x.safetensors"))
    assert flags.config(PRESETS["swinfir-fft"].config).precision == "bf16"
    assert replace(flags, precision="no").config(PRESETS["swinfir-fft"].config).precision == "no"


def test_a_map_to_another_space_is_no_upscaler() -> None:
    with pytest.raises(SpaceMismatchError, match="no upscaler"):
        enlarge(lf.LatentMap(nn.Conv2d(4, 4, 1), "sd1", "sdxl"), torch.randn(1, 4, 8, 8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(8):
        generator = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 9, 11, generator=generator)
        smooth = nn.functional.interpolate(coarse, size=(288, 320), mode="bicubic").clamp(0, 1)[0]
        Image.fromarray((smooth.permute(1, 2, 0) * 255).byte().numpy()).save(folder / f"{index}.png")
    return folder


def test_from_the_command_line(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    store, out = str(tmp_path / "s"), str(tmp_path / "one.safetensors")
    collect = ["collect", "--vae", "mini-sd1", "--images", str(photos), "--size", "128", "--out", store, "--crops", "2"]
    assert main([*collect, "--scales", "1", "1.5", "2"]) == 0
    train = ["train", "upscaler", "--store", store, "--preset", "upscaler-any"]
    capsys.readouterr()
    assert main([*train, "--images", "8", "--batch", "4", "--out", out]) == 0
    said = capsys.readouterr().out
    assert "decoded losses look through sd1-cell.safetensors, the bundled decoder" in said
    assert "upscaler-any, SD1 latents 3/2, 2 times as large, " in said
    evaluate = re.search(r"score it: latentfit (evaluate .*)", said)
    assert evaluate is not None
    vaes = "--source-vae mini-sd1 --target-vae mini-sd1"
    assert main(evaluate[1].replace("--source-vae REF --target-vae REF", vaes).split()) == 0
    assert re.search(r"map +r2 .* psnr .*extra_mib", capsys.readouterr().out)
    latents = torch.randn(1, 4, 10, 14)
    came, went = str(tmp_path / "x.latent"), tmp_path / "y.latent"
    write_latents(came, latents, SD1)
    for factor, size in (("1.5", (15, 21)), ("2", (20, 28)), ("3", (30, 42))):
        assert main(["upscale", came, "--model", out, "--factor", factor, "--out", str(went)]) == 0
        made = open_latents(went, SD1).latents  # made of noise: what it looks like does not matter
        assert made.shape[-2:] == size
        loaded = lf.load(out)
        assert isinstance(loaded, lf.LatentMap)
        torch.testing.assert_close(made, enlarge(loaded, latents, factor), atol=1e-4, rtol=1e-4)
    assert main(["upscale", came, "--model", out, "--space", "sd15", "--out", str(went)]) == 0  # its own factor
    assert open_latents(went, SD1).latents.shape[-2:] == (20, 28)
    bare = str(tmp_path / "bare.safetensors")  # city96's keys, another name: neither space nor factor
    save_file({k: t.contiguous() for k, t in UpscalerV2(4, 8, 2).state_dict().items()}, bare)
    assert main(["upscale", came, "--model", bare, "--space", "sd1", "--factor", "1.5", "--out", str(went)]) == 0
    assert open_latents(went, SD1).latents.shape[-2:] == (15, 21)
    at_half = ["evaluate", out, "--source", f"{store}/x1", "--target", f"{store}/x1.5", *vaes.split(), "--split", "all"]
    assert main(at_half) == 0
    assert {"bilinear", "bicubic", "upscaler-any"} <= set(capsys.readouterr().out.split())
    for command, words in (
        (["upscale", came, "--model", out, "--factor", "x", "--out", str(went)], "expected a positive number"),
        (["upscale", came, "--model", out, "--factor", "0", "--out", str(went)], "expected a positive number"),
        (["upscale", came, "--model", out, "--factor", "0.5", "--out", str(went)], "gives 1 to 2 at once"),
        (["upscale", came, "--out", str(went)], "name the latents' space with --space"),
        (["upscale", came, "--space", "sd3", "--out", str(went)], "no upscaler of 'sd3' is bundled"),
        (["upscale", came, "--model", out, "--space", "sdxl", "--out", str(went)], "is of 'sd1'"),
        ([*train, "--factor", "4", "--out", str(tmp_path / "q")], "expected a factor of 3/2, 2, got 4"),
        ([*train, "--factor", "abc", "--out", str(tmp_path / "q")], "expected a positive number"),
        (["train", "upscaler", "--store", f"{store}/x1", "--preset", "upscaler", "--out", out], "two scales or more"),
        ([*collect, "--random-scales", "2"], "lie between those of --scales"),
    ):
        assert words in refused(command, capsys), command


def latents_of(channels: int) -> Tensor:
    return torch.randn(1, channels, 9, 9)


def test_latents_of_another_space_are_named(tmp_path: Path, capsys: Capture) -> None:
    lf.save(twice(), tmp_path / "up.safetensors")
    write_latents(tmp_path / "x.latent", latents_of(16), lf.get_space("flux1"))
    command = ["upscale", str(tmp_path / "x.latent"), "--model", str(tmp_path / "up.safetensors")]
    assert "4" in refused([*command, "--out", str(tmp_path / "y.latent")], capsys)
    assert not (tmp_path / "y.latent").exists()
