"""The reference: a page for the package and one for each folder's face, all names read from the faces themselves.

A face is a stub, `__init__.pyi`; what it names is documented under that name, wherever in the folder it is defined.
"""

import ast
import html
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from recipes.site.sources import ROOT

PACKAGE = ROOT / "latentfit"
MODULES = ("errors", "tutorial")
"""Modules of the root that are faces by themselves."""
ORDER = (
    "vae", "pairs", "fit", "maps", "scores", "formats", "formats.programs", "train", "nets", "previews", "palettes",
    "latents", "images", "compare.figures", "compare.widgets", "compare.reports", "autofit", "cli", "runtime",
    "errors", "tutorial",
)  # fmt: skip
"""The road the data takes; a face that is not named here comes last."""


MOST_LETTERS = 90
"""Of a constant's value in a table."""
AT_THE_ROOT = '<span class="lf-top" title="also at the root of the package">lf</span>'


@dataclass(frozen=True)
class Face:
    """What a folder offers.

    Attributes
    ----------
    name : str
        Below the package, such as "compare.figures".
    words : str
        Its docstring.
    homes : dict of str to str
        Public name -> full path of where it is defined.
    """

    name: str
    words: str
    homes: dict[str, str]

    @property
    def address(self) -> str:
        """Of its page in the site."""
        return f"api/{self.name.replace('.', '-')}.md"

    @property
    def summary(self) -> str:
        """The first sentence of its docstring, on one line."""
        return " ".join(self.words.split("\n\n")[0].split())


@cache
def faces() -> tuple[Face, ...]:
    """Every face, in the order of the reference."""
    found = [_of_stub(path) for path in PACKAGE.rglob("__init__.pyi")]
    found += [_of_module(name) for name in MODULES]
    return tuple(
        sorted(found, key=lambda face: (ORDER.index(face.name) if face.name in ORDER else len(ORDER), face.name))
    )


def top_names() -> dict[str, str]:
    """Name in `latentfit.__all__` -> the face that it comes from, as latentfit/__init__.py says."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    homes = ast.literal_eval(values["_HOMES"])
    return {name: homes[name] for name in ast.literal_eval(values["__all__"]) if not name.startswith("_")}


def _of_stub(path: Path) -> Face:
    folder = path.parent
    name = ".".join(folder.relative_to(PACKAGE).parts)
    homes = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            homes |= {alias.name: f"latentfit.{name}.{node.module}.{alias.name}" for alias in node.names}
    return Face(name, ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or "", homes)


def _of_module(name: str) -> Face:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text("utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    homes = {one: f"latentfit.{name}.{one}" for one in names if not one.startswith("_")}
    return Face(name, ast.get_docstring(tree) or "", homes)


@dataclass(frozen=True)
class Definition:
    """Something that a module defines.

    Attributes
    ----------
    kind : str
        "class", "function" or "constant".
    summary : str
        The first paragraph of its docstring, on one line.
    value : str
        Of a constant: its source.
    """

    kind: str
    summary: str
    value: str = ""


@cache
def definitions() -> dict[str, Definition]:
    """Full path -> what is defined there, of every class, function and constant of the package's modules."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(("latentfit", *path.relative_to(PACKAGE).with_suffix("").parts))
        body = ast.parse(path.read_text("utf-8")).body
        for node, after in zip(body, [*body[1:], None], strict=True):
            found |= {f"{module}.{name}": one for name, one in _defined(node, after)}
    return found


def definition(home: str) -> Definition:
    """What stands under a full path, which may be a name that its module imports from another one."""
    if home in definitions():
        return definitions()[home]
    module, _, name = home.rpartition(".")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    imported = [
        node.module for node in tree.body if isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names}
    ]
    return definition(f"{imported[0]}.{name}")


def _defined(node: ast.stmt, after: ast.stmt | None) -> Iterator[tuple[str, Definition]]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        yield node.name, Definition(kind, _first(ast.get_docstring(node)))
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        words = _first(after.value.value if _is_text(after) else None)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(target.elts)
                pairs = list(zip(target.elts, values, strict=True))
            for one, value in pairs:
                if isinstance(one, ast.Name):
                    yield one.id, Definition("constant", words, ast.unparse(value))


def _is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _first(words: str | None) -> str:
    return " ".join((words or "").strip().split("\n\n")[0].split())


def pages() -> dict[str, str]:
    """Address -> Markdown of every page of the reference."""
    return {"api/index.md": _overview()} | {face.address: _page(face) for face in faces()}


def _overview() -> str:
    by_face = {face.name: face for face in faces()}
    lines = ["# Reference", "", "```python", "import latentfit as lf", "```", "", _package_words(), ""]
    lines += ["## What `lf` offers", "", "| name | what it is |", "|---|---|"]
    for name, home in top_names().items():
        face = by_face[home]
        link = f"[`lf.{name}`]({Path(face.address).name}#latentfit.{home}.{name})"
        lines.append(f"| {link}{{ #latentfit.{name} }} | {_cell(face.homes[name])} |")
    lines += ["", "## The folders", "", "Each folder has a face: the names that others may use.", ""]
    lines += ["| face | what it holds | names |", "|---|---|--:|"]
    lines += [
        f"| [`latentfit.{face.name}`]({Path(face.address).name}) | {face.summary} | {len(face.homes)} |"
        for face in faces()
    ]
    return "\n".join(lines) + "\n"


def _package_words() -> str:
    words = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))) or ""
    return words.split(">>>")[0].split("\n\n", 1)[1].replace("``", "`").strip()


def _cell(home: str) -> str:
    return definition(home).summary.replace("|", "\\|").replace("``", "`")


def _page(face: Face) -> str:
    top = {name for name, home in top_names().items() if home == face.name}
    shown = {name: home for name, home in face.homes.items() if definition(home).kind != "constant"}
    constants = {name: definition(home) for name, home in face.homes.items() if name not in shown}
    lines = [f"# latentfit.{face.name}", "", face.words.replace("``", "`"), ""]
    lines += ["| name | what it is |", "|---|---|"]
    for name, home in shown.items():
        mark = f" {AT_THE_ROOT}" if name in top else ""
        lines.append(f"| [`{name}`](#latentfit.{face.name}.{name}){mark} | {_cell(home)} |")
    lines.append("")
    if top:
        lines += [f"{AT_THE_ROOT} Also at the root of the package: `import latentfit as lf`.", ""]
    for name in shown:
        heading = f"lf.{name}" if name in top else name
        lines += [
            f"::: latentfit.{face.name}.{name}",
            "    options:",
            f"      heading: {heading}",
            f"      toc_label: {name}",
            "",
        ]
    if constants:
        lines += ["## Constants and types", "", "| name | what it is | value |", "|---|---|---|"]
        lines += [_constant(face, name, one) for name, one in constants.items()]
    return "\n".join(lines) + "\n"


def _constant(face: Face, name: str, one: Definition) -> str:
    value = one.value if len(one.value) <= MOST_LETTERS else f"{one.value[:MOST_LETTERS].rstrip()} …"
    value = html.escape(value).replace("|", "&#124;")
    summary = one.summary.replace("|", "\\|").replace("``", "`")
    return f'| <code id="latentfit.{face.name}.{name}">{name}</code> | {summary} | <code>{value}</code> |'
