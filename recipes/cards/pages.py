"""Fill the generated blocks of the pages in docs/ that say what maps cost and reach, all but docs/results.md.

Reads data/tables/*/audit.csv (`make tables`), data/estimates (`make estimates`), data/models and data/vaes (`make
cards`, `palettes`, `interposers`, `upscalers`) and benchmarks/results (`make bench`).
"""

from pathlib import Path

from recipes.cards.audits import audit_block, estimates_block
from recipes.cards.results_tables import differences_block
from recipes.cards.speed import bench_block
from recipes.cards.tables import (
    decoders_block,
    interposers_block,
    operators_block,
    palettes_block,
    upscalers_block,
    vaes_block,
)
from recipes.cards.wording import with_blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"


def filled() -> dict[Path, str]:
    """Path -> text of each page, every block as the numbers say."""
    against_taesd = differences_block(lambda words: "to the picture" in words)
    blocks = {
        "tables": {"audit": audit_block(), "estimates": estimates_block()},
        "decoders": {
            "decoders": decoders_block(),
            "taesd": against_taesd,
            "operators": operators_block(),
            "vaes": vaes_block(),
        },
        "palettes": {"palettes": palettes_block()},
        "interposers": {"interposers": interposers_block()},
        "upscalers": {"upscalers": upscalers_block()},
        "speed": {"bench": bench_block()},
    }
    return {
        path: text
        for name, of_page in blocks.items()
        for path, text in with_blocks(DOCS / f"{name}.md", of_page).items()
    }
