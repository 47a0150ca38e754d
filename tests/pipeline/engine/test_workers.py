"""Processes of Beam find this project, and are missed when they are lost."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.engine import workers
from pipeline.engine.workers import WorkerLost, importing, watched


def test_a_process_of_another_folder_imports_this_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with importing():
        assert os.environ["PYTHONPATH"].endswith(f"{os.pathsep}elsewhere")
        subprocess.run([sys.executable, "-c", "import components, unet"], cwd=tmp_path, check=True)
    assert os.environ["PYTHONPATH"] == "elsewhere"
    monkeypatch.delenv("PYTHONPATH")
    with importing():
        pass
    assert "PYTHONPATH" not in os.environ


def fail() -> None:
    time.sleep(0.2)
    raise RuntimeError("Worker subprocess exited with return code 137")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_for_a_lost_worker_is_told():
    thread = threading.Thread(target=fail, name="run_worker")

    def wait() -> None:
        with watched():
            thread.start()
            threading.Event().wait(20)

    with pytest.raises(WorkerLost, match=r"return code 137.*run the same command again"):
        wait()
    thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_two_workers_that_are_lost_at_once_are_told():
    threads = [threading.Thread(target=fail, name="run_worker") for _ in range(2)]

    def wait() -> None:
        with watched():
            # One signal arrives for both.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
            threading.Event().wait(20)

    with pytest.raises(WorkerLost):
        wait()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_that_is_ignored_comes_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "_SECONDS_BETWEEN", 0.1)

    def wait() -> None:
        with watched():
            threading.Thread(target=fail, name="run_worker").start()
            with contextlib.suppress(WorkerLost):
                threading.Event().wait(20)
            threading.Event().wait(20)

    with pytest.raises(WorkerLost):
        wait()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failure_in_another_thread_is_none_of_a_worker():
    thread = threading.Thread(target=fail, name="another")
    with watched():
        thread.start()
        thread.join()
