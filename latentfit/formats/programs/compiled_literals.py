"""What programs share that compile their tables in: their literals are read back."""

import re
from pathlib import Path

import torch

from latentfit.errors import BadTableError
from latentfit.formats.programs.common import Table
from latentfit.latents.spaces import LatentSpace


def read_compiled(path: Path, space: LatentSpace, before_weights: str, before_bias: str) -> Table:
    """The numbers that a program's `write` listed, as they stand there.

    Parameters
    ----------
    path : Path
    space : LatentSpace
    before_weights, before_bias : str
        What stands in the code before the weights, and before the bias, which comes after them.

    Raises
    ------
    BadTableError
        When there are not three weights a channel of the space, and three biases.
    """
    text = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.startswith("//"))
    head, _, tail = text.partition(before_bias)
    body = head.split(before_weights, 1)[-1]
    values, bias = ([float(v) for v in re.findall(r"-?\d+\.\d+", part)] for part in (body, tail))
    if len(values) != 3 * space.channels or len(bias) != 3:
        raise BadTableError(
            place=path, expected=f"{3 * space.channels} weights and 3 biases", got=f"{len(values)} and {len(bias)}"
        )
    return Table(torch.tensor(values, dtype=torch.float64).reshape(-1, 3), torch.tensor(bias, dtype=torch.float64))
