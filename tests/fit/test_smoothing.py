"""Tables fitted for a program that smooths its previews afterwards: what it then shows is what was fitted."""

import ast
from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import ExportError, FitError
from latentfit.formats import read
from latentfit.scores import smoothing_of, table

KERNEL = ((0.05, 0.1, 0.05), (0.1, 0.4, 0.1), (0.05, 0.1, 0.05))
INVOKEAI = smoothing_of("invokeai", lf.get_space("sdxl"))


def shown(latents: torch.Tensor, weights: torch.Tensor, kernel: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    """Latents -> linear table -> smoothing, zero past the borders -> rgb, pixel by pixel as the program does it."""
    signed = torch.einsum("nchw,cr->nrhw", latents, weights)
    padded = torch.nn.functional.pad(signed, (1, 1, 1, 1))
    high, wide = signed.shape[-2:]
    moved = [padded[:, :, y : y + high, x : x + wide] * kernel[y][x] for y in range(3) for x in range(3)]
    return sum(moved, torch.zeros(())) / 2 + 0.5


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(6, 4, 9, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", [KERNEL, INVOKEAI])
def test_the_table_behind_a_smoothed_picture_is_found(
    kernel: tuple[tuple[float, ...], ...], latents: torch.Tensor
) -> None:
    weights = 0.1 * torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    target = shown(latents, weights, kernel)
    fitted = lf.ChannelMap("linear", smoothing=kernel, censored=False, ridge=0.0).fit_arrays(
        latents, target, space="sdxl"
    )
    torch.testing.assert_close(fitted.module_.coefficients[1:], weights, atol=1e-5, rtol=0)
    torch.testing.assert_close(fitted.approximation().unclamped(latents), target, atol=1e-5, rtol=0)
    assert fitted.name == "linear, smoothed"


def test_it_is_better_there_than_a_table_fitted_without(latents: torch.Tensor) -> None:
    target = (0.5 + 0.15 * torch.nn.functional.avg_pool2d(latents[:, :3], 3, 1, 1)).clamp(0, 1)
    in_place = table("invokeai/SDXL").run_on(
        lf.ChannelMap("linear").fit_arrays(latents, target, space="sdxl").approximation()
    )
    fitted = lf.ChannelMap("linear", smoothing=INVOKEAI).fit_arrays(latents, target, space="sdxl").approximation()
    assert (fitted(latents) - target).square().mean() < 0.8 * (in_place(latents) - target).square().mean()


def test_files_keep_it(latents: torch.Tensor, tmp_path: Path) -> None:
    target = torch.rand(6, 3, 9, 12, generator=torch.Generator().manual_seed(2))
    fitted = lf.ChannelMap("linear", smoothing=KERNEL).fit_arrays(latents, target, space="sdxl").approximation()
    loaded = lf.load(lf.save(fitted, tmp_path / "a.safetensors"))
    torch.testing.assert_close(loaded(latents), fitted(latents), atol=0, rtol=0)
    for name in ("json", "numpy"):
        path = lf.export(fitted, name, tmp_path / name)
        torch.testing.assert_close(read(path, name, "sdxl")(latents), fitted(latents), atol=1e-6, rtol=0)
    assert loaded.card["smoothing"] == [list(row) for row in KERNEL]


def test_invokeai_gets_the_plain_table_and_others_nothing(latents: torch.Tensor, tmp_path: Path) -> None:
    target = torch.rand(6, 3, 9, 12, generator=torch.Generator().manual_seed(2))
    fitted = lf.ChannelMap("linear", smoothing=INVOKEAI, censored=False).fit_arrays(latents, target, space="sdxl")
    path = lf.export(fitted.approximation(), "invokeai", tmp_path / "a.py")
    tree = ast.parse(path.read_text("utf-8"))
    factors = torch.tensor(ast.literal_eval(next(node.value for node in tree.body if isinstance(node, ast.Assign))))
    expected = shown(latents, factors, INVOKEAI)
    torch.testing.assert_close(fitted.approximation().unclamped(latents), expected, atol=1e-5, rtol=0)
    for name in ("comfyui", "a1111", "sdnext", "diffusers", "sdcpp", "apple", "csv", "markdown", "conv2d"):
        with pytest.raises(ExportError, match=r"fitted for a program that smooths.*or fit without"):
            lf.export(fitted.approximation(), name, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_where_it_means_nothing_it_is_refused(latents: torch.Tensor, tmp_path: Path) -> None:
    target = torch.rand(6, 3, 9, 12)
    for kernels in ("affine", "cubic", "3"):
        with pytest.raises(FitError, match="expected the form 'linear'"):
            lf.ChannelMap(kernels, smoothing=KERNEL).fit_arrays(latents, target, space="sdxl")
    with pytest.raises(FitError, match="3 rows of 3"):
        lf.ChannelMap("linear", smoothing=((1.0,),)).fit_arrays(latents, target, space="sdxl")
    with pytest.raises(FitError, match="not known to smooth previews of space 'flux1'; expected one of none"):
        smoothing_of("invokeai", lf.get_space("flux1"))
    sd1 = lf.ChannelMap("linear", smoothing=KERNEL).fit_arrays(latents, target, space="sd1").approximation()
    with pytest.raises(ExportError, match="fitted for a program that smooths"):
        lf.export(sd1, "invokeai", tmp_path / "a.py")
    plain = lf.ChannelMap("linear").fit_arrays(latents, target, space="sdxl").approximation()
    assert "--smoothing invokeai" in lf.export(plain, "invokeai", tmp_path / "b.py").read_text("utf-8")


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "smoothed.safetensors"
    for space in ("sdxl", "sd1"):
        lf.collect(
            lf.Vae.load(f"mini-{space}"), "charts", tmp_path / space, size=64, limit=8, keep="cells", progress=False
        )
    flags = ["--kernels", "linear", "--smoothing", "invokeai", "--out", str(out)]
    assert main(["fit", str(tmp_path / "sdxl"), *flags]) == 0
    assert lf.load(out).name == "linear, smoothed"
    assert main(["fit", str(tmp_path / "sd1"), *flags]) == 2
    assert "not known to smooth previews of space 'sd1'" in capsys.readouterr().err
