"""KServe's own client, which is in the server's environment, over REST (over gRPC: test_grpc_server.py)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.conftest import encoded, noise
from tests.serving.running import PYTHON, Server, answers

pytestmark = pytest.mark.server

IMAGE = encoded(noise(40, 60))
CODE = """
import asyncio, base64, json, sys
import httpx, numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def main(address, path):
    image = open(path, "rb").read()
    text = {"b64": base64.b64encode(image).decode()}
    said = {}
    v1, v2 = (InferenceRESTClient(RESTConfig(protocol=protocol, timeout=100)) for protocol in ("v1", "v2"))
    async with v1, v2:
        said["ready"] = [await v2.is_server_live(address), await v2.is_server_ready(address)]
        said["ready"] += [await v2.is_model_ready(address, name) for name in ("unet", "x")]
        said["v1"] = await v1.infer(address, {"instances": [text]}, "unet")
        tensor = InferInput("image_bytes", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([image], object), binary_data=True)
        answer = await v2.infer(address, InferRequest("unet", [tensor]), "unet")
        (output,) = answer.outputs
        said["v2"] = [output.name, output.data[0]]
        try:
            await v2.infer(address, InferRequest("x", [tensor]), "x")
        except httpx.HTTPStatusError as error:
            said["no model"] = error.response.status_code
    print(json.dumps(said))

asyncio.run(main(*sys.argv[1:]))
"""


def test_rest(server: Server, tmp_path: Path, expected: Callable[[bytes, int], bytes]):
    (tmp_path / "image.png").write_bytes(IMAGE)
    said = answers(PYTHON, CODE, server.url, tmp_path / "image.png")
    mask = base64.b64encode(expected(IMAGE, 1)).decode()
    assert said["ready"] == [True, True, True, False]
    assert said["v1"] == {"predictions": [{"b64": mask}]}
    assert said["v2"] == ["mask_bytes", mask]
    assert said["no model"] == 404
