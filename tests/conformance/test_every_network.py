"""What every registered architecture keeps, whatever it is; the rows come from the registry, so that none escapes."""

import importlib
import inspect
import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
import latentfit.nets
from latentfit.errors import BadFileError
from latentfit.formats import ARCHITECTURES, described, encoder_in, recognised, wrapped
from latentfit.maps import AtScale
from latentfit.nets import ModelDomain, Palettized

SPACES = {4: "sd1", 16: "flux1", 32: "sana_dcae"}
BESIDE = {"ModelDomain", "PatchDiscriminator"}  # a wrapper and a judge: no file holds them
TWO_COLOURS = torch.tensor([[0, 0, 0], [255, 255, 255]], dtype=torch.uint8)
SAVED = [kind for kind, row in ARCHITECTURES.items() if row.is_saved]
THEIRS = [kind for kind, row in ARCHITECTURES.items() if row.recognise is not None]


def made(kind: str, seed: int = 3) -> Any:
    """The row's example, every number of it drawn, so that no branch is silent."""
    row = ARCHITECTURES[kind]
    config = {**row.example, **({"colours": TWO_COLOURS} if row.gives == "logits" and kind != "pixelvae" else {})}
    network = row.built(config)
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: torch.randn(tensor.shape, generator=generator) * 0.5 / max(1, tensor[:1].numel()) ** 0.5
        if tensor.is_floating_point()
        else tensor
        for name, tensor in network.state_dict().items()
    }
    state |= {name: one.abs() + 0.5 for name, one in state.items() if name.endswith("running_var")}
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def wrapper_of(network: Any, kind: str) -> lf.Approximation | lf.LatentMap:
    row, n_channels = ARCHITECTURES[kind], getattr(network, "n_channels", 4)
    n_channels = network.config()["n_channels"] if isinstance(network, Palettized) else n_channels
    space = SPACES[n_channels]
    gives = row.gives_with(network.config())
    if gives != "latents":
        scale = getattr(network, "cell_px", getattr(network, "scale", 1))
        return lf.Approximation(network, space, scale, name=kind)
    target = SPACES[getattr(network, "n_outputs", n_channels)]
    module = AtScale(network, "3/2") if hasattr(network, "factors") else network
    return lf.LatentMap(module, space, target, getattr(module, "scale", 1), name=kind)


def of(wrapper: lf.Approximation | lf.LatentMap, rows: int, columns: int, n: int = 2) -> Tensor:
    space = wrapper.source if isinstance(wrapper, lf.LatentMap) else wrapper.space
    return torch.randn(n, space.channels, rows, columns, generator=torch.Generator().manual_seed(rows))


def test_every_network_of_the_folder_has_a_row() -> None:
    """A module with `config` that could be saved is registered."""
    registered = {row.network for row in ARCHITECTURES.values()}
    for module in pkgutil.walk_packages(latentfit.nets.__path__, "latentfit.nets."):
        for name, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            is_network = issubclass(one, nn.Module) and hasattr(one, "config") and not inspect.isabstract(one)
            if is_network and one.__module__ == module.name and name not in BESIDE:
                assert one in registered, f"{module.name}.{name} stands in no ARCHITECTURES"


@pytest.mark.parametrize("kind", SAVED)
def test_it_is_saved_and_loaded_with_equal_tensors(kind: str, tmp_path) -> None:
    wrapper = wrapper_of(made(kind), kind)
    again = lf.load(lf.save(wrapper, tmp_path / "one.safetensors"))
    assert type(again) is type(wrapper)
    there, here = again.module.state_dict(), wrapper.module.state_dict()
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], tensor) for name, tensor in here.items())
    latents = of(wrapper, 6, 8)
    torch.testing.assert_close(again(latents), wrapper(latents), atol=1e-6, rtol=1e-6)  # memory may lie otherwise


@pytest.mark.parametrize("kind", SAVED)
def test_described_and_wrapped_are_inverse(kind: str) -> None:
    module = wrapper_of(made(kind), kind).module
    network, header = described(module)
    assert header["kind"] == kind
    scale = str(getattr(module, "scale", 1))
    again = wrapped(ARCHITECTURES[kind].built(header["config"]), {**header, "scale": scale})
    assert type(again) is type(module)
    assert described(again)[1] == header
    if not hasattr(network, "factors") and not isinstance(network, Palettized):
        in_domain = ModelDomain(network, [0.5], [2.0], [0.25], [4.0])
        assert described(in_domain)[1]["domain"]["scale_out"] == [4.0]


