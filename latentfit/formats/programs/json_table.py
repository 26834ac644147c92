"""JSON: the whole of a table, readable by any program."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from latentfit.errors import BadFileError, BadTableError, part_of, reason_of
from latentfit.fit.polynomial_map import PolynomialMap, polynomial_config
from latentfit.formats.headers import checked_card, name_in_words
from latentfit.formats.programs.common import output_names, polynomial, short
from latentfit.formats.programs.program import Program
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime import schemas

FORMAT = "latentfit-table/1"
MOST_VALUES, MOST_BYTES = 1 << 25, 1 << 29  # of a table in JSON: 16 channels' decoder of 5×5 has 77,000
CONVENTIONS: dict[str, Any] = {"domain": "model", "output_range": [-1, 1], "borders": "replicate"}


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Everything: terms, exponents by name, coefficients, space, domain, range, provenance, scores, reference."""
    module = polynomial(approximation, "json", smooths=True)
    document = {
        "format": FORMAT,
        "name": approximation.name,
        "space": approximation.space.to_dict(),
        **CONVENTIONS,
        "config": module.config(),
        "outputs": output_names(module),
        "card": approximation.card,
        "terms": module.terms,
        "coefficients": [[short(value) for value in row] for row in module.coefficients.tolist()],
    }
    parts = [f" {json.dumps(key)}: {_json_value(key, value)}" for key, value in document.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read(path: Path) -> Approximation:
    """Read what `write` wrote.

    Raises
    ------
    BadTableError
        When the file is none, its numbers mean something else, or a field is of another type.
    """
    try:
        document = schemas.read_json(path, MOST_VALUES, MOST_BYTES)
        found = document.get("format") if isinstance(document, dict) else None
        if found != FORMAT:
            raise BadTableError(
                place=path,
                expected=f"format {FORMAT!r}",
                got=schemas.shown(found),
                remedy="export the table as JSON anew",
            )
        return _table_of(_DOCUMENT(document, os.fspath(path)), path)
    except BadTableError:
        raise
    except (BadFileError, OSError) as error:
        raise BadTableError(
            f"not a table that was exported as JSON ({reason_of(error)})", place=path, remedy="export it again"
        ) from error


def _table_of(document: dict[str, Any], path: Path) -> Approximation:
    """A document whose fields are of their types."""
    rows = document["coefficients"]
    shape = (len(rows), len(rows[0]))
    config = polynomial_config(document["config"], part_of(os.fspath(path), ".config"), shape)
    space, name = document["space"], document["name"]
    if config["n_channels"] != space.channels:
        raise BadTableError(
            f"{config['n_channels']} channels, its space {space.name!r} has {space.channels}",
            place=path,
            remedy="export the table again",
        )
    if config.get("target", "rgb") != "rgb":
        raise BadTableError(
            "config.target", place=path, expected="'rgb'", got=f"{config['target']!r}", remedy="export the table again"
        )
    module = PolynomialMap.from_config(config)
    meant = {**CONVENTIONS, "terms": module.terms, "outputs": output_names(module)}
    for key, expected in meant.items():
        if document[key] != expected:
            raise BadTableError(
                key,
                place=path,
                expected=_shown(expected),
                got=f"{_shown(document[key])}: these numbers mean something else",
                remedy="export the table again",
            )
    values = np.array(rows, dtype=np.float64)
    if not (np.abs(values) <= np.finfo(np.float32).max).all():
        raise BadTableError(
            "its coefficients are past the range of float32", place=path, remedy="export the table again"
        )
    module.set_coefficients(values)
    name, card = name_in_words(name, document["card"])
    return Approximation(module, space, module.scale, name=name, card=card)


def _rows(value: Any, where: str) -> list[list[float]]:
    """Rows of finite numbers, equally long."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        raise schemas.wrong(where, "rows of numbers", value)
    if len({len(row) for row in value}) > 1 or not value[0]:
        raise schemas.wrong(where, "rows of one length", value)
    if not all(type(one) in (int, float) for row in value for one in row):
        raise schemas.wrong(where, "rows of numbers alone", value)
    return value


_DOCUMENT = schemas.record(
    {
        "format": schemas.one_of(FORMAT),
        "name": schemas.text(),
        "space": lambda value, where: LatentSpace.from_dict(value, where),
        "domain": schemas.plain,
        "output_range": schemas.plain,
        "borders": schemas.plain,
        "config": lambda value, where: value,
        "outputs": schemas.plain,
        "card": checked_card,
        "terms": schemas.plain,
        "coefficients": _rows,
    },
    (
        "format", "name", "space", "domain", "output_range", "borders", "config", "outputs", "card", "terms",
        "coefficients",
    ),
)  # fmt: skip


def _shown(value: object) -> str:
    said = json.dumps(value)
    return said if len(said) < 80 else f"{said[:76]} …"


def _json_value(key: str, value: Any) -> str:
    if key != "coefficients":
        return json.dumps(value, allow_nan=False)
    return "[\n  " + ",\n  ".join(json.dumps(row, allow_nan=False) for row in value) + "\n ]"


PROGRAM = Program(
    name="json",
    title="JSON",
    ending=".json",
    how_to_use="Terms, coefficients, space, range, provenance and scores, readable by any program.",
    runs="every form, every scale",
    write=write,
    read_alone=read,
)
