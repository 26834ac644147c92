"""Each dialect against its consumer's own arithmetic, re-implemented in a few lines, and read back."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import latentfit as lf
from latentfit.errors import ExportError
from latentfit.formats import NAMES, read
from latentfit.scores import table, tables

SPACES = ["sd1", "flux1", "flux2"]


def fitted(kernels: str, space: str, scale: int = 1) -> lf.Approximation:
    channels = lf.get_space(space).channels
    latents = torch.randn(8, channels, 12, 12)
    rgb = (0.5 + 0.2 * torch.randn(8, 3, 12 * scale, 12 * scale)).clamp(0, 1)
    return lf.ChannelMap(kernels, scale, censored=False).fit_arrays(latents, rgb, space=space).approximation()


def comfy_preview(text: str, x0: torch.Tensor) -> torch.Tensor:
    """What ComfyUI's Latent2RGBPreviewer computes, before it rounds; the snippet is run as it is pasted."""
    format_ = SimpleNamespace(latent_rgb_factors_reshape=None)
    exec(text, {"torch": torch, "self": format_})
    x0 = x0 if format_.latent_rgb_factors_reshape is None else format_.latent_rgb_factors_reshape(x0)
    x0 = x0[0, :, 0] if x0.ndim == 5 else x0[0]
    factors = torch.tensor(format_.latent_rgb_factors).transpose(0, 1)
    bias = None if format_.latent_rgb_factors_bias is None else torch.tensor(format_.latent_rgb_factors_bias)
    return (torch.nn.functional.linear(x0.movedim(0, -1), factors, bias=bias) + 1) / 2


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kernels", ["linear", "affine", "3", "5"])
def test_comfyui(tmp_path: Path, kernels: str, space: str) -> None:
    approximation = fitted(kernels, space)
    path = lf.export(approximation, "comfyui", tmp_path / "a.py")
    latents = torch.randn(1, approximation.space.channels, 6, 8)
    wires = lf.get_space("flux2").model_to_comfy(latents) if space == "flux2" else latents
    preview = comfy_preview(path.read_text("utf-8"), wires).clamp(0, 1)
    np.testing.assert_allclose(preview, approximation(latents)[0].permute(1, 2, 0), atol=2e-6)
    again = read(path, "comfyui", space)
    torch.testing.assert_close(again(latents), approximation(latents), atol=2e-6, rtol=0)


def test_comfyui_takes_the_first_frame_of_a_video(tmp_path: Path) -> None:
    approximation = fitted("3", "wan21")
    text = lf.export(approximation, "comfyui", tmp_path / "a.py").read_text("utf-8")
    latents = torch.randn(1, 16, 3, 6, 8)
    preview = comfy_preview(text, latents).clamp(0, 1)
    np.testing.assert_allclose(preview, approximation(latents)[0, :, 0].permute(1, 2, 0), atol=2e-6)


