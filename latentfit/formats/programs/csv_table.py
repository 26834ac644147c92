"""CSV: a row a term, for a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from math import comb
from pathlib import Path

import torch

from latentfit.errors import BadTableError
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.formats.programs.common import output_names, polynomial, provenance, short
from latentfit.formats.programs.program import Program
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime.escaping import csv_comment

MOST_DEGREES = 4  # of the polynomials that are read back


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A row a term; columns are outputs; signed range."""
    module = polynomial(approximation, "csv")
    buffer = io.StringIO()
    said = [*provenance(approximation, csv_comment), "domain: model; output range: [-1, 1]"]
    buffer.writelines(f"# {line}\n" for line in said)
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["term", *output_names(module)])
    values = module.coefficients.tolist()
    writer.writerows([term, *map(short, row)] for term, row in zip(module.terms, values, strict=True))
    return buffer.getvalue()


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote; the terms tell the form."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    table = list(csv.reader(lines))
    if len(table) < 2 or len({len(row) for row in table}) > 1:
        raise BadTableError(
            place=path, expected="rows of one length, a term and its numbers", remedy="export the table again"
        )
    terms, values = [row[0] for row in table[1:]], [[float(v) for v in row[1:]] for row in table[1:]]
    scale = round((len(table[0]) - 1) ** 0.5 / 3**0.5)
    forms = _forms(space.channels, len(terms) - 1) if len(table[0]) == 1 + 3 * scale**2 else ()
    for kernels in forms:
        module = PolynomialMap(space.channels, kernels, scale, intercept=any(values[0]))
        if module.terms == terms:
            module.set_coefficients(torch.tensor(values))
            return Approximation(module, space, scale, name=path.stem)
    raise BadTableError(
        f"{len(terms)} terms fit no form of space {space.name!r}", place=path, remedy="read the JSON export instead"
    )


def _forms(n_channels: int, n_terms: int, degree: int = 1) -> Iterator[tuple[int, ...]]:
    """The kernels whose monomials of this degree and the higher ones are so many."""
    side = 1
    while degree <= MOST_DEGREES and (count := comb(n_channels * side**2 + degree - 1, degree)) <= n_terms:
        if count == n_terms:
            yield (side,)
        for rest in _forms(n_channels, n_terms - count, degree + 1):
            yield (side, *rest)
        side += 2


PROGRAM = Program(
    name="csv",
    title="CSV",
    ending=".csv",
    how_to_use="A row a term, a column a colour, for a spreadsheet.",
    runs="every form, every scale",
    write=write,
    read=read,
)
