"""The notebooks as they are committed: one parameter cell, outputs, no errors, no machine's paths, small."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def test_the_notebooks_are_there() -> None:
    numbers = [path.name[:2] for path in NOTEBOOKS]
    assert numbers == ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_an_essay_with_its_results(path: Path) -> None:
    text = path.read_text("utf-8")
    cells = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(text) < 2_000_000
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in cells) == 1
    assert "**Question.**" in "".join(cells[0]["source"])
    assert any("What we learned" in "".join(cell["source"]) for cell in cells)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs
    assert all(cell["execution_count"] for cell in code)
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not re.search(r"/(home|root|work|Users)/", text)
    for cell in code:
        statements = ast.parse("".join(cell["source"])).body
        if not all(
            isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements
        ):  # these are collapsed
            assert len("".join(cell["source"]).splitlines()) <= 14
        assert not re.search(r"^class |^    def ", "".join(cell["source"]), re.MULTILINE)
