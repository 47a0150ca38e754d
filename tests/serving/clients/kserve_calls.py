"""The calls of KServe's clients, by REST and by gRPC; both are asynchronous."""

from __future__ import annotations

from tests.serving.clients.call import MASK, OTHER_MASK, Call, Client, refused

PYTHON = ".venv-serving/bin/python"

REST = Client(
    "kserve.InferenceRESTClient",
    "KServe's client by REST, for its V1 protocol, which is TensorFlow Serving's, and for V2, which is Open "
    "Inference. It complains itself of what a protocol has not.",
    PYTHON,
    """
import base64
from pathlib import Path

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

url = "http://127.0.0.1:8501"
v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
image, other = Path("image.png").read_bytes(), Path("other.jpg").read_bytes()
text = base64.b64encode(image).decode()
rows = {"instances": [{"b64": text}]}
named = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [text]}
columns = {"inputs": [{**named, "parameters": {"content_type": "base64"}}]}


def request(*images, model="unet", name="image_bytes", **more):
    tensor = InferInput(name, [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, object), binary_data=True)
    return InferRequest(model, [tensor], **more)


def masks(response):
    return [base64.b64decode(mask) for mask in response.outputs[0].data]
""",
    'error.response.status_code, error.response.json()["error"]',
    [
        Call('await v1.infer(url, rows, "unet")', {"predictions": [MASK]}),
        Call(
            'await v1.infer(f"{url}/v1/models/unet/versions/1:predict", rows, is_graph_endpoint=True)',
            {"predictions": [MASK]},
        ),
        Call('masks(await v2.infer(url, request(image, other), "unet"))', [MASK, OTHER_MASK]),
        Call('masks(await v2.infer(url, columns, "unet"))', [MASK]),
        Call('(await v2.infer(url, request(image), "unet")).outputs[0].name', "mask_bytes"),
        Call('(await v2.infer(url, request(image, request_id="7"), "unet")).id', "7"),
        Call(
            'len((await v2.infer(url, request(image, parameters={"signature_name": "probabilities"}), '
            '"unet")).outputs[0].data)',
            3,
        ),
        Call("await v2.is_server_live(url)", True),
        Call("await v2.is_server_ready(url)", True),
        Call('await v2.is_model_ready(url, "unet")', True),
        Call('await v2.is_model_ready(url, "x")', False),
        Call('await v1.is_model_ready(url, "unet")', True),
        Call("await v1.is_server_live(url)", True),
        *refused("404", "there is no model 'x', only 'unet'",
                 'await v1.is_model_ready(url, "x")',
                 'await v1.infer(url, rows, "x")',
                 'await v2.infer(url, request(image), "x")'),
        *refused("400", "accepted are PNG",
                 'await v1.infer(url, {"instances": [{"b64": "eA=="}]}, "unet")',
                 'await v2.infer(url, request(b"no image"), "unet")'),
        *refused("405", "POST is not answered at", 'await v1.explain(url, "unet", rows)'),
        *refused("UnsupportedProtocol", "Unsupported protocol v1.", "await v1.is_server_ready(url)"),
        *refused("UnsupportedProtocol", "Unsupported protocol v2.", 'await v2.explain(url, "unet", rows)'),
    ],
    ("v1", "v2"),
)  # fmt: skip

GRPC = Client(
    "kserve.InferenceGRPCClient",
    "KServe's client by gRPC.",
    PYTHON,
    """
from pathlib import Path

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

client = InferenceGRPCClient("127.0.0.1:8500")
image, other = Path("image.png").read_bytes(), Path("other.jpg").read_bytes()


def request(*images, model="unet", name="image_bytes", **more):
    tensor = InferInput(name, [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, object), binary_data=True)
    return InferRequest(model, [tensor], **more)
""",
    "error.code().name, error.details()",
    [
        Call("await client.is_server_live()", True),
        Call("await client.is_server_ready()", True),
        Call('await client.is_model_ready("unet")', True),
        Call('await client.is_model_ready("x")', False),
        Call("(await client.infer(request(image))).outputs[0].as_numpy()", [MASK]),
        Call("(await client.infer(request(image, other))).outputs[0].as_numpy()", [MASK, OTHER_MASK]),
        Call(
            '(await client.infer(InferRequest("unet", [InferInput("image_bytes", [1], "BYTES", [image])])))'
            ".outputs[0].as_numpy()",
            [MASK],
        ),
        Call('(await client.infer(request(image, model_version="1"))).model_version', "1"),
        Call('(await client.infer(request(image, request_id="7"))).id', "7"),
        Call(
            'len((await client.infer(request(image, parameters={"signature_name": "probabilities"})))'
            ".outputs[0].as_numpy().ravel())",
            3,
        ),
        *refused("NOT_FOUND", "version 9 is not served, only 1",
                 'await client.infer(request(image, model_version="9"))'),
        *refused("NOT_FOUND", "the version is no whole number",
                 'await client.infer(request(image, model_version="²"))',
                 'await client.infer(request(image, model_version="9" * 5000))'),
        *refused("NOT_FOUND", "there is no model 'x', only 'unet'",
                 'await client.infer(request(image, model="x"))'),
        *refused("INVALID_ARGUMENT", "element 0: accepted are PNG",
                 'await client.infer(request(b"no image"))'),
        *refused("INVALID_ARGUMENT", "takes the inputs image_bytes; received: x",
                 'await client.infer(request(image, name="x"))'),
        *refused("INVALID_ARGUMENT", "there is no signature 'x', only colored",
                 'await client.infer(request(image, parameters={"signature_name": "x"}))'),
        *refused("RESOURCE_EXHAUSTED", "larger than max", "await client.infer(request(bytes(65 * 2**20)))"),
        Call("(await client.infer(request(other))).outputs[0].as_numpy()", [OTHER_MASK]),
    ],
    ("client",),
)  # fmt: skip
