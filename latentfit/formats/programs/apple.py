"""Apple's Swift pipeline: a literal of coefficients that give [0, 1]."""

from pathlib import Path

import torch

from latentfit.errors import ExportError
from latentfit.formats.programs.common import comments, from_table, linear_table, number, pictures_only
from latentfit.formats.programs.compiled_literals import read_compiled
from latentfit.formats.programs.program import Program
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A ``LatentRGBCoefficients`` literal: flat rows, range [0, 1]."""
    table = linear_table(approximation, "Apple's pipeline").in_unit_range()
    pictures_only(approximation, "Apple's pipeline")
    if approximation.space.packing is not None:
        raise ExportError(
            f"Apple's pipeline gives {approximation.space.title} latents without the VAE's "
            f"normalisation, which {approximation.name!r} was fitted to",
            remedy="export to comfyui, diffusers or json",
        )
    bias = (torch.zeros(3) if table.bias is None else table.bias).tolist()
    body = "\n".join(f"        {', '.join(number(v) for v in row)}," for row in table.weights.tolist())
    return (
        f"{comments(approximation, '//')}\nLatentRGBCoefficients(\n    channels: {table.weights.shape[0]},\n"
        f"    weights: [\n{body}\n    ],\n    bias: [{', '.join(number(v) for v in bias)}]\n)\n"
    )


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    table = read_compiled(path, space, "weights:", "bias:")
    return from_table(table.from_unit_range(), space, path.stem)


PROGRAM = Program(
    name="apple",
    title="Apple's pipeline",
    ending=".swift",
    how_to_use="Add the literal to LatentPreview.swift.",
    runs="linear, affine",
    write=write,
    output_range="[0, 1]",
    notes="Rows are flat.",
    read=read,
)
