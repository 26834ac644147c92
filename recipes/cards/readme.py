"""The README's generated blocks: the hero's caption, one table of six decoders, where ours is weak, one table to paste.

Reads figures/hero.json (`python -m recipes.cards.hero`), data/models/pareto_sd1.csv (`make cards`), data/results (`make
results`) and data/tables/sd1/3.safetensors (`make tables`). `make results` writes them.
"""

import json
from pathlib import Path

from latentfit.formats import load_approximation
from latentfit.formats.programs import PROGRAMS
from latentfit.scores import Difference
from recipes.cards.results_tables import difference, on_clip_art, results
from recipes.cards.wording import milliseconds_in_words, rows_in_words, with_blocks

ROOT = Path(__file__).resolve().parents[2]
CELL, FULL = "a pixel a cell", "full size"
COMPARED = {
    "comfyui/SD15": ("ComfyUI's table today", CELL),
    "affine": ("our affine table", CELL),
    "3×3 affine": ("**our 3×3 table**", CELL),
    "sd1-cell": ("**our `sd1-cell`**", FULL),
    "sd1-cell-large": ("our `sd1-cell-large`", FULL),
    "TAESD": ("TAESD's decoder", FULL),
}
"""Map: its name in the README, and how large its pictures are."""


def filled() -> dict[Path, str]:
    """The README's path and its text with every block as the numbers say."""
    blocks = {
        "hero": hero_block(),
        "decoders": decoders_block(),
        "weak": weak_block(),
        "snippet": snippet_block(),
    }
    return with_blocks(ROOT / "README.md", blocks)


def hero_block() -> str:
    """The caption of the first picture, from the command that drew it."""
    return str(json.loads((ROOT / "figures" / "hero.json").read_text("utf-8"))["caption"])


def decoders_block() -> str:
    """What six decoders of SD1 cost and reach, as seen, against the picture."""
    frame = rows_in_words(ROOT / "data" / "models" / "pareto_sd1.csv", "approximation")
    seen = frame[(frame["place"] == "seen") & (frame["reference"] == "photo")].set_index("approximation")
    lines = [
        "| decoder of SD1 | gives | ms | numbers | photos, dB | ΔE | clip art, dB |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for name, (title, size) in COMPARED.items():
        row = seen.loc[name]
        lines.append(
            f"| {title} | {size} | {milliseconds_in_words(row['ms'])} | {int(row['parameters']):,} | "
            f"{row['psnr']:.2f} | {row['delta_e']:.1f} | {on_clip_art('decoders', 'sd1', name)} |"
        )
    return "\n".join(lines)


def weak_block() -> str:
    """One sentence on drawn content, with intervals."""
    decoders, tables = results("decoders"), results("tables")
    networks, linear = decoders[decoders["space"] == "sd1"], tables[tables["space"] == "sd1"]
    photographs, clip, pixel = (
        below_or_above(difference(networks, "sd1-cell", "TAESD", where, "mse_photo"), "TAESD")
        for where in ("eval", "clip art", "pixel art")
    )
    table = below_or_above(difference(linear, "ours: 3×3 affine", "comfyui/SD15", "pixel art", "mse_vae"), "ComfyUI's")
    return (
        f"**Weakest on drawn content.** `sd1-cell` is {clip} on clip art and {pixel} on pixel art, on photographs "
        f"{photographs}; our 3×3 table is {table} on pixel art. Means over held-out pictures, in brackets their 95 % "
        "intervals; both tables at the cells, against the VAE's decode."
    )


def below_or_above(found: Difference | None, other: str) -> str:
    """A difference in words: "5.3 dB below TAESD (4.6 to 6.1)".

    Raises
    ------
    ValueError
        When there is none.
    """
    if found is None:
        raise ValueError(f"no pictures in common with {other}: run `make results`")
    if found.is_tie:
        return f"no better and no worse than {other} ({signed(found.low)} to {signed(found.high)} dB)"
    if found.mean < 0:
        return f"{-found.mean:.1f} dB below {other} ({-found.high:.1f} to {-found.low:.1f})"
    return f"{found.mean:.1f} dB above {other} ({found.low:.1f} to {found.high:.1f})"


def signed(value: float) -> str:
    """With its sign, and a minus as wide as a plus."""
    return f"{value:+.1f}".replace("-", "−")


def snippet_block() -> str:
    """The 3×3 kernel for SD1, as `latentfit export --to comfyui` writes it."""
    content = PROGRAMS["comfyui"].write(load_approximation(ROOT / "data" / "tables" / "sd1" / "3.safetensors"), None)
    return f"```python\n{str(content).rstrip()}\n```"
