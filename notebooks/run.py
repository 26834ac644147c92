"""Run the notebooks, each in a process of its own, into runs/notebooks/: the same command goes on where it was stopped.

Executed notebooks, figures and all that they collect and train lie below that folder; nothing else changes. A notebook
that is there whole, of the same source, parameters and code, is not run again; one that fails is named, and the others
go on. A training that stopped in time is taken up again once everything else is done.
"""

import argparse
import ast
import base64
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from latentfit.runtime import NotAloneError, alone_in, data_path, write_atomic

if TYPE_CHECKING:  # seconds to import, which only a notebook that is run takes
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOST_BYTES = 2_000_000  # of a notebook that is committed: its pictures are sharp at twice their size
MOST_STILL_BYTES = 100_000  # of a widget's still picture as PNG
WIDGET = "application/vnd.jupyter.widget-view+json"
BAR = re.compile(r"\d+%\|")  # what a progress bar leaves without its kernel
PATIENCE_S = 900  # for a process to start or to hand over what it has made: a machine may be very busy
LIMITS = {"timeout": None, "startup_timeout": PATIENCE_S, "iopub_timeout": PATIENCE_S}  # none on a cell
LONGEST_SOCKET = (
    90  # characters of a socket's path, with room for its number; a longer one goes by the loopback network
)
NEWS_S = 60.0  # between two lines of news where no terminal shows them in place


