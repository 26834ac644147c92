"""The set-up: dependencies in step, a light import, nothing of one machine in the tree."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def requirements() -> dict[str, str]:
    pairs = (re.fullmatch(r"([\w-]+)(.*)", text) for text in PROJECT["project"]["dependencies"])
    return {match[1]: match[2] for match in pairs if match}


def test_conda_environment_has_the_same_dependencies() -> None:
    lines = (ROOT / "environment.yml").read_text("utf-8").splitlines()
    listed = [line.strip("- ") for line in lines if re.match(r"  - [\w-]+>=", line)]
    found = dict(re.fullmatch(r"([\w-]+)(>=.*)", line).groups() for line in listed)  # type: ignore[union-attr]
    found["torch"] = found.pop("pytorch")
    assert found.pop("python") == PROJECT["project"]["requires-python"]
    assert found == requirements()
    assert lines[-1].strip() == "- -e ."


def test_constraints_name_every_direct_dependency() -> None:
    pinned = set(
        re.findall(r"(?m)^([\w.-]+)==", (ROOT / "constraints.txt").read_text("utf-8").lower().replace("_", "-"))
    )
    dev = {re.match(r"[\w-]+", text)[0] for text in PROJECT["project"]["optional-dependencies"]["dev"]}  # type: ignore[index]
    assert {name.lower() for name in (*requirements(), *dev)} <= pinned


def test_import_is_light() -> None:
    heavy = ["diffusers", "matplotlib", "ipywidgets", "pandas", "sklearn", "skimage", "scipy", "tyro"]
    code = f"import sys, latentfit; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bundled_data_stays_small() -> None:
    n_bytes = sum(path.stat().st_size for path in (ROOT / "data").rglob("*") if path.is_file())
    assert n_bytes <= 12_000_000


def test_version_is_in_the_changelog() -> None:
    import latentfit

    assert f"## {latentfit.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
