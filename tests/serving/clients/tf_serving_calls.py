"""The calls of TensorFlow Serving's clients: its package by gRPC, its REST by curl, `serving/client.py`."""

from __future__ import annotations

from unittest.mock import ANY

from tests.serving.clients.call import MASK, OTHER_MASK, Call, Client, refused

OTHER_MODEL = 'ModelSpec(name="x")'
OTHER_VERSION = 'ModelSpec(name="unet", version={"value": 9})'
LABEL = 'ModelSpec(name="unet", version_label="stable")'
INPUTS = {
    "image_bytes": {
        "dtype": "DT_STRING",
        "tensor_shape": {"dim": [{"size": "-1"}]},
        "name": "serving_default_image_bytes:0",
    }
}

GRPC = Client(
    "tensorflow-serving-api",
    "TensorFlow Serving's package, by gRPC.",
    ".venv/bin/python",
    """
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

channel = grpc.insecure_channel("127.0.0.1:8500")
prediction, models = PredictionServiceStub(channel), ModelServiceStub(channel)
image, other = Path("image.png").read_bytes(), Path("other.jpg").read_bytes()
unet, version = ModelSpec(name="unet"), ModelSpec(name="unet", version={"value": 1})


def request(*images, model=unet, name="image_bytes", **more):
    inputs = {name: tf.make_tensor_proto(list(images))} if images else {}
    return PredictRequest(model_spec=model, inputs=inputs, **more)


def metadata(model, *fields):
    return GetModelMetadataRequest(model_spec=model, metadata_field=fields)


def status(model):
    return GetModelStatusRequest(model_spec=model)


def masks(response):
    return tf.make_ndarray(response.outputs["mask_bytes"])


def signatures(response):
    found = SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    return found.signature_def
""",
    "error.code().name, error.details()",
    [
        Call("masks(prediction.Predict(request(image)))", [MASK]),
        Call("masks(prediction.Predict(request(image, other)))", [MASK, OTHER_MASK]),
        Call("masks(prediction.Predict.future(request(image)).result())", [MASK]),
        Call("masks(prediction.Predict(request(image), compression=grpc.Compression.Gzip))", [MASK]),
        Call("masks(prediction.Predict(request(image, model=version)))", [MASK]),
        Call('masks(prediction.Predict(request(image, output_filter=["mask_bytes"])))', [MASK]),
        Call(
            'masks(prediction.Predict(request(image, model=ModelSpec(name="unet", '
            'signature_name="serving_default"))))',
            [MASK],
        ),
        Call(
            'tf.make_ndarray(prediction.Predict(request(image, model=ModelSpec(name="unet", '
            'signature_name="probabilities"))).outputs["probabilities_bytes"]).shape',
            [1, 3],
        ),
        Call(
            "prediction.Predict(request(image)).model_spec",
            {"name": "unet", "version": "1", "signature_name": "serving_default"},
        ),
        Call(
            'prediction.GetModelMetadata(metadata(unet, "signature_def")).model_spec',
            {"name": "unet", "version": "1"},
        ),
        Call(
            'list(signatures(prediction.GetModelMetadata(metadata(version, "signature_def")))'
            '["serving_default"].outputs)',
            ["mask_bytes"],
        ),
        Call(
            'signatures(prediction.GetModelMetadata(metadata(unet, "signature_def")))["serving_default"]',
            {"inputs": INPUTS, "outputs": ANY, "method_name": "tensorflow/serving/predict"},
            words="names, shapes and types of its inputs and outputs",
        ),
        *[
            Call(
                f"models.GetModelStatus(status({model})).model_version_status",
                [{"version": "1", "state": "AVAILABLE", "status": {}}],
            )
            for model in ("unet", "version")
        ],
        *refused("NOT_FOUND", "there is no model 'x', only 'unet'",
                 f"prediction.Predict(request(image, model={OTHER_MODEL}))",
                 f'prediction.GetModelMetadata(metadata({OTHER_MODEL}, "signature_def"))',
                 f"models.GetModelStatus(status({OTHER_MODEL}))"),
        *refused("NOT_FOUND", "version 9",
                 f"prediction.Predict(request(image, model={OTHER_VERSION}))",
                 f'prediction.GetModelMetadata(metadata({OTHER_VERSION}, "signature_def"))',
                 f"models.GetModelStatus(status({OTHER_VERSION}))"),
        *refused("NOT_FOUND", "there are no version labels",
                 f"prediction.Predict(request(image, model={LABEL}))",
                 f'prediction.GetModelMetadata(metadata({LABEL}, "signature_def"))',
                 f"models.GetModelStatus(status({LABEL}))"),
        *refused("INVALID_ARGUMENT", "the request has no inputs", "prediction.Predict(request())"),
        *refused("INVALID_ARGUMENT", "element 0: accepted are PNG",
                 'prediction.Predict(request(b"no image"))'),
        *refused("INVALID_ARGUMENT", "element 1: accepted are PNG",
                 'prediction.Predict(request(image, b"no image"))'),
        *refused("INVALID_ARGUMENT", "takes the inputs image_bytes; received: x",
                 'prediction.Predict(request(image, name="x"))'),
        *refused("INVALID_ARGUMENT", "there is no output x, only mask_bytes",
                 'prediction.Predict(request(image, output_filter=["x"]))'),
        *refused("INVALID_ARGUMENT", "there is no signature 'x', only colored",
                 'prediction.Predict(request(image, model=ModelSpec(name="unet", signature_name="x")))'),
        *refused("INVALID_ARGUMENT", "metadata_field must be 'signature_def'",
                 "prediction.GetModelMetadata(metadata(unet))",
                 'prediction.GetModelMetadata(metadata(unet, "x"))',
                 'prediction.GetModelMetadata(metadata(unet, "signature_def", "x"))'),
        *refused("RESOURCE_EXHAUSTED", "larger than max",
                 "prediction.Predict(request(bytes(65 * 2**20)))"),
        *refused("UNIMPLEMENTED", "/tensorflow.serving.PredictionService/Classify is not offered",
                 "prediction.Classify(ClassificationRequest(model_spec=unet))"),
        *refused("UNIMPLEMENTED", "/tensorflow.serving.PredictionService/Regress is not offered",
                 "prediction.Regress(RegressionRequest(model_spec=unet))"),
        *refused("UNIMPLEMENTED", "/tensorflow.serving.PredictionService/MultiInference is not offered",
                 "prediction.MultiInference(MultiInferenceRequest())"),
        *refused("UNIMPLEMENTED", "/tensorflow.serving.ModelService/HandleReloadConfigRequest is not offered",
                 "models.HandleReloadConfigRequest(ReloadConfigRequest())"),
        Call("masks(prediction.Predict(request(other)))", [OTHER_MASK]),
    ],
    ("prediction", "models"),
)  # fmt: skip

