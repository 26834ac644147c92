"""Every node says what speaks against the latents on its wire being what it takes them for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.comfyui import maps, nodes, spaces
from latentfit.comfyui.decode import OWN, LatentFitDecode
from latentfit.comfyui.latent_nodes import LatentFitInterpose, LatentFitUpscale
from latentfit.comfyui.palettizing import LatentFitPalettize
from latentfit.comfyui.previewing import MapPreview
from latentfit.comfyui.save_pairs import DECODED, LatentFitSavePairs
from latentfit.latents import open_latents
from latentfit.runtime import data_path
from tests.support.fake_comfyui import ComfyUi
from tests.support.paths import GOLDEN

FLUX_TABLE, SD1_TABLE = "bundled/tables/flux1/affine.safetensors", "bundled/tables/sd1/affine.safetensors"


@pytest.fixture(autouse=True)
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComfyUi:
    made = ComfyUi(tmp_path / "ComfyUI", monkeypatch)
    nodes.begin()
    maps._ready.cache_clear()
    return made


@pytest.fixture(scope="module")
def sd3() -> Tensor:
    """As ComfyUI's wires have them, raw: (1, 16, 20, 20)."""
    space = lf.get_space("sd3")
    return space.model_to_comfy(open_latents(GOLDEN / "sd3.latent", space).latents[..., :20, :20])


def run(node: str, samples: Tensor) -> Any:
    wire = {"samples": samples}
    if node == "decode":
        return LatentFitDecode().decode(wire, FLUX_TABLE, OWN, "bilinear", 64, spaces.AUTO)
    if node == "palettize":
        return LatentFitPalettize().palettize(wire, FLUX_TABLE, "ega16", "none", 1.0, 1, spaces.AUTO)
    if node == "interpose":
        return LatentFitInterpose().interpose(wire, "bundled/models/flux1-to-sd1.safetensors", spaces.AUTO)
    if node == "upscale":
        return LatentFitUpscale().upscale(wire, "bundled/models/flux1-upscaler.safetensors", 0.0, spaces.AUTO)
    images = torch.rand(1, samples.shape[-2] * 8, samples.shape[-1] * 8, 3)
    return LatentFitSavePairs().keep(wire, "pairs", "cells", "flux1", None, images, DECODED, "a vae")


NODES = ["decode", "palettize", "interpose", "upscale", "save pairs"]


@pytest.mark.parametrize("node", NODES)
def test_latents_of_another_space_are_noticed(node: str, sd3: Tensor, caplog: pytest.LogCaptureFixture) -> None:
    made = run(node, sd3)
    assert len(caplog.messages) == 1 + (node == "save pairs") * ("new" in caplog.messages[-1])
    assert "read as FLUX.1 latents, but by their statistics likelier SD3 latents; if so, choose" in caplog.messages[0]
    if node == "save pairs":
        assert "likelier SD3 latents" in made["ui"]["text"][0]


@pytest.mark.parametrize("node", NODES[:2])
def test_five_dimensions_are_noticed(node: str, caplog: pytest.LogCaptureFixture) -> None:
    run(node, torch.randn(1, 16, 1, 8, 8))
    assert "of five dimensions" in caplog.messages[0]
    assert "wan21 (" in caplog.messages[0]


def test_a_wire_in_the_model_domain_is_noticed_and_a_raw_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    space = lf.get_space("sd1")
    latents = torch.load(GOLDEN / "sd1_model_domain.pt", weights_only=True)[..., :24, :24]
    for samples in (space.to_raw(latents), latents):
        LatentFitDecode().decode({"samples": samples}, SD1_TABLE, OWN, "bilinear", 64, spaces.AUTO)
    assert len(caplog.messages) == 1
    assert "likelier latents in the model domain" in caplog.messages[0]
    assert "a wire's latents are raw" in caplog.messages[0]


def test_a_preview_of_a_model_of_an_unknown_format_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    table = lf.load(data_path("tables") / "flux1" / "affine.safetensors")
    assert isinstance(table.module, nn.Module)
    estimate = open_latents(GOLDEN / "sd3.latent", lf.get_space("sd3")).latents[..., :20, :20]
    for is_told, expected in ((True, 0), (False, 1)):
        preview = MapPreview(table, is_told=is_told)
        assert preview.picture(estimate) is not None
        assert preview.picture(estimate) is not None
        assert len(caplog.messages) == expected
    assert "likelier SD3 latents" in caplog.messages[0]
