"""Upscalers of latents: others equal their own code, ours begin as their skips; domains, factors, bad files."""

import hashlib
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import BadFileError, ScaleError, SpaceMismatchError
from latentfit.formats import KINDS
from latentfit.maps import AtScale, Tiles, as_scale, map_in_tiles, resampling
from latentfit.nets import (
    PRIVATE_FACTORS,
    AnyUpscaler,
    Craft,
    Dat,
    Drct,
    LatentResizer,
    ModelDomain,
    Resampling,
    SwinFir,
    TransformerUpscaler,
    Upscaler,
    UpscalerV1,
    UpscalerV2,
)
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

GOLDEN = json.loads((GOLDEN_FOLDER / "upscalers.json").read_text("utf-8"))
NETWORKS = [case for case in GOLDEN["cases"] if "seed_weights" in case]


def named(case: dict[str, Any]) -> str:
    return f"{case['kind']}-{'x'.join(map(str, case['input_shape'] + case.get('size', [])))}"


def filled(network: nn.Module, seed: int) -> nn.Module:
    """As the fixture's "how" says."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for key, value in sorted(network.state_dict().items()):
        drawn = torch.randn(value.shape, generator=generator) if value.is_floating_point() else value
        if not value.is_floating_point():
            state[key] = value
        elif key.endswith("running_var"):
            state[key] = 0.5 + drawn.abs()
        elif value.ndim in (2, 4):
            state[key] = drawn * (1.5 / value[0].numel()) ** 0.5
        else:
            state[key] = drawn * 0.1 + key.endswith(("weight", "temperature"))
    network.load_state_dict(state)
    return network.eval()


def made_by(case: dict[str, Any]) -> nn.Module:
    return filled(KINDS[case["kind"]](case["config"]), case["seed_weights"])


def tiny_resizer(n_channels: int = 4) -> nn.Module:
    return filled(LatentResizer(n_channels, 32, 2, 2), 3)


TRANSFORMERS: dict[str, Callable[[int], TransformerUpscaler]] = {
    "SwinFIR": lambda n_channels=4: SwinFir(n_channels, 24, (2,), 2, 8, 48),
    "CRAFT": lambda n_channels=4: Craft(n_channels, 32, (1,), 2, (4, 16), 64, 85),
    "DRCT": lambda n_channels=4: Drct(n_channels, 24, 1, 2, 8, 8),
    "DRCTFIR": lambda n_channels=4: Drct(n_channels, 24, 1, 2, 8, 8, fourier=True),
    "DAT": lambda n_channels=4: Dat(n_channels, 32, (3,), 2, (8, 16), 64),
}


def public(network: TransformerUpscaler) -> dict[str, Tensor]:
    """As the project's own class saves itself: weights, and buffers for latents of 64 × 64."""
    return {**network.state_dict(), **network.buffers_of()}


def written(network: nn.Module, path: Path) -> Path:
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=named)
def test_their_networks_give_what_their_projects_give(case: dict[str, Any]) -> None:
    network = KINDS[case["kind"]](case["config"])
    if "seed_weights" in case:
        network = filled(network, case["seed_weights"])
    given = torch.randn(case["input_shape"], generator=torch.Generator().manual_seed(case["seed_input"]))
    with torch.no_grad():
        made = network(given, *([tuple(case["size"])] if "size" in case else []))
    assert list(made.shape) == case["output_shape"]
    expected = torch.tensor(case["output"])
    near = 2e-5 * max(1.0, float(expected.std()))
    torch.testing.assert_close(made.flatten()[:: case["every"]], expected, atol=near, rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "numbers"),
    [
        (lambda: UpscalerV2(), 595_524),
        (lambda: UpscalerV1(), 511_588),
        (lambda: LatentResizer(), 6_274_020),
        (lambda: LatentResizer(16), 6_301_680),
    ],
)
def test_they_have_the_published_number_of_weights(network: Callable[[], nn.Module], numbers: int) -> None:
    assert sum(parameter.numel() for parameter in network().parameters()) == numbers


@pytest.mark.parametrize("case", NETWORKS, ids=named)
def test_gradients_reach_every_weight(case: dict[str, Any]) -> None:
    network = made_by(case)
    latents = torch.randn(case["input_shape"])
    network(latents, *([tuple(case["size"])] if "size" in case else [])).square().mean().backward()
    silent = [name for name, one in network.named_parameters() if one.grad is None or not one.grad.isfinite().all()]
    assert not silent


