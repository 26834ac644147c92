"""The nodes in a real ComfyUI, through its API: the package's own pictures, and errors that say what to do."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

import latentfit as lf
from latentfit.latents import read_latents
from latentfit.maps import decode_in_tiles
from latentfit.palettes import Palette, dither
from latentfit.runtime import data_path
from tests.support.comfyui_server import Failed, Ran, Server, Workflow
from tests.support.comfyui_workflows import STEPS, decode, latent_maps, node, palettize, sampling

SD1 = lf.get_space("sd1")
PREVIEW_PX = 512


def picture_of(server: Server, ran: Ran, index: int = 0) -> torch.Tensor:
    """A saved picture as levels (3, H, W)."""
    pixels = np.asarray(server.picture(ran.outputs["3"]["images"][index]).convert("RGB")).astype(int)
    return torch.from_numpy(pixels).movedim(-1, 0)


def apart(levels: torch.Tensor, rgb: torch.Tensor) -> int:
    """Most levels between a saved picture and rgb (3, H, W) in [0, 1]; ComfyUI truncates."""
    assert levels.shape == rgb.shape
    return int((levels - rgb.mul(255).int()).abs().max())


def bundled(label: str) -> lf.Approximation:
    loaded = lf.load(data_path(label.removeprefix("bundled/")))
    assert isinstance(loaded, lf.Approximation)
    return loaded


def saved_latent(server: Server, ran: Ran, space: lf.LatentSpace = SD1) -> torch.Tensor:
    entry = ran.outputs["5"]["latents"][0]
    return read_latents(server.base / "output" / entry["subfolder"] / entry["filename"], space).latents


@pytest.mark.parametrize(
    "label",
    [
        "bundled/tables/sd1/affine.safetensors",
        "bundled/tables/sd1/3.safetensors",
        "bundled/models/sd1-cell.safetensors",
    ],
)
def test_decode_gives_the_packages_own_picture(server: Server, latents: torch.Tensor, label: str) -> None:
    levels = picture_of(server, server.run(decode(label)))
    assert apart(levels, bundled(label)(latents)[0]) <= 1
    assert levels.unique().numel() > 100


def test_decode_at_cell_size_and_at_full_size(server: Server, latents: torch.Tensor) -> None:
    cell, table = "bundled/models/sd1-cell.safetensors", "bundled/tables/sd1/3.safetensors"
    small = picture_of(server, server.run(decode(cell, size="one pixel a cell")))
    assert apart(small, torch.nn.functional.avg_pool2d(bundled(cell)(latents), 8)[0]) <= 1
    large = picture_of(server, server.run(decode(table, size="full size", enlarging="nearest-exact")))
    assert apart(large, bundled(table)(latents)[0].repeat_interleave(8, 1).repeat_interleave(8, 2)) <= 1


def test_decode_of_a_batch_in_tiles_is_the_whole(server: Server, latents: torch.Tensor) -> None:
    label = "bundled/tables/sd1/5_3.safetensors"
    ran = server.run(decode(label, "batch.latent", tile_cells=32))
    assert len(ran.outputs["3"]["images"]) == 2
    assert apart(picture_of(server, ran, 1), bundled(label)(latents.flip(-1))[0]) <= 1


def test_palettize_by_a_map_gives_the_palettes_colours(server: Server, latents: torch.Tensor) -> None:
    label = "bundled/tables/sd1/3.safetensors"
    palette = Palette.load("pico-8")
    levels = picture_of(server, server.run(palettize(label, "pico-8", dither="bayer-4", enlarge=3)))
    indices = dither(bundled(label)(latents), palette, "bayer-4")
    expected = palette.picture(indices)[0].repeat_interleave(3, 1).repeat_interleave(3, 2)
    assert torch.equal(levels, expected.mul(255).round().int().to(levels.dtype))
    assert indices.unique().numel() > 5


def test_pixelvaes_released_checkpoint_palettizes(server: Server, latents: torch.Tensor, assets: Path) -> None:
    checkpoint = assets / "weights" / "pixelvae" / "decoder_rd.ega.pt"
    if not checkpoint.is_file():
        pytest.skip("no pixelvae checkpoint among the assets")
    label, palette = f"vae_approx/{checkpoint.name}", Palette.load("ega16")
    levels = picture_of(server, server.run(palettize(label, "ega16", space="sd1")))
    loaded = lf.load(checkpoint, "sd1", palette="ega16")
    assert isinstance(loaded, lf.Approximation)
    assert torch.equal(levels, palette.picture(loaded.indices(latents))[0].mul(255).round().int().to(levels.dtype))
    with pytest.raises(Failed, match=r"16 classes.*ega16.*choose it in the node's 'palette'"):
        server.run(palettize(label, "from the file", space="sd1"))
    with pytest.raises(Failed, match="16 classes, palette 'slso8' has 8 colours"):
        server.run(palettize(label, "slso8", space="sd1"))


def test_interpose_and_upscale_give_the_maps_latents_and_keep_the_wire(server: Server, latents: torch.Tensor) -> None:
    maps = latent_maps()
    masked = {
        "1": node("LoadLatent", latent="photo.latent"),
        "7": node("SolidMask", value=0.5, width=256, height=192),
        "8": node("SetLatentNoiseMask", samples=["1", 0], mask=["7", 0]),
    }
    across = {
        **masked,
        "2": node("LatentFitInterpose", samples=["8", 0], map_name="sd1-to-sdxl.safetensors", space="auto"),
        "5": node("SaveLatent", samples=["2", 0], filename_prefix="latents/across"),
        "6": node("ProbeWire", samples=["2", 0]),
    }
    ran = server.run(across)
    sdxl = lf.get_space("sdxl")
    torch.testing.assert_close(saved_latent(server, ran, sdxl), maps["sd1-to-sdxl.safetensors"](latents))
    assert ran.outputs["6"]["wire"][0] == {"samples": [1, 4, 24, 32], "noise_mask": [1, 1, 192, 256]}

    upscale = {"map_name": "sd1-x2.safetensors", "scale_by": 0.0, "space": "sd1"}
    larger = {
        **masked,
        "2": node("LatentFitUpscale", samples=["8", 0], **upscale),
        "5": node("SaveLatent", samples=["2", 0], filename_prefix="latents/larger"),
        "6": node("ProbeWire", samples=["2", 0]),
    }
    ran = server.run(larger)
    torch.testing.assert_close(saved_latent(server, ran), maps["sd1-x2.safetensors"](latents))
    assert ran.outputs["6"]["wire"][0] == {"samples": [1, 4, 48, 64], "noise_mask": [1, 1, 384, 512]}


def test_latent_files_go_through_comfyui_unchanged(server: Server, latents: torch.Tensor) -> None:
    ran = server.run(
        {
            "1": node("LoadLatent", latent="photo.latent"),
            "5": node("SaveLatent", samples=["1", 0], filename_prefix="again"),
        }
    )
    torch.testing.assert_close(saved_latent(server, ran), latents)
    entry = ran.outputs["5"]["latents"][0]
    theirs = load_file(server.base / "output" / entry["subfolder"] / entry["filename"])
    ours = load_file(server.base / "input" / "photo.latent")
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_save_pairs_fills_a_store_once(server: Server, latents: torch.Tensor, assets: Path) -> None:
    def workflow(latent: str) -> Workflow:
        settings = {"store": "work/taesd", "keep": "rgb", "space": "sd1", "images_are": "the VAE's decode"}
        return {
            "1": node("LoadLatent", latent=latent),
            "2": node("VAELoader", vae_name="taesd"),
            "3": node("LatentFitSavePairs", samples=["1", 0], vae=["2", 0], vae_name="TAESD", **settings),
        }

    said = server.run(workflow("photo.latent")).outputs["3"]["text"][0]
    assert "1 new, 0 already there" in said
    said = server.run(workflow("batch.latent")).outputs["3"]["text"][0]
    assert "1 new, 1 already there, 2 in all" in said
    store = lf.PairStore(server.base / "output" / "latentfit" / "work" / "taesd")
    store.verify()
    assert (len(store), store.space, store.vae_name) == (2, SD1, "TAESD")
    start = str(assets / "weights" / "taesd" / "taesd")
    taesd = lf.Vae.load(start, space="sd1")
    for batch in store.batches(columns=("latents", "cells", "rgb")):
        assert batch.rgb is not None
        assert (taesd.decode(batch.latents).clamp(0, 1) - batch.rgb).abs().max() < 1.5 / 255
    kept = sorted(store.samples, key=lambda sample: sample.sha256)
    assert {sample.size_cells for sample in kept} == {(24, 32)}


def shown(x0: Path, approximation: lf.Approximation) -> Image.Image:
    """What ComfyUI sends of a map's picture: fitted into 512 px, as JPEG."""
    rgb = decode_in_tiles(approximation, load_file(x0)["x0"])[0]
    picture = Image.fromarray(rgb.mul(255).round().to(torch.uint8).movedim(0, -1).numpy())
    fitted = ImageOps.contain(picture, (PREVIEW_PX, PREVIEW_PX), Image.Resampling.BILINEAR)
    blob = BytesIO()
    fitted.save(blob, format="JPEG", quality=95)
    return Image.open(BytesIO(blob.getvalue()))


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one).astype(float) - np.asarray(other).astype(float)).mean())


