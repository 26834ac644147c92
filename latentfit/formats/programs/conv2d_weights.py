"""PyTorch: the weights of an `nn.Conv2d`."""

from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from latentfit.errors import BadFileError, BadTableError, reason_of
from latentfit.formats.programs.common import Table, from_table, linear_table, provenance
from latentfit.formats.programs.program import Program
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime.weights import WeightsFile


def write(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """A state dict of ``nn.Conv2d(C, 3, side, padding=side // 2, padding_mode="replicate")`` -> rgb [0, 1]."""
    table = linear_table(approximation, "an nn.Conv2d", largest_side=1 << 10).in_unit_range()
    weight = table.weights.T.reshape(3, -1, table.side, table.side).float().contiguous()
    bias = (torch.zeros(3) if table.bias is None else table.bias).float()
    about = {
        "about": "\n".join([*provenance(approximation), "padding_mode replicate; model domain in, rgb [0, 1] out"])
    }
    blob: bytes = to_bytes({"weight": weight, "bias": bias}, about)
    return blob


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    try:
        tensors = WeightsFile(path).read()
        weight, bias = tensors["weight"].double(), tensors["bias"].double()
    except (BadFileError, KeyError) as error:
        raise BadTableError(
            f"not a Conv2d state dict ({reason_of(error)})", place=path, remedy="export it again"
        ) from error
    if weight.ndim != 4 or weight.shape[0] != 3 or weight.shape[2] != weight.shape[3] or bias.shape != (3,):
        raise BadTableError(place=path, expected="a weight (3, C, k, k) and a bias (3,)", got=f"{tuple(weight.shape)}")
    table = Table(weight.reshape(3, -1).T, bias, weight.shape[-1])
    return from_table(table.from_unit_range(), space, path.stem)


PROGRAM = Program(
    name="conv2d",
    title="PyTorch's nn.Conv2d",
    ending=".safetensors",
    how_to_use='Load into nn.Conv2d(C, 3, side, padding=side // 2, padding_mode="replicate").',
    runs="linear, affine; one kernel of any side",
    write=write,
    output_range="[0, 1]",
    notes="A state dict.",
    read=read,
    in_autofit=False,
)