# Files


@pytest.mark.parametrize("factor", ["1.25", "1.5", "2.0"])
def test_city96s_files_say_space_and_factor_in_their_names(factor: str, tmp_path: Path) -> None:
    network = filled(UpscalerV2(width=8, n_convs=2, scale=float(factor)), 1)
    one = lf.load(written(network, tmp_path / f"latent-upscaler-v2.1_SDxl-x{factor}.safetensors"))
    assert isinstance(one, lf.LatentMap)
    assert (one.source.name, one.target.name, one.scale) == ("sdxl", "sdxl", Fraction(factor))
    latents = torch.randn(1, 4, 8, 12)
    with torch.no_grad():
        expected = one.source.to_model(network(one.source.to_raw(latents)))
    torch.testing.assert_close(one(latents), expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ScaleError, match=r"gives .* target cells a cell, not 3"):
        one.at_scale(3)


def test_an_unnamed_file_of_city96s_is_told_both(tmp_path: Path) -> None:
    path = written(filled(UpscalerV1(), 1), tmp_path / "x.safetensors")
    with pytest.raises(BadFileError, match=r"city96's upscaler v1.*does not say which latent space"):
        lf.load(path)
    with pytest.raises(ScaleError, match="which only its file's name tells"):
        lf.load(path, "sd1")
    with pytest.raises(SpaceMismatchError, match="takes 4 channels, space 'flux1' has 16"):
        lf.load(path, "flux1", scale=2)
    one = lf.load(path, "sd1", scale="5/4")
    assert one.scale == Fraction(5, 4)
    assert one(torch.randn(1, 4, 4, 8)).shape == (1, 4, 5, 10)


@pytest.mark.parametrize(
    ("stem", "space"), [("sd15_resizer", "sd1"), ("sdxl_resizer", "sdxl"), ("flux_resizer", "flux1")]
)
def test_ttls_files_cross_to_their_private_domain(stem: str, space: str, tmp_path: Path) -> None:
    """As their nodes do: raw latents times a number, and divided by it again."""
    here = lf.get_space(space)
    network, times = tiny_resizer(here.channels), PRIVATE_FACTORS[here.channels]
    torch.save(network.state_dict(), tmp_path / f"{stem}.pt")
    one = lf.load(tmp_path / f"{stem}.pt")
    assert isinstance(one, lf.LatentMap)
    assert (one.source.name, one.scale) == (space, 2)
    latents = torch.randn(1, here.channels, 6, 8)
    for factor, size in ((2, (12, 16)), (1.5, (9, 12)), (1, (6, 8))):
        with torch.no_grad():
            expected = here.to_model(network(here.to_raw(latents) * times, size) / times)
        torch.testing.assert_close(one.at_scale(factor)(latents), expected, atol=1e-4, rtol=1e-4)


def test_the_wrong_domain_is_far_off(tmp_path: Path) -> None:
    """Their networks as they are, on the model domain's latents, or on raw ones where theirs is a private domain."""
    sd1 = lf.get_space("sd1")
    latents = torch.randn(1, 4, 6, 8)
    for network, name in (
        (UpscalerV2(width=8, n_convs=2), "latent-upscaler-v2.1_SDv1-x2.0"),
        (tiny_resizer(), "sd15_resizer"),
    ):
        right = lf.load(written(filled(network, 5), tmp_path / f"{name}.safetensors"))
        module = AtScale(network, 2) if isinstance(network, LatentResizer) else network
        for wrong in (module, ModelDomain.of_raw(module, sd1)):
            made = lf.LatentMap(wrong.eval(), "sd1", "sd1", 2)(latents)
            error = float((made - right(latents)).square().mean() / right(latents).var())
            is_theirs = isinstance(network, UpscalerV2) and isinstance(wrong, ModelDomain)
            assert (error < 1e-9) if is_theirs else (error > 0.01)


