"""Plants known faults, one at a time, in a copy of the package: each must make a test fail; tells which survive.

The faults stand in `faults.py`. A fault replaces a text that stands exactly once in the package, and names the tests
that should notice; first of all these tests must pass without any fault.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from tests.support.faults import FAULTS, Fault, modules_of, nodes_of, places_of

Verdict = Literal["noticed", "survived", "not run"]

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("latentfit", "tests", "notebooks", "pyproject.toml")  # all else is linked
# Imported once, before anything is planted: seconds that each fault would take anew
PRELOADED = (
    "torch", "numpy", "scipy.sparse", "pandas", "PIL.Image", "safetensors.torch", "pytest", "diffusers", "accelerate",
    "skimage.metrics", "sklearn.linear_model", "tyro", "tqdm.auto",
)  # fmt: skip
QUIET = "ignore:resource_tracker:UserWarning"  # of locks that a process of tests did not give back, for it just ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant each fault; 0 when every one is noticed, 1 when some survive, 2 when the tests do not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="areas, or words of names, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time, by default %(default)s")
    parser.add_argument("--minutes", type=float, default=20, help="for one fault, by default %(default)g; then noticed")
    options = parser.parse_args(arguments)
    words = [word.strip() for word in options.only.split(",") if word.strip()]
    chosen = [one for one in FAULTS if not words or any(word in f"{one.area}: {one.name}" for word in words)]
    if not chosen:
        areas = ", ".join(dict.fromkeys(one.area for one in FAULTS))
        parser.error(f"--only {options.only}: expected an area or words of a name; areas: {areas}")
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONWARNINGS"] = QUIET
    started = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        control = pool.submit(_planted, None, sorted({name for one in chosen for name in one.tests.split()}), 1e6)
        verdicts = list(pool.map(lambda one: _told(one, options.minutes), chosen))
    verdict, said = control.result()
    if verdict != "survived":
        print(f"without any fault the tests do not pass, so that the verdicts say nothing:\n{said}")
        return 2
    print(_in_words(chosen, verdicts), f"in {(time.monotonic() - started) / 60:.0f} minutes")
    return 2 if "not run" in verdicts else int("survived" in verdicts)


def _in_words(chosen: Sequence[Fault], verdicts: Sequence[Verdict]) -> str:
    """The survivors, and how many were noticed."""
    lines = [
        f"{verdict}: {one.area}: {one.name} ({one.tests})"
        for one, verdict in zip(chosen, verdicts, strict=True)
        if verdict != "noticed"
    ]
    return "\n".join([*lines, f"{verdicts.count('noticed')} of {len(chosen)} faults were noticed"])


def _told(fault: Fault, minutes: float) -> Verdict:
    started = time.monotonic()
    verdict, said = _planted(fault, fault.tests.split(), 60 * minutes)
    print(f"{verdict:9} {fault.area}: {fault.name} ({time.monotonic() - started:.0f} s)", flush=True)
    if verdict == "not run":
        print(said, flush=True)
    return verdict


def _planted(fault: Fault | None, tests: Sequence[str], seconds: float) -> tuple[Verdict, str]:
    """What the tests say of a copy of the checkout with the fault in it, and the end of what they print."""
    with tempfile.TemporaryDirectory(prefix="mutant") as folder:
        copy, log = Path(folder) / "checkout", Path(folder) / "log"
        _copy(copy)
        if fault is not None:
            modules = modules_of(copy)
            (place,) = places_of(fault, modules)
            place.write_text(modules[place].replace(fault.old, fault.new), "utf-8")
        named = [found for name in tests for found in nodes_of(name, copy)]
        process = _context().Process(target=_tests, args=(str(copy), named, str(log)), daemon=False)
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            return "noticed", "no end of it"
        said = log.read_text("utf-8", "replace")[-4000:] if log.is_file() else ""
        verdicts: dict[int | None, Verdict] = {0: "survived", 1: "noticed"}
        return verdicts.get(process.exitcode, "not run"), said


def _copy(copy: Path) -> None:
    """The checkout: what a fault may change or a test may write is copied, compiled files too; the rest is linked."""
    copy.mkdir()
    for path in sorted(ROOT.iterdir()):
        if path.name in COPIED:
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy / path.name)
        elif path.name[0] != "." and path.name not in ("runs", "build", "dist"):
            (copy / path.name).symlink_to(path)


def _context() -> "multiprocessing.context.BaseContext":
    """Processes that begin with the libraries imported, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _tests(copy: str, tests: Sequence[str], log: str) -> None:
    """In a process of its own: run tests on a copy; exits as pytest does, or with 4 when it could not."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT, 0o644)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.chdir(copy)
    sys.path.insert(0, copy)
    del os.environ["PYTHONWARNINGS"]
    os.environ["PYTHONPATH"] = copy  # of the commands that tests run
    code = 4
    try:
        code = _run(copy, tests)
    finally:
        if code == 4:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)


def _run(copy: str, tests: Sequence[str]) -> int:
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", copy, "-c", str(Path(copy) / "pyproject.toml")]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what was imported before
    code = int(pytest.main([*options, *tests]))
    import latentfit

    if not Path(latentfit.__file__).is_relative_to(copy):
        raise RuntimeError(f"tested {latentfit.__file__} and not the copy in {copy}")
    return code


if __name__ == "__main__":
    sys.exit(main())
