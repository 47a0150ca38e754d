"""A real MLflow server in an environment of its own, and small ones that answer as no MLflow does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PYTHON = CHECKOUT / ".venv-mlflow/bin/python"
needs_mlflow = pytest.mark.skipif(
    not PYTHON.exists(), reason="there is no .venv-mlflow: make setup-mlflow makes it"
)
_PATIENCE = 180  # seconds until it is ready, on a busy machine


class Mlflow:
    """A server at work, and what it may be asked."""

    def __init__(self, url: str):
        """Args: url: address of the server."""
        self.url = url

    def call(self, path: str, **body: Any) -> Any:
        """Posts to the REST interface."""
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}", json.dumps(body).encode() if body else None,
            {"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The runs of an experiment."""
        found = self.call(f"experiments/get-by-name?experiment_name={experiment}")["experiment"]
        return list(self.call("runs/search", experiment_ids=[found["experiment_id"]]).get("runs", []))

    def history(self, run: dict[str, Any], metric: str) -> list[tuple[int, float]]:
        """Step and value of each point of a metric."""
        path = f"metrics/get-history?run_id={run['info']['run_id']}&metric_key={metric}"
        return [(int(p.get("step", 0)), p["value"]) for p in self.call(path).get("metrics", [])]

    def artifact(self, run: dict[str, Any], name: str) -> bytes:
        """The content of an artifact."""
        place = f"{self.url}/get-artifact?path={name}&run_uuid={run['info']['run_id']}"
        with urllib.request.urlopen(place, timeout=60) as response:
            return bytes(response.read())


@contextlib.contextmanager
def mlflow_server(folder: Path, *options: str) -> Iterator[Mlflow]:
    """Starts a server with its database and its files in a folder."""
    port, log = _free_port(), folder / "mlflow.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.sqlite", *options]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [PYTHON, "-m", "mlflow", "server", *words],
            cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    server, end = Mlflow(f"http://127.0.0.1:{port}"), time.monotonic() + _PATIENCE
    try:
        while not _answers(server.url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.3)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@contextlib.contextmanager
def stand_in(
    status: int, body: str = "", cut: int = 0, **headers: str
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers everything alike; yields its address, and the headers of the requests.

    Args:
        status: of each answer.
        body: of each answer.
        cut: how many bytes it promises more than it sends.
        headers: of each answer.
    """
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            seen.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode()) + cut))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


def free_url() -> str:
    """An address of this machine at which nothing listens."""
    return f"http://127.0.0.1:{_free_port()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as response:
        return bool(response.status == 200)
    return False