@pytest.mark.parametrize(
    "module",
    [
        lambda: Upscaler(4, 8, 1),
        lambda: AtScale(AnyUpscaler(4, 8, 1), "3/2"),
        lambda: AtScale(ModelDomain(tiny_resizer(), scale_in=(1.4,), scale_out=(1.4,)), 1.25),
        lambda: ModelDomain(UpscalerV2(width=8, n_convs=2), scale_in=(0.18215,), scale_out=(0.18215,)),
        lambda: AtScale(Resampling("bicubic"), 2),
    ],
)
def test_a_saved_upscaler_is_the_same(module: Callable[[], nn.Module], tmp_path: Path) -> None:
    one = module().eval()
    scale = one.scale if isinstance(one, AtScale) else 2
    first = lf.LatentMap(one, "sd1", "sd1", scale, card={"form": "test"})
    for parameter in first.parameters():
        nn.init.normal_(parameter, std=0.2)
    again = lf.load(lf.save(first, tmp_path / "one.safetensors"))
    assert isinstance(again, lf.LatentMap)
    latents = torch.randn(2, 4, 8, 12)
    torch.testing.assert_close(again(latents), first(latents))
    assert again.scale == first.scale
    if isinstance(one, AtScale):
        other = lf.load(tmp_path / "one.safetensors", scale="7/4")
        torch.testing.assert_close(other(latents), first.at_scale(1.75)(latents))
        assert other(latents).shape == (2, 4, 14, 21)


def test_a_file_of_one_scale_takes_no_other(tmp_path: Path) -> None:
    path = lf.save(lf.LatentMap(Upscaler(4, 8, 1), "sd1", "sd1", 2), tmp_path / "up.safetensors")
    assert lf.load(path, scale=2).scale == 2
    with pytest.raises(ScaleError, match="gives 2 target cells a cell, not 3/2"):
        lf.load(path, scale=1.5)
    table = lf.save(lf.Approximation(KINDS["pixel_mlp"]({}), "sd1"), tmp_path / "table.safetensors")
    with pytest.raises(ScaleError, match="gives pictures"):
        lf.load(table, scale=2)


# Any factor


