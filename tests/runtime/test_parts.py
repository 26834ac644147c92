"""Temporary files: a killed run's are removed by the next, a living one's never."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latentfit.runtime import check_writable, clear_parts, write_atomic
from latentfit.runtime import storage as resources

WRITER = """
import os, sys, time
from latentfit.runtime import storage as resources
os.fsync = lambda handle: (print("writing", flush=True), time.sleep(60))
resources.write_atomic(sys.argv[1], b"half")
"""


@pytest.fixture(autouse=True)
def _nothing_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_cleared", set())


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part"))


def writing(path: Path) -> "subprocess.Popen[str]":
    """A process in the midst of writing."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def aged(path: Path, seconds: float) -> Path:
    path.write_bytes(b"x")
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.mark.skipif(os.name == "nt", reason="kills a process")
def test_a_killed_writers_file_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    killed, living = writing(tmp_path / "a.safetensors"), writing(tmp_path / "b.safetensors")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
        assert len(parts(tmp_path)) == 2
        write_atomic(tmp_path / "c.json", "{}")
        (left,) = parts(tmp_path)
        assert left.name.startswith(".b.safetensors.")
    finally:
        living.kill()
        living.wait(30)
        for process in (killed, living):
            assert process.stdout is not None
            process.stdout.close()
    assert clear_parts(tmp_path) == [left]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json"]


def test_only_our_own_names_and_old_ones_of_unknown_writers(tmp_path: Path) -> None:
    own = f"{resources._machine()}-{os.getpid()}"
    kept = [
        aged(tmp_path / "movie.part", 1e6),  # somebody else's
        aged(tmp_path / ".movie.part", 1e6),
        aged(tmp_path / ".x.json.abcd1234.part", 60),  # of an older release: who knows
        aged(tmp_path / ".x.json.00000000-1-abcd1234.part", 60),  # of another machine
        aged(tmp_path / f".x.json.{own}-abcd1234.part", 60),  # this process's
    ]
    gone = [
        aged(tmp_path / ".y.json.abcd1234.part", 4000),
        aged(tmp_path / ".y.json.00000000-1-abcd1234.part", 4000),
        aged(tmp_path / f".y.json.{own}-abcd1234.part", 4000),  # an earlier process of the same number
    ]
    assert clear_parts(tmp_path) == sorted(gone)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_folder_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(resources, "clear_parts", lambda folder: looked.append(folder) or [])
    for name in "abc":
        write_atomic(tmp_path / name, name)
    assert looked == [tmp_path]


def test_names_of_any_length_are_written(tmp_path: Path) -> None:
    name = "n" * 240 + ".json"
    check_writable(tmp_path / name)
    assert write_atomic(tmp_path / name, "{}").read_text("utf-8") == "{}"
    assert not parts(tmp_path)