@pytest.mark.parametrize("label", ["bundled/tables/sd1/3.safetensors", "bundled/models/sd1-cell.safetensors"])
def test_previews_are_the_fitted_maps_and_the_result_stays(server: Server, label: str) -> None:
    name = f"shown_{label.split('/')[-1].split('.')[0]}"
    plain = server.run(sampling(None, f"plain_{name}"))
    assert not plain.previews, "previews are off unless ComfyUI is told otherwise"
    ran = server.run(sampling({"map_name": label, "every_n_steps": 1, "space": "auto"}, name))
    assert len(ran.previews) == STEPS
    for step, preview in enumerate(ran.previews):
        assert difference(preview, shown(server.base / "output" / f"{name}_{step}.safetensors", bundled(label))) < 0.5
    assert difference(ran.previews[0], ran.previews[-1]) > 1
    assert torch.equal(saved_latent(server, ran), saved_latent(server, plain))


def test_previews_of_each_second_step(server: Server) -> None:
    chosen = {"map_name": "bundled/tables/sd1/cubic.safetensors", "every_n_steps": 3, "space": "sd1"}
    assert len(server.run(sampling(chosen, "third")).previews) == math.ceil(STEPS / 3)


def test_a_preview_that_fails_does_not_stop_the_sampling(server: Server) -> None:
    chosen = {"map_name": "bundled/tables/sd1/3.safetensors", "every_n_steps": 1, "space": "auto"}
    ran = server.run(sampling(chosen, "failing", nan_from_step=3))
    assert len(ran.previews) == 2, "the two before the estimates turn NaN"
    assert (server.base / "output" / ran.outputs["5"]["latents"][0]["subfolder"]).is_dir()
    said = server.log.read_text("utf-8", "replace")
    assert said.count("failed, ComfyUI shows its own from here on: the picture holds NaN") == 1, "said once"


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        (decode("bundled/tables/sdxl/3.safetensors", space="sd1"), "takes latents of 'sdxl'.*these are 'sd1'"),
        (decode("bundled/tables/sd1/3.safetensors", "flux1.latent"), r"expected \(N, 4, h, w\).*16.*flux1"),
        (decode("bundled/tables/sd1/3.safetensors", "nan.latent"), "hold NaN or Inf"),
        (decode("gone.safetensors"), "no such file any more"),
        (palettize("bundled/tables/sd1/3.safetensors", "from the file"), "holds no palette; choose one"),
        (
            sampling({"map_name": "bundled/tables/sdxl/3.safetensors", "every_n_steps": 1, "space": "auto"}, "x"),
            "'sdxl'.*'sd1'",
        ),
    ],
    ids=["space", "channels", "nan", "gone", "palette", "preview"],
)
def test_errors_say_what_to_do(server: Server, workflow: Workflow, said: str) -> None:
    with pytest.raises(Failed, match=said):
        server.run(workflow)
