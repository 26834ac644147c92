"""ONNX: any approximation, or an encoder, as a graph of dynamic batch, height and width."""

import copy
import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import ExportError
from latentfit.fit.polynomial_map import PolynomialMap, smoothed
from latentfit.formats.programs.program import Program
from latentfit.maps.contracts import Approximation
from latentfit.nets.tiny import TinyEncoder, TinyEncoder32
from latentfit.runtime.devices import device_of
from latentfit.runtime.escaping import one_line

OPSET = 20


class PlainPolynomial(nn.Module):
    """A `PolynomialMap` without its strips of rows, which depend on the picture's size: plain operators only.

    Monomials are products of variables chosen by index, in `monomials_of`'s order: a few nodes of the graph, where a
    node for each variable makes hundreds.
    """

    constant: Tensor
    linear: Tensor

    def __init__(self, fitted: PolynomialMap) -> None:
        super().__init__()
        constant, linear, higher = fitted._in_range_of(torch.zeros(1, fitted.n_channels, 1, 1))
        self.register_buffer("constant", constant)
        self.register_buffer("linear", linear)
        self.degrees = [degree for degree, _ in higher]
        for degree, weights in higher:
            self.register_buffer(f"degree{degree}", weights)
            variables = torch.arange(fitted.n_channels * fitted.kernels[degree - 1] ** 2)
            chosen = torch.combinations(variables, degree, with_replacement=True)
            self.register_buffer(f"factors{degree}", chosen.T.contiguous())
        self.kernels, self.scale, self.smoothing = fitted.kernels, fitted.scale, fitted.smoothing

    def forward(self, latents: Tensor) -> Tensor:
        latents = smoothed(latents, self.smoothing)
        mapped = nn.functional.conv2d(_padded(latents, self.kernels[0]), self.linear, self.constant)
        for degree in self.degrees:
            products = _products(_shifted(latents, self.kernels[degree - 1]), getattr(self, f"factors{degree}"))
            mapped = mapped + torch.einsum("tv,vnhw->nthw", getattr(self, f"degree{degree}"), products)
        return nn.functional.pixel_shuffle(mapped, self.scale) if self.scale > 1 else mapped


class _Clamped(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, latents: Tensor) -> Tensor:
        rgb: Tensor = self.module(latents)
        return rgb.clamp(0, 1)


def write(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """Input "latents" (N, C, h, w), model domain; output "rgb" (N, 3, H, W) in [0, 1]; float32; metadata say the rest.

    Raises
    ------
    ExportError
        When the extra is not installed, or the scale is a fraction.
    """
    if approximation.scale.denominator != 1:
        raise ExportError(
            f"onnx: {approximation.name!r} gives {approximation.scale} pixels a cell: cannot be written",
            remedy="export a map of a whole number of pixels a cell",
        )
    module = approximation.module
    plain = PlainPolynomial(module) if isinstance(module, PolynomialMap) else copy.deepcopy(module)
    about = {
        "space": one_line(approximation.space.name), "domain": "model", "scale": str(approximation.scale),
        "output": "sRGB in [0, 1]", "name": one_line(approximation.name), "card": json.dumps(approximation.card),
    }  # fmt: skip
    example = torch.zeros(2, approximation.space.channels, 6, 5)
    return onnx_of(_Clamped(plain).eval(), example, "latents", "rgb", about)


def write_encoder(encoder: TinyEncoder | TinyEncoder32, space: str) -> bytes:
    """Input "rgb" (N, 3, H, W) in [0, 1]; output "latents" (N, C, h, w), model domain."""
    about = {"space": one_line(space), "domain": "model", "input": "sRGB in [0, 1]"}
    example = torch.zeros(2, 3, 6 * encoder.cell_px, 5 * encoder.cell_px)
    return onnx_of(encoder, example, "rgb", "latents", about)


def onnx_of(module: nn.Module, example: Tensor, source: str, target: str, about: dict[str, str]) -> bytes:
    """Any module of one picture-like input, as an ONNX model of dynamic batch, height and width.

    Parameters
    ----------
    module : nn.Module
    example : Tensor, (n, c, h, w)
        Sides of neither 0 nor 1, which would be taken for fixed.
    source, target : str
        Names of input and output.
    about : dict of str
        Metadata.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError("onnx: needs the extra", remedy="pip install 'latentfit[onnx]'") from error
    here = module if device_of(module).type == "cpu" else copy.deepcopy(module).cpu()  # the caller's stays where it is
    dynamic = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()), torch.no_grad():
            program: Any = torch.onnx.export(
                here, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=(dynamic,),
                input_names=[source], output_names=[target], verbose=False,
            )  # fmt: skip
    finally:
        quiet.setLevel(level)
    model = program.model_proto
    for key, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    blob: bytes = model.SerializeToString()
    return blob


def operators(blob: bytes) -> list[str]:
    """Names of the operators of an ONNX model, sorted: what a runtime must have."""
    import onnx as library

    model = library.load_model_from_string(blob)
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return sorted({node.op_type for node in nodes if not node.op_type.startswith("aten_")})


def _products(variables: Tensor, factors: Tensor) -> Tensor:
    """Variables ``(v, N, h, w)``, and ``(degree, m)`` of their indices -> ``(m, N, h, w)``."""
    product = variables[factors[0]]
    for chosen in factors[1:]:
        product = product * variables[chosen]
    return product


def _padded(latents: Tensor, side: int) -> Tensor:
    return nn.functional.pad(latents, (side // 2,) * 4, mode="replicate") if side > 1 else latents


def _shifted(latents: Tensor, side: int) -> Tensor:
    """``(N, C, h, w)`` -> variables ``(C * side², N, h, w)``, channel, row, column."""
    if side == 1:
        return latents.movedim(1, 0)
    high, wide = latents.shape[-2:]
    padded = _padded(latents, side)
    moved = [padded[:, :, y : y + high, x : x + wide] for y in range(side) for x in range(side)]
    return torch.stack(moved, 2).flatten(1, 2).movedim(1, 0)


PROGRAM = Program(
    name="onnx",
    title="ONNX",
    ending=".onnx",
    how_to_use="onnxruntime.InferenceSession(FILE).run(None, {'latents': …}), channels first.",
    runs="every form, every scale, networks",
    write=write,
    output_range="[0, 1]",
    notes="Batch, height and width are dynamic.",
    write_encoder=write_encoder,
    extra="onnx",
    in_autofit=False,
)
