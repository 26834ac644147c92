"""Refresh all that says what maps are worth: pages of docs/, the cards of data/, the README's blocks.

Reads data/results/*.csv, which `score_sets.py` writes, beside the CSVs of the other commands. `make results` scores
what is new, then runs this; `--check` changes nothing and fails where a file is not what the numbers say.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from latentfit.latents import get_space
from latentfit.runtime import write_atomic
from recipes.cards import pages
from recipes.cards import readme as make_readme
from recipes.cards.results_tables import (
    CARD,
    ROOT,
    SPACES,
    decoders_block,
    differences_block,
    interposers,
    kinds_block,
    latent_maps_block,
    palettes_block,
    results,
    tables_block,
    upscalers,
    weak_spots,
)
from recipes.cards.wording import with_blocks

INTRODUCTION = """\
## By kind of picture

What was scored and how stands in the project's docs/results.md. Photographs of images/eval were also chosen by; no
choice was made on the other sets. dB: pooled over a set's pixels, the number of its pictures in brackets. Differences:
means over pictures with their 95 % bootstrap interval, and the share of pictures won."""


def main() -> int:
    """Write, or check, every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    wanted = {**page(), **pages.filled(), **cards(), **make_readme.filled()}
    stale = [path for path, text in wanted.items() if path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)}: not what the numbers say; run `make results`")
        else:
            print(write_atomic(path, wanted[path]))
    return 1 if check and stale else 0


def page() -> dict[Path, str]:
    """docs/results.md with its blocks filled."""
    path = ROOT / "docs" / "results.md"
    blocks = {
        "kinds": kinds_block(),
        "weak": "\n".join(weak_spots()),
        "differences": differences_block(),
        "tables": spaces_of("tables", tables_block),
        "decoders": spaces_of("decoders", decoders_block),
        "interposers": between(),
        "upscalers": twice(),
        "palettes": palettes_block(),
    }
    return with_blocks(path, blocks)


def spaces_of(job: str, block: Callable[[str], str]) -> str:
    """A block for every space that was scored, below a heading of its own."""
    there = set(results(job)["space"])
    return "\n\n".join(f"### {get_space(space).title}\n\n{block(space)}" for space in SPACES if space in there)


def between() -> str:
    """Every interposer's block."""
    return "\n\n".join(
        f"### {source} → {target}\n\n{latent_maps_block(rows)}" for source, target, rows in interposers()
    )


def twice() -> str:
    """Every upscaler's block."""
    return "\n\n".join(f"### {get_space(space).title}, 2×\n\n{latent_maps_block(rows)}" for space, rows in upscalers())


def cards() -> dict[Path, str]:
    """Path -> text of every card, with its block of figures by kind of picture."""
    models = ROOT / "data" / "models"
    blocks = {
        models / "README.md": [spaces_of("decoders", decoders_block), of("to the picture")],
        models / "INTERPOSERS.md": [between(), of("-to-")],
        models / "UPSCALERS.md": [twice(), of("-upscaler")],
        models / "PALETTES.md": [palettes_block()],
        ROOT / "data" / "tables" / "README.md": [spaces_of("tables", tables_block), of(", cells")],
    }
    for folder in sorted((ROOT / "data" / "vaes").glob("mini-*")):
        space = folder.name.removeprefix("mini-")
        if space in set(results("decoders")["space"]):
            blocks[folder / "README.md"] = [decoders_block(space)]
    return {path: with_block(path.read_text("utf-8"), "\n\n".join(parts)) for path, parts in blocks.items()}


def of(part: str) -> str:
    """The differences whose words hold a part."""
    return differences_block(lambda words: part in words)


def with_block(text: str, block: str) -> str:
    """A card with its block replaced, or put at its end."""
    start, end = f"<!-- {CARD} -->", f"<!-- /{CARD} -->"
    whole = f"{start}\n{INTRODUCTION}\n\n{block}\n{end}"
    if start in text:
        head, rest = text.split(start, 1)
        return head + whole + rest.split(end, 1)[1]
    return f"{text.rstrip()}\n\n{whole}\n"


if __name__ == "__main__":
    sys.exit(main())
