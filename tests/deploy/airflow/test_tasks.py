"""The command of a task, as Airflow runs it, in its own environment."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.airflow.environment import CHECKOUT, PYTHON, answer, needs_airflow, settings_file

pytestmark = [pytest.mark.airflow, needs_airflow]

RUN = """
import json, sys
import jinja2
from deploy.airflow.settings import load
from deploy.airflow.tasks import Part
part = Part(task_id="train", settings=load())
part.bash_command = jinja2.Template(part.bash_command).render()
part.env = {**part.env, "RUN_ID": "manual__2026-11-29T02:00:00+00:00"}
print(json.dumps(part.execute({"run_id": "r"})))
"""


def interpreter(folder: Path, text: str) -> str:
    path = folder / "interpreter"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_words_reach_the_pipeline_as_they_are(tmp_path):
    told = tmp_path / "told"
    words = ["--set", "classes={ a = 0, b = {{1}} }", "--set", "x='$HOME'"]
    python = interpreter(
        tmp_path, f'for word; do printf "%s\\0" "$word"; done > {told}; env > {tmp_path}/env'
    )
    answer(RUN, tmp_path, python=python, arguments=words, data="my data", root=str(tmp_path / "root"))
    assert told.read_text().split("\0")[:-1] == [
        "run_pipeline.py", "run", "--only", "train", "--data", "my data", "--root", str(tmp_path / "root"),
        *words, "--run-id", "manual__2026-11-29T02:00:00+00:00",
    ]  # fmt: skip
    assert "PYTHONPATH=\n" in (tmp_path / "env").read_text()


def test_a_task_runner_that_is_killed_leaves_no_child(tmp_path):
    file = tmp_path / "pid"
    python = interpreter(tmp_path, f"echo $$ > {file}.part; mv {file}.part {file}; exec sleep 300")
    config = settings_file(tmp_path, python=python, root=str(tmp_path / "root"))
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "UNET_AIRFLOW": str(config)}
    environment |= {"AIRFLOW_HOME": str(tmp_path / "home")}
    runner = subprocess.Popen([PYTHON, "-c", RUN], env=environment, cwd=tmp_path)
    try:
        wait(file.exists)
        child = int(file.read_text())
        assert Path(f"/proc/{child}").exists()
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    wait(lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text())


def wait(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
