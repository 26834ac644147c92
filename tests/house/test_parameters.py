"""No public function of any face writes to what it is given, as its source says, whatever its arguments are."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.house.test_faces import FACES

OF_CONTAINERS = r"append|extend|insert|remove|pop|popitem|clear|update|setdefault|sort|reverse|add|discard"
OF_MODULES = r"eval|train|to|cpu|cuda|half|double|float|bfloat16|apply|load_state_dict|register_\w+"
CHANGING = re.compile(rf"({OF_CONTAINERS}|[a-z]\w*[a-z]_)$")
CHANGING_MODULES = re.compile(rf"({OF_MODULES})$")
MAY = {
    "Basis.expand: out[start:stop] = block",  # what `out` is for
}


def public_functions() -> Iterator[tuple[str, Any]]:
    """Functions, and methods of classes, that the faces give, once each."""
    seen = set()
    for face in sorted(FACES):
        module = import_module(face)
        for name in getattr(module, "__all__", [one for one in vars(module) if not one.startswith("_")]):
            given = getattr(module, name)
            inner = vars(given).items() if inspect.isclass(given) else [("", given)]
            for key, one in inner:
                function = inspect.unwrap(getattr(one, "__func__", one))
                is_public = not key.startswith("_") or key in ("__init__", "__call__")
                if not inspect.isfunction(function) or not is_public or function in seen:
                    continue
                seen.add(function)
                if function.__module__.startswith("latentfit.") and function.__code__.co_filename.endswith(".py"):
                    yield f"{name}.{key}".rstrip("."), function


def writes(source: str) -> Iterator[str]:
    """Statements that set or delete a part of a parameter, and calls that change one in place."""
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    rebound = {one.id for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    told = {one.arg: ast.unparse(one.annotation) if one.annotation else "" for one in every}
    names = told.keys() - rebound - {"self", "cls"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        else:
            targets = [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
        parts = [part for one in targets for part in (one.elts if isinstance(one, ast.Tuple) else [one])]
        if any(isinstance(part, ast.Attribute | ast.Subscript) and root(part) in names for part in parts):
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and root(node.func.value) in names:
            is_module = "Module" in told[root(node.func.value)]
            if CHANGING.match(node.func.attr) or (is_module and CHANGING_MODULES.match(node.func.attr)):
                yield ast.unparse(node)


def root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def test_no_public_function_writes_to_a_parameter() -> None:
    functions = dict(public_functions())
    assert len(functions) > 500
    found = set()
    for name, function in functions.items():
        source = textwrap.dedent(inspect.getsource(function))
        if source.lstrip().startswith(("def ", "@")):  # not a lambda in a table
            found |= {f"{name}: {one}" for one in writes(source)}
    assert found == MAY


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("return maps[0].name", 0),
        ("maps[0].name = 'other'", 1),
        ("maps.append(1)", 1),
        ("del maps[0]", 1),
        ("maps = list(maps)\n    maps.append(1)", 0),
        ("module.eval()", 1),
        ("return module.cpu()", 1),
        ("return latents.float()", 0),
        ("latents.clamp_(0, 1)", 1),
        ("latents[0] += 1", 1),
    ],
)
def test_a_write_is_seen(body: str, count: int) -> None:
    source = f"def f(maps: list[Any], module: nn.Module, latents: Tensor) -> Any:\n    {body}"
    assert len(list(writes(source))) == count
