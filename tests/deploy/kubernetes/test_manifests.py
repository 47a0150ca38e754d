"""The manifests: valid by Kubernetes's own schemas, and what they say is what the command lines understand.

Not shown here: a cluster that runs them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.synthetic import write_cells
from pipeline.commands.arguments import parser
from pipeline.process.exit_codes import BAD_INPUT, CODE_OF, FAILED, INTERRUPTED, NOT_BLESSED, OK
from pipeline.process.signals import SECONDS_TO_SAVE
from pipeline.publishing.kubeflow import PYTHON
from serving.settings import parse
from tests.command_line import call
from tests.serving.running import PYTHON as SERVING
from tests.serving.running import running

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / "deploy/kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))


def read(name: str, kind: str) -> dict[str, Any]:
    """The one object of a kind in a file."""
    [found] = [one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one["kind"] == kind]
    assert isinstance(found, dict)
    return found


def job() -> Any:
    return read("cronjob.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]


def pods() -> list[dict[str, Any]]:
    return [job()["template"]["spec"], read("server.yaml", "Deployment")["spec"]["template"]["spec"]]


@pytest.mark.airflow
@pytest.mark.skipif(not PYTHON.exists(), reason="there is no .venv-kubeflow: make setup-kubeflow makes it")
@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_object_is_one_of_kubernetes_without_unknown_fields(path: Path, version: str):
    code = """
import json, sys, kubernetes_validate
for one in json.load(sys.stdin):
    kubernetes_validate.validate(one, sys.argv[1], strict=True)
"""
    objects = [*yaml.safe_load_all(path.read_text())]
    assert objects

    def judge(given: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, "-c", code, version],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )

    done = judge(objects)
    assert done.returncode == 0, done.stderr
    assert judge([objects[0] | {"spec": {"accessMode": 1}}]).returncode != 0  # it can refuse


@pytest.mark.parametrize("pod", pods(), ids=["run", "server"])
def test_no_pod_is_root_or_writes_anywhere_but_to_its_volumes(pod: dict[str, Any]):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    [container] = pod["containers"]
    rights = container["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    mounted = {one["name"]: one for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert mounted.keys() == volumes.keys()
    [temporary] = [name for name, one in volumes.items() if "emptyDir" in one]
    for variable in container["env"]:
        assert variable["value"] == mounted[temporary]["mountPath"]
    assert {one["name"] for one in container["env"]} == {"HOME", "TMPDIR"}
    claim = read("volume.yaml", "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["work"]["persistentVolumeClaim"]["claimName"] == claim
    assert container["resources"]["limits"].keys() >= {"cpu", "memory"}


def test_the_exit_codes_that_are_final_end_the_job_and_the_others_are_repeated():
    rules = job()["podFailurePolicy"]["rules"]
    [final] = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
    assert final["operator"] == "In"
    assert {*final["values"]} == {FAILED, BAD_INPUT, NOT_BLESSED} == {*CODE_OF.values()} - {OK, INTERRUPTED}
    assert final["containerName"] == job()["template"]["spec"]["containers"][0]["name"]
    assert job()["template"]["spec"]["restartPolicy"] == "Never"  # which the policy demands
    assert job()["backoffLimit"] > 0
    assert read("cronjob.yaml", "CronJob")["spec"]["concurrencyPolicy"] == "Forbid"
    assert job()["template"]["spec"]["terminationGracePeriodSeconds"] > SECONDS_TO_SAVE


def test_the_command_of_the_night_is_one_of_the_pipeline(tmp_path: Path):
    [container] = job()["template"]["spec"]["containers"]
    assert call(*container["args"], "--print-config").returncode == OK
    options = parser().parse_args(container["args"])
    [mount] = [Path(one["mountPath"]) for one in container["volumeMounts"] if one["name"] == "work"]
    assert options.root.is_relative_to(mount)
    assert options.data.is_relative_to(mount)
    here = [word.replace(str(mount), str(tmp_path)) for word in container["args"]]
    done = call(*here)
    assert done.returncode == BAD_INPUT  # before anybody has put data there
    assert str(tmp_path / "cells") in done.stdout
    write_cells(tmp_path / "cells", 6, (96, 96))
    assert call("check", *here[1:], "--set", "patch_size=76", "--set", "depth=2").returncode == OK


def test_kubeflow_has_the_same_volume_at_the_same_place():
    options = parser().parse_args(["compile", "kubeflow", "--image", "unet:1", "--out", "unet.yaml"])
    assert options.claim == read("volume.yaml", "PersistentVolumeClaim")["metadata"]["name"]
    for pod in pods():
        places = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
        assert places["work"] == options.mount


def test_the_server_is_asked_where_it_answers_and_has_the_time_to_end(tmp_path: Path):
    deployment, service = read("server.yaml", "Deployment")["spec"], read("server.yaml", "Service")["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    here = [word.replace("/work", str(tmp_path)) for word in container["args"]]
    (tmp_path / "runs/serving/unet").mkdir(parents=True)  # the server asks for it
    settings = parse(here)
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": settings.http_port, "grpc": settings.grpc_port}
    assert {one["targetPort"] for one in service["ports"]} == ports.keys()
    assert service["selector"].items() <= deployment["template"]["metadata"]["labels"].items()
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    assert pod["terminationGracePeriodSeconds"] > settings.drain_seconds + settings.grace_seconds
    probes = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert {one["port"] for one in probes.values()} == {"http"}
    assert {name: one["path"] for name, one in probes.items()} == {
        "readinessProbe": "/v2/health/ready",
        "livenessProbe": "/v2/health/live",
        "startupProbe": "/v2/health/live",
    }
    # It serves what the runs push.
    [root] = [word for before, word in zip(job_args(), job_args()[1:], strict=False) if before == "--root"]
    assert f"{root}/serving/unet" in container["args"]


@pytest.mark.server
@pytest.mark.skipif(not SERVING.exists(), reason="there is no .venv-serving: make setup-serving makes it")
def test_the_probes_of_a_server_without_a_model_say_that_it_lives_and_is_not_ready(tmp_path: Path):
    [container] = read("server.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
    folder = tmp_path / "unet"
    folder.mkdir()
    command = [str(SERVING), "-m", "serving"]
    with running(command, folder, tmp_path / "log", *container["args"][2:], ready=False) as server:
        for probe, status in (("livenessProbe", 200), ("startupProbe", 200), ("readinessProbe", 503)):
            assert server.request("GET", container[probe]["httpGet"]["path"])[0] == status


def job_args() -> list[str]:
    args = job()["template"]["spec"]["containers"][0]["args"]
    assert isinstance(args, list)
    return args
