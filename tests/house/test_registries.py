"""Lists of what a registry holds stand nowhere in the package but in the registry itself; the others derive from it."""

import ast
from collections.abc import Iterator

import pytest

from latentfit.formats import KINDS
from latentfit.formats.programs import PROGRAMS
from latentfit.latents import list_spaces
from latentfit.palettes import bundled_palettes
from latentfit.train import PRESETS
from tests.support.paths import ROOT

REGISTRIES = {
    "programs": set(PROGRAMS),
    "architectures": set(KINDS),
    "spaces": {space.name for space in list_spaces()},
    "presets": set(PRESETS),
    "palettes": set(bundled_palettes()),
}
TABLES = {"train/decoder_presets.py", "train/latent_map_presets.py"}
"""The tables of presets, which are the registry."""
MOST = 2  # names of one registry in a literal: an example, not a list


def lists(source: str) -> Iterator[str]:
    """Each literal that holds more than `MOST` names of one registry."""
    for node in ast.walk(ast.parse(source)):
        parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
        parts = [key for key in node.keys if key] if isinstance(node, ast.Dict) else parts
        names = {one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        for kind, known in REGISTRIES.items():
            if len(names & known) > MOST:
                yield f"{kind}, line {node.lineno}: {sorted(names & known)}"


def test_no_list_of_a_registry_is_typed_by_hand() -> None:
    for path in sorted((ROOT / "latentfit").rglob("*.py")):
        if path.relative_to(ROOT / "latentfit").as_posix() not in TABLES:
            assert list(lists(path.read_text("utf-8"))) == [], path
    for table in TABLES:
        assert list(lists((ROOT / "latentfit" / table).read_text("utf-8"))), "an exception that is none any more"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("SPACES = ('sd1', 'sdxl', 'flux1')", 1),
        ("TITLES = {'sd1': 'SD 1', 'sdxl': 'SDXL', 'flux1': 'FLUX'}", 1),
        ("def f(to: Literal['json', 'onnx', 'keras']) -> None: ...", 1),
        ("PAIR = ('sd1', 'sdxl')", 0),
        ("MIXED = ('sd1', 'json', 'nes')", 0),
    ],
)
def test_a_typed_list_is_seen(source: str, count: int) -> None:
    assert len(list(lists(source))) == count
