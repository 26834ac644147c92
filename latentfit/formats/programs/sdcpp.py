"""stable-diffusion.cpp: arrays of its previews."""

import re
from pathlib import Path

import torch

from latentfit.formats.programs.common import comments, from_table, identifier, linear_table, number, rows
from latentfit.formats.programs.compiled_literals import read_compiled
from latentfit.formats.programs.program import Program
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Arrays for ``latent-preview.h``: C rows of 3 and a bias, signed range."""
    table = linear_table(approximation, "stable-diffusion.cpp")
    name = identifier(approximation.space)
    bias = (torch.zeros(3, dtype=torch.float64) if table.bias is None else table.bias).tolist()
    head = f"const float {name}_latent_rgb_proj[{table.weights.shape[0]}][3] = {{"
    tail = f"float {name}_latent_rgb_bias[3] = {{{', '.join(number(v) + 'f' for v in bias)}}};"
    body = re.sub(r"(\d)([,}])", r"\1f\2", rows(table.weights, "{", "}", "    "))
    return f"{comments(approximation, '//')}\n{head}\n{body}\n}};\n{tail}\n"


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    return from_table(read_compiled(path, space, "=", "latent_rgb_bias"), space, path.stem)


PROGRAM = Program(
    name="sdcpp",
    title="stable-diffusion.cpp",
    ending=".h",
    how_to_use="Paste into src/runtime/latent-preview.h beside the other tables.",
    runs="linear, affine",
    write=write,
    read=read,
)
