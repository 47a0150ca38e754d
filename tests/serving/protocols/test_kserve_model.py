"""The model as KServe knows it."""

from __future__ import annotations

import pytest

from tests.serving.running import Server

pytestmark = pytest.mark.server


def test_what_is_told_about_server_and_model(server: Server):
    assert server.get("/v2")["name"] == "kserve"
    assert server.get("/v2/models") == {"models": ["unet"]}
    assert server.get("/v2/models/unet/ready") == {"name": "unet", "ready": True}
    told = server.get("/v2/models/unet")
    assert told["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    assert told["outputs"] == [{"name": "mask_bytes", "datatype": "BYTES", "shape": [-1]}]
