"""The file of a calibration: several processes, killed ones, and files that are damaged or hostile."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import latentfit as lf
from latentfit.errors import BadFileError, CalibrationError
from tests.support import calibrating
from tests.support.calibrating import pairs
from tests.support.paths import ROOT


def started(path: Path, n: int, seed: int) -> "subprocess.Popen[bytes]":
    """A process that observes, from its first line on."""
    command = [sys.executable, "-m", calibrating.__name__, str(path), str(n), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def sums_of(*many: tuple[int, int]) -> np.ndarray:
    """Those of ``(n, seed)`` pictures, in this process."""
    calibration = lf.Calibration("sd1", prior=None)
    for n, seed in many:
        calibration.observe(*pairs(n, seed))
    return calibration._file.sums()


def test_two_processes_observe_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    processes = [started(path, 12, seed) for seed in (1, 2)]
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0]
    opened = lf.Calibration.open(path)
    assert opened.n_pictures == 24
    assert np.allclose(opened._file.sums(), sums_of((12, 1), (12, 2)), rtol=1e-12)


def test_a_killed_process_leaves_all_that_it_had_observed(tmp_path: Path) -> None:
    path = tmp_path / "killed"
    process = started(path, 2000, 3)
    assert process.stdout is not None
    n_finished = sum(process.stdout.readline() == b"1\n" for _ in range(5))
    process.kill()
    n_finished += process.communicate()[0].count(b"1\n")
    opened = lf.Calibration.open(path)
    there = opened.n_pictures
    assert n_finished <= there <= n_finished + 1  # the last may have entered and not been told
    latents, rgb = pairs(2000, 3)
    alone = lf.Calibration("sd1", prior=None)
    alone.observe(latents[:there], rgb[:there])
    assert np.allclose(opened._file.sums(), alone._file.sums(), rtol=1e-12)
    assert opened.observe(latents[there : there + 1], rgb[there : there + 1]).n_new == 1


def damaged_by(*statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    return damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_text("a calibration, on my word\n" * 100)


def empty_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def hidden_trigger(path: Path) -> None:
    """One with a name that a pattern for SQLite's own indices would overlook."""
    damaged_by(
        "CREATE TRIGGER sqliteXautoindexX AFTER INSERT ON picture BEGIN DELETE FROM fold; DELETE FROM picture; END"
    )(path)


def wrong_meta(key: str, value: object) -> Callable[[Path], None]:
    return damaged_by(f"UPDATE meta SET value = '{json.dumps(value)}' WHERE key = '{key}'")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": cut,
    "text": text,
    "folder": empty_folder,
    "trigger": damaged_by("CREATE TRIGGER t AFTER INSERT ON picture BEGIN DELETE FROM fold; END"),
    "hidden trigger": hidden_trigger,
    "view": damaged_by(
        "ALTER TABLE fold RENAME TO other", "CREATE VIEW fold AS SELECT number, randomblob(10) AS sums FROM other"
    ),
    "more columns": damaged_by("ALTER TABLE fold ADD COLUMN more TEXT"),
    "no table": damaged_by("DROP TABLE refused"),
    "short blob": damaged_by("UPDATE fold SET sums = x'00'"),
    "blob of another size": damaged_by("UPDATE fold SET sums = x'0000000000000000'"),
    "text for a blob": damaged_by("UPDATE fold SET sums = 'sums'"),
    "number for a blob": damaged_by("UPDATE fold SET sums = 1.5"),
    "not finite": damaged_by("UPDATE fold SET sums = zeroblob(length(sums) - 8) || x'000000000000F07F'"),
    "no such fold": damaged_by("UPDATE fold SET number = number + 100"),
    "text for a hash": damaged_by("UPDATE picture SET hash = 'text' || number"),
    "short blocks": damaged_by("UPDATE picture SET blocks = x'00'"),
    "text for a count": damaged_by("INSERT INTO refused VALUES ('a reason', 'many')"),
    "format": wrong_meta("format", 99),
    "kernels": wrong_meta("kernels", [31, 31]),
    "space": wrong_meta("space", {"name": "sd1"}),
    "beyond": wrong_meta("beyond", [[1, 2, 3]]),
    "no json": damaged_by("UPDATE meta SET value = '{' WHERE key = 'kernels'"),
    "a key more": damaged_by("INSERT INTO meta VALUES ('more', '1')"),
    "no meta": damaged_by("DELETE FROM meta"),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_or_hostile_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "one"
    lf.Calibration("sd1", path=path, prior=None).observe(*pairs(3))
    DAMAGES[damage](path)
    with pytest.raises(BadFileError):
        use(lf.Calibration.open(path))


def use(calibration: lf.Calibration) -> None:
    """Everything that reads a file."""
    calibration.observe(*pairs(1, seed=5))
    calibration.approximation()
    assert calibration.refused == {}
    lf.Calibration("sd1", prior=None).merge(calibration)


def test_the_use_that_finds_damages_finds_none_in_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "one"
    lf.Calibration("sd1", path=path, prior=None).observe(*pairs(3))
    use(lf.Calibration.open(path))


def test_a_hostile_trigger_never_runs(tmp_path: Path) -> None:
    path = tmp_path / "one"
    calibration = lf.Calibration("sd1", path=path, prior=None)
    calibration.observe(*pairs(3))
    hidden_trigger(path)  # while it is open
    with pytest.raises(BadFileError, match="tables"):
        calibration.observe(*pairs(1, seed=5))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM picture").fetchone() == (3,)


def test_there_has_to_be_a_file_to_open(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no such calibration"):
        lf.Calibration.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_file_whose_sums_are_of_another_basis_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one"
    lf.Calibration("sd1", path=path, prior=None)
    damaged_by("UPDATE meta SET value = '[3]' WHERE key = 'kernels'")(path)
    with pytest.raises(CalibrationError, match="kernels"):
        lf.Calibration.open(path)
