"""Hours go to the run whose held-out curve still rises the most; the table says what an hour more would give."""

import math
from pathlib import Path

import pytest

from recipes import all as pipeline
from recipes.development import Curve
from recipes.scheduling import Job, gain_of_an_hour, next_job, slope_of, table_of


class Run:
    """A run whose score is known: ``floor + slope * log(hours)``."""

    def __init__(self, folder: Path, name: str, slope: float, end: float = 100.0, **more: object) -> None:
        self.hours, self.slope, self.end = 0.0, slope, end
        self.curve = Curve(folder / f"{name}.csv")
        self.job = Job(name, self.train, self.score, self.curve, self.is_done, **more)  # type: ignore[arg-type]

    def train(self, seconds: float) -> bool:
        self.hours += seconds / 3600
        self.curve.add({"hours": self.hours, "seen_images": 1000 * self.hours, **self.score()})
        return self.is_done()

    def score(self) -> dict[str, float]:
        value = 20 + self.slope * math.log(self.hours)
        return {"photographs": value + 1, "drawings": value - 1}

    def is_done(self) -> bool:
        return self.hours >= self.end


def test_a_logarithmic_curve_says_what_an_hour_gives(tmp_path: Path) -> None:
    run = Run(tmp_path, "one", 0.8)
    for _ in range(6):
        run.train(1800)
    assert slope_of(run.job.points()) == pytest.approx(0.8, abs=1e-4)
    assert gain_of_an_hour(run.job.points()) == pytest.approx(0.8 * math.log(4 / 3), abs=1e-4)
    assert slope_of(run.job.points()[:1]) is None
    falling = [(1.0, 21.0), (2.0, 20.0)]
    assert gain_of_an_hour(falling) == 0.0


def test_every_run_begins_and_then_the_steepest_has_its_turn(tmp_path: Path) -> None:
    steep, flat = Run(tmp_path, "steep", 2.0), Run(tmp_path, "flat", 0.1)
    turns = []
    for _ in range(12):
        job = next_job([flat.job, steep.job])
        assert job is not None
        turns.append(job.name)
        job.slice(900)
    assert turns[:4] == ["flat", "steep", "flat", "steep"]
    assert set(turns[4:]) == {"steep"}
    # what an hour brings falls as 1 / hours: a 20th of the slope has its turn again after 20 times the hours
    steep.train(3600 * 40)
    assert next_job([flat.job, steep.job]) is flat.job


def test_worth_makes_units_comparable(tmp_path: Path) -> None:
    percents, decibels = Run(tmp_path, "percents", 4.0, unit="%", worth=0.1), Run(tmp_path, "decibels", 1.0)
    for run in (percents, decibels):
        run.train(900)
        run.train(900)
    assert next_job([percents.job, decibels.job]) is decibels.job


def test_needs_wait_and_what_is_done_has_no_turn(tmp_path: Path) -> None:
    first, second = Run(tmp_path, "first", 1.0, end=0.5), Run(tmp_path, "second", 5.0, needs=("first", "elsewhere"))
    both = [second.job, first.job]
    assert next_job(both) is first.job
    first.train(1800)
    assert first.is_done()
    assert next_job(both) is second.job
    second.end = 0.0
    assert next_job(both) is None


def test_the_table_has_a_line_a_model(tmp_path: Path) -> None:
    begun, other = Run(tmp_path, "begun", 1.0), Run(tmp_path, "other", 1.0)
    begun.train(1800)
    begun.train(1800)
    lines = table_of([begun.job, other.job]).splitlines()
    assert len(lines) == 4
    gain = gain_of_an_hour(begun.job.points())
    assert f"| begun | 1.00 | 1,000 | 19.31 → 20.00 dB | photographs 21, drawings 19 | +{gain:.2g} dB |" == lines[2]
    assert lines[3].startswith("| other | 0 | 0 | not begun")
    begun.end = 1.0
    assert table_of([begun.job]).splitlines()[2].endswith("| at its end |")


def test_the_pipeline_spends_its_hours_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, clock = Run(tmp_path, "one", 1.0), iter(range(0, 100_000, 900))
    monkeypatch.setattr(pipeline, "PROGRESS", tmp_path / "progress.md")
    monkeypatch.setattr(pipeline.time, "process_time", lambda: next(clock))
    pipeline.networks([run.job], 1.0, 900.0)
    assert run.hours == pytest.approx(0.75)  # the clock is asked once before, and once for each slice
    assert "| one | 0.75 |" in (tmp_path / "progress.md").read_text("utf-8")
    assert capsys.readouterr().out.count("one: hours") == 3


def test_a_curve_is_kept_as_it_was(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "curve.csv")
    assert (curve.rows(), curve.hours) == ([], 0.0)
    curve.add({"hours": 0.5, "seen_images": 10, "photographs": 20.5})
    curve.add({"hours": 1.0, "seen_images": 20, "photographs": 21.25})
    assert curve.rows()[1] == {"hours": 1.0, "seen_images": 20.0, "photographs": 21.25}
    assert curve.hours == 1.0


def test_unknown_networks_are_named(tmp_path: Path) -> None:
    run = Run(tmp_path, "one", 1.0)
    assert pipeline.chosen_of([run.job], ["one"]) == [run.job]
    with pytest.raises(SystemExit, match="no network is called two; there are one"):
        pipeline.chosen_of([run.job], ["two"])
