"""The four processes of Airflow on this machine, and how they are started and ended together."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import psutil

from deploy.airflow.settings import CHECKOUT, VARIABLE, Settings

# In this order: each needs those before it. The second name is that of the health page.
SERVICES = {
    "api-server": ("metadatabase", ["api-server"]),
    "scheduler": ("scheduler", ["scheduler", "--skip-serve-logs"]),
    "dag-processor": ("dag_processor", ["dag-processor"]),
    "triggerer": ("triggerer", ["triggerer", "--skip-serve-logs"]),
}
_START_SECONDS = 240
_END_SECONDS = 120  # a training writes its checkpoint meanwhile
_PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)


class NotStarted(Exception):
    """Airflow cannot be started, or one of its processes ended; the message is one sentence."""


def environment(settings: Settings, config: str, given: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of all processes of Airflow; what is set there already counts.

    Args:
        settings: the settings of the DAG.
        config: path of the TOML file; empty: the defaults.
        given: the environment that this process was started in.
    """
    state, url = settings.path(settings.state), f"http://127.0.0.1:{settings.port}"
    ours = {
        "NO_PROXY": "127.0.0.1",  # the tasks ask the API
        "no_proxy": "127.0.0.1",
        "AIRFLOW_HOME": str(state),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{state}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # A training takes all cores: the slow API must not end it meanwhile, as 3 heartbeats of 5 s would.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
    }
    always = {
        "AIRFLOW__API__PORT": str(settings.port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
        **{name: f"{given[name]},127.0.0.1" for name in ("NO_PROXY", "no_proxy") if given.get(name)},
        "PYTHONPATH": str(CHECKOUT),
        VARIABLE: str(Path(config).resolve()) if config else "",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', os.defpath)}",
    }
    return {**ours, **given, **always}


def require_port(port: int) -> None:
    """Refuses a port that something listens on; raises `NotStarted`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise NotStarted(f"port {port}: {error.strerror}; choose another one by `port`") from None


class Services:
    """The processes that were started; all of them, and what they started, end with `end`."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Args: settings: the settings of the DAG. environment: the environment of each process."""
        self.logs = settings.path(settings.state) / "services"
        self._url = f"http://127.0.0.1:{settings.port}/api/v2/monitor/health"
        self._environment = dict(environment)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # Whatever loses its parent becomes a child of this process, so that none is lost sight of.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.logs.mkdir(parents=True, exist_ok=True)

    def migrate(self) -> None:
        """Makes Airflow's database, or brings it up to date; raises `NotStarted`."""
        self._open("db-migrate", ["db", "migrate"])
        if self._processes["db-migrate"].wait():
            raise NotStarted(f"Airflow's database cannot be made or reached; see {self._log('db-migrate')}")
        del self._processes["db-migrate"]

    def start(self, name: str) -> None:
        """Starts a process, and waits until Airflow's own health page knows it; raises `NotStarted`."""
        known, words = SERVICES[name]
        self._open(name, words)
        end = time.monotonic() + _START_SECONDS
        while self._health().get(known, {}).get("status") != "healthy":
            self.require_alive()
            if time.monotonic() > end:
                raise NotStarted(f"{name} is not healthy after {_START_SECONDS} s; see {self._log(name)}")
            time.sleep(0.5)

    def require_alive(self) -> None:
        """Raises `NotStarted` if a process has ended by itself."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise NotStarted(f"{name} ended with {process.returncode}; see {self._log(name)}")

    def end(self) -> None:
        """Ends all processes: the tasks at work may write what they keep, then nothing is left."""
        for process in reversed(self._processes.values()):  # the API last, to which the others report
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        me, end = psutil.Process(), time.monotonic() + _END_SECONDS
        while (left := _living(me)) and time.monotonic() < end:
            psutil.wait_procs(left, timeout=0.5)
        while left := _living(me):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)

    def _open(self, name: str, words: list[str]) -> None:
        command = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "airflow", *words]
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                env=self._environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _health(self) -> dict[str, Any]:
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(self._url, timeout=10) as answer:
                return dict(json.load(answer))
        except (OSError, ValueError):
            return {}


def _living(me: psutil.Process) -> list[psutil.Process]:
    """Returns all processes below this one; those that have ended are taken note of."""
    found = []
    for process in me.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
            elif process.ppid() == me.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
    return found


def hold(folder: Path) -> TextIO:
    """Takes the lock of a state folder, which two Airflows must not share; raises `NotStarted`.

    Args:
        folder: the folder of Airflow's database and logs; made if it does not exist.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise NotStarted(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise NotStarted(f"{folder}: Airflow runs there already; end it, or choose another `state`") from None
    return file
