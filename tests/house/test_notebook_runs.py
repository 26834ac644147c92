"""The runner of the notebooks: it goes on where it was stopped, names what fails, and writes below runs/ only."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from latentfit.runtime import NotAloneError, alone_in
from tests.support.paths import ROOT

RUNNER = ROOT / "notebooks" / "run.py"
PARAMETERS = 'VAE = None\nSPACE = "sd1"\nIMAGES = "bundled"\nOUT = "../runs/notebooks"\nFAST = False'
COUNT = 'from pathlib import Path\nPath(OUT, "figures").mkdir(exist_ok=True, parents=True)\n'


def write_notebook(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS) -> Path:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    )
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


class Checkout:
    """A checkout of run.py and small notebooks; what it says and returns."""

    def __init__(self, root: Path) -> None:
        self.notebooks, self.made = root / "notebooks", root / "runs" / "notebooks"
        self.notebooks.mkdir(parents=True)
        shutil.copy(RUNNER, self.notebooks)

    def run(self, *options: str, **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, str(self.notebooks / "run.py"), *options],
            cwd=self.notebooks.parent,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return done.returncode, done.stdout, done.stderr

    def outputs(self, name: str) -> str:
        cells = json.loads((self.made / f"{name}.ipynb").read_text("utf-8"))["cells"]
        return "".join("".join(one.get("text", "")) for cell in cells for one in cell["outputs"])

    def others(self) -> dict[Path, bytes]:
        found = [path for path in self.notebooks.parent.rglob("*") if path.is_file() and "runs" not in path.parts]
        return {path: path.read_bytes() for path in found if "__pycache__" not in path.parts}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_it_goes_on_with_what_is_not_done_and_changes_nothing_else(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "share" / "kernels" / "python3"  # a kernel of this name that starts another program
    elsewhere.mkdir(parents=True)
    (elsewhere / "kernel.json").write_text('{"argv": ["/no/such/python"], "display_name": "x", "language": "python"}')
    write_notebook(
        checkout.notebooks, "00_a", COUNT + 'Path(OUT, "figures", "00_a.png").write_bytes(b"x")', "print(6 * 7)"
    )
    write_notebook(
        checkout.notebooks, "01_b", "from pathlib import Path", 'assert Path("mended").exists(), "not\\nyet\\nmended"'
    )
    write_notebook(checkout.notebooks, "02_c", "import sys\nprint(sys.executable)")
    before = checkout.others()
    code, out, err = checkout.run(JUPYTER_PATH=str(tmp_path / "share"))
    assert code == 1
    assert "00_a: " in out
    assert "02_c: " in out
    (line,) = [line for line in err.splitlines() if line.startswith("01_b")]
    assert "failed in cell 3" in line
    assert "AssertionError: not yet mended" in line
    assert "2 notebooks done, 1 failed" in out
    assert "the same command tries again: 01_b" in out
    assert "AssertionError" in (checkout.made / "failed" / "01_b.txt").read_text("utf-8")
    assert not (checkout.made / "01_b.ipynb").exists()
    assert "42" in checkout.outputs("00_a")
    assert sys.executable in checkout.outputs("02_c")
    assert (checkout.made / "figures" / "00_a.png").is_file()

    (checkout.made / "mended").touch()
    (checkout.made / "02_c.ipynb").write_text((checkout.made / "02_c.ipynb").read_text("utf-8")[:-200])  # half of it
    whole = (checkout.made / "00_a.ipynb").stat().st_mtime_ns
    code, out, _ = checkout.run()
    assert code == 0
    assert "00_a: done before" in out
    assert "01_b: done before" not in out
    assert "02_c: done before" not in out
    assert "3 notebooks done, 0 failed" in out
    assert "open " in out.splitlines()[-1]
    assert not (checkout.made / "failed" / "01_b.txt").exists()
    assert (checkout.made / "00_a.ipynb").stat().st_mtime_ns == whole
    assert sys.executable in checkout.outputs("02_c")

    (checkout.made / "failed" / "00_a.txt").write_text("of an edit since taken back")
    checkout.run("00")
    assert not (checkout.made / "failed" / "00_a.txt").exists()

    write_notebook(checkout.notebooks, "00_a", "print(6 * 8)")
    before |= {path: path.read_bytes() for path in before if path.name == "00_a.ipynb"}
    code, out, _ = checkout.run()
    assert code == 0
    assert out.count("done before") == 2
    assert "48" in checkout.outputs("00_a")
    assert checkout.others() == before
    assert {path.name for path in checkout.notebooks.parent.iterdir()} == {"notebooks", "runs"}


def test_a_training_that_stopped_in_time_goes_on_once_all_is_done(checkout: Checkout) -> None:
    write_notebook(
        checkout.notebooks,
        "00_a",
        COUNT
        + 'mark = Path(OUT, "figures", "00_seen")\nfirst = not mark.exists()\nmark.touch()\nprint("first", first)',
        "from IPython.display import Markdown, display",
        'display(Markdown("x"), metadata={"latentfit": {"goes_on": first}})',
    )
    code, out, _ = checkout.run()
    assert code == 0
    assert "training stopped in time, the same command goes on with it: 00_a" in out
    code, out, _ = checkout.run()
    assert code == 0
    assert "first False" in checkout.outputs("00_a")
    assert "goes on with its training" in out
    assert "stopped in time" not in out
    made = (checkout.made / "00_a.ipynb").stat().st_mtime_ns
    checkout.run()
    assert (checkout.made / "00_a.ipynb").stat().st_mtime_ns == made
    code, _, _ = checkout.run("--again")  # from nothing
    assert "first True" in checkout.outputs("00_a")


def test_what_is_committed_has_a_command_of_its_own(checkout: Checkout) -> None:
    parameters = f"{PARAMETERS}\nSECONDS = 90"
    cell = COUNT + 'Path(OUT, "figures", "06_a.png").write_bytes(b"drawn")\nprint("limit", SECONDS, OUT)'
    path = write_notebook(checkout.notebooks, "06_a", cell, parameters=parameters)
    assert checkout.run("06")[0] == 0
    assert "limit 90 ." in checkout.outputs("06_a")
    assert not (checkout.notebooks.parent / "figures").exists()
    assert not nbformat.read(path, as_version=4).cells[1].outputs
    assert checkout.run("--refresh", "06")[0] == 0
    committed = nbformat.read(path, as_version=4)
    assert committed.cells[0].source == parameters
    assert "limit 0 ../runs/notebooks" in committed.cells[1].outputs[0].text
    assert set(committed.metadata) == {"kernelspec", "latentfit"}
    assert set(committed.metadata.latentfit) == {"made_by"}
    assert (checkout.notebooks.parent / "figures" / "06_a.png").read_bytes() == b"drawn"


def test_a_process_that_dies_is_named_and_others_go_on(checkout: Checkout) -> None:
    write_notebook(checkout.notebooks, "00_a", "import os, sys\nprint('dead', file=sys.__stderr__)\nos._exit(3)")
    write_notebook(checkout.notebooks, "01_b", "print('alive')")
    write_notebook(checkout.notebooks, "02_c", "print(OUT)", parameters="SPACE = 'sd1'")
    code, out, err = checkout.run()
    assert code == 1
    lines = {line[:4]: line for line in err.splitlines() if "failed" in line}
    assert "its process ended" in lines["00_a"]
    assert "expected one line 'OUT = …' in the parameter cell" in lines["02_c"]
    assert "alive" in checkout.outputs("01_b")
    assert "1 notebooks done, 2 failed" in out


def test_no_cell_has_a_limit_and_a_process_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("run_notebooks", RUNNER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "run_notebooks", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert module.LIMITS["timeout"] is None
    assert min(module.LIMITS["startup_timeout"], module.LIMITS["iopub_timeout"]) >= 600


def test_it_says_why_it_cannot_begin(checkout: Checkout) -> None:
    write_notebook(checkout.notebooks, "00_a", "1")
    with alone_in(checkout.made):
        code, _, err = checkout.run()
    assert code == 2
    assert "another run is at work there" in err
    assert len(err.splitlines()) == 1
    shutil.rmtree(checkout.made.parent)
    checkout.made.parent.write_text("a file")  # as good as a folder that cannot be written to
    code, _, err = checkout.run()
    assert code == 2
    assert "can be written to" in err
    assert len(err.splitlines()) == 1
    for options in (["77"], ["--run", "notebooks"], ["--vae", "x"], ["--fast", "--refresh"]):
        code, _, err = checkout.run(*options)
        assert code == 2
        assert "expected" in err or "name" in err


def test_a_full_disk_is_named_with_what_to_do(checkout: Checkout) -> None:
    write_notebook(
        checkout.notebooks, "00_a", "import errno, os\nraise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))"
    )
    _, _, err = checkout.run()
    assert "No space left on device; free some space and run the same command" in err


@pytest.mark.skipif(os.name != "posix", reason="interrupts are sent as POSIX does")
def test_interrupted_it_ends_in_one_line_and_leaves_no_process(tmp_path: Path) -> None:
    notebooks = tmp_path / "notebooks"
    write_notebook(
        notebooks,
        "00_a",
        'import os, time\nfrom pathlib import Path\nPath("pid").write_text(str(os.getpid()))\ntime.sleep(600)',
    )
    shutil.copy(RUNNER, notebooks)
    command = [sys.executable, str(notebooks / "run.py")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        pid = tmp_path / "runs" / "notebooks" / "pid"
        for _ in range(600):
            if pid.is_file() and pid.read_text():
                break
            time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert err.splitlines()[-1] == "interrupted; the same command goes on with what is not done"
    assert "Traceback" not in err + out
    assert not (pid.parent / "00_a.ipynb").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path / "held"),
        pytest.raises(NotAloneError, match="another"),
        alone_in(tmp_path / "held", waits=False),
    ):
        pass
    with alone_in(tmp_path / "held", waits=False):
        assert (tmp_path / "held" / ".lock").is_file()
