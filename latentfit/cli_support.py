"""What several commands share: kinds of arguments, reading maps, refusing outputs, and a store in words."""

import os
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfit.errors import BadFileError, StoreError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from latentfit.approx import Approximation
    from latentfit.pairs import PairStore, Split
    from latentfit.spaces import LatentSpace

File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
Files = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...", help_behavior_hint="")]
MaybeFiles = Annotated[
    tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[FILE...]", help_behavior_hint="")
]
OutFile = Annotated[Path, tyro.conf.arg(metavar="FILE")]
Store = Annotated[Path, tyro.conf.arg(metavar="STORE")]
MaybeStore = Annotated[Path | None, tyro.conf.arg(metavar="STORE", help_behavior_hint="")]
Ref = Annotated[str | None, tyro.conf.arg(metavar="REF", help_behavior_hint="")]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["float32", "float16", "bfloat16"]


def check_places(command: str, store: Path | None, source: Path | None, target: Path | None) -> bool:
    """Latents to latents, of --source and --target, or to pictures, of one store: just one of the two is told."""
    if (source is None) != (target is None):
        raise StoreError(f"{command}: --source and --target go together: two stores of the same pictures")
    if (store is None) == (source is None):
        expected = "expected one pair store, or --source STORE --target STORE for maps between latents"
        raise StoreError(f"{command}: {expected}, got {'neither' if store is None else 'both'}")
    return source is not None


def note_likelier_space(path: Path, latents: "Tensor", space: "LatentSpace") -> None:
    """Warn when a file's latents look like another space's: files do not say, and wrong ones give a wrong picture."""
    from latentfit.families import likelier_space

    likelier = likelier_space(latents, space)
    if likelier is not None:
        warnings.warn(
            f"{path}: read as {space.title} latents, but by their statistics likelier {likelier.title} latents; if so, "
            f"take a map of {likelier.name}",
            stacklevel=2,
        )


def bundled_tables(space: str) -> list[Path]:
    """The tables of `data/tables` that were fitted for this space."""
    from latentfit.resources import data_path

    folder = data_path("tables") / space
    return sorted(folder.glob("*.safetensors")) if folder.is_dir() else []


def tables_unless_fitted_on(space: str, hashes: Collection[str]) -> list[Path]:
    """The bundled tables; none, and a line that says so, when they were fitted on all of these pictures."""
    from latentfit.files import load_approximation

    paths = bundled_tables(space)
    fitted = {sha256 for path in paths for sha256 in load_approximation(path).card.get("train_hashes", ())}
    if paths and set(hashes) <= fitted:
        print(f"the bundled tables of {space} were fitted on these pictures: ranking the published ones alone")
        return []
    return paths


def evaluate_classes(named: "dict[str, Approximation]", store: "PairStore", split: "Split", csv: Path | None) -> None:
    """Print how palettized maps do as such, beside a closed form's nearest colours.

    Rows go to NAME.palettes.csv, how often each class is used to NAME.usage.csv.
    """
    from latentfit.files import load_approximation
    from latentfit.palette_scores import evaluate_palettes, summary, usage_table
    from latentfit.palettized import is_palettized

    compared = dict(named)
    hashes = {sample.sha256 for sample in store.split(split)}
    if all(is_palettized(one) or one.scale != 1 for one in named.values()):
        for path in bundled_tables(store.space.name):
            if path.stem != "3":
                continue
            if hashes - set(load_approximation(path).card.get("train_hashes", ())):
                compared["bundled 3×3 table"] = load_approximation(path)
            else:
                print("\nthe bundled 3×3 table is left out: it was fitted on every one of these pictures")
    frame = evaluate_palettes(compared, store, split=split, progress=True)
    print(f"\n{summary(frame)}")
    if csv is not None:
        print(write_csv(frame, csv.with_suffix(".palettes.csv")))
        print(write_csv(usage_table(frame), csv.with_suffix(".usage.csv")))


def check_out(path: Path | None, ending: str = "", or_none: bool = False) -> None:
    """Refuse an output that could not be written before the long work, not after it."""
    if path is None:
        return
    if path.is_dir():
        raise BadFileError(f"--out {path}: expected a file to write, got a folder")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise BadFileError(f"--out {path}: cannot be written: {parent} is not a folder that can be written to")
    if ending and path.suffix.lower() != ending and not (or_none and not path.suffix):
        raise BadFileError(f"--out {path}: expected a name ending in {ending}, got {path.suffix or 'no ending'!r}")


def store_in_words(folder: Path) -> str:
    """What a pair store holds, a line a fact."""
    from latentfit.pairs import PairStore

    store = PairStore(folder)
    store.verify()
    space, n_test = store.space, len(store.split("test"))
    n_pictures = len({sample.sha256 for sample in store.samples})
    facts = {
        "space": f"{space.name} ({space.channels} channels, {space.cell_px} px a cell)"
        + (", measured" if space.measured else ""),
        "reference": store.reference,
        "columns": ", ".join(store.columns),
        "samples": f"{len(store.samples)} of {n_pictures} pictures at {store.origin.size} px, {n_test} held out",
        "vae": f"{store.vae_name} {store.fingerprint[:16]}",
    }
    return "\n".join([f"pair store {folder}", *(f"  {key:<10} {value}" for key, value in facts.items())])


_EVIDENCE = ("ridge", "condition", "residual", "r2")


def solution_line(card: dict[str, object]) -> str:
    """How a fit went, from its card."""
    parts = [f"{key} {card[key]:.4g}" for key in _EVIDENCE if isinstance(card.get(key), float)]
    said = ", ".join([f"{card.get('n_images')} pictures", f"{card.get('n_cells')} cells", *parts])
    if card.get("converged") is False:
        said += (
            f"\nthe bounded fit had not converged after {card.get('n_passes')} passes, since many targets lie at black "
            "or white: its numbers would move on; fit more pictures, or a form of fewer terms, or without bounds"
        )
    return said


def write_csv(frame: "pd.DataFrame", path: Path) -> Path:
    """Write a table of scores, whole or not at all."""
    from latentfit.resources import write_atomic

    return write_atomic(path, frame.to_csv(index=False))
