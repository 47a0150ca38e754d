"""The calls of Triton's client, by HTTP and by gRPC: every method of its class that asks a server."""

from __future__ import annotations

from typing import Any

from tests.serving.clients.call import MASK, OTHER_MASK, Call, Client, refused

SETUP = """
import base64
import queue
from pathlib import Path

import numpy as np
from tritonclient.{kind} import InferenceServerClient, InferInput, InferRequestedOutput

client = InferenceServerClient("127.0.0.1:{port}")
image, other = Path("image.png").read_bytes(), Path("other.jpg").read_bytes()
shared = InferInput("image_bytes", [1], "BYTES")
shared.set_shared_memory("region", 64)


def images(*values, name="image_bytes", **more):
    tensor = InferInput(name, [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array(values, object), **more)
    return [tensor]
"""
NUMBERS = """

numbers = InferInput("images", [1, 40, 60, 1], "FP32")
numbers.set_data_from_numpy(np.zeros([1, 40, 60, 1], np.float32), binary_data=False)
"""
CALLBACK = """

def came(call, *arguments):
    answers = queue.Queue()
    call(*arguments, lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=60)
    if error is not None:
        raise error
    return result
"""


def inference(missing: str, wrong: str) -> list[Call]:
    """What both answer alike, but for the status where something is missing, or is wrong."""
    return [
        Call("client.is_server_live()", True),
        Call("client.is_server_ready()", True),
        Call('client.is_model_ready("unet")', True),
        Call('client.is_model_ready("unet", "1")', True),
        Call('client.is_model_ready("unet", "9")', False),
        Call('client.is_model_ready("x")', False),
        Call('client.infer("unet", images(image)).as_numpy("mask_bytes")', [MASK]),
        Call('client.infer("unet", images(image, other)).as_numpy("mask_bytes")', [MASK, OTHER_MASK]),
        Call(
            'client.infer("unet", images(image), outputs=[InferRequestedOutput("mask_bytes")])'
            '.as_numpy("mask_bytes")',
            [MASK],
        ),
        Call('client.infer("unet", images(image), model_version="1").as_numpy("mask_bytes")', [MASK]),
        Call(
            'client.infer("unet", images(image), parameters={"signature_name": "probabilities"})'
            '.as_numpy("probabilities_bytes").shape',
            [1, 3],
        ),
        Call(
            'client.infer("unet", images(image), sequence_id=5, sequence_start=True, priority=1, timeout=1)'
            '.as_numpy("mask_bytes")',
            [MASK],
        ),
        *refused(missing, "version 9 is not served, only 1",
                 'client.get_model_metadata("unet", "9")',
                 'client.infer("unet", images(image), model_version="9")'),
        *refused(missing, "there is no model 'x', only 'unet'",
                 'client.get_model_metadata("x")', 'client.infer("x", images(image))'),
        *refused(wrong, "element 0: accepted are PNG", 'client.infer("unet", images(b"no image"))'),
        *refused(wrong, "takes the inputs image_bytes; received: x",
                 'client.infer("unet", images(image, name="x"))'),
        *refused(wrong, "there is no output x, only mask_bytes",
                 'client.infer("unet", images(image), outputs=[InferRequestedOutput("x")])'),
        *refused(wrong, "there is no signature 'x', only colored",
                 'client.infer("unet", images(image), parameters={"signature_name": "x"})'),
    ]  # fmt: skip


