"""Formats that belong to no program: JSON (the full one), CSV, Markdown, NumPy, and an nn.Conv2d's state dict."""

import csv as csv_module
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from latentfit import escaping
from latentfit.approx import Approximation
from latentfit.dialects.common import Table, from_table, linear_table, polynomial, provenance
from latentfit.errors import ExportError
from latentfit.escaping import csv_comment
from latentfit.fit.module import PolynomialMap
from latentfit.spaces import LatentSpace

FORMAT = "latentfit-table/1"
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
    """Inverse of `json_table`."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if document.get("format") != FORMAT:
            raise ExportError(f"{path}: expected format {FORMAT!r}, got {document.get('format')!r}")
        module = PolynomialMap.from_config(document["config"])
        coefficients = np.asarray(document["coefficients"], dtype=np.float64)
        meant = {**CONVENTIONS, "terms": module.terms, "outputs": _output_names(module)}
        for key, expected in meant.items():
            if document[key] != expected:
                raise ExportError(
                    f"{path}: {key}: expected {_shown(expected)}, got {_shown(document[key])}: these numbers mean "
                    "something else; export the table again"
                )
        if not np.isfinite(coefficients).all():
            raise ExportError(f"{path}: its coefficients hold NaN or Inf; export the table again")
        module.set_coefficients(coefficients)
        space = LatentSpace.from_dict(document["space"])
        return Approximation(module, space, module.scale, name=document["name"], card=dict(document["card"]))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError, OSError) as error:
        raise ExportError(f"{path}: not a table that `latentfit export --to json` wrote ({error})") from error


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
    terms, values = [row[0] for row in read[1:]], [[float(v) for v in row[1:]] for row in read[1:]]
    scale = round((len(read[0]) - 1) ** 0.5 / 3**0.5)
    for kernels in ((1,), (1, 1), (1, 1, 1), (3,), (5,), (7,), (3, 1), (5, 1), (3, 3), (5, 3)):
        module = PolynomialMap(space.channels, kernels, scale, intercept=any(values[0]))
        if len(terms) == module.coefficients.shape[0] and module.terms == terms:
            module.set_coefficients(torch.tensor(values))
            return Approximation(module, space, scale, name=path.stem)
    raise ExportError(f"{path}: {len(terms)} terms fit no form of space {space.name!r}; read the JSON export instead")


def markdown(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A table for a README; at most 40 terms."""
    module = polynomial(approximation, "markdown")
    if module.scale > 1:
        raise ExportError(f"markdown: {approximation.name!r} is a decoder, too large to read; use csv or json")
    if len(module.terms) > 40:
        raise ExportError(
            f"markdown: {approximation.name!r} has {len(module.terms)} terms, too many to read; use csv or json"
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
    """Inverse of `numpy`."""
    with np.load(path, allow_pickle=False) as arrays:
        module = PolynomialMap.from_config(json.loads(str(arrays["config"])))
        module.set_coefficients(arrays["coefficients"].astype(np.float64))
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
        raise ExportError(f"{path}: not a Conv2d state dict ({error})") from error
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
