"""The specification as kfp reads it back, and its commands, run one by one until a model is pushed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.synthetic import write_cells
from pipeline import stages
from pipeline.publishing.kubeflow import PYTHON
from tests.command_line import call
from tests.deploy.budget import WORDS

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-kubeflow: make setup-kubeflow makes it"),
]
CHECKOUT = Path(__file__).resolve().parents[3]
RUN_ID = "0b7c6f2e-5d0a-4a6e-9f43-1c2d3e4f5a6b"  # as Kubeflow makes them


def compiled(out: Path, *words: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """What kfp finds in the file that the command writes: the pipeline, and what of Kubernetes it runs on."""
    done = call("compile", "kubeflow", "--image", "registry/unet:1", "--out", out, *words)
    assert done.returncode == 0, done.stderr
    code = """
import json, sys
from google.protobuf.json_format import MessageToDict
from kfp import components
loaded = components.load_component_from_file(sys.argv[1])
print(json.dumps([MessageToDict(loaded.pipeline_spec), MessageToDict(loaded.platform_spec)]))
"""
    answer = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", code, out], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    pipeline, platform = json.loads(answer.stdout)
    assert [pipeline, platform] == [*yaml.safe_load_all(out.read_text())]
    return pipeline, platform


def tasks(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tasks in the order in which Kubeflow runs them."""
    waiting = dict(pipeline["root"]["dag"]["tasks"])
    found: dict[str, dict[str, Any]] = {}
    while waiting:
        ready = [name for name, task in waiting.items() if {*task.get("dependentTasks", ())} <= found.keys()]
        assert len(ready) == 1  # one stage at a time
        found[ready[0]] = waiting.pop(ready[0])
    return found


def executor(pipeline: dict[str, Any], name: str) -> dict[str, Any]:
    """The container of a task."""
    component = pipeline["components"][tasks(pipeline)[name]["componentRef"]["name"]]
    found = pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    assert isinstance(found, dict)
    return found


def command(pipeline: dict[str, Any], name: str) -> list[str]:
    """The command line of a task, with what Kubeflow puts in the places of its inputs."""
    container, line = executor(pipeline, name), []
    for word in [*container["command"], *container["args"]]:
        for given, value in tasks(pipeline)[name]["inputs"]["parameters"].items():
            constant = value["runtimeValue"]["constant"].replace("{{$.pipeline_job_uuid}}", RUN_ID)
            word = word.replace("{{$.inputs.parameters['NAME']}}".replace("NAME", given), constant)
        assert "{{" not in word
        line.append(word)
    return line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is mounted where it is: its paths in the containers are those of this machine."""
    folder = tmp_path_factory.mktemp("volume")
    write_cells(folder / "cells", 8, (96, 96), seed=1)
    return folder


def test_the_tasks_are_the_stages_in_their_order_each_once(tmp_path: Path):
    pipeline, _ = compiled(tmp_path / "unet.yaml")
    assert tuple(tasks(pipeline)) == stages.NAMES
    for name in stages.NAMES:
        assert executor(pipeline, name)["image"] == "registry/unet:1"
        assert command(pipeline, name)[2:] == [
            "run", "--only", name, "--run-id", RUN_ID, "--root", "/work/runs",
        ]  # fmt: skip


def test_volume_user_resources_and_retries_are_those_that_were_asked_for(tmp_path: Path):
    words = ["--claim", "cells", "--mount", "/volume", "--cpu", "3", "--memory", "6Gi", "--gpus", "2"]
    words += ["--gpu-type", "amd.com/gpu", "--user", "4711", "--retries", "5", "--retry-seconds", "90"]
    pipeline, platform = compiled(tmp_path / "unet.yaml", *words)
    cluster = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, task in tasks(pipeline).items():
        assert task["retryPolicy"]["maxRetryCount"] == 5
        assert task["retryPolicy"]["backoffDuration"] == "90s"
        assert task["retryPolicy"]["backoffFactor"] == 1
        assert not task["cachingOptions"].get("enableCache")
        resources = executor(pipeline, name)["resources"]
        for kind in ("Request", "Limit"):
            assert resources[f"resourceCpu{kind}"] == "3"
            assert resources[f"resourceMemory{kind}"] == "6Gi"
        gpu = {"count": "2", "resourceCount": "2", "resourceType": "amd.com/gpu", "type": "amd.com/gpu"}
        assert resources.get("accelerator") == (gpu if name == "train" else None)
        [mounted] = cluster[f"exec-{name}"]["pvcMount"]
        assert (mounted["constant"], mounted["mountPath"]) == ("cells", "/volume")
        assert cluster[f"exec-{name}"]["securityContext"] == {"runAsNonRoot": True, "runAsUser": "4711"}


def test_the_commands_of_the_file_run_in_their_order_push_a_model(place: Path):
    """What no test here shows: the containers themselves, and the cluster that starts them."""
    pipeline, _ = compiled(
        place / "unet.yaml", "--mount", place, "--root", place / "runs", "--data", place / "cells", *WORDS
    )
    ours = {
        "/app/.venv/bin/python": sys.executable,
        "/app/run_pipeline.py": str(CHECKOUT / "run_pipeline.py"),
    }
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL")}
    environment |= {"HOME": str(place / "home"), "XDG_CACHE_HOME": str(place / "home")}
    model = place / "runs/serving/unet"
    for name in tasks(pipeline):
        assert not [*model.glob("[0-9]*")]
        line = [ours.get(word, word) for word in command(pipeline, name)]
        done = subprocess.run(
            line, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    [version] = model.glob("[0-9]*")
    assert (version / "saved_model.pb").is_file()
    [run] = (place / "runs/runs").iterdir()
    assert run.name == RUN_ID
    assert json.loads((run / "summary.json").read_text())["status"] == "pushed"
