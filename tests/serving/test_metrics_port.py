"""Health and metrics on a port of their own, beside one that strangers may reach."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request

import pytest

from tests.serving.certificates import Certificate
from tests.serving.conftest import Exposed
from tests.serving.running import PATIENCE

pytestmark = pytest.mark.server


def test_it_answers_health_and_metrics_and_nothing_else(exposed: Exposed):
    _, watched = exposed
    for path, answer in (("ready", {"ready": True}), ("live", {"live": True})):
        for start in ("", "/v2"):
            status, _, body = watched.request("GET", f"{start}/health/{path}")
            assert (status, json.loads(body)) == (200, answer)
    status, headers, body = watched.request("GET", "/metrics")
    assert (status, b"\nserving_model_version 1.0" in body) == (200, True)
    assert headers["content-type"].startswith("text/plain")
    for path in ("/", "/page.js", "/v1/models/unet", "/v2", "/v2/models/unet"):
        status, _, body = watched.request("GET", path)
        assert (status, json.loads(body)) == (404, {"error": f"there is nothing at {path}"})
    assert watched.request("POST", "/v1/models/unet:predict", "{}")[0] == 404


def test_the_public_port_tells_health_and_no_metrics(exposed: Exposed, certificate: Certificate):
    server, _ = exposed
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(certificate.path))),
    )
    url = f"https://127.0.0.1:{server.port}"
    with opener.open(f"{url}/v2/health/ready", timeout=PATIENCE) as response:
        assert json.load(response) == {"ready": True}
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(f"{url}/metrics", timeout=PATIENCE)
    assert refused.value.code == 404
    refused.value.close()


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8501", "127.0.0.1.x"])
def test_another_name_reads_nothing(exposed: Exposed, name: str):
    _, watched = exposed
    for path in ("/metrics", "/health/ready", "/"):
        status, _, body = watched.request("GET", path, headers={"Host": name})
        assert (status, f"this server is not '{name}'" in json.loads(body)["error"]) == (421, True)
    assert watched.request("GET", "/metrics", headers={"Host": "localhost"})[0] == 200


def test_it_listens_on_this_machine_alone(exposed: Exposed):
    _, watched = exposed
    with open("/proc/net/tcp") as lines:
        rows = [line.split() for line in lines]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{watched.port:04X}")]
    assert listening == [f"0100007F:{watched.port:04X}"]
