"""`make bench` finds every benchmark, and runs it."""

import importlib

import pytest

from benchmarks import run
from tests.support.paths import ROOT


def test_every_benchmark_is_run() -> None:
    there = {path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")}
    assert there == set(run.NAMES)


@pytest.mark.parametrize("name", run.NAMES)
def test_a_benchmark_is_found_by_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"benchmarks.bench_{name}")
    monkeypatch.setattr(module, "main", lambda quick: {"quick": quick})
    assert run.ran(name, True) == {"quick": True}
