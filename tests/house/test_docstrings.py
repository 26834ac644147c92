"""Docstrings of public names begin with a sentence or a noun, never with an orphaned preposition or pronoun."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "latentfit"
ORPHAN = re.compile(r"(As|By|For|From|In|Inverse|Its|Of|On|Ours|Such|That|Theirs|Those|To|Where|Which|With)\b")
ENTRY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z_*][\w*, ]*) : .*\n(?P=indent)    (?P<said>.*)$", re.M)


def orphans(source: str) -> Iterator[str]:
    """Each summary and each entry of a public docstring that begins with what it hangs on missing."""
    for node in ast.walk(ast.parse(source)):
        text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
        if text and not node.name.startswith("_"):
            if ORPHAN.match(text):
                yield f"{node.lineno} {node.name}: {text.splitlines()[0]}"
            for entry in ENTRY.finditer(text):
                if re.match(r"(As|Its|Of|Ours|Theirs|That)\b", entry["said"]):
                    yield f"{node.lineno} {node.name}, {entry['name']}: {entry['said']}"


@pytest.mark.parametrize(
    "folder", sorted(one.name for one in PACKAGE.iterdir() if one.is_dir() and one.name != "__pycache__")
)
def test_no_docstring_hangs_on_nothing(folder: str) -> None:
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        assert list(orphans(path.read_text("utf-8"))) == [], path


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Return the card of a map.", 0),
        ("As the class says; or of exactly this size.", 1),
        ("Where it lies.", 1),
        ("Fit.\n\n    Parameters\n    ----------\n    level : float\n        Of the interval.\n    ", 1),
        ("Fit.\n\n    Parameters\n    ----------\n    level : float\n        Level of the interval.\n    ", 0),
    ],
)
def test_an_orphan_is_seen(text: str, count: int) -> None:
    assert len(list(orphans(f'def fit():\n    """{text}"""'))) == count
