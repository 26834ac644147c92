"""A1111: the coefficients of its cheap approximation, which has no bias."""

from pathlib import Path

from latentfit.errors import ExportError
from latentfit.formats.programs.common import comments, from_table, linear_table, rows, without_bias
from latentfit.formats.programs.program import Program
from latentfit.formats.programs.python_literals import read_python
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """The coefficients of ``cheap_approximation`` in ``modules/sd_vae_approx.py``, which has no bias."""
    chosen = without_bias(approximation, bias_free, "A1111")
    table = linear_table(chosen, "A1111")
    if approximation.space.channels != 4:
        raise ExportError(
            "A1111",
            expected="latents of 4 channels",
            got=f"{approximation.space.channels} of {approximation.space.name!r}",
        )
    return "\n".join([comments(chosen, "#"), "coeffs = [", rows(table.weights, "[", "]", "    "), "]"]) + "\n"


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    return from_table(read_python(path, space), space, path.stem)


PROGRAM = Program(
    name="a1111",
    title="A1111",
    ending=".py",
    how_to_use="Replace coeffs in cheap_approximation, modules/sd_vae_approx.py; the program adds no bias.",
    runs="linear, 4 channels",
    write=write,
    bias="no",
    notes="A map without intercept is fitted, never a bias dropped.",
    read=read,
)
