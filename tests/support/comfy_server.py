"""A real ComfyUI on loopback, with this pack in a folder whose name has spaces and hyphens."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

#: What ComfyUI's history says of a prompt: nested JSON, read by the tests as they need it.
Entry: TypeAlias = "dict[str, Any]"
Prompt: TypeAlias = "Mapping[str, Mapping[str, object]]"

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "comfyui-rmbg nodes 0.1"
NOT_SHIPPED = ("tests", "build", "demo-output", "test-output")


def python_of(comfyui: Path) -> str:
    """The interpreter that runs ComfyUI: COMFYUI_PYTHON, or a venv beside the checkout, or ours."""
    given = os.environ.get("COMFYUI_PYTHON")
    beside = comfyui.parent / "venv" / "bin" / "python"
    return given or (str(beside) if beside.exists() else sys.executable)


def _frontend() -> list[str]:
    """COMFYUI_FRONTEND: the `static` folder of another frontend than the installed one."""
    given = os.environ.get("COMFYUI_FRONTEND")
    return ["--front-end-root", given] if given else []


def copy_pack(target: Path) -> None:
    """The files that a user gets."""
    shutil.copytree(
        ROOT,
        target,
        ignore=lambda folder, names: [
            name
            for name in names
            if name.startswith(".")
            or name == "__pycache__"
            or (Path(folder) == ROOT and name in NOT_SHIPPED)
        ],
    )


@dataclass
class Server:
    """What tests ask of the running server."""

    base: str
    folder: Path
    pack: Path
    process: subprocess.Popen[bytes]
    start_log: str = ""

    def get(self, path: str) -> Entry:
        return json.loads(self._request(path, None))

    def post(self, path: str, body: object) -> Entry:
        answer = self._request(path, json.dumps(body).encode())
        return json.loads(answer) if answer else {}

    def log(self) -> str:
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def put_picture(self, name: str, levels: NDArray[np.uint8]) -> None:
        Image.fromarray(levels).save(self.folder / "input" / name)

    def run(self, prompt: Prompt, timeout: float = 120) -> Entry:
        """Queue an API-format prompt and wait for its history entry."""
        return self.wait(self.queue(prompt), timeout)

    def queue(self, prompt: Prompt) -> str:
        answer = self.post("/prompt", {"prompt": prompt})
        return str(answer["prompt_id"])

    def refused(self, prompt: Prompt) -> list[str]:
        """Queue a prompt that ComfyUI's validation refuses; what it says of each node, once."""
        try:
            self.queue(prompt)
        except urllib.error.HTTPError as error:
            errors = json.loads(error.read())["node_errors"].values()
            return [one["details"] for node in errors for one in node["errors"]]
        raise AssertionError("the prompt was not refused")

    def wait(self, prompt_id: str, timeout: float = 120) -> Entry:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            time.sleep(0.1)
        raise TimeoutError(f"{prompt_id} did not finish in {timeout} s\n{self.log()[-2000:]}")

    def pictures(self, entry: Entry, node: str) -> list[NDArray[np.uint8]]:
        """The pictures that an output node saved, as 8-bit arrays."""
        found = []
        for image in entry["outputs"][node]["images"]:
            query = urllib.parse.urlencode(
                {key: image[key] for key in ("filename", "subfolder", "type")}
            )
            found.append(np.asarray(Image.open(BytesIO(self._request(f"/view?{query}", None)))))
        return found

    def _request(self, path: str, body: bytes | None) -> bytes:
        request = urllib.request.Request(
            self.base + path, body, {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return answer.read()


@contextmanager
def serving(comfyui: Path, folder: Path, **environment: str) -> Iterator[Server]:
    """Start the server in its own base directory and stop it again."""
    for name in ("custom_nodes", "input", "output", "models", "user"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pack = folder / "custom_nodes" / FOLDER
    copy_pack(pack)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                python_of(comfyui),
                "main.py",
                "--cpu",
                "--listen",
                "127.0.0.1",
                "--port",
                str(port),
                "--disable-api-nodes",
                "--base-directory",
                str(folder),
                "--database-url",
                f"sqlite:///{folder / 'comfyui.db'}",
                *_frontend(),
            ],
            cwd=comfyui,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**variables, "OMP_NUM_THREADS": "1", **environment},
        )
    server = Server(f"http://127.0.0.1:{port}", folder, pack, process)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def serving_scripts(comfyui: Path, base: Path) -> Iterator[Server]:
    """Start it with the pack in a folder from which ComfyUI serves files, for what needs our
    JavaScript, and with records and settings of its own."""
    user = str(base / "me")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.FOLDER", "rmbg-nodes")
        with serving(comfyui, base, RMBG_DATA=user, XDG_CONFIG_HOME=user) as server:
            yield server


def _wait_until_ready(server: Server) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise RuntimeError(f"ComfyUI did not start:\n{server.log()[-4000:]}")
        try:
            server.get("/system_stats")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            server.start_log = server.log()
            return
    raise TimeoutError(f"ComfyUI was not ready in time:\n{server.log()[-4000:]}")
