"""Run the notebooks top to bottom: in place, fast into a temporary folder, or on your own VAE into runs/NAME.

Only the parameter cell changes; a parameter that is not there is an error.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
MOST_BYTES = 1_000_000
WIDGET = "application/vnd.jupyter.widget-view+json"


def main() -> int:
    """Run what the command line asks for; 0 when every notebook ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="small sizes, into a temporary folder")
    parser.add_argument("--run", help="name of a folder below runs/")
    parser.add_argument("--vae")
    parser.add_argument("--space")
    parser.add_argument("--images")
    options = parser.parse_args()
    own = {"VAE": options.vae, "SPACE": options.space, "IMAGES": options.images}
    if any(own.values()) and not options.run:
        parser.error("VAE, SPACE and IMAGES need RUN=name: the committed notebooks are never overwritten")
    if options.run and not re.fullmatch(r"[\w.-]+", options.run):
        parser.error(f"RUN: expected letters, digits, '.', '_' and '-', got {options.run!r}")
    paths = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        parser.error("no notebooks found beside run.py")
    if options.fast:
        with tempfile.TemporaryDirectory() as folder:
            return _run_all(paths, Path(folder), {"FAST": True, "OUT": str(Path(folder) / "out")})
    if options.run:
        target = HERE.parent / "runs" / options.run
        values = {key: _absolute(key, value) for key, value in own.items() if value}
        return _run_all(paths, target / "notebooks", {**values, "OUT": str(target)})
    return _run_all(paths, HERE, {})


def _run_all(paths: list[Path], target: Path, values: dict[str, object]) -> int:
    target.mkdir(parents=True, exist_ok=True)
    failed = 0
    for path in paths:
        started = time.perf_counter()
        try:
            _run_one(path, target / path.name, values)
            print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)
        except (CellExecutionError, RuntimeError, ValueError) as error:
            failed += 1
            print(f"{path.name}: failed\n{error}", file=sys.stderr, flush=True)
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _run_one(source: Path, target: Path, values: dict[str, object]) -> None:
    notebook = nbformat.read(source, as_version=4)
    cell = next((c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])), None)
    if cell is None:
        raise ValueError(f"{source.name}: no cell is tagged 'parameters'")
    for name, value in values.items():
        cell.source, count = re.subn(rf"(?m)^{name} = .*$", lambda _, n=name, v=value: f"{n} = {v!r}", cell.source)
        if count != 1:
            raise ValueError(f"{source.name}: expected one line '{name} = …' in the parameter cell, found {count}")
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(HERE)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):  # without a kernel a widget is an error, its still picture is not
            output.get("data", {}).pop(WIDGET, None)
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    text = nbformat.writes(notebook)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{source.name}: {len(text) / 1e6:.1f} MB with its outputs, at most {MOST_BYTES / 1e6:.0f} MB")
    temporary = target.with_suffix(".part")
    temporary.write_text(text + ("" if text.endswith("\n") else "\n"), encoding="utf-8")
    temporary.replace(target)


def _absolute(name: str, value: str) -> str:
    """Paths of the command line hold from where it was typed, not from the notebooks' folder."""
    return str(Path(value).resolve()) if name != "SPACE" and Path(value).exists() else value


if __name__ == "__main__":
    sys.exit(main())
