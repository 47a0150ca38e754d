"""A server as a user starts it, and the simplest of clients."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-serving/bin/python"
CLIENTS = ROOT / ".venv-clients/bin/python"  # Triton's client wants other packages than the server does
needs_clients = pytest.mark.skipif(
    not CLIENTS.exists(), reason="there is no .venv-clients: make setup-clients makes it"
)
JSON = {"Content-Type": "application/json"}
PATIENCE = 120  # seconds; a busy machine takes long to start TensorFlow
Answer = tuple[int, dict[str, str], bytes]


class Watched:
    """A port that speaks HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] = JSON) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return response.status, names, response.read()


class Server(Watched):
    """A running server; its folder of versions is named `unet`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log
        found = wait_for(lambda: re.search(r"127\.0\.0\.1:(\d+) and gRPC on port (\d+)", self.log()), self)
        port, self.grpc_port = map(int, found.groups())
        super().__init__(port)
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> Any:
        status, headers, body = self.request("GET", path)
        assert status == 200, (status, body)
        return json.loads(body) if headers["content-type"] == "application/json" else body.decode()

    def predict(self, content: Any) -> tuple[int, Any]:
        """Status and JSON of a predict call."""
        status, _, body = self.request("POST", "/v1/models/unet:predict", json.dumps(content))
        return status, json.loads(body)

    def mask(self, image: bytes) -> bytes:
        status, answer = self.predict({"instances": [b64(image)]})
        assert status == 200, answer
        return base64.b64decode(answer["predictions"][0]["b64"])

    def states(self) -> dict[int, str]:
        found = self.get("/v1/models/unet")["model_version_status"]
        return {int(state["version"]): state["state"] for state in found}

    def memory(self) -> int:
        """Bytes of resident memory, as /metrics tells."""
        return int(float(re.findall(r"^process_resident_memory_bytes (\S+)", self.get("/metrics"), re.M)[0]))


def _heed_hangups() -> None:
    """These tests may run under nohup; what they start would ignore SIGHUP, too."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextlib.contextmanager
def running(
    command: list[str], folder: Path, log: Path, *arguments: str, ready: bool = True
) -> Iterator[Server]:
    """A server with free ports, once it is ready, or just runs; ended with all that it started."""
    flags = ["--model-dir", str(folder), "--http-port", "0", "--grpc-port", "0", "--poll-seconds", "0.2"]
    flags += arguments
    command = [*command, *([f"ARGS={' '.join(flags)}"] if command[0] == "make" else flags)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True, preexec_fn=_heed_hangups
        )
    try:
        server = Server(process, log)
        wait_for(lambda: not ready or "AVAILABLE" in server.states().values(), server)
        yield server
    finally:
        # Nobody but this server and the make that started it is in its session.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(condition: Any, server: Server | None = None) -> Any:
    """What `condition` returns, once that is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert server is None or server.process.poll() is None, server.log()
        assert time.monotonic() < end, server.log() if server else "waited in vain"
        time.sleep(0.05)
    return found


def answers(python: Path, code: str, *arguments: object) -> Any:
    """What a program prints as JSON, as its last line, in the environment of a client."""
    command = [str(python), "-c", code, *map(str, arguments)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}
