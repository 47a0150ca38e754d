"""The addresses of the server, and what is told at those that are none."""

from __future__ import annotations

import json
import re

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.limits import PREDICT
from tests.serving.running import Server, b64

pytestmark = pytest.mark.server


IMAGES = [encoded(noise(40, 60)), encoded(noise(17, 11)), encoded(noise(33, 21), "JPEG")]


def test_one_version_by_number(server: Server):
    body = json.dumps({"instances": [b64(IMAGES[1])]})
    assert server.request("POST", "/v1/models/unet/versions/1:predict", body)[0] == 200
    status, _, answer = server.request("POST", "/v1/models/unet/versions/3:predict", body)
    assert (status, json.loads(answer)) == (404, {"error": "version 3 is not served, only 1"})


def test_status(server: Server):
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ready = {"name": "unet", "ready": True}  # as KServe says it
    assert server.get("/v1/models/unet") == {"model_version_status": [state], **ready}
    assert server.get("/v1/models/unet/versions/1") == {"model_version_status": [state]}


def test_the_root_is_a_page_for_browsers_alone(server: Server):
    assert server.get("/") == {"status": "alive"}  # KServe V1
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    status, headers, page = server.request("GET", "/", headers=browser)
    assert (status, headers["content-type"], b"<html" in page) == (200, "text/html; charset=utf-8", True)


def test_health(server: Server):
    assert server.get("/health/live") == server.get("/v2/health/live") == {"live": True}
    assert server.get("/health/ready") == server.get("/v2/health/ready") == {"ready": True}


def test_metrics(server: Server):
    server.mask(IMAGES[0])
    server.predict({})
    told = server.get("/metrics")
    for line in (
        'serving_requests_total{protocol="rest",status="200"}',
        'serving_requests_total{protocol="rest",status="400"}',
        'serving_request_seconds_bucket{le="0.1",protocol="rest"}',
        "serving_predictions_running 0.0",
        "serving_request_body_bytes 0.0",
        "serving_model_version 1.0",
        'serving_version_loads_total{result="loaded"} 1.0',
        "process_resident_memory_bytes",
    ):
        assert f"\n{line}" in told
    seconds, count = (
        float(re.findall(rf'^serving_request_seconds_{name}{{protocol="rest"}} (\S+)', told, re.M)[0])
        for name in ("sum", "count")
    )
    assert 0 < seconds / count < 60


def test_it_listens_on_this_machine_alone(server: Server):
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            rows = [line.split() for line in lines]
        listening += [row[1] for row in rows if row[3] == "0A"]  # local address of those that listen
    for port in (server.port, server.grpc_port):
        (at,) = (at for at in listening if at.endswith(f":{port:04X}"))
        # 127.0.0.1, as it is or mapped into IPv6.
        assert at.removeprefix("0000000000000000FFFF0000") == f"0100007F:{port:04X}"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/x", 404, "no model 'x'"),
        ("GET", "/v1/models/unet/versions/9", 404, "no version 9"),
        ("GET", "/v2/models/x", 404, "x"),
        ("GET", "/nothing", 404, "nothing at"),
        ("GET", "/../settings.py", 404, "nothing at"),
        ("GET", "/%2e%2e%2fsettings.py", 404, "nothing at"),
        ("GET", PREDICT, 404, "no model 'unet:predict'"),
        ("PUT", "/v1/models/unet", 405, "PUT is not answered"),
        ("DELETE", "/v1/models/unet", 405, "DELETE is not answered"),
    ],
)
def test_other_methods_and_addresses(server: Server, method: str, path: str, status: int, message: str):
    found, headers, answer = server.request(method, path)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert message in json.loads(answer)["error"]
