"""A real ComfyUI with the node pack; skipped unless LATENTFIT_COMFYUI names a ComfyUI. See docs/comfyui.md."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.comfyui.installing import install
from latentfit.latents import write_latents

HERE = Path(__file__).parent

from tests.support.comfyui_server import FOLDER, Server, running  # noqa: E402
from tests.support.comfyui_workflows import latent_maps  # noqa: E402

collect_ignore = ["probe_nodes"]


@pytest.fixture(scope="session")
def latents() -> torch.Tensor:
    """SD1 latents of a photograph's part, model domain, (1, 4, 24, 32)."""
    from skimage.data import astronaut

    picture = Image.fromarray(astronaut()).crop((120, 0, 376, 192))
    rgb = torch.from_numpy(np.asarray(picture).copy()).movedim(-1, 0)[None].float() / 255
    return lf.Vae.load("mini-sd1").encode(rgb)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """ComfyUI in a base directory with the pack linked, maps, latents, and where there are assets, checkpoints."""
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"{FOLDER} names no ComfyUI")
    latents: torch.Tensor = request.getfixturevalue("latents")
    base = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "models/vae_approx", "models/latentfit", "input", "output"):
        (base / name).mkdir(parents=True)
    print(install(base))
    shutil.copytree(HERE / "probe_nodes", base / "custom_nodes" / "probe_nodes")
    write_latents(base / "input" / "photo.latent", latents, lf.get_space("sd1"))
    write_latents(base / "input" / "batch.latent", torch.cat([latents, latents.flip(-1)]), lf.get_space("sd1"))
    write_latents(base / "input" / "flux1.latent", torch.randn(1, 16, 8, 8), lf.get_space("flux1"))
    broken = latents.clone()
    broken[0, 0, 0, 0] = float("nan")
    write_latents(base / "input" / "nan.latent", broken, lf.get_space("sd1"))
    for name, one in latent_maps().items():
        lf.save(one, base / "models" / "latentfit" / name)
    assets = Path(os.environ.get("LATENTFIT_ASSETS") or "/nonexistent") / "weights"
    for path in (
        *assets.glob("taesd/taesd_*.safetensors"),
        *assets.glob("pixelvae/*.pt"),
        *assets.glob("vae-approx/*.pt"),
    ):
        shutil.copy(path, base / "models" / "vae_approx")
    with running(Path(folder), base) as started:
        yield started
