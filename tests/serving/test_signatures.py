"""Who asked for nothing offers pictures alone: inner signatures are as if the model had none."""

from __future__ import annotations

import json

import grpc
import pytest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from tests.serving.limits import GOOD, INFER
from tests.serving.protocols.test_prediction_service import strings
from tests.serving.running import PATIENCE, PYTHON, Server, answers, b64

pytestmark = pytest.mark.server

OFFERED = ["colored", "probabilities", "serving_default"]
HIDDEN = ["evaluate", "tensors", "network", "x"]  # the last one is in no model


def told(name: str) -> str:
    return f"there is no signature '{name}', only {', '.join(OFFERED)}"


@pytest.mark.parametrize("name", HIDDEN)
def test_rest(strict: Server, name: str):
    answer = strict.predict({"instances": [b64(GOOD)], "signature_name": name})
    assert answer == (400, {"error": told(name)})


@pytest.mark.parametrize("name", HIDDEN)
def test_open_inference_by_rest(strict: Server, name: str):
    tensor = {"name": "images", "datatype": "FP32", "shape": [1], "data": [1]}
    content = {"inputs": [tensor], "parameters": {"signature_name": name}}
    status, _, body = strict.request("POST", INFER, json.dumps(content))
    assert (status, json.loads(body)) == (400, {"error": told(name)})


# KServe's messages are in the server's environment.
GRPC = """
import grpc, json, sys
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

said = {}
with grpc.insecure_channel(sys.argv[1]) as channel:
    for name in sys.argv[2:]:
        request = pb.ModelInferRequest(model_name="unet")
        tensor = request.inputs.add(name="image_bytes", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(b"x")
        request.parameters["signature_name"].string_param = name
        try:
            GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
        except grpc.RpcError as error:
            said[name] = [error.code().name, error.details()]
print(json.dumps(said))
"""


def test_open_inference_by_grpc(strict: Server):
    said = answers(PYTHON, GRPC, f"127.0.0.1:{strict.grpc_port}", *HIDDEN)
    assert said == {name: ["INVALID_ARGUMENT", told(name)] for name in HIDDEN}


def test_prediction_service(strict: Server):
    with grpc.insecure_channel(f"127.0.0.1:{strict.grpc_port}") as channel:
        service = PredictionServiceStub(channel)
        for name in HIDDEN:
            spec = ModelSpec(name="unet", signature_name=name)
            with pytest.raises(grpc.RpcError) as refused:
                service.Predict(PredictRequest(model_spec=spec, inputs={"x": strings(b"x")}), PATIENCE)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert refused.value.details() == told(name)
        request = GetModelMetadataRequest(model_spec=ModelSpec(name="unet"), metadata_field=["signature_def"])
        signatures = SignatureDefMap()
        assert service.GetModelMetadata(request, PATIENCE).metadata["signature_def"].Unpack(signatures)
    assert sorted(signatures.signature_def) == OFFERED
    by_rest = strict.get("/v1/models/unet/metadata")["metadata"]["signature_def"]["signature_def"]
    assert sorted(by_rest) == OFFERED
