"""What ComfyUI itself made: pixels of its previewer with our tables pasted in, and latent files that it saved."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import latentfit as lf
from latentfit.fit import PolynomialMap, parse_kernels
from latentfit.formats import read
from latentfit.latents import read_latents, unpack_flux2, write_latents
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

GOLDEN = json.loads((GOLDEN_FOLDER / "comfyui_preview.json").read_text("utf-8"))

LATENT = json.loads((GOLDEN_FOLDER / "comfyui_latent.json").read_text("utf-8"))


def names(case: dict[str, Any]) -> str:
    return f"{case['class']}-{case['form']}"


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=names)
def test_comfyui_shows_the_pixels_that_the_map_gives(case: dict[str, Any], tmp_path: Path) -> None:
    space = lf.get_space(case["space"])
    kernels, intercept = parse_kernels(case["form"])
    module = PolynomialMap(space.channels, kernels, 1, intercept)
    shape = module.coefficients.shape
    generator = torch.Generator().manual_seed(case["seed"])
    module.set_coefficients(torch.randn(shape, generator=generator) * 0.6 / shape[0] ** 0.5)
    ours = lf.Approximation(module, space, name=case["form"])
    x0 = torch.tensor(case["x0"]).reshape(case["shape"])
    latents = unpack_flux2(x0) if space.packing == "flux2" else x0[:, :, 0] if x0.ndim == 5 else x0
    theirs = torch.tensor(case["pixels"])
    for one in (ours, read(lf.export(ours, "comfyui", tmp_path / "table.py"), "comfyui", space)):
        pixels = (one(latents)[0] * 255).to(torch.uint8).movedim(0, -1).int()
        apart = (pixels - theirs).abs()
        assert apart.max() <= 1, "more than the rounding of float32 just below a whole level"
        assert (apart > 0).float().mean() < 0.01
    assert theirs.unique().numel() > 20


def test_latent_files_are_read_and_written_as_comfyui_does(tmp_path: Path) -> None:
    space, theirs = lf.get_space("sd1"), tmp_path / "theirs.latent"
    theirs.write_bytes(base64.b64decode(LATENT["saved"]))
    raw = torch.tensor(LATENT["raw"]).reshape(LATENT["shape"])
    read = read_latents(theirs, space)
    assert torch.equal(read.latents, space.to_model(raw))
    assert not read.is_legacy
    assert "LoadLatent" in read.metadata["prompt"]
    ours = write_latents(tmp_path / "ours.latent", space.to_model(raw), space, read.metadata)
    saved, written = load_file(theirs), load_file(ours)
    assert list(saved) == list(written) == ["latent_format_version_0", "latent_tensor"]
    assert all(saved[name].dtype == written[name].dtype for name in saved)
    torch.testing.assert_close(written["latent_tensor"], saved["latent_tensor"], atol=1e-6, rtol=0)
    assert saved["latent_format_version_0"].shape == written["latent_format_version_0"].shape


def test_latent_files_without_the_marker_are_scaled_as_comfyui_does(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    space, old = lf.get_space("sd1"), tmp_path / "old.latent"
    save_file({"latent_tensor": torch.tensor(LATENT["raw"]).reshape(LATENT["shape"])}, old)
    read = read_latents(old, space)
    loaded = torch.tensor(LATENT["loaded_old"]).reshape(LATENT["shape"])
    assert read.is_legacy
    torch.testing.assert_close(space.to_raw(read.latents), loaded, atol=1e-5, rtol=1e-6)
