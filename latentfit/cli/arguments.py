"""What several commands share: kinds of arguments, reading maps, refusing outputs, and a store in words."""

import codecs
import io
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfit.errors import (
    BadFileError,
    LatentfitError,
    LatentfitWarning,
    Remedy,
    SpaceMismatchError,
    StoreError,
    as_flag,
)
from latentfit.runtime.escaping import lines
from latentfit.runtime.numbers import significant

if TYPE_CHECKING:
    import pandas as pd

    from latentfit.latents.files import LatentFile
    from latentfit.latents.spaces import LatentSpace
    from latentfit.maps.contracts import Approximation
    from latentfit.pairs.store import PairStore, Split

_PLAIN = str.maketrans(
    {
        "→": "->", "×": "x", "Δ": "d", "–": "-", "—": "-", "−": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"',
        "│": "|", "─": "-", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "█": "#", "±": "+-", "≤": "<=", "≥": ">=",
        "²": "^2", "·": "*", "•": "*", "°": " deg", "µ": "u", "ü": "ue", "ö": "oe", "ä": "ae", "ß": "ss", "é": "e",
    }
)  # fmt: skip


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """In place of what an encoding lacks: signs that all have."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return lacking.encode("ascii", "replace").decode("ascii"), error.end


codecs.register_error("latentfit-plain", _plainly)


def open_streams() -> None:
    """Let the standard streams print anything in any encoding; one that is not there swallows what is written."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # pythonw, or a shell's >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="latentfit-plain")


def say(*parts: object) -> None:
    """Print lines for people: nothing in them, wherever it came from, is obeyed by the terminal."""
    print(lines(" ".join(map(str, parts))), flush=True)


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
MaybeDomain = Annotated[Literal["model", "raw"] | None, tyro.conf.arg(metavar="{model,raw}", help_behavior_hint="")]


def check_places(command: str, store: Path | None, source: Path | None, target: Path | None) -> bool:
    """Latents to latents, of --source and --target, or to pictures, of one store: just one of the two is told."""
    if (source is None) != (target is None):
        raise StoreError(
            f"{command}: one store of two",
            expected="--source and --target together, two stores of the same pictures",
            got="one of them",
        )
    if (store is None) == (source is None):
        raise StoreError(
            command,
            expected="one pair store, or --source STORE --target STORE for maps between latents",
            got="neither" if store is None else "both",
        )
    return source is not None


def check_without(command: str, reason: str, **flags: object) -> None:
    """Refuse options that would change nothing: whoever gives one believes that it does.

    Parameters
    ----------
    command : str
        Such as ``evaluate``.
    reason : str
        Why they would change nothing, as the end of a sentence.
    **flags : object
        Values by name; None, False, empty and "auto" are as good as left out.

    Raises
    ------
    LatentfitError
        When one of them is given.
    """
    given = [as_flag(name, ...) for name, value in flags.items() if value not in (None, False, (), "auto")]
    if given:
        raise LatentfitError(
            f"{command}: {' and '.join(given)} would change nothing: {reason}",
            remedy=f"leave {'it' if len(given) == 1 else 'them'} out",
        )


def check_at_least(command: str, least: int, **flags: int | None) -> None:
    """Refuse counts below the least that means anything.

    Raises
    ------
    LatentfitError
        When one is.
    """
    for name, value in flags.items():
        if value is not None and value < least:
            raise LatentfitError(f"{command}: {as_flag(name, ...)}", expected=f"{least} or more", got=f"{value}")


def check_said(flag: str, said: str | None, file: Path, own: "LatentSpace") -> None:
    """Refuse a space that is said where the file says another: it would change nothing."""
    from latentfit.latents.spaces import get_space

    if said is not None and get_space(said) != own:
        raise SpaceMismatchError(
            f"{flag} {said}: {file} is of {own.name!r}",
            remedy="leave that flag out, or take a file of the space you mean",
        )


def noticed_latents(path: Path, space: "LatentSpace", domain: MaybeDomain) -> "LatentFile":
    """Read a latent file, and warn when its numbers speak against that: wrong ones give a wrong picture.

    Files do not say their space, and seldom their domain.
    """
    from latentfit.latents.files import open_latents

    file = open_latents(path, space, domain)
    if (doubt := file.doubt) is not None:
        steps = [] if doubt.kind == "domain" else [f"take a map of {doubt.spaces[0].name}"]
        if doubt.kind == "axes":
            steps = ["take a map of the space that they are of"]
        settings = {} if doubt.domain == doubt.taken_domain else {"domain": doubt.domain}
        steps += ["pass {}"] if settings else []
        advice = Remedy(f"if so, {' and '.join(steps)}", **settings)
        warnings.warn(LatentfitWarning(str(doubt), place=path, remedy=advice), stacklevel=2)
    return file


