"""latentfit's own files: the whole map, of any kind that it can load."""

from latentfit.formats.programs.program import Program
from latentfit.formats.saved import encoded, load_approximation
from latentfit.maps.contracts import Approximation


def write(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """Return the bytes that `latentfit.save` writes."""
    return encoded(approximation, "export to safetensors")


PROGRAM = Program(
    name="safetensors",
    title="latentfit",
    ending=".safetensors",
    how_to_use="latentfit decode FILE --latents X.latent --out Y.png; lf.load(FILE) in Python.",
    runs="every form, every scale, networks",
    write=write,
    read_alone=load_approximation,
    needs_ending=True,
)