@dataclass
class Job:
    """One notebook to run.

    Attributes
    ----------
    source, target : Path
        The committed notebook, and the executed one.
    folder : Path
        Where the process runs: ``OUT`` counts from there.
    values : dict
        Parameters to replace.
    key : str
        Hash of all that the result depends on.
    stays : bool
        Write the parameters back as they were: the executed notebook is the source.
    client : NotebookClient or None
        While it runs.
    process : Popen or None
        Likewise.
    cell : int
        The one that runs, from 1.
    seconds : float
    goes_on : bool
        A training stopped in time.
    started : float
        Seconds since the epoch.
    log : Path
        What its process says.
    """

    source: Path
    target: Path
    folder: Path
    values: dict[str, object]
    key: str = ""
    stays: bool = False
    client: "NotebookClient | None" = None
    process: "subprocess.Popen[bytes] | None" = None
    cell: int = 0
    seconds: float = 0.0
    goes_on: bool = False
    started: float = 0.0
    log: Path = field(default=Path(os.devnull))

    @property
    def name(self) -> str:
        """As it is named to people."""
        return self.source.stem

    @property
    def failed(self) -> Path:
        """Where an error's whole text goes."""
        return self.target.parent / "failed" / f"{self.name}.txt"

    def recall(self) -> bool:
        """Whether the whole result of the same key is there; its time and whether its training goes on."""
        try:
            told = json.loads(self.target.read_text("utf-8"))["metadata"]["latentfit"]
            if told["key"] != self.key:
                return False
            self.seconds, self.goes_on = float(told["seconds"]), bool(told["goes_on"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True


def this_python(connection: Path) -> "AsyncKernelManager":
    """Starts the interpreter that runs this, whatever kernels are registered under whatever name; without a network."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):  # type: ignore[misc]
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    manager = AsyncKernelManager(kernel_spec_manager=ThisPython(), connection_file=str(connection.with_suffix(".json")))
    if os.name == "posix" and len(str(connection)) < LONGEST_SOCKET:
        manager.transport, manager.ip = "ipc", str(connection)
    return manager


def main() -> int:
    """Run what the command line asks for; 0: all done, 1: some failed, 2: it could not begin, 130: interrupted."""
    parser = _parser()
    options = parser.parse_args()
    jobs = _jobs(options, parser)
    try:
        if options.fast:
            with tempfile.TemporaryDirectory() as folder:
                return _go(_at(jobs, Path(folder)), options)
        return _go(jobs, options)
    except NotAloneError as error:
        print(f"{error.filename}: another run is at work there; wait for it, or stop it", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{error.strerror or error}; {_advice(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with what is not done", file=sys.stderr)
        return 130
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", metavar="NN", help="numbers of notebooks, such as 06 07; none: all")
    parser.add_argument("--again", action="store_true", help="start over: what an earlier run left is removed first")
    parser.add_argument("--fast", action="store_true", help="small sizes, into a temporary folder: does every one run?")
    parser.add_argument("--refresh", action="store_true", help="write what is committed: notebooks/ and figures/")
    parser.add_argument("--run", help="name of a folder below runs/, for a VAE or pictures of your own")
    parser.add_argument("--vae", help="with --run: what to work with")
    parser.add_argument("--space", help="with --run: its latent space")
    parser.add_argument("--images", help="with --run: a folder of pictures")
    parser.add_argument(
        "--jobs", type=int, default=min(2, _cores()), help="notebooks at a time, by default %(default)s"
    )
    return parser


def _jobs(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Job]:
    """The notebooks that were asked for, and where they go."""
    own = {"VAE": options.vae, "SPACE": options.space, "IMAGES": options.images}
    if any(own.values()) and not options.run:
        parser.error("VAE, SPACE and IMAGES need RUN=name: results of the bundled ones are not mixed with others")
    if sum(map(bool, (options.run, options.fast, options.refresh))) > 1 or (options.again and options.fast):
        parser.error("--run, --fast and --refresh are three different things, and --fast always starts over: name one")
    if options.run and (not re.fullmatch(r"\w[\w.-]*", options.run) or options.run == "notebooks"):
        parser.error(f"RUN: expected letters, digits, '.', '_' and '-', and not 'notebooks', got {options.run!r}")
    paths = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    known = [path.name[:2] for path in paths]
    if not set(options.only) <= set(known) or not paths or options.jobs < 1:
        told = f"got {' '.join(options.only) or 'all'} and {options.jobs} jobs"
        parser.error(
            f"expected numbers of notebooks beside run.py, of {' '.join(known) or 'which there is none'}; {told}"
        )
    paths = [path for path in paths if not options.only or path.name[:2] in options.only]
    if options.refresh:
        return [Job(path, path, HERE, {"SECONDS": 0}, stays=True) for path in paths]
    folder = ROOT / "runs" / (options.run or "notebooks")
    target, out = (folder / "notebooks", "..") if options.run else (folder, ".")
    values = {name: _absolute(name, value) for name, value in own.items() if value}
    if options.fast:
        values["FAST"] = True
    return [Job(path, target / path.name, target, {**values, "OUT": out}) for path in paths]


def _at(jobs: Sequence[Job], folder: Path) -> list[Job]:
    """The same, elsewhere."""
    return [Job(job.source, folder / job.source.name, folder, job.values) for job in jobs]


def _go(jobs: list[Job], options: argparse.Namespace) -> int:
    """Run what is not done, and say how it went."""
    started, folder = time.monotonic(), ROOT / "runs" / "notebooks" if options.refresh else jobs[0].folder
    with alone_in(folder, waits=False):
        if options.again and not options.refresh:
            _remove(jobs, everything=not options.only)
        code = _code()
        for job in jobs:
            job.key = _key(job, code)
        done = [] if options.refresh else [job for job in jobs if job.recall()]
        waiting = [job for job in jobs if job not in done] or [job for job in jobs if job.goes_on]
        for job in done:
            what = "goes on with its training" if job in waiting else "done before"
            print(f"{job.name}: {what}, {job.seconds:.0f} s")
            job.failed.unlink(missing_ok=True)  # of an edit since taken back
        sys.stdout.flush()
        failed = Runner(1 if options.refresh else options.jobs).run(waiting)
    print(_in_words(jobs, failed, time.monotonic() - started, options))
    return 1 if failed else 0


def _in_words(jobs: list[Job], failed: list[Job], seconds: float, options: argparse.Namespace) -> str:
    """How it went, and what to open."""
    minutes, rest = divmod(round(seconds), 60)
    lines = [f"{len(jobs) - len(failed)} notebooks done, {len(failed)} failed, in {minutes} min {rest} s"]
    if failed:
        lines.append(f"the same command tries again: {', '.join(job.name for job in failed)}")
    if partly := [job.name for job in jobs if job.goes_on and job not in failed]:
        lines.append(f"training stopped in time, the same command goes on with it: {', '.join(partly)}")
    whole = [job.target for job in jobs if job not in failed]
    if whole and not options.fast:
        first, folder = _short(whole[0]), _short(whole[0].parent)
        figures = "figures" if options.refresh else _short(jobs[0].folder / str(jobs[0].values["OUT"]) / "figures")
        jupyter = _short(Path(sys.executable).parent / "jupyter")
        lines.append(f"open {first}, for example with: {jupyter} lab {folder}; figures lie in {figures}")
    return "\n".join(lines)


class Runner:
    """Runs notebooks, some at a time, and tells how far they are.

    Parameters
    ----------
    n_jobs : int
        Processes at a time; they share the cores.
    """

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs
        self._running: list[Job] = []
        self._screen = threading.Lock()
        self._news_at = time.monotonic()

    def run(self, jobs: Sequence[Job]) -> list[Job]:
        """Run them; those that failed, which was said."""
        failed: list[Job] = []
        with tempfile.TemporaryDirectory(prefix="nb") as sockets, ThreadPoolExecutor(self._n_jobs) as pool:
            futures = {pool.submit(self._run, job, Path(sockets) / str(i)): job for i, job in enumerate(jobs)}
            try:
                open_ones = set(futures)
                while open_ones:
                    done, open_ones = wait(open_ones, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        failed += [] if self._told(futures[future], future) else [futures[future]]
                    self._news()
            except KeyboardInterrupt:
                for future in futures:
                    future.cancel()
                self._stop([future for future in futures if future.running()])
                raise
        return failed

    def _run(self, job: Job, connection: Path) -> None:
        """In a thread: the notebook from top to bottom, then its file, whole."""
        started, job.started = time.monotonic(), time.time()
        self._running.append(job)
        job.log = connection.with_suffix(".log")
        try:
            notebook = _executed(job, connection, _environment(self._n_jobs))
            job.seconds = time.monotonic() - started
            _write(job, notebook)
        finally:
            job.seconds = time.monotonic() - started
            self._running.remove(job)

    def _told(self, job: Job, future: "Future[None]") -> bool:
        """A line about a notebook that has ended; whether it is done."""
        error = future.exception()
        if error is not None:
            reason, whole = _reason(error, job)
            where = f" in cell {job.cell}" if job.cell else ""
            self._say(f"{job.name}: failed{where} after {job.seconds:.0f} s: {reason}", sys.stderr)
            try:
                write_atomic(job.failed, whole)
            except OSError:
                return False  # no place for the whole text: the line has said what matters
            return False
        job.failed.unlink(missing_ok=True)
        self._say(f"{job.name}: {job.seconds:.0f} s")
        return True

    def _say(self, line: str, stream: Any = None) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
        print(line, file=stream or sys.stdout, flush=True)

    def _news(self) -> None:
        """What runs, how far: in place in a terminal, elsewhere a line a minute."""
        now = [_how_far(job) for job in list(self._running)]
        if sys.stderr.isatty():
            line = " · ".join(now)[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        elif now and time.monotonic() - self._news_at > NEWS_S:
            self._news_at = time.monotonic()
            print(f"… {' · '.join(now)}", file=sys.stderr, flush=True)

    def _stop(self, futures: "list[Future[None]]") -> None:
        """Interrupt what runs, so that it keeps what it has; after some seconds end it."""
        for number in (signal.SIGINT, signal.SIGKILL if os.name == "posix" else signal.SIGTERM):
            for job in list(self._running):
                if job.process is not None and job.process.poll() is None:
                    job.process.send_signal(number)
            if not wait(futures, timeout=5).not_done:
                return


def _executed(job: Job, connection: Path, environment: dict[str, str]) -> "NotebookNode":
    """The notebook after all its cells, in a process of its own."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(job.source, as_version=4)
    parameters = _with_parameters(notebook, job)
    manager = this_python(connection)

    def begins(cell: Any, cell_index: int) -> None:
        job.cell, job.process = cell_index + 1, manager.provisioner.process

    job.client = NotebookClient(
        notebook, km=manager, **LIMITS,
        on_cell_execute=begins, shutdown_kernel="immediate", resources={"metadata": {"path": str(job.folder)}},
    )  # fmt: skip
    with job.log.open("wb") as log:
        try:
            job.client.execute(cleanup_kc=True, env=environment, stdout=log, stderr=log)
        finally:
            if job.process is not None:
                job.process.wait(PATIENCE_S)  # it has been told to end
    if job.stays:
        next(cell for cell in notebook.cells if _is_parameters(cell)).source = parameters
    return notebook


def _with_parameters(notebook: "NotebookNode", job: Job) -> str:
    """Put the values in; what the parameter cell was before."""
    cell = next((cell for cell in notebook.cells if _is_parameters(cell)), None)
    if cell is None:
        raise ValueError("no cell is tagged 'parameters'")
    before = str(cell.source)
    for name, value in job.values.items():
        cell.source, count = re.subn(rf"(?m)^{name} = .*$", lambda _, n=name, v=value: f"{n} = {v!r}", cell.source)
        if count != 1 and not (name == "SECONDS" and count == 0):  # only where something is trained
            raise ValueError(f"expected one line '{name} = …' in the parameter cell, found {count}")
    ast.parse(cell.source)
    return before


def _is_parameters(cell: Any) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def _write(job: Job, notebook: "NotebookNode") -> None:
    """The executed notebook, whole or not at all, with what tells that it is done; figures that are committed."""
    import nbformat

    job.goes_on = False
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            job.goes_on |= any(one.get("metadata", {}).get("latentfit", {}).get("goes_on") for one in cell.outputs)
            cell.outputs = list(_kept(cell.outputs))
            for output in cell.outputs if job.stays else ():
                _lighten(output)
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    if job.stays:
        notebook.metadata["latentfit"] = {
            "made_by": recipe_of([cell.source for cell in notebook.cells if cell.cell_type == "code"])
        }
    else:
        notebook.metadata["latentfit"] = {"key": job.key, "seconds": round(job.seconds, 1), "goes_on": job.goes_on}
    text = nbformat.writes(notebook)
    if job.stays:
        if len(text) > MOST_BYTES:
            raise ValueError(f"{len(text) / 1e6:.1f} MB with its outputs, at most {MOST_BYTES / 1e6:.1f} MB")
        made = ROOT / "runs" / "notebooks" / "figures"
        for figure in sorted(made.glob(f"{job.name[:2]}_*")):
            if figure.stat().st_mtime >= job.started:  # an earlier run's may be there
                write_atomic(ROOT / "figures" / figure.name, figure.read_bytes())
    write_atomic(job.target, text.rstrip("\n") + "\n")


def recipe_of(sources: Sequence[str]) -> str:
    """Hash of what a committed notebook's outputs are made by: its code, and the code of the figures that it draws.

    A test compares it with what the notebook was refreshed by. Comments, docstrings and layout do not count, nor does
    the text between the cells.
    """
    drawn = ROOT / "latentfit" / "compare" / "figures"
    total = hashlib.sha256(json.dumps([_meaning(source) for source in sources]).encode())
    if (drawn / "__init__.pyi").is_file():
        names = set(re.findall(r"\b\w+\b", "\n".join(sources)))
        for home in sorted({"canvas", "labels"} | {home for home, name in _faces(drawn) if name in names}):
            total.update(_meaning((drawn / f"{home}.py").read_text("utf-8")).encode())
    return total.hexdigest()


def _faces(folder: Path) -> list[tuple[str, str]]:
    """(module, name) of all that a folder's face lists."""
    return re.findall(r"from \.(\w+) import \w+ as (\w+)", (folder / "__init__.pyi").read_text("utf-8"))


def _meaning(code: str) -> str:
    """Python code without its comments, docstrings and layout."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _kept(outputs: Sequence[Any]) -> Iterator[Any]:
    """Without a kernel a widget is an error, its still picture is not; a progress bar stands still, so it goes.

    A picture that says nothing to those who do not see it says what it is a picture of.
    """
    for output in outputs:
        data = output.get("data", {})
        for kind in ("image/png", "image/jpeg"):
            if kind in data:
                words = str(data.get("text/plain", "")).strip()
                output["metadata"].setdefault(kind, {}).setdefault("alt", words or "A picture")
        had_widget = data.pop(WIDGET, None) is not None
        if had_widget and not set(data) - {"text/plain"} and BAR.search(str(data.get("text/plain", ""))):
            continue
        yield output


def _lighten(output: Any) -> None:
    """A committed widget's still picture of photographs, as JPEG where that is much smaller than its PNG."""
    from PIL import Image

    blob = base64.b64decode(output.get("data", {}).get("image/png", ""))
    if len(blob) < MOST_STILL_BYTES:
        return
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(blob)) as still:
        still.convert("RGB").save(smaller, "JPEG", quality=86, subsampling=0, optimize=True)
    if len(smaller.getvalue()) < 0.7 * len(blob):
        del output["data"]["image/png"]
        output["data"]["image/jpeg"] = base64.b64encode(smaller.getvalue()).decode("ascii")
        output["metadata"]["image/jpeg"] = output["metadata"].pop("image/png", {})


def _how_far(job: Job) -> str:
    """ "06_tiny_decoders: cell 7 of 26, train 43 %"."""
    client = job.client
    if client is None or not job.cell:
        return f"{job.name}: starting"
    said = f"{job.name}: cell {job.cell} of {len(client.nb.cells)}"
    bars = [one for one in list(client.widget_state.values()) if one.get("_model_name") == "FloatProgressModel"]
    bars = [one for one in bars if one.get("bar_style", "") == "" and one.get("max")]
    return f"{said}, {100 * bars[-1].get('value', 0) / bars[-1]['max']:.0f} % of its work" if bars else said


def _reason(error: BaseException, job: Job) -> tuple[str, str]:
    """Why a notebook failed: in a line, and at length."""
    from nbclient.exceptions import CellExecutionError

    if isinstance(error, CellExecutionError):
        line = f"{error.ename}: {' '.join(str(error.evalue).split())[:300]}"
        if "No space left" in line:
            line += "; free some space and run the same command: it goes on"
        return line, re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    log = job.log.read_text("utf-8", "replace") if job.log.is_file() else ""
    line = " ".join(str(error).split())[:300]
    if not isinstance(error, ValueError):
        line = f"{type(error).__name__}: {line}"
    if isinstance(error, OSError):
        line = f"{error.strerror or error}; {_advice(error)}"
    elif isinstance(error, RuntimeError):  # its process ended, or never answered
        last = [line for line in log.splitlines() if line.strip()][-1:]
        line = f"its process ended ({'; '.join([line, *last])}): out of memory? Try --jobs 1, or close other programs"
    return line, f"{error}\n{log}"


def _advice(error: OSError) -> str:
    """What to do about a file that cannot be read or written."""
    if "No space left" in str(error):
        return "free some space and run the same command: it goes on"
    return "expected a folder that can be written to: copy the project to one, or change its permissions"


def _remove(jobs: Sequence[Job], everything: bool) -> None:
    """What an earlier run left: executed notebooks, and, of all of them, what they collected and trained."""
    for job in jobs:
        job.target.unlink(missing_ok=True)
    if everything:
        out = jobs[0].folder / str(jobs[0].values["OUT"])
        for name in ("figures", "runs", "failed"):
            if (out / name).exists():
                shutil.rmtree(out / name)


def _key(job: Job, code: str) -> str:
    """Hash of the source's cells, the parameters, the files that they name, and the code."""
    try:
        cells = json.loads(job.source.read_text("utf-8"))["cells"]
        sources = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (ValueError, KeyError, TypeError):
        sources = []  # it will fail, and say so
    files = {name: _stamp(Path(str(job.values[name]))) for name in ("VAE", "IMAGES") if name in job.values}
    told = [sources, {name: repr(value) for name, value in job.values.items()}, files, code]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a file, of all files of a folder, or of those whose names begin so."""
    found = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else sorted(_beginning(path))
    told = [(str(one), one.stat()) for one in found if one.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in told]


def _beginning(path: Path) -> Iterator[Path]:
    """Files whose names begin like this one's: the common start of a pair."""
    if path.is_absolute() and path.parent.is_dir():
        yield from (one for one in path.parent.iterdir() if one.name.startswith(path.name))


def _code() -> str:
    """Hash of the package, of the bundled data's names and sizes, and of where assets are looked for."""
    package = (
        ROOT / "latentfit" if (ROOT / "latentfit").is_dir() else Path(sys.modules["latentfit"].__file__ or "").parent
    )
    total = hashlib.sha256(os.environ.get("LATENTFIT_ASSETS", "").encode())
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".js", ".css", ".json") and "_data" not in path.parts:
            total.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    for path in sorted(data_path().rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(data_path())} {path.stat().st_size}".encode())
    return total.hexdigest()


def _environment(n_jobs: int) -> dict[str, str]:
    """Processes that run at a time share the cores; more threads than cores wait for each other."""
    threads = str(max(1, _cores() // n_jobs))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, threads), **os.environ}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _absolute(name: str, value: str) -> str:
    """Paths of the command line hold from where it was typed, not from the notebooks' folder."""
    is_path = Path(value).exists() or ("/" in value and any(_beginning(Path(value).absolute())))
    return str(Path(value).resolve()) if name != "SPACE" and is_path else value


def _short(path: Path) -> str:
    """From where the command was typed, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # what a terminal cannot show stops nothing
    sys.exit(main())
