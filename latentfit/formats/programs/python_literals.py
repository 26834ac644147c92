"""What programs written in Python share: their pasted tables are read back as literals, never run."""

import ast
from pathlib import Path
from typing import Any

import torch

from latentfit.errors import BadTableError
from latentfit.formats.programs.common import Table
from latentfit.latents.spaces import LatentSpace


def read_python(path: Path, space: LatentSpace, *, transposed: bool = False) -> Table:
    """The numbers that a program's `write` assigned, as they stand there.

    Parameters
    ----------
    path : Path
    space : LatentSpace
        A space whose number of channels tells the side of the neighbourhood.
    transposed : bool
        Whether a row of the file is a colour, not a channel.

    Raises
    ------
    BadTableError
        When the file is not Python, or assigns no table.
    """
    try:
        found = _literals(ast.parse(path.read_text("utf-8")))
    except (SyntaxError, ValueError) as error:
        raise BadTableError(
            f"not Python of an exported table ({error})", place=path, remedy="export the table again"
        ) from error
    factors = next(
        (v for k, v in found.items() if k.endswith(("factors", "FACTORS")) or k in ("coeffs", "weight", "weights")),
        None,
    )
    bias = next((v for k, v in found.items() if k.endswith(("factors_bias", "BIAS")) or k in ("bias", "biases")), None)
    if factors is None:
        raise BadTableError("holds no table", place=path, expected="the assignments of an exported table")
    weights = torch.tensor(factors, dtype=torch.float64)
    offset = None if bias is None else torch.tensor(bias, dtype=torch.float64)
    weights = weights.T if transposed else weights
    return Table(weights, offset, round((weights.shape[0] / space.channels) ** 0.5))


def _literals(tree: ast.Module) -> dict[str, Any]:
    """Assigned names -> their literal values; ``torch.tensor([...])`` counts as its argument."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            while isinstance(value, ast.Call):
                inner = value.func.value if isinstance(value.func, ast.Attribute) else value.func
                value = value.args[0] if getattr(value.func, "attr", "") == "tensor" else inner
            if isinstance(value, ast.List | ast.Tuple):
                found[name] = ast.literal_eval(value)
    return found