def any_factor(name: str) -> nn.Module:
    if name == "ours":
        return filled(AnyUpscaler(4, 8, 2, 6), 2)
    return tiny_resizer() if name == "ttl" else Resampling(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ours", "ttl", "nearest", "bilinear", "bicubic", "bislerp"])
def test_any_factor_and_any_size(name: str) -> None:
    one = lf.LatentMap(AtScale(any_factor(name), 2), "sd1", "sd1", 2)
    latents = torch.randn(2, 4, 19, 13)
    assert one(latents).shape == (2, 4, 38, 26)
    assert one.at_scale(1.37)(latents).shape == (2, 4, 26, 17)
    assert one(latents, size=(25, 14)).shape == (2, 4, 25, 14)
    assert one(latents[:, :, None].expand(-1, -1, 3, -1, -1)).shape == (2, 4, 3, 38, 26)
    torch.testing.assert_close(one.at_scale(1)(latents), latents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one(latents)[1:], one(latents[1:]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["ours", "ttl"])
def test_a_factor_out_of_range_is_refused(name: str) -> None:
    one = lf.LatentMap(AtScale(any_factor(name), 2), "sd1", "sd1", 2)
    for factor in (0.5, 2.5, 4):
        with pytest.raises(ScaleError, match=f"expected 1 to 2, what the network was made for, got {factor:g}"):
            one.at_scale(factor)
    with pytest.raises(ScaleError, match="expected 1 to 2"):
        one(torch.randn(1, 4, 6, 6), size=(12, 5))
    with pytest.raises(ScaleError, match="expected the module's, 2, got 3/2"):
        lf.LatentMap(one.module, "sd1", "sd1", 1.5)


def test_factors_are_exact_to_a_hundredth() -> None:
    assert as_scale(1.37) == Fraction(137, 100)
    assert as_scale(1 / 3) == Fraction(1, 3)
    with pytest.raises(ValueError, match="expected a positive number"):
        as_scale(0)


# The incumbents


def test_resampling_is_done_on_raw_latents() -> None:
    """It makes a difference to bislerp where a space has a shift."""
    flux1 = lf.get_space("flux1")
    latents = torch.randn(1, 16, 5, 6)
    raw = Resampling("bislerp")(flux1.to_raw(latents), (10, 12))
    torch.testing.assert_close(resampling("bislerp", "flux1", 2)(latents), flux1.to_model(raw), atol=1e-5, rtol=1e-5)
    with pytest.raises(ScaleError, match="expected one of nearest, bilinear"):
        resampling("lanczos", "sd1")  # type: ignore[arg-type]


def test_bislerp_keeps_lengths_where_bilinear_shortens() -> None:
    """Two unit vectors at a right angle: their middle has length 1 on the arc, the square root of a half between."""
    latents = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, :, None]
    on_arc, between = (Resampling(method)(latents, (1, 6))[0, :, 0] for method in ("bislerp", "bilinear"))
    torch.testing.assert_close(on_arc.norm(dim=0), torch.ones(6))
    assert float(between.norm(dim=0).min()) < 0.75


# Ours


def test_ours_begin_as_their_skips() -> None:
    latents = torch.randn(1, 4, 7, 9)
    closed = lf.ChannelMap("5", scale=2).fit_arrays(
        torch.randn(8, 4, 24, 24), torch.randn(8, 4, 48, 48), space="sd1", target_space="sd1"
    )
    network = Upscaler(4, 8, 1)
    values = closed.module_.coefficients
    network.set_skip(values[1:].T.reshape(network.skip.weight.shape), values[0])
    one = lf.LatentMap(network, "sd1", "sd1", 2)
    torch.testing.assert_close(one(latents), closed.latent_map()(latents), atol=1e-5, rtol=1e-5)
    free = lf.LatentMap(AtScale(AnyUpscaler(4, 8, 1), 1.5), "sd1", "sd1", 1.5)
    torch.testing.assert_close(free(latents), resampling("bicubic", "sd1", 1.5)(latents), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_channels", [4, 16])
def test_ours_weigh_three_megabytes_at_most(n_channels: int, tmp_path: Path) -> None:
    for module in (Upscaler(n_channels), AtScale(AnyUpscaler(n_channels), 2)):
        space = "sd1" if n_channels == 4 else "flux1"
        path = lf.save(lf.LatentMap(module, space, space, 2), tmp_path / "up.safetensors", dtype=torch.float16)
        assert path.stat().st_size < 3e6


@pytest.mark.parametrize(
    ("make", "factor"),
    [
        (lambda: Upscaler(4, 6, 2), 2),
        (lambda: AtScale(AnyUpscaler(4, 6, 2, 6), 1), 1.25),
        (lambda: AtScale(AnyUpscaler(4, 6, 2, 6), 1), 2),
        (lambda: UpscalerV2(width=6, n_convs=3, scale=1.25), 1.25),
        (lambda: UpscalerV1(), 2),
    ],
)
def test_the_receptive_field_is_what_it_says(make: Callable[[], nn.Module], factor: float) -> None:
    """A change of one cell changes nothing further away; just inside it may."""
    network = make()
    network = network if not isinstance(network, AtScale) else AtScale(network.network, factor)
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    reach = network.receptive_cells
    latents = torch.randn(1, 4, 4, 4 * reach, generator=generator)
    moved = latents.clone()
    moved[..., 2 * reach] += 1
    with torch.no_grad():
        change = (network(moved) - network(latents)).abs().amax((0, 1, 2))
    inside, outside = 2 * reach * factor, (4 * reach * factor)
    far = [at for at in range(int(outside)) if not inside - reach * factor <= at < inside + (reach + 1) * factor]
    assert change[far].max() == 0
    near = (reach - 3) * factor
    assert change[int(inside - near) : int(inside + near)].min() > 0


@pytest.mark.parametrize(
    ("make", "scale"),
    [
        (lambda: Upscaler(4, 6, 1), Fraction(2)),
        (lambda: AtScale(AnyUpscaler(4, 6, 1, 6), "3/2"), Fraction(3, 2)),
        (lambda: UpscalerV2(width=6, n_convs=3, scale=1.25), Fraction(5, 4)),
    ],
)
def test_tiles_that_overlap_by_the_reach_are_exact(make: Callable[[], nn.Module], scale: Fraction) -> None:
    """Cut in whole multiples of the factor's denominator."""
    network, (up, down) = filled(make(), 8), scale.as_integer_ratio()
    margin = -(-network.receptive_cells // down)
    tiles = Tiles(2 * margin + 5, 2 * margin, margin)
    latents = torch.randn(1, 4, 12 * down, (3 * margin + 8) * down)
    with torch.no_grad():
        made = map_in_tiles(network, latents, tiles, px_in=down, px_out=up)
        torch.testing.assert_close(made, network(latents), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: Upscaler(4, 8, 2), lambda: AtScale(AnyUpscaler(4, 8, 2), 1.5)])
def test_gradients_reach_all_of_ours(make: Callable[[], nn.Module]) -> None:
    network = filled(make(), 9)
    network(torch.randn(2, 4, 8, 8)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_ours_knows_the_factor() -> None:
    network = filled(AnyUpscaler(4, 8, 1), 4)
    latents = torch.randn(1, 4, 8, 8)
    before = network(latents, (12, 12))
    with torch.no_grad():
        network.embed[0].bias += 1.0
    assert not torch.allclose(before, network(latents, (12, 12)), atol=1e-3)
    assert torch.equal(network(latents, (8, 8)), latents)


def test_what_is_said_must_agree_with_a_usual_name(tmp_path: Path) -> None:
    path = written(filled(UpscalerV2(width=8, n_convs=2), 1), tmp_path / "latent-upscaler-v2.1_SDv1-x1.5.safetensors")
    with pytest.raises(SpaceMismatchError, match="usual name is that of an upscaler of 'sd1', not of 'sdxl'"):
        lf.load(path, space="sdxl")
    with pytest.raises(ScaleError, match=r"trained for a factor of 1\.5, not 2"):
        lf.load(path, scale=2)
    assert lf.load(path, space="sd15", scale="3/2").scale == Fraction(3, 2)
    with pytest.raises(SpaceMismatchError, match="keeps the space"):
        lf.load(path, space="sd1", target="sdxl")
    for wrong in ("abc", float("nan"), "1/0", 0, -1):
        with pytest.raises(ScaleError, match="expected a positive number"):
            lf.load(path, scale=wrong)


def test_no_latents_are_enlarged_to_none() -> None:
    for network in (SwinFir(4, 12, (2,), 2, 8, 24), Drct(4, 12, 1, 2, 8, 4)):
        assert network(torch.zeros(0, 4, 5, 6)).shape == (0, 4, 10, 12)


def test_an_upscaler_before_a_decoder_is_a_larger_decoder() -> None:
    one = lf.LatentMap(AtScale(any_factor("ours"), 1.5), "sd1", "sd1", 1.5)
    decoder = lf.Approximation(nn.Conv2d(4, 3, 1), "sd1")
    latents = torch.randn(1, 4, 6, 8)
    both = lf.chain(one, decoder)
    assert both.scale == Fraction(3, 2)
    torch.testing.assert_close(both(latents), decoder(one(latents)))
    eight = lf.Approximation(nn.Sequential(nn.Conv2d(4, 3 * 64, 1), nn.PixelShuffle(8)), "sd1", 8)
    assert lf.chain(one, eight)(latents[..., :5, :7]).shape == (1, 3, 60, 84)


def test_keys_are_theirs() -> None:
    for case in NETWORKS:
        network = made_by(case)
        state = public(network) if isinstance(network, TransformerUpscaler) else network.state_dict()
        listed = "\n".join(f"{key} {list(value.shape)}" for key, value in sorted(state.items()))
        assert hashlib.sha256(listed.encode()).hexdigest() == case["keys"], named(case)


# Transformers


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformers_file_is_known_by_its_keys(name: str, tmp_path: Path) -> None:
    """With its buffers or without; raw latents, a factor of 2, sizes that its windows do not divide."""
    network = filled(TRANSFORMERS[name](4), 6)
    latents = torch.randn(1, 4, 19, 13)
    for state, stem in ((public(network), f"{name}4x6_mse_200k_1.5"), (network.state_dict(), f"{name}_64k_sdxl")):
        torch.save(state, tmp_path / f"{stem}.pth")
        one = lf.load(tmp_path / f"{stem}.pth")
        assert isinstance(one, lf.LatentMap)
        assert (one.source.name, one.scale, one.card["form"]) == ("sd1" if "1.5" in stem else "sdxl", 2, name)
        with torch.no_grad():
            expected = one.source.to_model(network(one.source.to_raw(latents)))
        torch.testing.assert_close(one(latents), expected, atol=1e-4, rtol=1e-4)
    again = lf.load(lf.save(one, tmp_path / "ours.safetensors", dtype=torch.float16))
    assert float((again(latents) - one(latents)).abs().max()) < 0.1
    with pytest.raises(ScaleError, match="gives a factor of 2, not 3/2"):
        lf.load(tmp_path / f"{stem}.pth", scale=1.5)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_checkpoint_whose_buffers_disagree_is_refused(name: str, tmp_path: Path) -> None:
    network = filled(TRANSFORMERS[name](16), 6)
    buffers = network.buffers_of()
    for key in dict.fromkeys((next(iter(buffers)), list(buffers)[-1])):
        state = {one: value.clone() for one, value in public(network).items()}
        state[key].view(-1)[3] += 1
        torch.save(state, tmp_path / "x.pth")
        with pytest.raises(BadFileError, match=rf"x.pth: weights.*buffer '{key}' disagrees"):
            lf.load(tmp_path / "x.pth", "flux1")
    other = network.buffers_of(32)
    torch.save({**network.state_dict(), **other}, tmp_path / "x.pth")
    assert lf.load(tmp_path / "x.pth", "flux1").scale == 2
    torch.save({**public(network), "layers.9.attn_mask": torch.zeros(64, 64, 64)}, tmp_path / "x.pth")
    with pytest.raises(BadFileError, match="belongs to none of its attentions"):
        lf.load(tmp_path / "x.pth", "flux1")


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformers_file_that_lacks_something_is_refused(name: str, tmp_path: Path) -> None:
    state = public(filled(TRANSFORMERS[name](4), 6))
    for lacking in ("conv_first.weight", "upsample.0.bias"):
        torch.save({key: value for key, value in state.items() if key != lacking}, tmp_path / "x.pth")
        with pytest.raises(BadFileError, match=f"{lacking}"):
            lf.load(tmp_path / "x.pth", "sd1")


@pytest.mark.parametrize("name", [*TRANSFORMERS, "city96", "ttl"])
def test_files_with_other_shapes_are_refused(name: str, tmp_path: Path) -> None:
    networks = {"city96": lambda: UpscalerV2(width=8, n_convs=2), "ttl": tiny_resizer}
    state = networks[name]().state_dict() if name in networks else public(TRANSFORMERS[name](4))
    for key in list(state)[:: max(1, len(state) // 12)]:
        torch.save({**state, key: torch.zeros(7, 1)}, tmp_path / "x.pth")
        with pytest.raises(BadFileError):
            lf.load(tmp_path / "x.pth", "sd1", scale=2)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_padding_to_windows_is_replicated_and_cut(name: str) -> None:
    """Sizes of a real picture that 16 does not divide; DAT pads by itself, as its checkpoints learned."""
    network = filled(TRANSFORMERS[name](4), 6)
    raw = torch.randn(1, 4, 152, 104)[..., :40, :24]
    with torch.no_grad():
        made = network(raw)
        assert made.shape == (1, 4, 80, 48)
        if name == "DAT":
            return
        padded = nn.functional.pad(raw, (0, -24 % network.multiple, 0, -40 % network.multiple), mode="replicate")
        torch.testing.assert_close(network(padded)[..., :80, :48], made, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_batches_are_independent(name: str) -> None:
    network = filled(TRANSFORMERS[name](4), 6)
    raw = torch.randn(3, 4, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(raw)[1:2], network(raw[1:2]), atol=1e-4, rtol=1e-4)


def test_the_seeds_networks_have_the_published_number_of_weights() -> None:
    """Of as many groups as theirs, by what a second one adds to the first."""

    def millions(make: Callable[..., nn.Module], n_groups: int, **kwargs: Any) -> float:
        sizes = ({"n_groups": n} if make is Drct else {"depths": (6,) * n} for n in (1, 2))
        one, two = (sum(each.numel() for each in make(**size, **kwargs).parameters()) for size in sizes)
        return (one + (n_groups - 1) * (two - one)) / 1e6

    assert (millions(SwinFir, 4), millions(Drct, 12)) == (3.822036, 27.435204)
    assert millions(Drct, 12, fourier=True) == 27.857214
    assert [round(number, 1) for number in (millions(Craft, 7), millions(Dat, 6), millions(Dat, 12))] == [
        46.1,
        24.4,
        47.9,
    ]
