"""How the server starts and stops: exit codes, sentences, and requests that are under way."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.serving.conftest import encoded
from tests.serving.running import PATIENCE, ROOT, Watched, b64, free_port, running, wait_for

pytestmark = pytest.mark.server

SLOW = encoded(np.zeros((900, 900), np.uint8))  # hundreds of tiles


def test_requests_under_way_are_finished(
    command: list[str], folder: Path, tmp_path: Path, expected: Callable[[bytes, int], bytes]
):
    with (
        running(command, folder, tmp_path / "log", "--concurrent", "2", "--drain-seconds", "3") as server,
        ThreadPoolExecutor(4) as pool,
    ):
        masks = [pool.submit(server.mask, SLOW) for _ in range(4)]  # some run, some wait
        wait_for(lambda: "serving_predictions_waiting 2.0" in server.get("/metrics"), server)
        server.process.terminate()
        wait_for(lambda: server.request("GET", "/v2/health/ready")[0] == 503)
        assert server.get("/health/live") == {"live": True}
        wait_for(lambda: refused(server.port))
        assert [future.result() for future in masks] == [expected(SLOW, 1)] * 4
        assert server.process.wait(PATIENCE) == 0
        assert server.log().rstrip().endswith("stopped")


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_outlasts_the_grace_period_is_cancelled(command: list[str], folder: Path, tmp_path: Path):
    endless = encoded(np.zeros((6000, 6000), np.uint8))
    watched = Watched(free_port())
    flags = ("--grace-seconds", "4", "--metrics-port", str(watched.port))
    with (
        running(command, folder, tmp_path / "log", *flags) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        body = json.dumps({"instances": [b64(endless)]})
        sent = pool.submit(server.request, "POST", "/v1/models/unet:predict", body)
        wait_for(lambda: b"serving_predictions_running 1.0" in watched.request("GET", "/metrics")[2], server)
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: refused(server.port))
        assert watched.request("GET", "/health/ready")[0] == 503  # the port for probes is the last to close
        assert server.process.wait(PATIENCE) == 0
        status, _, answer = sent.result()
        assert (status, json.loads(answer)) == (503, {"error": "the server is stopping"})
        assert "requests that are still running are cancelled" in server.log()


def test_a_stop_while_a_version_is_loaded(command: list[str], folder: Path, tmp_path: Path):
    with running(command, folder, tmp_path / "log", ready=False) as server:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(PATIENCE) == 0
        assert server.log().rstrip().endswith("stopped")


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, text=True, capture_output=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("flag", ["--http-port", "--grpc-port", "--metrics-port"])
def test_a_port_that_is_taken(command: list[str], folder: Path, flag: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--http-port": "0", "--grpc-port": "0", flag: str(taken.getsockname()[1])}
        flags = [text for pair in ports.items() for text in pair]
        done = run(command, "--model-dir", str(folder), *flags)
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1" in done.stderr.splitlines()[-1]
    assert flag in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
