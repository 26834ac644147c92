"""Files between domains: what `convert` writes is of the target's space, and packed channels are read in either."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import latentfit as lf
from latentfit.cli import main
from latentfit.fit import PolynomialMap
from latentfit.latents import read_latents, write_latents
from latentfit.maps import LatentMap

SD1, SDXL, FLUX2 = lf.get_space("sd1"), lf.get_space("sdxl"), lf.get_space("flux2")


def test_convert_writes_raw_latents_of_the_target(tmp_path: Path) -> None:
    values = torch.zeros(5, 4, dtype=torch.float64)
    values[1:] = 2 * torch.eye(4)
    doubled = PolynomialMap(4, (1,), target="latents", n_outputs=4).set_coefficients(values)
    path = lf.save(LatentMap(doubled, "sd1", "sdxl", name="doubled"), tmp_path / "map.safetensors")
    latents = torch.randn(1, 4, 6, 5, generator=torch.Generator().manual_seed(1))
    file, out = write_latents(tmp_path / "in.latent", latents, SD1), tmp_path / "out.latent"
    torch.testing.assert_close(load_file(file)["latent_tensor"], latents / 0.18215)
    assert main(["convert", str(file), "--map", str(path), "--out", str(out)]) == 0
    torch.testing.assert_close(load_file(out)["latent_tensor"], 2 * latents / 0.13025)
    torch.testing.assert_close(read_latents(out, SDXL).latents, 2 * latents)


@pytest.mark.parametrize("domain", [None, "raw", "model"])
@pytest.mark.parametrize("is_packed", [True, False], ids=["packed", "canonical"])
def test_flux2_is_read_in_either_layout_whatever_is_said(domain: Any, is_packed: bool, tmp_path: Path) -> None:
    latents = torch.randn(1, FLUX2.channels, 8, 6, generator=torch.Generator().manual_seed(2))
    packed = torch.nn.functional.pixel_unshuffle(latents, 2)
    torch.save(packed if is_packed else latents, tmp_path / "x.pt")
    torch.testing.assert_close(read_latents(tmp_path / "x.pt", FLUX2, domain).latents, latents)
