"""Interposers: city96's equal their own project's, ours begins as least squares and learns what that leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import BadFileError, SpaceMismatchError, StoreError, TrainError
from latentfit.formats import KINDS
from latentfit.nets import Interposer, InterposerV4, ModelDomain
from latentfit.pairs import JoinedStores
from latentfit.scores import ErrorBands, masking_strength
from latentfit.train import PRESETS, BothWays, LatentObjective, city96_losses, train_latent_map
from tests.pairs.test_joined import write_store
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

GOLDEN = json.loads((GOLDEN_FOLDER / "interposers.json").read_text("utf-8"))


def filled(network: nn.Module, seed: int) -> nn.Module:
    """As the fixture's "how" says."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for key, value in sorted(network.state_dict().items()):
        if not value.is_floating_point():
            state[key] = value
        elif key.endswith("running_var"):
            state[key] = torch.rand(value.shape, generator=generator) + 0.5
        elif value.ndim == 4:
            state[key] = torch.randn(value.shape, generator=generator) * (1.5 / value[0].numel()) ** 0.5
        else:
            is_norm = "norm.weight" in key or key == "core.13.weight"
            state[key] = torch.randn(value.shape, generator=generator) * 0.1 + is_norm
    network.load_state_dict(state)
    return network.eval()


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['kind']}-{case['input_shape']}")
def test_city96s_networks_give_what_their_project_gives(case: dict[str, Any]) -> None:
    network = filled(KINDS[case["kind"]](case["config"]), case["seed_weights"])
    given = torch.randn(case["input_shape"], generator=torch.Generator().manual_seed(case["seed_input"]))
    with torch.no_grad():
        made = network(given)
    expected = torch.tensor(case["output"]).reshape(case["output_shape"])
    torch.testing.assert_close(made, expected, atol=1e-5 * float(expected.std()), rtol=1e-5)


@pytest.mark.parametrize(
    ("channels", "numbers"), [((4, 4), 1_411_972), ((4, 16), 1_418_896), ((16, 4), 1_425_796), ((16, 16), 1_432_720)]
)
def test_v4_has_the_published_number_of_weights(channels: tuple[int, int], numbers: int) -> None:
    assert sum(parameter.numel() for parameter in InterposerV4(*channels).parameters()) == numbers


def test_a_raw_network_crosses_both_domains() -> None:
    sd1, flux1 = lf.get_space("sd1"), lf.get_space("flux1")
    network = filled(InterposerV4(4, 16, width=8, n_blocks=1), 0)
    crossing = ModelDomain(network, sd1.shift, sd1.scale, flux1.shift, flux1.scale)
    latents = torch.randn(1, 4, 6, 6)
    with torch.no_grad():
        expected = flux1.to_model(network(sd1.to_raw(latents)))
        torch.testing.assert_close(crossing(latents), expected, atol=1e-5, rtol=1e-5)


def test_a_saved_interposer_is_the_same_in_its_domain(tmp_path: Path) -> None:
    sd1, sdxl = lf.get_space("sd1"), lf.get_space("sdxl")
    network = ModelDomain(filled(InterposerV4(width=8, n_blocks=1), 0), sd1.shift, sd1.scale, sdxl.shift, sdxl.scale)
    one = lf.LatentMap(network.eval(), sd1, sdxl)
    again = lf.load(lf.save(one, tmp_path / "one.safetensors"))
    assert isinstance(again, lf.LatentMap)
    latents = torch.randn(1, 4, 6, 7)
    torch.testing.assert_close(again(latents), one(latents))


