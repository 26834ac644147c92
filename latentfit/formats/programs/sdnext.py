"""SD.Next: weight and bias of the 1×1 convolution of its approximation."""

from pathlib import Path

import torch

from latentfit.formats.programs.common import comments, from_table, linear_table, number, pictures_only, rows
from latentfit.formats.programs.program import Program
from latentfit.formats.programs.python_literals import read_python
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation

_SDNEXT_CLAMP = (
    "# SD.Next (058a7f0cf3) casts to 8 bit without a clamp, so that colours past black and white wrap around; in",
    "# modules/sd_samplers_common.py make it: x_sample = (255.0 * x_sample.clamp(0, 1)).to(torch.uint8)",
)


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Weight and bias of the 1×1 convolution in ``modules/vae/sd_vae_approx.py``.

    SD.Next casts to 8 bit without a clamp: a colour a little over white turns black. One line there mends it.
    """
    table = linear_table(approximation, "SD.Next")
    pictures_only(approximation, "SD.Next")
    zeros = torch.zeros(3, dtype=torch.float64)
    bias = (zeros if table.bias is None else table.bias).tolist()
    lines = [comments(approximation, "#"), *_SDNEXT_CLAMP, "weight = torch.tensor(["]
    lines.append(rows(table.weights.T, "[", "]", "    "))
    lines.append(f"]).reshape(3, {table.weights.shape[0]}, 1, 1)")
    lines.append(f"bias = torch.tensor([{', '.join(number(v) for v in bias)}])")
    return "\n".join(lines) + "\n"


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    return from_table(read_python(path, space, transposed=True), space, path.stem)


PROGRAM = Program(
    name="sdnext",
    title="SD.Next",
    ending=".py",
    how_to_use="Replace weight and bias in modules/vae/sd_vae_approx.py.",
    runs="linear, affine",
    write=write,
    notes="Casts to 8 bit without a clamp (058a7f0cf3): add one, the file says where.",
    read=read,
)
