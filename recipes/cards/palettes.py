"""The table of data/palettes/README.md, from the palettes' own headers: run with `python -m recipes.cards.palettes`."""

import re
from pathlib import Path

from latentfit.palettes import Palette, bundled_palettes
from latentfit.runtime import write_atomic

FOLDER = Path(__file__).resolve().parents[2] / "data" / "palettes"
HEAD = "| palette | colours | what it is | source |\n|---|--:|---|---|\n"


def table() -> str:
    """One row a palette, by name."""
    rows = []
    for name in bundled_palettes():
        palette = Palette.load(name)
        called = re.search(r"^; name: (.+)$", (FOLDER / f"{name}.hex").read_text("utf-8"), re.MULTILINE)
        rows.append(f"| `{name}` | {len(palette)} | {called[1] if called else name} | {palette.source} |\n")
    return HEAD + "".join(rows)


def readme() -> str:
    """The README with its table made anew."""
    text = (FOLDER / "README.md").read_text("utf-8")
    before, rest = text.split(HEAD)
    return before + table() + rest[rest.index("\n\n") + 1 :]


def main() -> None:
    """Write it."""
    write_atomic(FOLDER / "README.md", readme())


if __name__ == "__main__":
    main()
