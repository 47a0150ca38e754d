"""Processes of Beam find this project, and are missed when they are lost."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

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
def test_a_failure_in_another_thread_is_none_of_a_worker():
    thread = threading.Thread(target=fail, name="another")
    with watched():
        thread.start()
        thread.join()
