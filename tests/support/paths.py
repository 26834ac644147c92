"""Where the checkout, the tests and the golden fixtures lie, and how a process of its own finds them."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"


def environment(**more: str) -> dict[str, str]:
    """For a process that imports this checkout's package and tests, on one thread."""
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1", **more}
