"""ONNX and Keras exports give torch's numbers at any size, in plain operators, and say what they cannot hold."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import ExportError
from latentfit.formats.programs import keras_of, onnx_of, operators
from latentfit.nets import ApproxCnn, CellDecoder, PixelMlp, TinyDecoder, TinyEncoder

CLOSED = ["linear", "affine", "quadratic", "cubic", "3", "3,1", "5,3"]
NETWORKS = {
    "cell": (lambda: CellDecoder(4, 8, 2), 8),
    "cell, sharpened": (lambda: CellDecoder(4, 8, 2, sharp_side=5), 8),
    "mlp": (lambda: PixelMlp(4), 1),
    "cnn": (lambda: ApproxCnn(4), 2),
    "tiny": (lambda: TinyDecoder(4, 8), 8),
}
SIZES = [(1, 9, 14), (3, 6, 5)]


def shaken(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape))
    return module.eval().requires_grad_(False)


def closed(kernels: str, scale: int = 1) -> lf.Approximation:
    latents, rgb = torch.randn(6, 4, 10, 10), torch.rand(6, 3, 10 * scale, 10 * scale)
    return lf.ChannelMap(kernels, scale, censored=False).fit_arrays(latents, rgb, space="sd1").approximation()


@cache
def approximations() -> dict[str, lf.Approximation]:
    torch.manual_seed(0)
    found = {name: closed(name) for name in CLOSED} | {"decoder": closed("3", 8)}
    return found | {name: lf.Approximation(shaken(make()), "sd1", scale) for name, (make, scale) in NETWORKS.items()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """ONNX files by name, each exported once."""
    folder = tmp_path_factory.mktemp("onnx")
    return cache(lambda name: lf.export(approximations()[name], "onnx", folder / f"{name}.onnx"))


@pytest.mark.parametrize("name", [*CLOSED, "decoder", *NETWORKS])
def test_onnx_gives_torchs_numbers_at_any_size(name: str, exported: Callable[[str], Path]) -> None:
    one = approximations()[name]
    path = exported(name)
    session = onnxruntime.InferenceSession(path)
    for n, high, wide in SIZES:
        latents = torch.randn(n, 4, high, wide)
        made = session.run(["rgb"], {"latents": latents.numpy()})[0]
        np.testing.assert_allclose(made, one(latents).numpy(), atol=2e-5)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (metadata["space"], metadata["domain"]) == ("sd1", "model")
    assert json.loads(metadata["card"]) == json.loads(json.dumps(one.card))


@pytest.mark.parametrize("name", [*CLOSED, "decoder", *NETWORKS])
def test_keras_gives_torchs_numbers_at_any_size(name: str, tmp_path: Path) -> None:
    import keras

    one = approximations()[name]
    path = lf.export(one, "keras", tmp_path / "a.keras")
    model = keras.models.load_model(path, safe_mode=True)
    assert "Lambda" not in {type(layer).__name__ for layer in model.layers}
    for n, high, wide in SIZES:
        latents = torch.randn(n, 4, high, wide)
        made = model(latents.movedim(1, -1)).detach().movedim(-1, 1)
        torch.testing.assert_close(made, one(latents), atol=1e-4, rtol=0)


def test_operators_of_the_tiny_decoder_are_the_published_ones(exported: Callable[[str], Path]) -> None:
    assert set(operators(exported("tiny").read_bytes())) - {"Clip"} == {
        "Add",
        "Conv",
        "Div",
        "Mul",
        "Relu",
        "Resize",
        "Tanh",
    }


def test_encoders_too(tmp_path: Path) -> None:
    encoder = shaken(TinyEncoder(4, 8))
    rgb = torch.rand(2, 3, 48, 32)
    path = tmp_path / "a.onnx"
    path.write_bytes(onnx_of(encoder, torch.rand(2, 3, 32, 48), "rgb", "latents", {"space": "sd1"}))
    made = onnxruntime.InferenceSession(path).run(None, {"rgb": rgb.numpy()})[0]
    np.testing.assert_allclose(made, encoder(rgb).numpy(), atol=2e-5)
    own = keras_of(encoder, 3)(rgb.movedim(1, -1)).detach().movedim(-1, 1)
    torch.testing.assert_close(own, encoder(rgb), atol=1e-4, rtol=0)
    mlp = shaken(PixelMlp(4, encodes=True))
    torch.testing.assert_close(
        keras_of(mlp, 3)(rgb.movedim(1, -1)).detach().movedim(-1, 1), mlp(rgb), atol=1e-4, rtol=0
    )


def test_files_of_taesds_kind_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import keras

    encoder, decoder = (
        shaken(TinyEncoder(4, 8, n_blocks=(0, 1, 0, 2))),
        shaken(TinyDecoder(4, 8, n_blocks=(1, 1, 0, 1))),
    )
    torch.save(encoder.state_dict(), tmp_path / "x_encoder.pth")
    torch.save(decoder.state_dict(), tmp_path / "x_decoder.pth")
    for half in ("encoder", "decoder"):
        for to in ("onnx", "keras"):
            flags = ["--to", to, "--space", "sd1", "--out", str(tmp_path / f"{half}.{to}")]
            assert main(["export", str(tmp_path / f"x_{half}.pth"), *flags]) == 0
    rgb, latents = torch.rand(1, 3, 40, 72), torch.randn(2, 4, 7, 3)
    for given, half, wanted in ((rgb, "encoder", encoder(rgb)), (latents, "decoder", decoder(latents).clamp(0, 1))):
        session = onnxruntime.InferenceSession(tmp_path / f"{half}.onnx")
        (made,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
        np.testing.assert_allclose(made, wanted.numpy(), atol=2e-5)
        model = keras.saving.load_model(tmp_path / f"{half}.keras", safe_mode=True)
        made = model(given.movedim(1, -1)).detach().movedim(-1, 1)
        torch.testing.assert_close(made, wanted, atol=1e-4, rtol=0)
    assert main(["export", str(tmp_path / "x_encoder.pth"), "--to", "comfyui", "--out", str(tmp_path / "a.py")]) == 2
    assert "expected keras or onnx for an encoder" in capsys.readouterr().err
    flags = ["--to", "onnx", "--space", "flux1", "--out", str(tmp_path / "b.onnx")]
    assert main(["export", str(tmp_path / "x_encoder.pth"), *flags]) == 2
    assert "an encoder of 4 channels" in capsys.readouterr().err


def test_what_they_cannot_hold(tmp_path: Path) -> None:
    pooled = lf.Approximation(TinyDecoder(32, 8, pool=True), "flux2", 8)
    with pytest.raises(ExportError, match="has no counterpart here"):
        lf.export(pooled, "keras", tmp_path / "a.keras")
    kernel = ((0.1, 0.1, 0.1), (0.1, 0.2, 0.1), (0.1, 0.1, 0.1))
    fitted = lf.ChannelMap("linear", smoothing=kernel).fit_arrays(
        torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1"
    )
    with pytest.raises(ExportError, match="smooths afterwards"):
        lf.export(fitted.approximation(), "keras", tmp_path / "a.keras")
    with pytest.raises(ExportError, match="pixels a cell: cannot be written"):
        lf.export(lf.Approximation(nn.Conv2d(4, 3, 2, 2), "sd1", "1/2"), "onnx", tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
    smoothed = lf.export(fitted.approximation(), "onnx", tmp_path / "b.onnx")
    latents = torch.randn(1, 4, 7, 9)
    made = onnxruntime.InferenceSession(smoothed).run(None, {"latents": latents.numpy()})[0]
    np.testing.assert_allclose(made, fitted.approximation()(latents).numpy(), atol=2e-5)


def test_onnx_leaves_the_module_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    module, moved = torch.nn.Conv2d(4, 3, 1).eval(), []
    monkeypatch.setattr(
        module, "_apply", lambda *given, **named: moved.append(given)
    )  # what cpu(), to() and cuda() call
    onnx_of(module, torch.rand(2, 4, 8, 12), "latents", "rgb", {})
    assert moved == []
