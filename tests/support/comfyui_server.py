"""A real ComfyUI on a free port of this machine, on the CPU, in a folder of its own; and a client of its API."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import websocket
from PIL import Image

FOLDER, PYTHON, FLAGS = "LATENTFIT_COMFYUI", "LATENTFIT_COMFYUI_PYTHON", "LATENTFIT_COMFYUI_FLAGS"
PATIENCE_S = 300.0
_PREVIEW, _JPEG_HEADER = 1, 8

Workflow = dict[str, dict[str, Any]]


class Failed(Exception):
    """What ComfyUI said against a workflow."""


@dataclass
class Ran:
    """What a workflow gave.

    Attributes
    ----------
    outputs : dict
        By node: what the node's "ui" said.
    previews : list of Image
        As they came over the websocket.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    previews: list[Image.Image] = field(default_factory=list)


@dataclass
class Server:
    """A running ComfyUI."""

    url: str
    base: Path
    log: Path

    def get(self, path: str) -> Any:
        """JSON of one of its pages."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return json.load(answer)

    def run(self, workflow: Workflow, ui_workflow: dict[str, Any] | None = None) -> Ran:
        """Queue a workflow in the API's format, and wait for it.

        Raises
        ------
        Failed
            With ComfyUI's words, when it refuses it or a node raises.
        """
        client = uuid.uuid4().hex
        address = self.url.replace("http", "ws", 1)
        listening = websocket.create_connection(f"{address}/ws?clientId={client}", timeout=PATIENCE_S)
        try:
            extra = {"extra_pnginfo": {"workflow": ui_workflow}} if ui_workflow else {}
            prompt = self._queue({"prompt": workflow, "client_id": client, "extra_data": extra})
            return self._watch(listening, prompt)
        finally:
            listening.close()

    def picture(self, entry: dict[str, str]) -> Image.Image:
        """A saved picture, as its "ui" entry names it."""
        query = urllib.parse.urlencode(
            {"filename": entry["filename"], "subfolder": entry["subfolder"], "type": entry["type"]}
        )
        with urllib.request.urlopen(f"{self.url}/view?{query}", timeout=60) as answer:
            return Image.open(BytesIO(answer.read()))

    def _queue(self, body: dict[str, Any]) -> str:
        request = urllib.request.Request(
            f"{self.url}/prompt", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(json.load(answer)["prompt_id"])
        except urllib.error.HTTPError as error:
            raise Failed(error.read().decode()) from error

    def _watch(self, listening: Any, prompt: str) -> Ran:
        ran = Ran()
        while True:
            message = listening.recv()
            if isinstance(message, bytes):
                if struct.unpack(">I", message[:4])[0] == _PREVIEW:
                    ran.previews.append(Image.open(BytesIO(message[_JPEG_HEADER:])))
                continue
            event = json.loads(message)
            data = event["data"]
            if data.get("prompt_id") != prompt:
                continue
            if event["type"] == "executed" and data.get("output"):
                ran.outputs[data["node"]] = data["output"]
            if event["type"] == "execution_error":
                raise Failed(data["exception_message"])
            if event["type"] == "execution_success" or (event["type"] == "executing" and data["node"] is None):
                return ran


@contextmanager
def running(comfyui: Path, base: Path, *flags: str) -> Iterator[Server]:
    """Start ComfyUI's main.py with its models, inputs, outputs and custom nodes in `base`; stop it afterwards."""
    for name in ("custom_nodes", "models", "input", "output", "user", "temp"):
        (base / name).mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        os.environ.get(PYTHON) or sys.executable,
        "main.py",
        "--cpu",
        "--listen",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--base-directory", str(base), "--disable-api-nodes", *os.environ.get(FLAGS, "").split(), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    log = base / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=comfyui, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        server = Server(f"http://127.0.0.1:{port}", base, log)
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            server.get("/system_stats")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise RuntimeError(f"ComfyUI did not start:\n{server.log.read_text('utf-8', 'replace')[-3000:]}")
