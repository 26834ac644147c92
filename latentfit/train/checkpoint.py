"""A run's state in one file that `weights_only` reads, written whole: what a killed run goes on from."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latentfit.errors import Remedy, TrainError, gist_of
from latentfit.runtime import schemas
from latentfit.runtime.storage import write_atomic
from latentfit.runtime.weights import load_plainly

SCHEMA = "latentfit-run/1"


@dataclass
class State:
    """The state of a run, as a checkpoint holds it.

    Attributes
    ----------
    seen_images : int
    tensors : dict of str to dict
        State dicts: model, ema, optimizer, and of the adversary; scaler where precision needs one.
    rows : list of dict
        Metrics so far: the CSV is written from them.
    """

    seen_images: int
    tensors: dict[str, Any]
    rows: list[dict[str, float]]


_HEADER = schemas.record(
    {
        "schema": schemas.text(),
        "identity": schemas.record({}, others=lambda value, _: value),
        "rows": schemas.listed(schemas.record({}, others=lambda value, _: value), 1 << 24),
    },
    ("schema", "identity", "rows"),
)


def save_state(path: Path, state: State, identity: dict[str, Any]) -> None:
    """Write it whole, or leave the one before.

    Raises
    ------
    TrainError
        When it cannot be written; the checkpoint before is still there.
    """
    buffer = io.BytesIO()
    header = json.dumps({"schema": SCHEMA, "identity": identity, "rows": state.rows})
    torch.save({"header": header, "seen_images": state.seen_images, "tensors": state.tensors}, buffer)
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise TrainError(
            f"checkpoint at {state.seen_images} images could not be written ({error.strerror or error})",
            place=path,
            remedy="the one before is still there. Free some space and run the same again: it goes on from that",
        ) from error


def load_state(path: Path, identity: dict[str, Any]) -> State | None:
    """The state of a run with this identity; None when there is none yet.

    Raises
    ------
    TrainError
        When the file is damaged, would have to be unpickled, or belongs to a run with other settings.
    """
    if not path.is_file():
        return None
    try:
        read = load_plainly(path, is_mapped=False)
        header = _HEADER(json.loads(read["header"]), str(path))
        state = State(int(read["seen_images"]), dict(read["tensors"]), list(header["rows"]))
        found, schema = header["identity"], header["schema"]
    except Exception as error:  # whatever a damaged or foreign file raises, it is one thing to the user
        raise TrainError(
            f"not a whole checkpoint of a run ({gist_of(error)})", place=path, remedy="remove it to begin anew"
        ) from error
    if schema != SCHEMA:
        raise TrainError(place=path, expected=f"schema {SCHEMA!r}", got=f"{schema!r}", remedy="remove it to begin anew")
    differing = sorted(key for key in found.keys() | identity.keys() if found.get(key) != identity.get(key))
    if differing:
        told = ", ".join(f"{key} {found.get(key)} there and {identity.get(key)} here" for key in differing[:4])
        raise TrainError(
            f"belongs to a run with other settings: {told}",
            place=path,
            remedy=Remedy("use those, name another {}, or remove it to begin anew", out=...),
        )
    return state
