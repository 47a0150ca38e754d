"""Triton's own client, over HTTP and gRPC."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import CLIENTS, Server, answers, needs_clients

pytestmark = [pytest.mark.server, needs_clients]

IMAGES = [encoded(noise(40, 60)), encoded(noise(17, 11))]
CODE = """
import base64, json, sys
import numpy as np
from tritonclient.utils import InferenceServerException

kind, address, *paths = sys.argv[1:]
if kind == "http":
    import tritonclient.http as triton
    plain = {}
else:
    import tritonclient.grpc as triton
    plain = {"as_json": True}
images = [open(path, "rb").read() for path in paths]
said = {}
with triton.InferenceServerClient(address) as client:
    said["alive"] = [client.is_server_live(), client.is_server_ready(), client.is_model_ready("unet")]
    said["versions"] = [client.is_model_ready("unet", version) for version in ("1", "9")]
    said["server"] = client.get_server_metadata(**plain)
    said["model"] = client.get_model_metadata("unet", **plain)
    said["version"] = client.get_model_metadata("unet", "1", **plain)
    try:
        said["index"] = client.get_model_repository_index(**plain)
    except InferenceServerException as error:
        said["index"] = error.status()

    def infer(values, model="unet", name="image_bytes", outputs=("mask_bytes",), **more):
        tensor = triton.InferInput(name, [len(values)], "BYTES")
        tensor.set_data_from_numpy(np.array([*values, None], object)[:-1])
        wanted = [triton.InferRequestedOutput(output) for output in outputs] or None
        try:
            answer = client.infer(model, [tensor], outputs=wanted, **more)
        except InferenceServerException as error:
            return [error.status(), error.message()]
        whole = answer.get_response() if kind == "http" else answer.get_response(as_json=True)
        masks = answer.as_numpy("mask_bytes")
        return [whole["model_version"], whole["id"], [base64.b64encode(mask).decode() for mask in masks]]

    said["masks"] = infer(images, request_id="7")
    said["all outputs"] = infer(images, request_id="7", outputs=())
    said["asked version"] = infer(images, request_id="7", model_version="1")
    said["other version"] = infer(images, model_version="9")
    said["no image"] = infer([b"no image"])
    said["no model"] = infer(images, model="x")
    said["no input"] = infer(images, name="x")
    said["no output"] = infer(images, outputs=("x",))
print(json.dumps(said))
"""


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_tritonclient(server: Server, kind: str, tmp_path: Path, expected: Callable[[bytes, int], bytes]):
    paths = [tmp_path / str(i) for i in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        path.write_bytes(image)
    http = kind == "http"
    said = answers(CLIENTS, CODE, kind, f"127.0.0.1:{server.port if http else server.grpc_port}", *paths)
    assert (said["alive"], said["versions"]) == ([True] * 3, [True, False])
    assert said["server"]["extensions"] == ["binary_tensor_data"]
    for model in (said["model"], said["version"]):
        assert (model["name"], model["versions"], model["platform"]) == (
            "unet", ["1"], "tensorflow_savedmodel"
        )  # fmt: skip
        (tensor,) = model["inputs"]
        assert (tensor["name"], tensor["datatype"], [int(n) for n in tensor["shape"]]) == (
            "image_bytes", "BYTES", [-1]
        )  # fmt: skip
    ready = [{"name": "unet", "version": "1", "state": "READY", "reason": ""}]
    assert said["index"] == (ready if http else "StatusCode.UNIMPLEMENTED")
    masks = [base64.b64encode(expected(image, 1)).decode() for image in IMAGES]
    for asked in ("masks", "all outputs", "asked version"):
        assert said[asked] == ["1", "7", masks], asked
    for asked, codes, words in (
        ("other version", ("404", "StatusCode.NOT_FOUND"), "version 9 is not served, only 1"),
        ("no image", ("400", "StatusCode.INVALID_ARGUMENT"), "accepted are PNG"),
        ("no model", ("404", "StatusCode.NOT_FOUND"), "no model 'x', only 'unet'"),
        ("no input", ("400", "StatusCode.INVALID_ARGUMENT"), "takes the inputs image_bytes; received: x"),
        ("no output", ("400", "StatusCode.INVALID_ARGUMENT"), "there is no output x, only mask_bytes"),
    ):
        code, message = said[asked]
        assert (code, words in message) == (codes[not http], True), (asked, message)
    assert "Traceback" not in server.log()
