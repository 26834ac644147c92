"""The tables of spaces that were scored on photographs alone so far, and what fitting to photographs costs.

Fills the block "audits" of data/tables/README.md from data/tables/SPACE/audit.csv and data/tables/photo_targets.csv,
which `recipes.tables` writes: `python -m recipes.cards.table_audits`.
"""

from pathlib import Path

import pandas as pd

from latentfit.fit import form_in_words
from latentfit.latents import get_space
from latentfit.runtime import write_atomic
from recipes.tables import COST_PICTURES, COST_SCORED

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "tables"
SPACES = {"sd3": "vae", "sana_dcae": "photo"}
"""Space: what its tables were fitted to, and are ranked by."""
TITLES = {"sana_dcae": "Sana"}
"""Where the registry's title says less."""
START, END, NEXT = "<!-- audits -->", "<!-- /audits -->", "<!-- kinds -->"
AGAINST = {"vae": "the VAE's decode", "photo": "the photographs"}


def main() -> None:
    """Write the block into the card."""
    path = FOLDER / "README.md"
    print(write_atomic(path, with_audits(path.read_text("utf-8"), block())))


def block() -> str:
    """Every part that there is."""
    parts = [
        audit_table(space, pd.read_csv(FOLDER / space / "audit.csv"))
        for space in SPACES
        if (FOLDER / space / "audit.csv").is_file()
    ]
    costs = FOLDER / "photo_targets.csv"
    return "\n\n".join([*parts, *([cost_table(pd.read_csv(costs))] if costs.is_file() else [])])


def audit_table(space: str, frame: pd.DataFrame) -> str:
    """A space's ranking at the cells, best first by what the tables are fitted to."""
    reference = SPACES[space]
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all") & (frame["place"] == "cells")]
    is_oracle = pooled["approximation"].str.startswith("oracle: ")
    pooled = pooled[~is_oracle | (pooled["approximation"] == "oracle: affine")]
    shown = pooled.pivot(index="approximation", columns="reference", values="psnr")
    facts = pooled.drop_duplicates("approximation").set_index("approximation")
    columns = [name for name in AGAINST if name in shown]
    lines = [
        f"### {TITLES.get(space, get_space(space).title)}, on the photographs of images/eval", "",
        f"| dB at the cells ({facts['n_images'].max():.0f} photographs) | "
        + " | ".join(f"to {AGAINST[name]}" for name in columns) + " | verdict |",
        "|---|" + "--:|" * len(columns) + "---|",
    ]  # fmt: skip
    for name, row in shown.sort_values(reference, ascending=False).iterrows():
        words = form_in_words(str(name))
        title = f"**{words}**" if words.startswith("ours") else words
        verdict = facts.loc[name, "verdict"]
        said = "" if pd.isna(verdict) else str(verdict)
        lines.append(f"| {title} | " + " | ".join(f"{row[one]:.2f}" for one in columns) + f" | {said} |")
    if reference == "photo":
        lines += [
            "",
            "Its decoder cannot be had: tables are fitted to the photographs that were encoded, and ranked by them. "
            "A verdict takes two references.",
        ]  # fmt: skip
    return "\n".join(lines)


def cost_table(frame: pd.DataFrame) -> str:
    """What a map loses that is fitted to photographs, where decodes are to be had too."""
    lines = [
        "### What fitting to photographs costs", "",
        "The same forms on the same pictures, fitted to what the VAE decoded and to the photographs themselves; dB on "
        f"images/eval, at the cells (full-size decoders as seen). {COST_PICTURES} pictures were fitted on, "
        f"{COST_SCORED} scored.", "",
        "| | to the decode: fitted to decodes | fitted to photographs | to the photograph: fitted to decodes | "
        "fitted to photographs |",
        "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    for (space, form), rows in frame.groupby(["space", "form"], sort=False):
        place = "seen" if str(form).endswith("_decoder") else "cells"
        psnr = rows[rows["place"] == place].set_index(["reference", "fitted_to"])["psnr"]
        cells = [f"{psnr[reference, fitted]:.2f}" for reference in AGAINST for fitted in AGAINST]
        lines.append(f"| {get_space(str(space)).title}: {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_audits(text: str, told: str) -> str:
    """A card with its block replaced, or put before the figures by kind of picture."""
    whole = f"{START}\n{told}\n{END}"
    if START in text:
        head, rest = text.split(START, 1)
        return head + whole + rest.split(END, 1)[1]
    head, rest = text.split(NEXT, 1)
    return f"{head}{whole}\n\n{NEXT}{rest}"


if __name__ == "__main__":
    main()
