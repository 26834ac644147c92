"""Every folder has a face: names that are no modules, a docstring that says what may enter, and imports through it."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "latentfit"
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
FACES = {"latentfit", "latentfit.errors", "latentfit.tutorial"} | {
    ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.pyi")
}
"""What may be imported from outside. Beside these, every module of `latentfit.comfyui` is a face: that folder has none,
since ComfyUI imports it under a name of its own."""

MOST_ENTRIES = 23
OUTSIDE = [
    *(path for folder in ("recipes", "benchmarks", "tests") for path in sorted((ROOT / folder).rglob("*.py"))),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *(
        path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "extending.md"
    ),  # shows files of the package
    *sorted(ROOT.glob("*.md")),
]


def sources(path: Path) -> list[str]:
    """The Python in a file: of notebooks each cell of code, of pages each block that is marked as Python."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        return [re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", "".join(cell["source"])) for cell in cells]
    if path.suffix == ".md":
        blocks = re.findall(r"(?ms)^```python\n(.*?)^```", text)
        return [re.sub(r"(?m)^(>>>|\.\.\.) ?", "", block) for block in blocks]
    return [text]


def modules_imported(source: str) -> Iterator[str]:
    """Modules that are imported from a face as if they were names of it, which a test may do to patch them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in FACES:
            names = {one.name for one in node.names} - set(getattr(import_module(node.module), "__all__", []))
            folder = PACKAGE.joinpath(*node.module.split(".")[1:])
            yield from (f"{node.module}.{name}" for name in names if (folder / f"{name}.py").is_file())


def offences(source: str) -> Iterator[str]:
    """Imports of the package that go behind its faces."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name.split(".")[0] == "latentfit" and not is_face(one.name):
                    yield f"line {node.lineno}: import {one.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "latentfit":
            for one in node.names:
                is_inner_face = f"{node.module}.{one.name}" in FACES
                if one.name.startswith("_") or not (is_inner_face or is_face(str(node.module))):
                    yield f"line {node.lineno}: from {node.module} import {one.name}"


def is_face(module: str) -> bool:
    return module in FACES or bool(re.fullmatch(r"latentfit\.comfyui(\.\w+)?", module))


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_outside_imports_faces_only(path: Path) -> None:
    found = []
    for source in sources(path):
        try:
            found += list(offences(source))
            if path.suffix != ".py":
                found += list(modules_imported(source))
        except SyntaxError:  # an excerpt with an ellipsis in it: its imports are lines all the same
            lines = [
                line for line in source.splitlines() if re.match(r"(from|import) latentfit\S*( import [^(]+)?$", line)
            ]
            found += list(offences("\n".join(lines)))
    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("from latentfit.scores import evaluate\nimport latentfit as lf\nfrom latentfit.compare import figures", 0),
        ("from latentfit.comfyui.decode import LatentFitDecode", 0),
        ("from latentfit.scores.evaluation import evaluate", 1),
        ("def f():\n    import latentfit.train.checkpoint as module", 1),
        ("from latentfit.vae import _differences, Vae", 1),
        ("patch('latentfit.train.checkpoint.write_atomic')", 0),
    ],
)
def test_an_import_behind_a_face_is_seen(source: str, count: int) -> None:
    assert len(list(offences(source))) == count


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_folder_says_what_may_enter(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    assert len(text) > 40
    if folder != PACKAGE:
        assert "What may enter:" in text
        assert "What may not:" in text


def test_every_folder_of_modules_has_a_face() -> None:
    holding = {path.parent for path in PACKAGE.rglob("*.py")}
    assert holding == set(FOLDERS)
    without = {folder.relative_to(PACKAGE).as_posix() for folder in FOLDERS if not (folder / "__init__.pyi").is_file()}
    assert without == {".", "comfyui", "compare", "nets/transformers"}


@pytest.mark.parametrize("name", sorted(FACES))
def test_a_face_gives_names_that_are_no_modules(name: str) -> None:
    face = import_module(name)
    folder = Path(str(face.__file__)).parent
    inside = {path.stem for path in folder.iterdir()} if Path(str(face.__file__)).name == "__init__.py" else set()
    names = getattr(face, "__all__", [one for one in vars(face) if not one.startswith("_")])
    assert len(names) == len(set(names)) > 0
    assert not inside & set(names)
    if hasattr(face, "__all__"):
        assert [one for one in names if isinstance(getattr(face, one), ModuleType)] == []


def test_a_public_function_stays_one_whatever_is_imported() -> None:
    program = (
        "import pkgutil, importlib, latentfit as lf\n"
        "for one in pkgutil.walk_packages(lf.__path__, 'latentfit.'):\n"
        "    if '.comfyui' not in one.name and not one.name.endswith('__main__'):\n"
        "        importlib.import_module(one.name)\n"
        "print([name for name in lf.__all__ if not callable(getattr(lf, name)) and name != '__version__'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_package_has_few_entries() -> None:
    entries = sorted(path.name for path in PACKAGE.iterdir() if path.name != "__pycache__")
    assert len(entries) <= MOST_ENTRIES, entries
