"""What is bundled is found in one place."""

from fractions import Fraction

import pytest

import latentfit as lf
from latentfit.formats import (
    bundled_decoder,
    bundled_decoders,
    bundled_maps,
    bundled_tables,
    bundled_upscaler,
    read_card,
)


@pytest.mark.parametrize("space", ["sd1", "sdxl", "flux1"])
def test_each_is_of_its_space(space: str) -> None:
    found = [*bundled_tables(space), *bundled_decoders(space)]
    assert {"linear", "3", f"{space}-cell", f"{space}-cell-large"} <= {path.stem for path in found}
    assert {read_card(path)["space"]["name"] for path in found} == {space}
    assert set(found) <= set(bundled_maps())


@pytest.mark.parametrize(
    ("factor", "ending"),
    [(2, ""), (4, ""), (Fraction(8), ""), (3, "-any"), (1, "-any"), (Fraction(3, 2), "-any"), (Fraction(1, 2), "-any")],
)
def test_powers_of_two_are_doubled(factor: Fraction | int, ending: str) -> None:
    path = bundled_upscaler("sdxl", factor)
    assert path is not None
    assert path.name == f"sdxl-upscaler{ending}.safetensors"
    assert lf.load(path).is_any_factor == bool(ending)


def test_what_is_not_there_is_none() -> None:
    assert bundled_tables("no such space") == bundled_decoders("no such space") == []
    assert bundled_decoder("sd1", "no such preset") is None
    assert bundled_upscaler("flux2", 2) is None
    found = bundled_decoder("sd1")
    assert found is not None
    assert found.is_file()


def test_maps_are_each_listed_once() -> None:
    maps = bundled_maps()
    assert len(set(maps)) == len(maps) > 20
    assert all(path.is_file() for path in maps)
