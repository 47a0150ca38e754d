"""Airflow as a user starts it, what may be asked of it, and a stand-in for the pipeline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.deploy.airflow.environment import CHECKOUT, PYTHON, settings_file

PATIENCE = 900  # seconds for a run of five processes that load TensorFlow, on a busy machine


def _heed_hangups() -> None:
    """Whoever runs the tests by `nohup` ignores SIGHUP, and so would what they start."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Airflow:
    """Airflow at work on a folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.root = folder, folder / "root"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.config = self.set()
        self.log = folder / "started.log"
        environment |= {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [PYTHON, "-m", "deploy.airflow", self.config],
                cwd=CHECKOUT, env=environment, stdout=file, stderr=file, start_new_session=True,
                preexec_fn=_heed_hangups,
            )  # fmt: skip

    def set(self, **settings: Any) -> Path:
        """Changes the settings; each task that begins reads them anew."""
        values = {"data": f"{self.folder}/data", "root": f"{self.root}", "port": self.port, "schedule": ""}
        values |= {"state": f"{self.folder}/state", "approval": True, "retry_seconds": 1}
        return settings_file(self.folder, **values | settings)

    def ready(self) -> None:
        """Waits until all is started, and turns the nights on."""
        self.wait(lambda: "Airflow: http" in self.log.read_text())
        self.wait(lambda: self.call("dags")["dags"])
        self.call("dags/unet", "PATCH", is_paused=False)

    def call(self, path: str, method: str = "GET", **body: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v2/{path}",
            json.dumps(body).encode() if body else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def begin(self, run: str) -> str:
        """Starts a run; returns the path of it in the API."""
        self.call("dags/unet/dagRuns", "POST", dag_run_id=run, logical_date=None)
        return f"dags/unet/dagRuns/{run}"

    def states(self, run: str) -> dict[str, tuple[str, int]]:
        """State and number of the try of each task."""
        tasks = self.call(f"{run}/taskInstances")["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in tasks}

    def ended(self, run: str) -> str:
        """How a run ended, once it has."""
        return str(self.wait(lambda: (s := self.call(run)["state"]) in ("success", "failed") and s))

    def result(self, run: str, task: str) -> Any:
        found = self.call(f"{run}/taskInstances/{task}/xcomEntries/return_value?deserialize=true")["value"]
        return json.loads(found) if isinstance(found, str) else found

    def part(self, stage: str) -> psutil.Process:
        """The process of the pipeline that runs a stage, once there is one."""

        def found() -> psutil.Process | None:
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.cmdline()[1:5] == ["run_pipeline.py", "run", "--only", stage]:
                        return process
            return None

        return self.wait(found)

    def wait(self, condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.told()
            time.sleep(0.3)
        return found

    def told(self) -> str:
        """What the services and the newest tasks said; the last at the end, which a cut output keeps."""
        lines = self.log.read_text().splitlines()
        logs = (self.folder / "state/logs").rglob("attempt=*.log")
        for path in sorted(logs, key=lambda path: path.stat().st_mtime)[-6:]:
            lines += ["", *path.parts[-3:]]
            for line in path.read_text().splitlines()[-40:]:
                row = json.loads(line)
                errors = (f"{e['exc_type']}: {e['exc_value']}" for e in row.get("error_detail", ()))
                lines += [text[:300] for text in (str(row["event"]), *errors)]
        return "\n".join(lines)


def left(folder: Path) -> list[psutil.Process]:
    """The processes that were started for a folder of state."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in process.environ().get("AIRFLOW_HOME", ""):
                found.append(process)
    return found


def stand_in(folder: Path, **codes: int) -> str:
    """An interpreter that runs no pipeline, but ends each stage with its exit code."""
    cases = "".join(f"{stage}) exit {code} ;; " for stage, code in codes.items())
    path = folder / "interpreter"
    path.write_text(f'#!/bin/sh\ncase "$4" in {cases} esac\n')
    path.chmod(0o755)
    return str(path)
