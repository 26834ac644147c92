"""NumPy: a table as arrays."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from latentfit.errors import BadTableError, part_of
from latentfit.fit.basis import Basis
from latentfit.fit.polynomial_map import PolynomialMap, polynomial_config
from latentfit.formats.programs.common import polynomial, provenance
from latentfit.formats.programs.program import Program
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime import schemas

MOST_CONFIG_BYTES = 1 << 16


def write(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """An ``.npz``: coefficients, exponents, terms, the config, and in words how they were made."""
    module = polynomial(approximation, "numpy", smooths=True)
    buffer = io.BytesIO()
    coefficients: Any = module.coefficients.numpy()
    np.savez_compressed(
        buffer,
        config=np.array(json.dumps(module.config())),
        coefficients=coefficients,
        exponents=module.exponents,
        terms=np.array(module.terms),
        about=np.array("\n".join(provenance(approximation))),
    )
    return buffer.getvalue()


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote; what its parts unpack to is counted before they are."""
    with zipfile.ZipFile(path) as parts:
        sizes = {one.filename: one.file_size for one in parts.infolist()}
    if sizes.get("config.npy", 0) > MOST_CONFIG_BYTES:
        raise BadTableError(
            f"its config unpacks to {sizes['config.npy']} bytes", place=path, remedy="export the table again"
        )
    with np.load(path, allow_pickle=False) as arrays:
        config = polynomial_config(
            schemas.parse_json(str(arrays["config"]), os.fspath(path)), part_of(os.fspath(path), ".config")
        )
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


PROGRAM = Program(
    name="numpy",
    title="NumPy",
    ending=".npz",
    how_to_use="numpy.load(FILE) gives terms, exponents and coefficients.",
    runs="every form, every scale",
    write=write,
    read=read,
    in_autofit=False,
)
