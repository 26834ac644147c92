"""Formats that belong to no program: JSON (the full one), CSV, Markdown, NumPy, and an nn.Conv2d's state dict."""

import csv as csv_module
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from latentfit.errors import BadFileError, BadTableError, ExportError
from latentfit.fit.basis import Basis
from latentfit.fit.polynomial_map import PolynomialMap, polynomial_config
from latentfit.formats.headers import checked_card
from latentfit.formats.programs.common import Table, from_table, linear_table, polynomial, provenance
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime import escaping, schemas
from latentfit.runtime.escaping import csv_comment

FORMAT = "latentfit-table/1"
MOST_VALUES, MOST_BYTES = 1 << 25, 1 << 29  # of a table in JSON: 16 channels' decoder of 5×5 has 77,000
MOST_CONFIG_BYTES = 1 << 16
CONVENTIONS: dict[str, Any] = {"domain": "model", "output_range": [-1, 1], "borders": "replicate"}


def json_table(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Everything: terms, exponents by name, coefficients, space, domain, range, provenance, scores, reference."""
    module = polynomial(approximation, "json", smooths=True)
    document = {
        "format": FORMAT,
        "name": approximation.name,
        "space": approximation.space.to_dict(),
        **CONVENTIONS,
        "config": module.config(),
        "outputs": _output_names(module),
        "card": approximation.card,
        "terms": module.terms,
        "coefficients": [[_short(value) for value in row] for row in module.coefficients.tolist()],
    }
    parts = [f" {json.dumps(key)}: {_json_value(key, value)}" for key, value in document.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read_json(path: Path) -> Approximation:
    """Inverse of `json_table`.

    Raises
    ------
    BadTableError
        When the file is none, its numbers mean something else, or a field is of another type.
    """
    try:
        read = schemas.read_json(path, MOST_VALUES, MOST_BYTES)
        found = read.get("format") if isinstance(read, dict) else None
        if found != FORMAT:
            raise BadTableError(place=path, expected=f"format {FORMAT!r}", got=f"{schemas.shown(found)}")
        return _table_of(_DOCUMENT(read, os.fspath(path)), path)
    except BadTableError:
        raise
    except (BadFileError, OSError) as error:
        raise BadTableError(
            f"not a table of the format json ({error})", place=path, remedy="export it again"
        ) from error


def _table_of(document: dict[str, Any], path: Path) -> Approximation:
    """A document whose fields are of their types."""
    rows = document["coefficients"]
    shape = (len(rows), len(rows[0]))
    config = polynomial_config(document["config"], f"{path}.config", shape)
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
    meant = {**CONVENTIONS, "terms": module.terms, "outputs": _output_names(module)}
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
    return Approximation(module, space, module.scale, name=name, card=document["card"])


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


def csv(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A row a term; columns are outputs; signed range."""
    module = polynomial(approximation, "csv")
    buffer = io.StringIO()
    said = [*provenance(approximation, csv_comment), "domain: model; output range: [-1, 1]"]
    buffer.writelines(f"# {line}\n" for line in said)
    writer = csv_module.writer(buffer, lineterminator="\n")
    writer.writerow(["term", *_output_names(module)])
    values = module.coefficients.tolist()
    writer.writerows([term, *map(_short, row)] for term, row in zip(module.terms, values, strict=True))
    return buffer.getvalue()


def read_csv(path: Path, space: LatentSpace) -> Approximation:
    """Inverse of `csv`: terms say the form."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    read = list(csv_module.reader(lines))
    if len(read) < 2 or len({len(row) for row in read}) > 1:
        raise BadTableError(
            place=path, expected="rows of one length, a term and its numbers", remedy="export the table again"
        )
    terms, values = [row[0] for row in read[1:]], [[float(v) for v in row[1:]] for row in read[1:]]
    scale = round((len(read[0]) - 1) ** 0.5 / 3**0.5)
    for kernels in ((1,), (1, 1), (1, 1, 1), (3,), (5,), (7,), (3, 1), (5, 1), (3, 3), (5, 3)):
        if len(terms) != 1 + Basis(space.channels, kernels).n_terms or len(read[0]) != 1 + 3 * scale**2:
            continue
        module = PolynomialMap(space.channels, kernels, scale, intercept=any(values[0]))
        if module.terms == terms:
            module.set_coefficients(torch.tensor(values))
            return Approximation(module, space, scale, name=path.stem)
    raise BadTableError(
        f"{len(terms)} terms fit no form of space {space.name!r}", place=path, remedy="read the JSON export instead"
    )


def markdown(approximation: Approximation, bias_free: Approximation | None = None) -> str:
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


def numpy(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """An ``.npz``: coefficients, exponents, terms."""
    module = polynomial(approximation, "numpy", smooths=True)
    buffer = io.BytesIO()
    config, terms = np.array(json.dumps(module.config())), np.array(module.terms)
    coefficients: Any = module.coefficients.numpy()
    np.savez_compressed(buffer, config=config, coefficients=coefficients, exponents=module.exponents, terms=terms)
    return buffer.getvalue()


def read_numpy(path: Path, space: LatentSpace) -> Approximation:
    """Inverse of `numpy`; what its parts unpack to is counted before they are."""
    with zipfile.ZipFile(path) as parts:
        sizes = {one.filename: one.file_size for one in parts.infolist()}
    if sizes.get("config.npy", 0) > MOST_CONFIG_BYTES:
        raise BadTableError(
            f"its config unpacks to {sizes['config.npy']} bytes", place=path, remedy="export the table again"
        )
    with np.load(path, allow_pickle=False) as arrays:
        config = polynomial_config(schemas.parse_json(str(arrays["config"]), os.fspath(path)), f"{path}.config")
        n_terms = Basis(config["n_channels"] * config.get("shrink", 1) ** 2, config["kernels"]).n_terms
        n_values = (1 + n_terms) * config.get("n_outputs", 3) * config.get("scale", 1) ** 2
        if sizes["coefficients.npy"] > 1024 + 8 * n_values or config["n_channels"] != space.channels:
            raise BadTableError(
                "its coefficients are not those of its config and space", place=path, remedy="export it again"
            )
        values = arrays["coefficients"].astype(np.float64)
    if values.shape != (1 + n_terms, n_values // (1 + n_terms)):
        raise BadTableError(
            place=path, expected=f"{n_values} coefficients", got=f"{values.shape}", remedy="export the table again"
        )
    module = PolynomialMap.from_config(config).set_coefficients(values)
    return Approximation(module, space, module.scale, name=path.stem)


def conv2d(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """A state dict of ``nn.Conv2d(C, 3, side, padding=side // 2, padding_mode="replicate")`` -> rgb [0, 1]."""
    table = linear_table(approximation, "an nn.Conv2d", largest_side=1 << 10).in_unit_range()
    weight = table.weights.T.reshape(3, -1, table.side, table.side).float().contiguous()
    bias = (torch.zeros(3) if table.bias is None else table.bias).float()
    about = {
        "about": "\n".join([*provenance(approximation), "padding_mode replicate; model domain in, rgb [0, 1] out"])
    }
    blob: bytes = to_bytes({"weight": weight, "bias": bias}, about)
    return blob


def read_conv2d(path: Path, space: LatentSpace) -> Approximation:
    """Inverse of `conv2d`."""
    try:
        tensors = load_file(path)
        weight, bias = tensors["weight"].double(), tensors["bias"].double()
    except (SafetensorError, KeyError, OSError) as error:
        raise BadTableError(f"not a Conv2d state dict ({error})", place=path, remedy="export it again") from error
    if weight.ndim != 4 or weight.shape[0] != 3 or weight.shape[2] != weight.shape[3] or bias.shape != (3,):
        raise BadTableError(place=path, expected="a weight (3, C, k, k) and a bias (3,)", got=f"{tuple(weight.shape)}")
    table = Table(weight.reshape(3, -1).T * 2, bias * 2 - 1, weight.shape[-1])
    return from_table(table, space, path.stem)


def _output_names(module: PolynomialMap) -> list[str]:
    channels = ("R", "G", "B") if module.target == "rgb" else tuple(f"y{i}" for i in range(module.n_outputs))
    if module.scale == 1:
        return list(channels)
    return [f"{c}[{row},{column}]" for c in channels for row in range(module.scale) for column in range(module.scale)]


def _shown(value: object) -> str:
    said = json.dumps(value)
    return said if len(said) < 80 else f"{said[:76]} …"


def _short(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(np.format_float_positional(np.float32(value), unique=True))


def _json_value(key: str, value: Any) -> str:
    if key != "coefficients":
        return json.dumps(value, allow_nan=False)
    return "[\n  " + ",\n  ".join(json.dumps(row, allow_nan=False) for row in value) + "\n ]"
