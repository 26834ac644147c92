"""How tables name maps: forms in words, whatever the file of numbers calls them."""

import re
from pathlib import Path

import pandas as pd

from latentfit.fit import form_in_words, form_name, parse_kernels
from latentfit.runtime import significant

_BY_KERNELS = (
    (re.compile(r"closed form ([\w,]+)"), "closed form, {}"),
    (re.compile(r"table ([\w,]+), nearest( \(\w+\))?"), "{} table, nearest colour"),
)


def in_words(name: str) -> str:
    """A map's name with its form in words: "closed form 3,1" or "table 5_3, nearest" or "ours: (5, 3)"."""
    for pattern, words in _BY_KERNELS:
        if found := pattern.fullmatch(name):
            rest = found[2] if pattern.groups > 1 and found[2] else ""
            return words.format(form_of(found[1])) + rest
    return form_in_words(name)


def form_of(kernels: str) -> str:
    """ "3", "5_3", "3,1" or "cubic" -> its name in words."""
    return form_name(*parse_kernels(kernels.replace("_", ",")))


def rows_in_words(path: Path, column: str) -> pd.DataFrame:
    """A CSV of scores, the maps of its column named in words."""
    frame = pd.read_csv(path)
    return frame.assign(**{column: [in_words(str(name)) for name in frame[column]]})


def milliseconds_in_words(value: float) -> str:
    """Three significant digits, two of less than a millisecond: 1,120, 37.6, 0.16."""
    return significant(value, 3 if value >= 1 else 2)


def with_blocks(path: Path, blocks: dict[str, str]) -> dict[Path, str]:
    """Path -> its text with each block between its two markers; every block stands there once.

    Raises
    ------
    ValueError
        When a block's markers are missing, or there twice.
    """
    text = path.read_text("utf-8")
    for name, block in blocks.items():
        pattern = rf"(?s)<!-- {name} -->.*?<!-- /{name} -->"
        text, count = re.subn(pattern, lambda _, n=name, b=block: f"<!-- {n} -->\n{b}\n<!-- /{n} -->", text)
        if count != 1:
            raise ValueError(f"{path.name}: expected one block <!-- {name} -->, found {count}")
    return {path: text}