@pytest.mark.parametrize("kind", [kind for kind in ARCHITECTURES if kind not in SAVED])
def test_what_is_no_map_by_itself_is_not_saved_as_one(kind: str) -> None:
    with pytest.raises(BadFileError, match="save: expected a module of kind"):
        described(made(kind))


@pytest.mark.parametrize("kind", SAVED)
def test_shapes_ranges_and_batches(kind: str) -> None:
    """Odd sizes, one row, and what a picture gives does not depend on its neighbours in the batch."""
    wrapper = wrapper_of(made(kind), kind)
    for rows, columns in ((6, 10), (4, 2)) if "3/2" in str(getattr(wrapper, "scale", "")) else ((5, 7), (2, 3)):
        latents = of(wrapper, rows, columns)
        given = wrapper(latents)
        channels = wrapper.target.channels if isinstance(wrapper, lf.LatentMap) else 3
        assert given.shape == (2, channels, int(rows * wrapper.scale), int(columns * wrapper.scale))
        assert given.isfinite().all()
        if isinstance(wrapper, lf.Approximation):
            assert 0 <= given.min() <= given.max() <= 1
        alone = torch.cat([wrapper(one) for one in latents.split(1)])
        torch.testing.assert_close(given, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", THEIRS)
def test_it_is_recognised_by_its_keys_and_by_nothing_else(kind: str, tmp_path) -> None:
    row, network = ARCHITECTURES[kind], made(kind)
    keys = set(network.state_dict())
    finders = {other.load for other in ARCHITECTURES.values() if other.recognise is not None and other.recognise(keys)}
    assert finders == {row.load}
    again = row.load(network.state_dict())
    assert type(again) is row.network
    assert again.config() == network.config()
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in network.state_dict().items())
    path = tmp_path / "theirs.pt"
    torch.save(network.state_dict(), path)
    if row.gives == "encoding":
        assert type(encoder_in(path)) is row.network
        return
    found = recognised(path)
    assert (found.architecture, type(found.module)) == (row, row.network)
    assert found.n_channels == network.n_channels
    assert encoder_in(path) is None


@pytest.mark.parametrize("kind", [kind for kind in ARCHITECTURES if kind not in THEIRS])
def test_ours_are_taken_for_no_other_projects(kind: str) -> None:
    keys = set(made(kind).state_dict())
    assert not [other.kind for other in ARCHITECTURES.values() if other.recognise is not None and other.recognise(keys)]


def test_the_error_names_all_that_it_could_have_been(tmp_path) -> None:
    torch.save({"strange.weight": torch.zeros(3)}, tmp_path / "x.pt")
    with pytest.raises(BadFileError) as refused:
        recognised(tmp_path / "x.pt")
    titles = [ARCHITECTURES[kind].title for kind in THEIRS if ARCHITECTURES[kind].gives != "encoding"]
    assert all(title in str(refused.value) for title in titles)


def test_kinds_of_files_that_exist_stay() -> None:
    """Headers of files hold these names; run identities hold those of the classes."""
    named = {kind: row.network.__name__ for kind, row in ARCHITECTURES.items()}
    assert named.items() >= {
        "polynomial": "PolynomialMap", "cell": "CellDecoder", "pixel_mlp": "PixelMlp", "approx_cnn": "ApproxCnn",
        "tiny_decoder": "TinyDecoder", "tiny_decoder_32": "TinyDecoder32", "palettized": "Palettized",
        "interposer": "Interposer", "interposer_v4": "InterposerV4", "interposer_v3": "InterposerV3",
        "interposer_v1": "InterposerV1", "resampling": "Resampling", "upscaler": "Upscaler",
        "any_upscaler": "AnyUpscaler", "upscaler_v2": "UpscalerV2", "upscaler_v1": "UpscalerV1",
        "latent_resizer": "LatentResizer", "swinfir": "SwinFir", "craft": "Craft", "dat": "Dat", "drct": "Drct",
        "pixelvae": "PixelVae", "cell_palette": "CellPalette", "nearest": "NearestColour",
        "tiny_encoder": "TinyEncoder",
    }.items()  # fmt: skip
