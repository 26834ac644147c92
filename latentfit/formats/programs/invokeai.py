"""InvokeAI: a constant of its step callback, which adds a bias for FLUX.2 alone and smooths SDXL."""

from pathlib import Path

from latentfit.formats.programs.common import (
    comments,
    from_table,
    identifier,
    linear_table,
    number,
    polynomial,
    rows,
    without_bias,
)
from latentfit.formats.programs.program import Program
from latentfit.formats.programs.python_literals import read_python
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation

_INVOKEAI_SMOOTHS = (
    "# InvokeAI smooths SDXL previews afterwards: `latentfit fit … --kernels linear --smoothing invokeai` fits a table",
    "# to what it then shows",
)


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A constant for ``invokeai/app/util/step_callback.py``; only FLUX.2 has a bias there, only SDXL is smoothed."""
    keeps_bias, smooths = (habit in approximation.space.facts.invokeai for habit in ("bias", "smoothing"))
    chosen = approximation if keeps_bias else without_bias(approximation, bias_free, "InvokeAI", smooths=smooths)
    table = linear_table(chosen, "InvokeAI", smooths=smooths)
    name = f"{identifier(approximation.space).upper()}_LATENT_RGB_FACTORS"
    lines = [
        comments(chosen, "#"),
        *(_INVOKEAI_SMOOTHS if smooths and polynomial(chosen, "InvokeAI", smooths=True).smoothing is None else ()),
        f"{name} = [",
        "    #   R           G           B",
        rows(table.weights, "[", "]", "    "),
        "]",
    ]
    if keeps_bias and table.bias is not None:
        lines.append(f"{name.replace('FACTORS', 'BIAS')} = [{', '.join(number(v) for v in table.bias.tolist())}]")
    return "\n".join(lines) + "\n"


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    return from_table(read_python(path, space), space, path.stem)


PROGRAM = Program(
    name="invokeai",
    title="InvokeAI",
    ending=".py",
    how_to_use="Add the constant to invokeai/app/util/step_callback.py.",
    runs="linear; affine for FLUX.2",
    write=write,
    bias="FLUX.2 only",
    notes="A map without intercept is fitted, never a bias dropped. InvokeAI smooths SDXL with a kernel of its own; "
    "a table fitted with `--kernels linear --smoothing invokeai` allows for it: 1.5 dB better there.",
    read=read,
)
