"""Standard clients are answered as the page docs/reference/clients.md says; its rows are those of `calls`."""

from __future__ import annotations

import base64
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.clients.call import MASK, OTHER_MASK, Call, Client, Mask
from tests.serving.clients.calls import CLIENTS
from tests.serving.conftest import encoded, noise
from tests.serving.running import CLIENTS as TRITON
from tests.serving.running import PATIENCE, ROOT, Server, needs_clients

pytestmark = pytest.mark.server

IMAGES = {MASK: encoded(noise(40, 60)), OTHER_MASK: encoded(noise(33, 21), "JPEG")}
CURL_OPTIONS = 'silent\nshow-error\nnoproxy = "*"\nwrite-out = "\\n%{http_code}"\n'
NO_CALLS = {
    "close", "generate_request_body", "parse_response_body", "plugin", "register_plugin", "unregister_plugin",
}  # fmt: skip
Asked = Callable[[Client], dict[str, Any]]


def marks(client: Client) -> Any:
    return needs_clients if ROOT / client.python == TRITON else ()


@pytest.fixture(scope="module")
def asked(
    server: Server, expected: Callable[[bytes, int], bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    """What comes of the calls of a client, one process for all of them; masks are those of the SavedModel."""
    folder = tmp_path_factory.mktemp("client")
    (folder / ".curlrc").write_text(CURL_OPTIONS)
    known: dict[str, Mask] = {}
    for mask, image in IMAGES.items():
        (folder / mask.image).write_bytes(image)
        known[base64.b64encode(expected(image, 1)).decode()] = mask

    def here(text: str) -> str:
        return text.replace(":8501", f":{server.port}").replace(":8500", f":{server.grpc_port}")

    @functools.cache
    def answers(client: Client) -> dict[str, Any]:
        program, *options = client.python.split()
        python = sys.executable if program == ".venv/bin/python" else str(ROOT / program)
        command = [python, *options, str(Path(__file__).with_name("asking.py"))]
        content = {
            "language": client.language,
            "setup": here(client.setup),
            "refusal": client.refusal,
            "objects": client.objects,
            "calls": [here(call.code) for call in client.calls],
        }
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CURL_HOME": str(folder)}
        done = subprocess.run(
            command, input=json.dumps(content), text=True, capture_output=True, cwd=folder, env=environment,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(
            done.stdout.splitlines()[-1], object_hook=lambda value: known.get(value.get("b64", ""), value)
        )
        by_code = dict(zip([call.code for call in client.calls], found["answers"], strict=True))
        return {"answers": by_code, "methods": found["methods"]}

    yield answers
    assert "Traceback" not in server.log()
    assert " ERROR " not in server.log()


@pytest.mark.parametrize(
    ("client", "call"),
    [
        pytest.param(client, call, marks=marks(client), id=f"{client.name}: {call.code}")
        for client in CLIENTS
        for call in client.calls
    ],
)
def test_a_call_is_answered_as_its_row_says(asked: Asked, client: Client, call: Call):
    answer = asked(client)["answers"][call.code]
    if not call.status:
        assert answer == {"value": call.value}
        return
    assert answer.get("status") == call.status, answer
    assert call.says in answer["says"]
    assert "\n" not in answer["says"]
    assert len(answer["says"]) < 1100


@pytest.mark.parametrize(
    "client",
    [pytest.param(client, marks=marks(client), id=client.name) for client in CLIENTS if client.objects],
)
def test_each_method_of_a_client_is_in_a_row(asked: Asked, client: Client):
    methods = {name for name in asked(client)["methods"] if not name.startswith("_")}
    codes = " ".join(call.code for call in client.calls)
    assert {name for name in methods - NO_CALLS if f".{name}" not in codes} == set()
