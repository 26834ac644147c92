"""Markdown: a small table for a README."""

from latentfit.errors import ExportError
from latentfit.formats.programs.common import polynomial, provenance
from latentfit.formats.programs.program import Program
from latentfit.maps.contracts import Approximation
from latentfit.runtime import escaping


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A table for a README; at most 40 terms."""
    module = polynomial(approximation, "markdown")
    if module.scale > 1:
        raise ExportError(f"markdown: {approximation.name!r} is a decoder, too large to read", remedy="use csv or json")
    if len(module.terms) > 40:
        raise ExportError(
            f"markdown: {approximation.name!r} has {len(module.terms)} terms, too many to read",
            remedy="use csv or json",
        )
    title, *facts = provenance(approximation, escaping.markdown)
    lines = [f"**{title}**", "", *(f"- {line}" for line in facts)]
    lines += ["- model-domain latents in, signed range [-1, 1] out", "", "| term | R | G | B |", "|---|---:|---:|---:|"]
    for term, row in zip(module.terms, module.coefficients.tolist(), strict=True):
        lines.append(f"| `{term}` | {' | '.join(f'{value:.4f}' for value in row)} |")
    return "\n".join(lines) + "\n"


PROGRAM = Program(
    name="markdown",
    title="Markdown",
    ending=".md",
    how_to_use="Paste into a README.",
    runs="at most 40 terms at one pixel a cell",
    write=write,
    in_autofit=False,
)
