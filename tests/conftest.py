"""Shared fixtures: real weights and photographs where they are to be had, one thread, seeded randomness."""

import os
from pathlib import Path

import pytest
import torch

# Networks of tests are too small for several threads, which spin while they wait for each other; and each worker of
# pytest-xdist, and each process that a test starts, would have as many as there are cores.
torch.set_num_threads(1)
for _library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# Files with the longest-running tests, longest first: with `--dist loadfile --no-loadscope-reorder` they start first,
# so that no worker is left with one of them when the others are done.
LONGEST = ("test_models", "test_graphs", "test_setup", "test_train", "test_cli", "test_figures", "test_collector")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder with weights/ and images/, from LATENTFIT_ASSETS; the test is skipped where there is none."""
    folder = os.environ.get("LATENTFIT_ASSETS", "")
    if not folder or not (Path(folder) / "weights").is_dir():
        pytest.skip("LATENTFIT_ASSETS names no folder with weights/")
    return Path(folder)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONGEST)))  # stable: within a file as written