@pytest.mark.parametrize("space", SPACES)
def test_stable_diffusion_cpp(tmp_path: Path, space: str) -> None:
    approximation = fitted("affine", space)
    text = lf.export(approximation, "sdcpp", tmp_path / "a.h").read_text("utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    floats = [float(value) for value in re.findall(r"(-?\d+\.\d+)f", body)]
    projection, bias = np.reshape(floats[:-3], (-1, 3)), np.array(floats[-3:])
    latents = torch.randn(1, approximation.space.channels, 5, 4)
    pixels = np.clip((np.einsum("chw,cr->hwr", latents[0].numpy(), projection) + bias) * 0.5 + 0.5, 0, 1)
    np.testing.assert_allclose(pixels, approximation(latents)[0].permute(1, 2, 0), atol=2e-6)
    torch.testing.assert_close(
        read(tmp_path / "a.h", "sdcpp", space)(latents), approximation(latents), atol=2e-6, rtol=0
    )


def test_apple(tmp_path: Path) -> None:
    approximation = fitted("affine", "sd1")
    text = lf.export(approximation, "apple", tmp_path / "a.swift").read_text("utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    floats = [float(value) for value in re.findall(r"-?\d+\.\d+", body)]
    latents = torch.randn(1, 4, 5, 4)
    pixels = np.einsum("chw,cr->hwr", latents[0].numpy(), np.reshape(floats[:12], (4, 3))) + floats[12:]
    np.testing.assert_allclose(pixels.clip(0, 1), approximation(latents)[0].permute(1, 2, 0), atol=2e-6)
    torch.testing.assert_close(read(tmp_path / "a.swift", "apple", "sd1")(latents), approximation(latents))


def test_invokeai_and_a1111_take_the_bias_free_refit(tmp_path: Path) -> None:
    affine, linear = fitted("affine", "sd1"), fitted("linear", "sd1")
    latents = torch.randn(1, 4, 5, 4)
    for consumer in ("invokeai", "a1111"):
        with pytest.raises(ExportError, match=r"drops the bias.*kernels='linear'"):
            lf.export(affine, consumer, tmp_path / "a.py")
        path = lf.export(affine, consumer, tmp_path / "a.py", bias_free=linear)
        names: dict[str, object] = {}
        exec(path.read_text("utf-8"), names)
        factors = torch.tensor(names["SD1_LATENT_RGB_FACTORS" if consumer == "invokeai" else "coeffs"])
        pixels = (torch.einsum("chw,cr->hwr", latents[0], factors) + 1) / 2
        np.testing.assert_allclose(pixels.clamp(0, 1), linear(latents)[0].permute(1, 2, 0), atol=2e-6)


def test_invokeai_keeps_the_bias_of_flux2(tmp_path: Path) -> None:
    approximation = fitted("affine", "flux2")
    lf.export(approximation, "invokeai", tmp_path / "a.py")
    latents = torch.randn(1, 32, 4, 4)
    again = read(tmp_path / "a.py", "invokeai", "flux2")
    torch.testing.assert_close(again(latents), approximation(latents), atol=2e-6, rtol=0)


def test_sdnext_is_a_convolution(tmp_path: Path) -> None:
    approximation = fitted("affine", "sd1")
    names: dict[str, object] = {"torch": torch}
    exec(lf.export(approximation, "sdnext", tmp_path / "a.py").read_text("utf-8"), names)
    latents = torch.randn(1, 4, 5, 4)
    pixels = torch.nn.functional.conv2d(latents, names["weight"], names["bias"]) * 0.5 + 0.5
    torch.testing.assert_close(pixels.clamp(0, 1), approximation(latents), atol=2e-6, rtol=0)


def test_diffusers_callback_gives_the_same_bytes(tmp_path: Path) -> None:
    approximation = fitted("affine", "sd1")
    names: dict[str, object] = {}
    exec(lf.export(approximation, "diffusers", tmp_path / "a.py").read_text("utf-8"), names)
    latents = torch.randn(4, 6, 5)
    picture = np.asarray(names["latents_to_rgb"](latents)).astype(int)
    expected = (approximation(latents[None])[0].permute(1, 2, 0) * 255).byte().numpy().astype(int)
    assert np.abs(picture - expected).max() <= 1
    assert (picture == expected).mean() > 0.99


def test_conv2d_loads_into_an_nn_conv2d(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    approximation = fitted("3", "sd1")
    path = lf.export(approximation, "conv2d", tmp_path / "a.safetensors")
    convolution = torch.nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate")
    convolution.load_state_dict(load_file(path))
    latents = torch.randn(1, 4, 6, 5)
    torch.testing.assert_close(convolution(latents).clamp(0, 1), approximation(latents), atol=2e-6, rtol=0)


@pytest.mark.parametrize("to", sorted(set(NAMES) - {"onnx", "keras"}))  # graphs: tests/test_graphs.py
def test_every_format_reads_back_to_equal_pixels(tmp_path: Path, to: str) -> None:
    approximation = fitted("linear", "sd1")
    path = lf.export(approximation, to, tmp_path / "table")
    if to == "markdown":
        assert "| `x3` |" in path.read_text("utf-8")
        return
    path = path if path.exists() else tmp_path / "table.safetensors"
    latents = torch.randn(1, 4, 6, 5)
    torch.testing.assert_close(read(path, to, "sd1")(latents), approximation(latents), atol=2e-6, rtol=0)


@pytest.mark.parametrize("kernels", ["cubic", "3,1"])
@pytest.mark.parametrize("to", ["json", "csv", "numpy", "safetensors"])
def test_rich_forms_keep_every_bit_in_full_formats(tmp_path: Path, kernels: str, to: str) -> None:
    approximation = fitted(kernels, "sd1")
    lf.export(approximation, to, tmp_path / "table.safetensors")
    latents = torch.randn(1, 4, 6, 5)
    assert torch.equal(read(tmp_path / "table.safetensors", to, "sd1")(latents), approximation(latents))


def test_a_decoder_goes_to_json_and_csv(tmp_path: Path) -> None:
    approximation = fitted("1", "sd1", scale=2)
    latents = torch.randn(1, 4, 3, 3)
    for to in ("json", "csv"):
        lf.export(approximation, to, tmp_path / "d")
        assert torch.equal(read(tmp_path / "d", to, "sd1")(latents), approximation(latents))


@pytest.mark.parametrize("to", ["comfyui", "sdcpp", "sdnext", "diffusers", "apple", "conv2d"])
def test_what_a_consumer_cannot_run_is_refused_by_name(tmp_path: Path, to: str) -> None:
    with pytest.raises(ExportError, match=r"cannot run 'cubic'.*kernels='affine'"):
        lf.export(fitted("cubic", "sd1"), to, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nearest: comfyui"):
        lf.export(fitted("affine", "sd1"), "comfy", tmp_path / "a")
    with pytest.raises(ExportError, match="4 channels"):
        lf.export(fitted("linear", "flux1"), "a1111", tmp_path / "a")
    with pytest.raises(ExportError, match="expected a map fitted"):
        lf.export(table("keturn/SD14").approximation(), "json", tmp_path / "a")
    path = lf.export(fitted("affine", "sd1"), "json", tmp_path / "c.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "card": None}))
    with pytest.raises(ExportError, match="not a table"):
        read(path, "json")
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ExportError, match="expected format"):
        read(tmp_path / "b.json", "json")


def test_published_tables_run_through_their_consumers_arithmetic() -> None:
    runnable = [one for one in tables() if one.obstacle is None]
    assert len(tables()) == 128
    assert len(runnable) > 110
    for one in runnable:
        latents = torch.randn(1, one.space.channels, 4, 4)
        assert one.approximation()(latents).isfinite().all()


def test_three_published_tables_by_hand() -> None:
    latents = torch.randn(1, 4, 3, 3)
    comfy = table("comfyui/SDXL")
    expected = (
        torch.einsum("nchw,cr->nrhw", latents, torch.tensor(comfy.weights))
        + torch.tensor(comfy.bias)[:, None, None]
        + 1
    ) / 2
    torch.testing.assert_close(comfy.approximation().unclamped(latents), expected)
    draw = table("drawthings/SDXL")
    expected = (
        torch.einsum("nchw,cr->nrhw", latents, torch.tensor(draw.weights)) + torch.tensor(draw.bias)[:, None, None]
    ) / 255
    torch.testing.assert_close(draw.approximation().unclamped(latents), expected)
    invoke = table("invokeai/SDXL").approximation()(torch.zeros(1, 4, 5, 5))
    torch.testing.assert_close(invoke, torch.full_like(invoke, 0.5))


def test_numbers_of_a_space_that_nobody_knows_are_in_every_text_export(tmp_path: Path) -> None:
    own = replace(lf.get_space("sd1"), name="mine", shift=(0.5, 0.0, 0.0, 0.25), scale=(0.2,), measured=True)
    one = lf.ChannelMap("linear").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space=own).approximation()
    for to in ("comfyui", "sdcpp", "invokeai", "a1111", "sdnext", "diffusers", "csv", "markdown"):
        text = lf.export(one, to, tmp_path / to).read_text("utf-8")
        assert "(raw - shift) * scale, measured on pictures" in text, to
        assert "shift: 0.5, 0, 0, 0.25" in text, to
        assert "scale: 0.2" in text, to
    known = lf.export(fitted("linear", "sd1"), "comfyui", tmp_path / "known").read_text("utf-8")
    assert "raw - shift" not in known
