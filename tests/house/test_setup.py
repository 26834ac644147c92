"""The set-up: dependencies in step, a light import, nothing of one machine in the tree."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.paths import ROOT

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
    heavy = ["diffusers", "matplotlib", "ipywidgets", "anywidget", "pandas", "sklearn", "skimage", "scipy", "tyro"]
    code = f"import sys, latentfit; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bundled_data_stays_small() -> None:
    sizes: dict[bool, int] = {True: 0, False: 0}
    for path in (ROOT / "data").rglob("*"):
        if path.is_file():
            sizes[path.relative_to(ROOT / "data").parts[0] in ("vaes", "models")] += path.stat().st_size
    assert sizes[False] <= 12_000_000
    assert sizes[True] <= 45_000_000


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_sets_up_and_serves_the_workbench() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PORT", "ARGS", "MAKEFLAGS")}

    def said(*arguments: str) -> str:
        command = ["make", "-C", str(ROOT), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert "make setup " in said("help")
    planned = ("-B", "-n")  # whatever is there already, and nothing is run
    assert "pip install" in said(*planned, "setup")
    assert "voila" not in said(*planned, "setup")
    served = said(*planned, "voila", "PORT=9000", "ARGS=--no-browser")
    assert served.index("open_pairs(") < served.index("10_workbench_and_live_previews.ipynb")
    assert "--port=9000 --no-browser" in served
    assert "--port" not in said(*planned, "voila")


def test_version_is_in_the_changelog() -> None:
    import latentfit

    assert f"## {latentfit.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


IN_A_WHEEL = """
import sys
from pathlib import Path
import latentfit as lf
from latentfit.scores import published
from latentfit import vae as vae_files
from latentfit.images import pictures
from latentfit.runtime import data_path

root = Path(sys.argv[1])
assert Path(lf.__file__).is_relative_to(root) and data_path().is_relative_to(root), (lf.__file__, data_path())
assert len(pictures("photographs")) > 5
assert len(vae_files.bundled_configs()) > 5
for space in lf.list_spaces():
    assert lf.get_space(space.name) == space
assert published.tables("sd1") and published.tables("sdxl")
for space in ("sd1", "sdxl", "flux1"):
    assert lf.Vae.load(f"mini-{space}").space.name == space
store = lf.collect(lf.Vae.load("mini-sd1"), "charts", "pairs", size=64, limit=6, progress=False)
store.verify()
fitted = lf.ChannelMap("affine").fit(store)
for model in data_path("models").glob("*.safetensors"):
    lf.load(model)
for table in data_path("tables/sd1").glob("*.safetensors"):
    lf.load(table)
saved = lf.load(lf.save(fitted.approximation(), "map"))
print(sorted(lf.evaluate([saved], store).columns))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="a wheel is built with the backend that is here: install the extra 'dev'")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_package_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    info = {name for name in names if ".dist-info/" in name}
    assert {name.split("/", 1)[1] for name in info} >= {"METADATA", "entry_points.txt", "licenses/LICENSE"}
    code = {f"latentfit/{name}" for name in _files(ROOT / "latentfit")}
    data = {f"latentfit/_data/{name}" for name in _files(ROOT / "data")}
    assert names - info == code | data


def test_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    # -S: site-packages without its .pth files, which would put the checkout on the path
    libraries = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    done = subprocess.run(
        [sys.executable, "-S", "-c", IN_A_WHEEL, str(installed)],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *libraries])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in elsewhere.iterdir()} == {"map.safetensors", "pairs"}
    assert "psnr" in done.stdout.lower()


def _files(folder: Path) -> list[str]:
    """Relative paths of all files but caches."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [path.as_posix() for path in found if "__pycache__" not in path.parts]


def _run_notebooks(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "notebooks" / "run.py"), *options],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_notebooks_on_a_vae_of_ones_own_write_below_runs_only(tmp_path: Path) -> None:
    from diffusers.models import AutoencoderTiny

    blocks = {f"{side}_block_out_channels": (8,) * 4 for side in ("encoder", "decoder")}
    counts = {f"num_{side}_blocks": (1,) * 4 for side in ("encoder", "decoder")}
    AutoencoderTiny(**blocks, **counts).eval().save_pretrained(tmp_path / "my vae")
    (tmp_path / "photos").mkdir()
    for index in range(10):
        coarse = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(tmp_path / "photos" / f"{index}.png")
    checkout = tmp_path / "checkout"
    (checkout / "notebooks").mkdir(parents=True)
    for name in ("run.py", "01_collect_pairs.ipynb", "02_linear_and_affine.ipynb"):
        shutil.copy(ROOT / "notebooks" / name, checkout / "notebooks")
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    own = ["--vae", "../my vae", "--images", "../photos"]
    refused = _run_notebooks(checkout, *own)
    assert refused.returncode == 2
    assert "need RUN=name" in refused.stderr
    done = _run_notebooks(checkout, *own, "--run", "mine")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in before} == before
    made = {path.relative_to(checkout) for path in checkout.rglob("*") if path.is_file()} - {
        path.relative_to(checkout) for path in before
    }
    assert {path.parts[:2] for path in made} == {("runs", "mine")}
    assert {path.suffix for path in made} >= {".ipynb", ".png", ".safetensors"}
    executed = (checkout / "runs" / "mine" / "notebooks" / "02_linear_and_affine.ipynb").read_text("utf-8")
    assert "my vae" in executed
