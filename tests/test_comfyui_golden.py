"""Our tables pasted into ComfyUI: its own previewer's pixels, made beside ours, against `Approximation`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import latentfit as lf
from latentfit.dialects import read
from latentfit.fit import parse_kernels
from latentfit.fit.module import PolynomialMap
from latentfit.spaces import unpack_flux2

GOLDEN = json.loads((Path(__file__).parent / "golden" / "comfyui_preview.json").read_text("utf-8"))


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
