"""Server and model as the Open Inference Protocol tells of them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.serving.running import ROOT, Server, running, wait_for

pytestmark = pytest.mark.server

ONE = "/v2/models/unet"


def test_the_server(server: Server):
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert server.get("/v2") == {
        "name": "unet-serving", "version": version, "extensions": ["binary_tensor_data"]
    }  # fmt: skip
    assert server.get("/v2/health/live") == {"live": True}
    assert server.get("/v2/health/ready") == {"ready": True}
    assert server.get("/v2/models") == {"models": ["unet"]}


@pytest.mark.parametrize("path", [ONE, f"{ONE}/versions/1"])
def test_the_model(server: Server, path: str):
    assert server.get(path) == {
        "name": "unet",
        "versions": ["1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "mask_bytes", "datatype": "BYTES", "shape": [-1]}],
    }
    assert server.get(f"{path}/ready") == {"name": "unet", "ready": True}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v2/models/x", "no model 'x', only 'unet'"),
        ("/v2/models/x/ready", "no model 'x', only 'unet'"),
        (f"{ONE}/versions/9", "version 9 is not served, only 1"),
        (f"{ONE}/versions/9/ready", "version 9 is not served, only 1"),
        (f"{ONE}/versions/x/ready", "there is nothing at"),
        (f"{ONE}/versions/{'9' * 5000}/ready", "there is nothing at"),
    ],
)
def test_what_is_not_there(server: Server, path: str, words: str):
    status, _, body = server.request("GET", path)
    assert (status, words in json.loads(body)["error"]) == (404, True)


def index(server: Server, body: str = "") -> list[dict[str, str]]:
    status, headers, answer = server.request("POST", "/v2/repository/index", body)
    assert (status, headers["content-type"]) == (200, "application/json"), answer
    return json.loads(answer)


def test_the_index_of_a_folder_with_a_broken_version(exported: dict, tmp_path: Path, command: list[str]):
    folder = tmp_path / "unet"
    shutil.copytree(exported[1], folder / "1")
    (folder / "2").mkdir()
    (folder / "2/saved_model.pb").write_bytes(b"no model")
    with running(command, folder, tmp_path / "log") as server:
        wait_for(lambda: server.states() == {2: "END", 1: "AVAILABLE"}, server)
        broken, served = index(server)
        assert served == {"name": "unet", "version": "1", "state": "READY", "reason": ""}
        assert (broken["version"], broken["state"], broken["reason"] != "") == ("2", "UNAVAILABLE", True)
        assert index(server, '{"ready": true}') == [served]
        assert server.request("GET", f"{ONE}/versions/2/ready")[0] == 404


@pytest.mark.parametrize("body", ["[]", "1", '{"ready": 1}', '{"ready": "true"}', "{"])
def test_no_request_for_the_index(server: Server, body: str):
    status, _, answer = server.request("POST", "/v2/repository/index", body)
    assert (status, list(json.loads(answer))) == (400, ["error"])


def test_nobody_is_ready_before_a_version_is_loaded(tmp_path: Path, command: list[str]):
    (tmp_path / "unet").mkdir()
    with running(command, tmp_path / "unet", tmp_path / "log", ready=False) as server:
        assert server.get("/v2/health/live") == {"live": True}
        for path in ("/v2/health/ready", f"{ONE}/ready", ONE, "/v1/models/unet/metadata"):
            status, headers, _ = server.request("GET", path)
            assert (status, headers["retry-after"]) == (503, "2")
        assert index(server) == []
