"""The list of planted faults is true: each text stands once, the fault still is Python, and its tests are there."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.faults import FAULTS, Fault, modules_of, nodes_of, places_of
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def modules() -> dict[Path, str]:
    return modules_of(ROOT)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: f"{one.area}: {one.name}")
def test_a_fault_can_be_planted(fault: Fault, modules: dict[Path, str]) -> None:
    places = [path.relative_to(ROOT).as_posix() for path in places_of(fault, modules)]
    assert len(places) == 1, f"{fault.old!r} should stand once in the package: mend the fault, or take another"
    assert fault.new != fault.old
    compile(modules[ROOT / places[0]].replace(fault.old, fault.new), places[0], "exec")
    assert fault.tests
    for name in fault.tests.split():
        assert len(nodes_of(name, ROOT)) == 1, f"{name}: expected one such test file, and the test in it"


def test_there_are_enough_and_no_name_stands_twice() -> None:
    assert len(FAULTS) >= 75
    assert {"exports", "domains", "tiles", "splits", "seeds", "security"} <= {one.area for one in FAULTS}
    assert max(Counter((one.area, one.name) for one in FAULTS).values()) == 1
