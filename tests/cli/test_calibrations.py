"""`latentfit calibrations`: what previews have learned, listed, exported, merged and deleted."""

from pathlib import Path

import pytest

import latentfit as lf
from latentfit.calibration import cached, kept_for
from latentfit.cli import main
from tests.support.calibrating import pairs


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIT_CACHE", str(tmp_path / "cache"))


def learned(fingerprint: str, n: int = 3, seed: int = 0) -> Path:
    calibration = kept_for(lf.get_space("sd1"), fingerprint, "a VAE")
    calibration.observe(*pairs(n, seed))
    assert calibration.path is not None
    return calibration.path


def test_they_are_listed_with_what_they_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrations"]) == 0
    assert capsys.readouterr().out.count("\n") == 1  # the folder, where nothing lies yet
    path = learned("a" * 64)
    learned("a" * 64)
    (path.parent / "broken.calibration").write_text("nothing")
    assert main(["calibrations", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path.parent)
    assert lines[1].startswith("broken: cannot be used as a calibration")
    assert lines[2] == f"sd1-{'a' * 16}: SD1, a VAE, 3 pictures; refused 3 seen before"


@pytest.mark.parametrize(
    ("to", "name"), [("comfyui", "sd1.py"), ("safetensors", "one.safetensors"), (None, "own.safetensors")]
)
def test_one_is_exported(to: str | None, name: str, tmp_path: Path) -> None:
    learned("a" * 64)
    out = tmp_path / name
    assert main(["calibrations", "export", "sd1", "--out", str(out), *(["--to", to] if to else [])]) == 0
    assert out.stat().st_size > 100
    if to is None:
        assert lf.load(out).card["n_images"] == 3


def test_a_program_that_holds_a_matrix_alone_gets_the_affine_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned("a" * 64, 6)
    out = tmp_path / "sd1.py"
    assert main(["calibrations", "export", "sd1", "--to", "diffusers", "--out", str(out)]) in (0, 2)
    said = capsys.readouterr()
    assert "affine form is learned for it" in said.out or out.is_file()


def test_others_are_merged_into_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned("a" * 64)
    other = lf.Calibration("sd1", path=tmp_path / "other", fingerprint="a" * 64)
    other.observe(*pairs(2, 7))
    assert main(["calibrations", "merge", "sd1", str(tmp_path / "other")]) == 0
    assert "2 pictures added, 0 were there already" in capsys.readouterr().out
    assert lf.Calibration.open(cached()[0]).n_pictures == 5
    stranger = lf.Calibration("sd1", path=tmp_path / "stranger", fingerprint="b" * 64)
    stranger.observe(*pairs(2, 8))
    assert main(["calibrations", "merge", "sd1", str(tmp_path / "stranger")]) == 2
    assert "pairs of one VAE" in capsys.readouterr().err


def test_one_is_deleted_by_a_name_that_is_its_alone(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = learned("a" * 64), learned("b" * 64)
    assert main(["calibrations", "delete", "sd1"]) == 2
    assert "several that begin so" in capsys.readouterr().err
    assert main(["calibrations", "delete", "sd1-a"]) == 0
    assert cached() == [second]
    assert not first.exists()
    assert main(["calibrations", "delete"]) == 2
    elsewhere = lf.Calibration.open(second).save(second.parents[2] / "elsewhere")
    assert main(["calibrations", "delete", str(elsewhere)]) == 2
    assert elsewhere.is_file()
    assert main(["calibrations", "merge", "sd1-b"]) == 2
    assert main(["calibrations", "export", "sd1-b"]) == 2