def tables_unless_fitted_on(store: "PairStore") -> list[Path]:
    """The bundled tables; none, and a line that says so, when they were fitted on all of the store's pictures."""
    from latentfit.formats.bundled import bundled_tables
    from latentfit.formats.saved import load_approximation
    from latentfit.scores.held_out import any_held_out

    space, paths = store.space.name, bundled_tables(store.space.name)
    if paths and not any_held_out(map(load_approximation, paths), store.samples):
        say(f"the bundled tables of {space} were fitted on these pictures: ranking the published ones alone")
        return []
    return paths


def evaluate_classes(named: "dict[str, Approximation]", store: "PairStore", split: "Split", csv: Path | None) -> None:
    """Print how palettized maps do as such, beside a closed form's nearest colours.

    Rows go to NAME.palettes.csv, how often each class is used to NAME.usage.csv.
    """
    from latentfit.formats.bundled import bundled_tables
    from latentfit.formats.saved import load_approximation
    from latentfit.palettes.decoder import is_palettized
    from latentfit.scores.held_out import any_held_out
    from latentfit.scores.palettes import evaluate_palettes, palette_summary, usage_table

    compared = dict(named)
    if all(is_palettized(one) or one.scale != 1 for one in named.values()):
        for path in bundled_tables(store.space.name):
            if path.stem != "3":
                continue
            table = load_approximation(path)
            if any_held_out([table], store.split(split)):
                compared["bundled 3×3 table"] = table
            else:
                say("\nthe bundled 3×3 table is left out: it was fitted on every one of these pictures")
    frame = evaluate_palettes(compared, store, split=split, progress=True)
    written = []
    if csv is not None:  # before anything is shown
        written.append(write_csv(frame, csv.with_suffix(".palettes.csv")))
        written.append(write_csv(usage_table(frame), csv.with_suffix(".usage.csv")))
    say(f"\n{palette_summary(frame)}")
    for path in written:
        say(path)


def check_out(path: Path | None, ending: str = "", or_none: bool = False, flag: str = "--out") -> None:
    """Refuse an output that could not be written before the long work, not after it."""
    if path is None:
        return
    if path.is_dir():
        raise BadFileError(f"{flag} {path}", expected="a file to write", got="a folder")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise BadFileError(
            f"{flag} {path}: cannot be written", expected="a folder that can be written to", got=f"{parent}"
        )
    if ending and path.suffix.lower() != ending and not (or_none and not path.suffix):
        raise BadFileError(
            f"{flag} {path}", expected=f"a name ending in {ending}", got=f"{path.suffix or 'no ending'!r}"
        )


def store_in_words(folder: Path) -> str:
    """What a pair store holds, a line a fact."""
    from latentfit.pairs.store import PairStore

    store = PairStore(folder)
    store.verify()
    space, n_test = store.space, len(store.split("test"))
    n_pictures = len({sample.sha256 for sample in store.samples})
    facts = {
        "space": f"{space.name} ({space.channels} channels, {space.cell_px} px a cell)"
        + (", measured" if space.measured else ""),
        "reference": store.reference + ("" if store.has_decodes else ", an encoder alone: it holds no decodes"),
        "columns": ", ".join(store.columns),
        "samples": f"{len(store.samples)} of {n_pictures} pictures at {store.origin.size} px, {n_test} held out",
        "vae": f"{store.vae_name} {store.fingerprint[:16]}",
    }
    return "\n".join([f"pair store {folder}", *(f"  {key:<10} {value}" for key, value in facts.items())])


_EVIDENCE = ("ridge", "condition", "residual", "r2")


def solution_line(card: dict[str, object]) -> str:
    """How a fit went, from its card."""
    known = {key: value for key in _EVIDENCE if isinstance(value := card.get(key), float)}
    parts = [f"{key} {significant(value, 4)}" for key, value in known.items()]
    said = ", ".join([f"{card.get('n_images')} pictures", f"{card.get('n_cells')} cells", *parts])
    if card.get("converged") is False:
        said += (
            f"\nthe bounded fit had not converged after {card.get('n_passes')} passes, since many targets lie at black "
            "or white: its numbers would move on; fit more pictures, or a form of fewer terms, or without bounds"
        )
    return said


def show_scores(frame: "pd.DataFrame", said: str, csv: Path | None) -> None:
    """Write every row where that was asked for, then print the summary: what fails to print was written."""
    written = None if csv is None else write_csv(frame, csv)
    say(said)
    if written is not None:
        say(written)


def write_csv(frame: "pd.DataFrame", path: Path) -> Path:
    """Write a table of scores, whole or not at all; text in it is text to a spreadsheet."""
    from latentfit.runtime.escaping import csv_cell
    from latentfit.runtime.storage import write_atomic

    return write_atomic(path, frame.map(csv_cell).to_csv(index=False))
