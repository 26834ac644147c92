"""Shared fixtures: real weights and photographs where they are to be had, one thread, seeded randomness."""

import os
from pathlib import Path

import pytest
import torch


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
