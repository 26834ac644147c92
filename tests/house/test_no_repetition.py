"""No run of six or more lines of code stands twice in the package: signatures, docstrings and imports do not count."""

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence

import pytest

from tests.support.paths import ROOT

LONGEST_RUN = 5
_SPACING = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.COMMENT)
_CLOSING = set(")]},:")
Line = tuple[int, str]


def lines_of_code(source: str) -> list[Line]:
    """(number, text) of each line that does something, as its tokens in a row: spacing and comments are gone."""
    passed_over = set(_without_code(ast.parse(source)))
    tokens: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SPACING and token.start[0] not in passed_over:
            tokens.setdefault(token.start[0], []).append(token.string)
    return [(number, " ".join(told)) for number, told in tokens.items() if not set("".join(told)) <= _CLOSING]


def _without_code(tree: ast.Module) -> Iterator[int]:
    """Lines of docstrings, imports, signatures with their decorators, and fields that are only declared."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
                yield from range(node.lineno, node.end_lineno + 1)
            case ast.FunctionDef() | ast.ClassDef():
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                yield from range(first, max(node.body[0].lineno, node.lineno + 1))
            case ast.AnnAssign(value=None, end_lineno=int(last)):
                yield from range(node.lineno, last + 1)


def repeated(files: dict[str, Sequence[Line]], longest: int = LONGEST_RUN) -> list[str]:
    """Each place where a run of more lines than `longest` begins that stands elsewhere too, with the first other."""
    seen: dict[tuple[str, ...], tuple[str, int]] = {}
    found = []
    for name, lines in files.items():
        for start in range(len(lines) - longest):
            run = tuple(text for _, text in lines[start : start + longest + 1])
            other = seen.setdefault(run, (name, lines[start][0]))
            if other != (name, lines[start][0]):
                found.append(f"{name}:{lines[start][0]} ~ {other[0]}:{other[1]}")
    return found


@pytest.mark.parametrize("folder", ["latentfit", "recipes", "benchmarks"])
def test_no_six_lines_stand_twice(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert len(paths) > 5
    files = {path.relative_to(ROOT).as_posix(): lines_of_code(path.read_text("utf-8")) for path in paths}
    assert repeated(files) == []


BODY = "\n".join(f"    x{index} = go({index})" for index in range(6))


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        (f"def f():\n{BODY}", f"def g(a):\n    'Docstring.'\n{BODY}", 1),
        (f"def f():\n{BODY}", f"def g():\n{BODY.replace(' = ', '=  ')}  # spacing and a comment", 1),
        (f"def f():\n{BODY}", f"def g():\n{BODY.replace('x3', 'y3')}", 0),
        ("def f():\n" + BODY[: BODY.index("    x5")], f"def g():\n{BODY}", 0),
        (f"def f():\n{BODY}", f"class Other:\n    {BODY.strip()}", 1),
        (f"def f():\n    '''\n{BODY}\n    '''", f"def g():\n    '''\n{BODY}\n    '''", 0),
        (f"def f(\n{BODY.replace(chr(10), ',' + chr(10))}\n):\n    go()",) * 2 + (0,),
        ("import a\nimport b\nimport c\nimport d\nimport e\nimport f",) * 2 + (0,),
    ],
)
def test_a_repetition_is_seen(first: str, second: str, count: int) -> None:
    assert len(repeated({"a.py": lines_of_code(first), "b.py": lines_of_code(second)})) == count


def test_a_run_that_stands_twice_in_one_file_is_seen() -> None:
    both = f"def f():\n{BODY}\n\n\ndef g():\n{BODY}"
    assert repeated({"a.py": lines_of_code(both)}) == ["a.py:11 ~ a.py:2"]
