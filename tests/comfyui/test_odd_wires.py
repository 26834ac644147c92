"""Every node says in words what is wrong with what runs on its wires, whatever a node upstream put there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import latentfit as lf
from latentfit.comfyui import maps, nodes, spaces
from latentfit.comfyui.decode import OWN, LatentFitDecode
from latentfit.comfyui.latent_nodes import LatentFitInterpose, LatentFitUpscale
from latentfit.comfyui.palettizing import LatentFitPalettize
from latentfit.comfyui.preview_node import LatentFitPreview
from latentfit.comfyui.save_pairs import LatentFitSavePairs
from latentfit.errors import LatentfitError
from latentfit.fit import PolynomialMap
from tests.support.fake_comfyui import SD15, ComfyUi, Model

TABLE = "bundled/tables/sd1/3.safetensors"
GOOD = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(3))

NODES: dict[str, Callable[[Any], Any]] = {
    "decode": lambda wire: LatentFitDecode().decode(wire, TABLE, OWN, "bilinear", 128, "sd1")[0],
    "palettize": lambda wire: LatentFitPalettize().palettize(wire, TABLE, "pico-8", "none", 1.0, 1, "sd1")[0],
    "interpose": lambda wire: LatentFitInterpose().interpose(wire, "across.safetensors", "sd1")[0]["samples"],
    "upscale": lambda wire: LatentFitUpscale().upscale(wire, "twice.safetensors", 0.0, "sd1")[0]["samples"],
    "save pairs": lambda wire: LatentFitSavePairs().keep(
        wire, "pairs", "cells", "sd1", images=torch.rand(1, 48, 48, 3), vae_name="mine"
    )["result"][0]["samples"],
}


class Nested:
    is_nested = True


WIRES: dict[str, tuple[Any, str]] = {
    "no dictionary": (None, "carries none: expected a dictionary with 'samples'.*got NoneType"),
    "a tensor": (GOOD, r"expected a dictionary with 'samples'.*got a tensor \(1, 4, 6, 6\)"),
    "empty": ({}, "got keys none"),
    "another key": ({"noise_mask": GOOD}, "got keys 'noise_mask'; connect the output LATENT"),
    "audio": ({"waveform": GOOD, "sample_rate": 44100}, "got keys 'waveform', 'sample_rate'"),
    "hostile keys": ({"a\nb\x1b[31m": 1}, r"got keys 'a\\nb"),
    "None in it": ({"samples": None}, "expected 'samples' to be a tensor, got NoneType"),
    "a number": ({"samples": 3.0}, "expected 'samples' to be a tensor, got float"),
    "an array": ({"samples": GOOD.numpy()}, "expected 'samples' to be a tensor, got ndarray"),
    "ComfyUI's parts": ({"samples": Nested()}, "several parts in one wire"),
    "a list": ({"samples": [GOOD, GOOD]}, "several parts in one wire"),
    "a dictionary": ({"samples": {"samples": GOOD}}, "several parts in one wire"),
    "nested": (
        {"samples": torch.nested.nested_tensor([GOOD[0], GOOD[0]], layout=torch.jagged)},
        "several parts in one wire",
    ),
    "sparse": ({"samples": GOOD.to_sparse()}, "expected a plain tensor of floating point, got sparse_coo, float32"),
    "complex": ({"samples": GOOD.to(torch.complex64)}, "got strided, complex64"),
    "meta": ({"samples": GOOD.to("meta")}, r"got without numbers \(meta\)"),
    "a mask": ({"samples": GOOD > 0}, "got bool, as of a mask"),
    "no axes": ({"samples": torch.tensor(1.0)}, r"expected pictures .* got \(\)"),
    "six axes": ({"samples": GOOD[None, None]}, r"got \(1, 1, 1, 4, 6, 6\)"),
    "no height": ({"samples": GOOD[:, :, :0]}, "there are none on the wire"),
    "channels last": ({"samples": GOOD.movedim(1, -1)}, r"expected \(N, 4, h, w\)"),
    "infinite in float8": ({"samples": torch.full((1, 4, 6, 6), torch.nan).to(torch.float8_e5m2)}, "hold NaN or Inf"),
}


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComfyUi:
    made = ComfyUi(tmp_path / "ComfyUI", monkeypatch)
    nodes.begin()
    maps._ready.cache_clear()
    for name, target, scale in (("across", "sdxl", 1), ("twice", "sd1", 2)):
        module = PolynomialMap(4, (1,), scale, True, "latents", 4)
        module.set_coefficients(0.1 + torch.eye(5)[:, :4].repeat(1, scale**2))
        lf.save(lf.LatentMap(module, "sd1", target, scale), made.root / "models/latentfit" / f"{name}.safetensors")
    return made


def test_every_node_that_takes_latents_is_tried(comfyui: ComfyUi) -> None:
    taking = [one for one in nodes.NODE_CLASS_MAPPINGS.values() if "samples" in one.INPUT_TYPES()["required"]]  # type: ignore[attr-defined]
    assert len(taking) == len(NODES)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("odd", WIRES)
def test_an_odd_wire_is_told_in_words(comfyui: ComfyUi, node: str, odd: str) -> None:
    wire, said = WIRES[odd]
    with pytest.raises(LatentfitError, match=said):
        NODES[node](wire)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.int32])
def test_numbers_of_every_kind_are_taken(comfyui: ComfyUi, node: str, dtype: torch.dtype) -> None:
    whole = {"samples": GOOD.mul(4).round().to(dtype)}
    expected = NODES[node]({"samples": whole["samples"].float()}).float()
    got = NODES[node](whole).float()
    torch.testing.assert_close(got, expected, rtol=0.15 if "float8" in str(dtype) else 0.01, atol=0.02)


def test_odd_masks_are_left_as_they_are(comfyui: ComfyUi) -> None:
    for mask in (None, 3, torch.ones(5), torch.ones(0, 4, 4), [torch.ones(4, 4)]):
        kept = LatentFitUpscale().upscale({"samples": GOOD, "noise_mask": mask}, "twice.safetensors", 0.0, "sd1")[0]
        assert kept["noise_mask"] is mask


@pytest.mark.parametrize("model", [None, object(), GOOD])
def test_what_is_no_model_is_told(comfyui: ComfyUi, model: Any) -> None:
    with pytest.raises(LatentfitError, match="expected a MODEL"):
        LatentFitPreview().choose(model, TABLE, 1, "sd1")
    if model is not None:
        with pytest.raises(LatentfitError, match="expected a MODEL with a latent format, got"):
            LatentFitDecode().decode({"samples": GOOD}, TABLE, OWN, "bilinear", 128, spaces.AUTO, model)


def test_what_is_no_vae_is_told(comfyui: ComfyUi) -> None:
    keep = LatentFitSavePairs().keep
    with pytest.raises(LatentfitError, match=r"vae: expected a VAE, .* got object"):
        keep({"samples": GOOD}, "pairs", "cells", "sd1", vae=object())


@pytest.mark.parametrize(
    "images", [3, "picture", torch.rand(48, 48, 3), torch.rand(1, 3, 48, 48), [torch.rand(48, 48, 3)]]
)
def test_what_is_no_image_is_told(comfyui: ComfyUi, images: Any) -> None:
    with pytest.raises(LatentfitError, match=r"image: expected \(N, H, W, 3\)"):
        LatentFitSavePairs().keep({"samples": GOOD}, "pairs", "cells", "sd1", images=images, vae_name="mine")


def test_a_known_model_is_as_good_as_ever(comfyui: ComfyUi) -> None:
    chosen = LatentFitDecode().decode({"samples": GOOD}, TABLE, OWN, "bilinear", 128, spaces.AUTO, Model(SD15()))[0]
    assert torch.equal(chosen, NODES["decode"]({"samples": GOOD}))
