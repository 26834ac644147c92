"""Programs that compile their tables in: stable-diffusion.cpp and Apple's Swift pipeline."""

import re
from pathlib import Path

import torch

from latentfit.errors import ExportError
from latentfit.formats.programs.common import (
    Table,
    comments,
    from_table,
    identifier,
    linear_table,
    number,
    pictures_only,
    rows,
)
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation


def sdcpp(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Arrays for ``latent-preview.h``: C rows of 3 and a bias, signed range."""
    table = linear_table(approximation, "stable-diffusion.cpp")
    name = identifier(approximation.space)
    bias = (torch.zeros(3, dtype=torch.float64) if table.bias is None else table.bias).tolist()
    head = f"const float {name}_latent_rgb_proj[{table.weights.shape[0]}][3] = {{"
    tail = f"float {name}_latent_rgb_bias[3] = {{{', '.join(number(v) + 'f' for v in bias)}}};"
    body = re.sub(r"(\d)([,}])", r"\1f\2", rows(table.weights, "{", "}", "    "))
    return f"{comments(approximation, '//')}\n{head}\n{body}\n}};\n{tail}\n"


def apple(approximation: Approximation, bias_free: Approximation | None = None) -> str:
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


def read_compiled(path: Path, space: LatentSpace, dialect: str) -> Approximation:
    """Read back what `sdcpp` or `apple` wrote."""
    text = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.startswith("//"))
    marker = "latent_rgb_bias" if dialect == "sdcpp" else "bias:"
    head, _, tail = text.partition(marker)
    body = head.split("=" if dialect == "sdcpp" else "weights:", 1)[-1]
    values, bias = ([float(v) for v in re.findall(r"-?\d+\.\d+", part)] for part in (body, tail))
    if len(values) != 3 * space.channels or len(bias) != 3:
        raise ExportError(
            place=path, expected=f"{3 * space.channels} weights and 3 biases", got=f"{len(values)} and {len(bias)}"
        )
    weights, offset = torch.tensor(values, dtype=torch.float64).reshape(-1, 3), torch.tensor(bias, dtype=torch.float64)
    table = Table(weights, offset) if dialect == "sdcpp" else Table(weights * 2, offset * 2 - 1)
    return from_table(table, space, path.stem)