def test_the_receptive_field_is_what_it_says() -> None:
    """A change further away than that changes nothing; one just inside may."""
    network = Interposer(4, 4, width=6, n_blocks=3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    reach = network.receptive_cells
    latents = torch.zeros(1, 4, 3, 2 * reach + 3)
    moved = latents.clone()
    moved[..., 0] += 1
    with torch.no_grad():
        change = (network(moved) - network(latents)).abs().amax((0, 1, 2))
    assert change[reach] > 0
    assert change[reach + 1 :].max() == 0


@pytest.fixture
def joined(tmp_path: Path) -> JoinedStores:
    """Targets that are a neighbourhood's nonlinear function: least squares leaves something to learn."""
    generator = torch.Generator().manual_seed(5)
    first = {name: torch.randn(4, 64, 64, generator=generator).half().float() for name in "abcdefghij"}
    second = {name: one.flip(0) * 0.5 + one.abs() for name, one in first.items()}
    return JoinedStores(write_store(tmp_path / "a", "sd1", first), write_store(tmp_path / "b", "sdxl", second, vae="b"))


def small(name: str = "interposer", **changes: Any) -> Any:
    preset = PRESETS[name]
    config = replace(
        preset.config,
        n_images=480,
        batch_images=8,
        optimizer="adamw",
        lr=3e-3,
        schedule="constant",
        warmup_images=0,
        ema_images=0,
        checkpoint_seconds=0,
    )
    make = lambda source, target, scale: Interposer(source.channels, target.channels, 16, 2, 3, 0)  # noqa: E731
    return replace(
        preset, make=make, crop_cells=16, losses={"mse": 1.0}, closed_form="3", draw={}, config=config, **changes
    )


def error_of(one: lf.LatentMap, joined: JoinedStores) -> float:
    here, there = next(joined.batches(joined.split("test")))
    return float((one(here.latents) - there.latents).square().mean())


def test_it_begins_as_least_squares_and_ends_better(joined: JoinedStores, tmp_path: Path) -> None:
    closed = lf.ChannelMap("3").fit_joined(joined).latent_map()
    preset = small()
    begun = train_latent_map(
        joined, replace(preset, config=replace(preset.config, n_images=8, lr=0.0)), tmp_path / "b", progress=False
    )
    here, _ = next(joined.batches())
    torch.testing.assert_close(begun(here.latents), closed(here.latents), atol=1e-4, rtol=1e-4)
    trained = train_latent_map(joined, preset, tmp_path / "t", progress=False)
    assert error_of(trained, joined) < 0.8 * error_of(closed, joined)
    assert set(trained.card["train_hashes"]).isdisjoint(pair.sha256 for pair in joined.split("test"))


def test_a_killed_run_goes_on_to_the_same_weights(joined: JoinedStores, tmp_path: Path) -> None:
    whole = train_latent_map(joined, small(), tmp_path / "whole", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        calls = []

        def stop(model: nn.Module, rows: object, seen_images: int) -> None:
            calls.append(seen_images)
            raise KeyboardInterrupt

        preset = small()
        preset = replace(preset, config=replace(preset.config, log_images=240))
        patch.setattr("latentfit.train.run.MetricsCsv", lambda path: stop)
        with pytest.raises(KeyboardInterrupt):
            train_latent_map(joined, preset, tmp_path / "killed", progress=False)
        assert calls == [240]
    again = train_latent_map(joined, preset, tmp_path / "killed", progress=False)
    for a, b in zip(whole.module.state_dict().values(), again.module.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_run_begins_from_a_map_of_its_make(joined: JoinedStores, tmp_path: Path) -> None:
    preset = small()
    still = replace(preset, config=replace(preset.config, n_images=8, lr=0.0))
    first = train_latent_map(joined, replace(preset, config=replace(preset.config, n_images=80)), tmp_path / "a")
    first.card["train_hashes"] = ["f" * 64]
    second = train_latent_map(joined, still, tmp_path / "b", begin=first, progress=False)
    for before, after in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(before, after)
    assert set(second.card["train_hashes"]) == {"f" * 64, *(pair.sha256 for pair in joined.split("train"))}
    assert second.card["begun_from"]["form"] == preset.title
    with pytest.raises(TrainError, match="belongs to a run with other settings: begun_from"):
        train_latent_map(joined, still, tmp_path / "b", progress=False)
    other = lf.LatentMap(Interposer(4, 4, 8, 2, 3), "sd1", "sdxl")
    with pytest.raises(BadFileError, match="that differ at"):
        train_latent_map(joined, still, tmp_path / "c", begin=other, progress=False)
    turned = lf.LatentMap(first.module, "sdxl", "sd1")
    with pytest.raises(SpaceMismatchError, match=r"leads from 'sdxl' to 'sd1' .* begin from a map between the same"):
        train_latent_map(joined, still, tmp_path / "c", begin=turned, progress=False)


def test_what_begins_from_a_map_trains_its_inverse_anew(joined: JoinedStores, tmp_path: Path) -> None:
    preset = replace(small(both_ways=True), losses={"mse": 1.0, "round": 0.1})
    still = replace(preset, config=replace(preset.config, n_images=8, lr=0.0))
    first = train_latent_map(joined, replace(preset, config=replace(preset.config, n_images=80)), tmp_path / "a")
    second = train_latent_map(joined, still, tmp_path / "b", begin=first, progress=False)
    back = lf.load(tmp_path / "b_back.safetensors")
    assert isinstance(back, lf.LatentMap)
    for before, after in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(before, after)
    closed = lf.ChannelMap("3").fit_joined(JoinedStores(joined.target, joined.source)).latent_map()
    here, _ = next(JoinedStores(joined.target, joined.source).batches())
    torch.testing.assert_close(back(here.latents), closed(here.latents), atol=1e-4, rtol=1e-4)


def test_both_ways_gives_the_inverse_too(joined: JoinedStores, tmp_path: Path) -> None:
    preset = replace(small(both_ways=True), losses={"mse": 1.0, "round": 0.1, "back": 1.0})
    train_latent_map(joined, preset, tmp_path / "one", progress=False)
    back = lf.load(tmp_path / "one_back.safetensors")
    assert isinstance(back, lf.LatentMap)
    assert (back.source.name, back.target.name) == ("sdxl", "sd1")


def test_an_inverse_that_no_loss_teaches_is_not_made(joined: JoinedStores, tmp_path: Path) -> None:
    """City96's weights from SDXL to SD1 are of the way there alone."""
    turned = JoinedStores(joined.target, joined.source)
    config = replace(small().config, n_images=8)
    train_latent_map(turned, "interposer-v4", tmp_path / "one", config=config, progress=False)
    assert {path.name for path in tmp_path.glob("one*")} == {"one.safetensors", "one.run"}


def test_cycle_losses_are_city96s() -> None:
    """p |M(s) - d| + r |B(M(s)) - s| + b |B(d) - s| + h |M(B(d)) - d|, by hand."""
    there, back = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    model = BothWays(there, back)
    s, d = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    weights = {"l1": 1.0, "round": 1.4, "back": 0.7, "back_round": 0.3}
    found = LatentObjective(weights).losses(model, {"input": s, "target": d})
    l1 = nn.functional.l1_loss
    expected = l1(there(s), d) + 1.4 * l1(back(there(s)), s) + 0.7 * l1(back(d), s) + 0.3 * l1(there(back(d)), d)
    torch.testing.assert_close(found["loss"], expected)
    assert city96_losses(lf.get_space("sd1"), lf.get_space("sdxl")) == {"l1": 1, "round": 1.4, "back": 1}


def test_decoded_losses_look_through_the_decoder() -> None:
    decoder = lf.Approximation(nn.Conv2d(4, 3, 1), "sdxl")
    made, real = torch.randn(1, 4, 6, 6, requires_grad=True), torch.randn(1, 4, 6, 6)
    objective = LatentObjective({"decoded_mse": 1.0, "oklab": 1.0}, decoder)

    class Given(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            return made

    found = objective.losses(Given(), {"input": real, "target": real})
    wanted = decoder.module(real).clamp(0, 1)
    torch.testing.assert_close(found["decoded_mse"], (decoder.module(made) - wanted).square().mean())
    found["loss"].backward()
    assert made.grad is not None
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_losses_that_cannot_be_are_refused() -> None:
    with pytest.raises(TrainError, match="expected a decoder, got none"):
        LatentObjective({"decoded_l1": 1.0})
    with pytest.raises(TrainError, match="expected some of"):
        LatentObjective({"lpips": 1.0})


def test_a_decoder_of_another_space_is_refused(joined: JoinedStores, tmp_path: Path) -> None:
    with pytest.raises(SpaceMismatchError, match="the map leads to 'sdxl'"):
        train_latent_map(joined, small(), tmp_path / "x", decoder=lf.Approximation(nn.Conv2d(4, 3, 1), "sd1"))


def test_a_map_between_latents_is_no_decoder(joined: JoinedStores, tmp_path: Path) -> None:
    across = lf.LatentMap(nn.Conv2d(4, 4, 1), "sd1", "sdxl")
    with pytest.raises(SpaceMismatchError, match="expected a map to pictures, got LatentMap"):
        train_latent_map(joined, small(), tmp_path / "x", decoder=across)  # type: ignore[arg-type]


def test_a_store_that_is_gone_is_named(joined: JoinedStores, tmp_path: Path) -> None:
    for shard in joined.target.path.glob("*.safetensors"):
        shard.unlink()
    with pytest.raises(StoreError, match="delete it and run collect again"):
        train_latent_map(joined, replace(small(), closed_form=None), tmp_path / "x", progress=False)


@pytest.mark.parametrize("case", GOLDEN["cases"][:1] + GOLDEN["cases"][3:], ids=lambda case: case["kind"])
def test_their_files_are_known_by_their_keys(case: dict[str, Any], tmp_path: Path) -> None:
    network = filled(KINDS[case["kind"]](case["config"]), 1)
    path = tmp_path / "v1-to-xl_interposer-v4.0.safetensors"
    save_file(network.state_dict(), path)
    one = lf.load(path)
    assert isinstance(one, lf.LatentMap)
    assert (one.source.name, one.target.name, one.scale) == ("sd1", "sdxl", 1)
    latents = torch.randn(1, 4, 6, 6)
    with torch.no_grad():
        expected = one.target.to_model(network(one.source.to_raw(latents)))
    torch.testing.assert_close(one(latents), expected, atol=1e-5, rtol=1e-5)
    other = path.rename(tmp_path / "unnamed.safetensors")
    with pytest.raises(BadFileError, match="between which latent spaces"):
        lf.load(other, "sd1")
    with pytest.raises(SpaceMismatchError, match="gives 4 channels, space 'flux1' has 16"):
        lf.load(other, "sd1", target="flux1")


def test_stage_a_of_cascade_is_halved(tmp_path: Path) -> None:
    path = tmp_path / "ca-to-v1_interposer-v4.0.safetensors"
    save_file(filled(InterposerV4(width=8, n_blocks=1), 0).state_dict(), path)
    one = lf.load(path)
    assert isinstance(one, lf.LatentMap)
    assert one(torch.randn(1, 4, 8, 12)).shape == (1, 4, 4, 6)


def test_a_usual_name_and_what_is_said_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "v1-to-xl_interposer-v4.0.safetensors"
    save_file(filled(InterposerV4(width=8, n_blocks=1), 0).state_dict(), path)
    for space, target in (("sdxl", "sd1"), ("sd1", "sd1"), ("sdxl", None)):
        with pytest.raises(SpaceMismatchError, match=r"its usual name says|twice"):
            lf.load(path, space, target=target)
    assert isinstance(lf.load(path, "sd15", target="sdxl"), lf.LatentMap)


def test_errors_that_cannot_be_buried_are_refused() -> None:
    for schedule in ("sd", "flow"):
        for sigma in (float("nan"), -1.0):
            with pytest.raises(ValueError, match="expected 0 or more"):
                masking_strength(sigma, schedule)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="equal shape"):
        ErrorBands().add(torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8))