def model(side: Any) -> dict[str, Any]:
    """What is told of the model, with the name of a side of any length."""
    return {
        "name": "unet",
        "versions": ["1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [side]}],
        "outputs": [{"name": "mask_bytes", "datatype": "BYTES", "shape": [side]}],
    }


NOT_OFFERED = [
    'client.get_model_config("unet")',
    'client.get_inference_statistics("unet")',
    "client.get_trace_settings()",
    'client.update_trace_settings("unet", {"trace_rate": "1"})',
    "client.get_log_settings()",
    'client.update_log_settings({"log_verbose_level": 1})',
    "client.get_system_shared_memory_status()",
    'client.register_system_shared_memory("region", "/region", 64)',
    "client.unregister_system_shared_memory()",
    "client.get_cuda_shared_memory_status()",
    'client.register_cuda_shared_memory("region", base64.b64encode(b"handle").decode(), 0, 64)',
    "client.unregister_cuda_shared_memory()",
]
LOADING = ['client.load_model("unet")', 'client.unload_model("unet")']
SERVER = {"name": "unet-serving", "version": "0.1.0", "extensions": ["binary_tensor_data"]}

HTTP = Client(
    "tritonclient.http",
    "Triton's client by HTTP. JSON has no bytes: images are sent behind it, as the package does by itself.",
    ".venv-clients/bin/python",
    SETUP.format(kind="http", port=8501) + NUMBERS,
    "error.status(), error.message()",
    [
        *inference("404", "400"),
        Call("client.get_server_metadata()", SERVER),
        Call('client.get_model_metadata("unet")', model(-1)),
        Call('client.get_model_metadata("unet", "1")', model(-1)),
        Call(
            "client.get_model_repository_index()",
            [{"name": "unet", "version": "1", "state": "READY", "reason": ""}],
        ),
        Call('client.infer("unet", images(image), request_id="7").get_response()["id"]', "7"),
        Call('client.infer("unet", images(image)).get_response()["model_version"]', "1"),
        Call('client.async_infer("unet", images(image)).get_result().as_numpy("mask_bytes")', [MASK]),
        Call(
            'base64.b64decode(client.infer("unet", images(image), outputs=[InferRequestedOutput('
            '"mask_bytes", binary_data=False)]).as_numpy("mask_bytes")[0])',
            MASK,
        ),
        Call(
            'client.infer("unet", [numbers], parameters={"signature_name": "tensors"})'
            '.as_numpy("masks").shape',
            [1, 40, 60],
        ),
        *refused("400", "is an image as text: give its base64 with the parameter",
                 'client.infer("unet", images(base64.b64encode(image), binary_data=False))'),
        *refused("400", "the body is not an inference request", 'client.infer("unet", [shared])'),
        Call(
            'client.infer("unet", images(image), response_compression_algorithm="gzip")'
            '.as_numpy("mask_bytes")',
            [MASK],
        ),
        *refused("415", "not as Content-Encoding 'gzip'",
                 'client.infer("unet", images(image), request_compression_algorithm="gzip")',
                 'client.async_infer("unet", images(image), request_compression_algorithm="gzip")'
                 '.get_result()'),
        *refused("415", "not as Content-Encoding 'deflate'",
                 'client.infer("unet", images(image), request_compression_algorithm="deflate")'),
        *refused("404", "there is nothing at /v2/", *LOADING, *NOT_OFFERED),
        *refused("404", "there is no model 'stats'", "client.get_inference_statistics()"),
    ],
    ("client",),
)  # fmt: skip

GRPC = Client(
    "tritonclient.grpc",
    "Triton's client by gRPC.",
    ".venv-clients/bin/python",
    SETUP.format(kind="grpc", port=8500) + CALLBACK,
    "error.status(), error.message()",
    [
        *inference("StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"),
        Call("client.get_server_metadata(as_json=True)", SERVER),
        Call('client.get_model_metadata("unet", as_json=True)', model("-1")),
        Call('client.get_model_metadata("unet", "1", as_json=True)', model("-1")),
        Call('client.infer("unet", images(image), request_id="7").get_response().id', "7"),
        Call('client.infer("unet", images(image)).get_response().model_version', "1"),
        Call('came(client.async_infer, "unet", images(image)).as_numpy("mask_bytes")', [MASK]),
        Call(
            'client.infer("unet", images(image), compression_algorithm="gzip").as_numpy("mask_bytes")',
            [MASK],
        ),
        *refused("StatusCode.INVALID_ARGUMENT", "the tensors do not fit", 'client.infer("unet", [shared])'),
        *refused("StatusCode.INVALID_ARGUMENT", "versions are loaded from the folder alone", *LOADING),
        *refused("StatusCode.UNIMPLEMENTED", "Method not found", "came(client.start_stream)",
                 "client.get_model_repository_index()", "client.get_inference_statistics()", *NOT_OFFERED),
        *refused("None", "The stream is no longer in valid state",
                 'client.async_stream_infer("unet", images(image))'),
        Call("client.stop_stream()", None),
    ],
    ("client",),
)  # fmt: skip
