"""The program written for diffusers, run where it will run: in the callback of a pipeline of each layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.errors import ExportError
from latentfit.formats import read
from latentfit.latents import pack_flux2
from tests.support import pipelines

EMBEDDED = 16


def fitted(space: str) -> lf.Approximation:
    channels = lf.get_space(space).channels
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(4, channels, 16, 16, generator=generator)
    rgb = torch.rand(4, 3, 16, 16, generator=generator)
    return lf.ChannelMap("affine", censored=False).fit_arrays(latents, rgb, space=space).approximation()


def written(approximation: lf.Approximation, path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(lf.export(approximation, "diffusers", path).read_text("utf-8"), names)
    return names


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(make: Callable[..., Any], **config: Any) -> Any:
    torch.manual_seed(3)
    return make(**config).eval().requires_grad_(False)


def prompts(n_tokens: int = 5) -> dict[str, Tensor]:
    embedded = torch.randn(1, n_tokens, EMBEDDED, generator=torch.Generator().manual_seed(2))
    return {"prompt_embeds": embedded, "negative_prompt_embeds": -embedded}


def with_masks(n_tokens: int = 5) -> dict[str, Tensor]:
    mask = torch.ones(1, n_tokens)
    return {**prompts(n_tokens), "prompt_attention_mask": mask, "negative_prompt_attention_mask": mask}


def sana() -> tuple[Any, dict[str, Any]]:
    transformer = seeded(
        diffusers.SanaTransformer2DModel, num_layers=1, num_attention_heads=2, attention_head_dim=8,
        num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=EMBEDDED,
        sample_size=32,
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.SanaPipeline(
        tokenizer=None, text_encoder=None, vae=None, transformer=transformer, scheduler=scheduler
    )
    return quiet(pipe), {
        **with_masks(),
        "height": 128,
        "width": 192,
        "negative_prompt": None,
        "use_resolution_binning": False,
    }


def wan() -> tuple[Any, dict[str, Any]]:
    transformer = seeded(
        diffusers.WanTransformer3DModel, num_attention_heads=2, attention_head_dim=12, text_dim=EMBEDDED, freq_dim=16,
        ffn_dim=32, num_layers=1,
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = diffusers.WanPipeline(
        tokenizer=None, text_encoder=None, vae=None, transformer=transformer, scheduler=scheduler
    )
    return quiet(pipe), {**prompts(), "height": 64, "width": 96, "num_frames": 9}


def ltx() -> tuple[Any, dict[str, Any]]:
    transformer = seeded(
        diffusers.LTXVideoTransformer3DModel, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32,
        caption_channels=EMBEDDED, num_layers=1,
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.LTXPipeline(
        tokenizer=None, text_encoder=None, vae=None, transformer=transformer, scheduler=scheduler
    )
    return quiet(pipe), {**with_masks(), "height": 96, "width": 128, "num_frames": 17}


def flux_grid(pipe: Any, tokens: Tensor, call: dict[str, Any]) -> Tensor:
    return pipe._unpack_latents(tokens, call["height"], call["width"], pipe.vae_scale_factor)


def flux2_grid(pipe: Any, tokens: Tensor, call: dict[str, Any]) -> Tensor:
    """Rows first; a packed channel is (channel, row, column)."""
    rows, columns = call["height"] // 16, call["width"] // 16
    grid = tokens.reshape(1, rows, columns, 32, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(1, 32, 2 * rows, 2 * columns)


def ltx_grid(pipe: Any, tokens: Tensor, call: dict[str, Any]) -> Tensor:
    frames = (call["num_frames"] - 1) // 8 + 1
    return pipe._unpack_latents(tokens, frames, call["height"] // 32, call["width"] // 32, 1, 1)


def as_it_is(pipe: Any, latents: Tensor, call: dict[str, Any]) -> Tensor:
    return latents


CASES = {
    "sd1": (pipelines.sd, as_it_is, (1, 4, 8, 12)),
    "sdxl": (pipelines.sdxl, as_it_is, (1, 4, 12, 8)),
    "sd3": (pipelines.sd3, as_it_is, (1, 16, 8, 12)),
    "flux1": (pipelines.flux, flux_grid, (1, 28, 64)),
    "flux2": (pipelines.flux2, flux2_grid, (1, 28, 128)),
    "sana_dcae": (sana, as_it_is, (1, 32, 4, 6)),
    "wan21": (wan, as_it_is, (1, 16, 3, 8, 12)),
    "ltxv": (ltx, ltx_grid, (1, 36, 128)),
}


@pytest.mark.parametrize("space", CASES)
def test_runs_in_the_callback_of_its_pipeline(space: str, tmp_path: Path) -> None:
    make, grid, shape = CASES[space]
    pipe, call = make()
    approximation = fitted(space)
    program, seen = written(approximation, tmp_path / "a.py"), []

    def callback(pipe: Any, step: int, timestep: Any, callback_kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        latents = callback_kwargs["latents"]
        image = program["latents_to_rgb"](latents, call["height"], call["width"])
        seen.append((latents.clone(), image, program["latents_to_rgb"](latents[0], call["height"], call["width"])))
        return callback_kwargs

    pipe(num_inference_steps=2, output_type="latent", callback_on_step_end=callback, **call)
    assert len(seen) == 2
    for latents, image, of_one in seen:
        assert tuple(latents.shape) == shape
        expected = approximation(grid(pipe, latents, call).float())
        first = expected[0, :, 0] if expected.ndim == 5 else expected[0]
        pixels = (first.movedim(0, -1) * 255).byte().numpy().astype(int)
        for picture in (image, of_one):
            assert np.abs(np.asarray(picture).astype(int) - pixels).max() <= 1
    torch.testing.assert_close(
        read(tmp_path / "a.py", "diffusers", space).module.coefficients, approximation.module.coefficients,
        atol=1e-5, rtol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("space", ["sd1", "flux1", "flux2", "wan21", "ltxv"])
def test_every_layout_gives_the_first_picture(space: str, tmp_path: Path) -> None:
    known = lf.get_space(space)
    canonical = written(fitted(space), tmp_path / "a.py")["canonical"]
    n_channels, sides = known.channels, (6 * known.cell_px, 8 * known.cell_px)
    video = torch.randn(n_channels, 3, 6, 8)
    first = video[:, 0]
    packed = pack_flux2(torch.stack([first, first + 1]))
    whole = {
        "one": first, "batch": torch.stack([first, first + 1]), "one video": video, "videos": video[None],
        "frames first": video.movedim(1, 0)[None], "channels last": video.movedim(0, -1)[None],
    }  # fmt: skip
    if space == "flux2":
        whole |= {"packed channels": packed, "one of packed channels": packed[0]}
    for name, latents in whole.items():
        assert torch.equal(canonical(latents), first), name
        assert torch.equal(canonical(latents, *sides), first), name
    tokens = {
        "frame after frame": video.permute(1, 2, 3, 0).reshape(1, -1, n_channels),
        "patches": packed.permute(0, 2, 3, 1).reshape(2, 12, -1), "of one": packed[0].permute(1, 2, 0).reshape(12, -1),
        "as many pictures as channels": packed[:1].permute(0, 2, 3, 1).reshape(1, 12, -1).expand(n_channels, -1, -1),
    }  # fmt: skip
    for name, latents in tokens.items():
        assert torch.equal(canonical(latents, *sides), first), name


def test_what_tells_no_sides_or_is_of_another_space_is_refused(tmp_path: Path) -> None:
    picture = written(fitted("flux1"), tmp_path / "a.py")["latents_to_rgb"]
    with pytest.raises(ValueError, match=r"packed tokens .* do not tell their sides: pass height= and width="):
        picture(torch.randn(1, 28, 64))
    with pytest.raises(ValueError, match="are not those of 64x64 px"):
        picture(torch.randn(1, 28, 64), 64, 64)
    with pytest.raises(ValueError, match=r"expected latents of 16 channels.*got \(1, 4, 8, 8\)"):
        picture(torch.randn(1, 4, 8, 8))


def test_programs_of_pictures_refuse_spaces_of_video(tmp_path: Path) -> None:
    for to in ("sdnext", "apple"):
        with pytest.raises(ExportError, match=r"'wan21' have five dimensions; export to comfyui"):
            lf.export(fitted("wan21"), to, tmp_path / "a")
    with pytest.raises(ExportError, match=r"FLUX\.2 latents without the VAE's normalisation"):
        lf.export(fitted("flux2"), "apple", tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_half_precision_is_taken(tmp_path: Path) -> None:
    approximation = fitted("sd3")
    picture = written(approximation, tmp_path / "a.py")["latents_to_rgb"]
    latents = torch.randn(1, 16, 6, 5).bfloat16()
    expected = (approximation(latents.float())[0].movedim(0, -1) * 255).byte().numpy().astype(int)
    assert np.abs(np.asarray(picture(latents)).astype(int) - expected).max() <= 1