MODEL = "http://127.0.0.1:8501/v1/models/unet"
READY = {"name": "unet", "ready": True}  # which KServe's client asks for at the same address
STATES = {
    "model_version_status": [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}
SIGNATURES = {
    "model_spec": {"name": "unet", "signature_name": "", "version": "1"},
    "metadata": {"signature_def": {"signature_def": ANY}},
}


def posted(body: str, address: str = f"{MODEL}:predict", options: str = "") -> str:
    """A command that sends a body of the setup."""
    return f'curl {options}-d @- {address} <<< "${body}"'


def named(signature: str) -> str:
    """A command that names a signature."""
    fields = f'{{"signature_name": "{signature}", "instances": [\'"$image"\']}}'
    return f"curl -d @- {MODEL}:predict <<< '{fields}'"


CURL = Client(
    "TensorFlow Serving's REST, by curl",
    "As any client of TensorFlow Serving's REST asks. The sentence of a refusal is the `error` of its JSON.",
    ".venv/bin/python",
    """
image='{"b64": "'$(base64 -w0 image.png)'"}'
other='{"b64": "'$(base64 -w0 other.jpg)'"}'
rows='{"instances": ['$image', '$other']}'
named_rows='{"instances": [{"image_bytes": '$image'}, {"image_bytes": '$other'}]}'
columns='{"inputs": ['$image', '$other']}'
named_columns='{"inputs": {"image_bytes": ['$image', '$other']}}'
""",
    "",
    [
        *[Call(posted(body), {"predictions": [MASK, OTHER_MASK]}) for body in ("rows", "named_rows")],
        *[Call(posted(body), {"outputs": [MASK, OTHER_MASK]}) for body in ("columns", "named_columns")],
        Call(posted("rows", f"{MODEL}/versions/1:predict"), {"predictions": [MASK, OTHER_MASK]}),
        Call(named(""), {"predictions": [MASK]}),
        Call(named("serving_default"), {"predictions": [MASK]}),
        Call(named("probabilities"), {"predictions": [[ANY] * 3]}, words="a 16-bit PNG of each class"),
        Call(posted("rows", options="-H 'Content-Type:' "), {"predictions": [MASK, OTHER_MASK]}),
        Call(
            posted("rows", options="-H 'Content-Type: application/json' "),
            {"predictions": [MASK, OTHER_MASK]},
        ),
        Call(posted("rows", options="--compressed "), {"predictions": [MASK, OTHER_MASK]}),
        Call(f"curl {MODEL}", {**STATES, **READY}),
        Call(f"curl {MODEL}/versions/1", STATES),
        Call(f"curl {MODEL}/metadata", SIGNATURES, words="the signatures"),
        Call(f"curl {MODEL}/versions/1/metadata", SIGNATURES, words="the signatures"),
        *refused("404", "there is no model 'x', only 'unet'",
                 "curl http://127.0.0.1:8501/v1/models/x",
                 "curl http://127.0.0.1:8501/v1/models/x/metadata",
                 posted("rows", "http://127.0.0.1:8501/v1/models/x:predict")),
        *refused("404", "there is no version 9", f"curl {MODEL}/versions/9"),
        *refused("404", "version 9 is not served, only 1",
                 f"curl {MODEL}/versions/9/metadata", posted("rows", f"{MODEL}/versions/9:predict")),
        *refused("404", "there are no version labels",
                 f"curl {MODEL}/labels/stable", f"curl {MODEL}/labels/stable/metadata",
                 posted("rows", f"{MODEL}/labels/stable:predict")),
        *refused("405", "POST is not answered at",
                 posted("rows", f"{MODEL}:classify"), posted("rows", f"{MODEL}:regress")),
        *refused("400", "there is no signature 'x', only colored", named("x")),
        *refused("400", "element 0: accepted are PNG",
                 f"curl -d '{{\"instances\": [{{\"b64\": \"eA==\"}}]}}' {MODEL}:predict"),
        *refused("400", "the body is not JSON", f"curl -d @image.png {MODEL}:predict"),
        *refused("415", "not as Content-Encoding 'gzip'",
                 'gzip <<< "$rows" | curl --data-binary @- -H \'Content-Encoding: gzip\' '
                 f"{MODEL}:predict"),
    ],
    language="sh",
)  # fmt: skip

OWN = Client(
    "serving/client.py",
    "The client of this project, which needs Python alone. A proxy of the environment is not asked for this "
    "machine.",
    ".venv/bin/python -S",
    """
import os
from pathlib import Path

from serving.client import segment

image, other = Path("image.png").read_bytes(), Path("other.jpg").read_bytes()
os.environ["http_proxy"] = "http://127.0.0.1:9"  # at which nobody listens
os.environ.pop("no_proxy", None)
""",
    "type(error).__name__, str(error)",
    [
        Call('segment(image, "http://127.0.0.1:8501")', MASK),
        Call('segment(other, "http://localhost:8501")', OTHER_MASK),
        *refused("ServerError", "no answer from http://example.invalid: [Errno 111] Connection refused",
                 'segment(image, "http://example.invalid")'),
        *refused("ServerError", "there is no model 'x', only 'unet'",
                 'segment(image, "http://127.0.0.1:8501", model="x")'),
        *refused("ServerError", "element 0: accepted are PNG", 'segment(b"no image", "http://127.0.0.1:8501")'),
        *refused("ServerError", "POST is not answered at /metrics",
                 'segment(image, "http://127.0.0.1:8501/metrics?")'),
    ],
)  # fmt: skip
