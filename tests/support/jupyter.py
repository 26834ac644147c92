"""A real JupyterLab on a free port, in a folder of its own, without a token and without anybody's settings."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

PAGE_CONFIG = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
FLAGS = (
    "--no-browser",
    "--ServerApp.allow_root=True",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--ServerApp.disable_check_xsrf=True",
    "--FileContentsManager.delete_to_trash=False",
)


@dataclass
class Lab:
    """A running server; `folder` holds its notebooks."""

    url: str
    folder: Path

    def write(self, name: str, *cells: str) -> Path:
        """A notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        path = self.folder / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    def ask(self, path: str, method: str = "GET") -> Any:
        """The server's own API."""
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def close_kernels(self) -> int:
        """Shut every kernel down, as "Shut Down All" does; how many there were."""
        kernels = self.ask("kernels")
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")
        return len(kernels)


@contextmanager
def running(folder: Path, program: str = "lab", *more: str) -> Iterator[Lab]:
    """Start it, wait until it answers, stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "settings"
    for extension_manager in ("labconfig",):
        (settings / extension_manager).mkdir(parents=True, exist_ok=True)
    (settings / "labconfig" / "page_config.json").write_text(json.dumps(PAGE_CONFIG))
    own = {"JUPYTER_CONFIG_DIR": settings, "JUPYTER_DATA_DIR": folder / "share", "JUPYTER_RUNTIME_DIR": folder / "run"}
    own |= {"JUPYTERLAB_SETTINGS_DIR": settings / "lab", "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces"}
    environment = os.environ | {name: str(path) for name, path in own.items()}
    environment["JUPYTER_PATH"] = str(Path(__file__).parents[2] / "notebooks")  # Voilà's template
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    lab = Lab(f"http://127.0.0.1:{port}", folder / "notebooks")
    lab.folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "jupyter", program, *FLAGS, f"--ServerApp.port={port}", *more]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, f"--ServerApp.root_dir={lab.folder}"], env=environment, stdout=log, stderr=log
        )
        try:
            _wait(lab, server, folder / "server.log")
            yield lab
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(lab: Lab, server: "subprocess.Popen[bytes]", log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            lab.ask("status")
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")
