"""TensorFlow Serving's gRPC services; plain calls of its own client package: tests/serving/clients."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from tests.serving.conftest import encoded, noise
from tests.serving.limits import gauge
from tests.serving.running import PATIENCE, Server, wait_for

pytestmark = pytest.mark.server

IMAGES = [encoded(noise(40, 60)), encoded(noise(17, 11))]
Proto = Any  # a generated message


class Client:
    def __init__(self, server: Server) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        self.prediction, self.models = PredictionServiceStub(self.channel), ModelServiceStub(self.channel)

    def predict(
        self, inputs: dict[str, Proto], outputs: tuple[str, ...] = (), timeout: float = PATIENCE, **spec: Any
    ) -> Proto:
        request = PredictRequest(
            model_spec=ModelSpec(**{"name": "unet", **spec}), inputs=inputs, output_filter=outputs
        )
        return self.prediction.Predict(request, timeout)

    def refusal(self, call: Callable[[], Any]) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        return refused.value.code().name, refused.value.details()


def connected(server: Server) -> Iterator[Client]:
    client = Client(server)
    yield client
    client.channel.close()


client = pytest.fixture(scope="module")(lambda server: (yield from connected(server)))
hurried = pytest.fixture(lambda strict: (yield from connected(strict)))


def strings(*values: bytes) -> Proto:
    return tf.make_tensor_proto(list(values), tf.string, [len(values)])


def raw(dtype: Any, shape: list[int], **values: Any) -> Proto:
    """A tensor that need not be one."""
    sides = [{"size": side} for side in shape]
    return tf.make_tensor_proto(0).__class__(dtype=dtype, tensor_shape={"dim": sides}, **values)


def test_numbers_as_bytes_and_as_values(client: Client, expected: Callable[[bytes, int], bytes]):
    mask = np.asarray(Image.open(io.BytesIO(expected(IMAGES[0], 1))))
    image = noise(40, 60).astype(np.float32)[None, ..., None]
    values = raw(tf.float32.as_datatype_enum, list(image.shape), float_val=image.ravel())
    for tensor in (tf.make_tensor_proto(image), values):
        (found,) = client.predict({"images": tensor}, signature_name="tensors").outputs.values()
        np.testing.assert_array_equal(tf.make_ndarray(found), mask[None])


def test_the_last_value_may_stand_for_all_that_follow(client: Client):
    short = raw(tf.float32.as_datatype_enum, [1, 40, 60, 1], float_val=[3, 5])
    full = np.full([1, 40, 60, 1], 5, np.float32)
    full.ravel()[0] = 3
    found = [
        tf.make_ndarray(next(iter(client.predict({"images": t}, signature_name="tensors").outputs.values())))
        for t in (short, tf.make_tensor_proto(full))
    ]
    np.testing.assert_array_equal(*found)


def test_some_outputs_of_another_signature(client: Client):
    image = noise(20, 30)
    features = {"image": encoded(image), "mask": encoded(image % 3)}
    feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    response = client.predict({"examples": strings(example)}, ("confusion",), signature_name="evaluate")
    assert list(response.outputs) == ["confusion"]
    assert tf.make_ndarray(response.outputs["confusion"]).sum() == image.size


def test_signatures_are_those_of_the_model_and_of_rest(server: Server, client: Client, exported: dict):
    request = GetModelMetadataRequest(model_spec=ModelSpec(name="unet"), metadata_field=["signature_def"])
    signatures = SignatureDefMap()
    response = client.prediction.GetModelMetadata(request, PATIENCE)
    assert response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) == set(tf.saved_model.load(str(exported[1])).signatures)
    by_rest = server.get("/v1/models/unet/metadata")["metadata"]["signature_def"]["signature_def"]
    assert {key: set(found["outputs"]) for key, found in by_rest.items()} == {
        key: set(found.outputs) for key, found in signatures.signature_def.items()
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ModelSpec(), "there is no model '', only 'unet'"),
        (ModelSpec(name="x" * 100_000), "there is no model 'xxx"),
        (ModelSpec(name="unet", version={"value": -1}), "version -1"),
    ],
    ids=range(3),
)
def test_what_is_not_there(client: Client, spec: Proto, words: str):
    predict = PredictRequest(model_spec=spec, inputs={"image_bytes": strings(*IMAGES)})
    metadata = GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    for call in (
        lambda: client.prediction.Predict(predict),
        lambda: client.prediction.GetModelMetadata(metadata),
        lambda: client.models.GetModelStatus(GetModelStatusRequest(model_spec=spec)),
    ):
        code, message = client.refusal(call)
        assert (code, words in message, len(message) < 1100) == ("NOT_FOUND", True, True)


FLOAT, STRING = tf.float32.as_datatype_enum, tf.string.as_datatype_enum
NUMBERS: dict[str, Any] = {"signature_name": "tensors"}
SHAPE = "do not fill the shape"
# name: inputs, what else is asked, what is told
BAD: dict[str, tuple[dict[str, Proto], dict[str, Any], str]] = {
    "long name": ({"x" * 100_000: strings(*IMAGES)}, {}, "takes the inputs image_bytes; received: xxx"),
    "rank": ({"image_bytes": tf.make_tensor_proto(IMAGES[0])}, {}, "of shape [any]; received: []"),
    "string for float": ({"images": strings(b"x")}, NUMBERS, "takes float32; received: string"),
    "double": ({"images": tf.make_tensor_proto(np.zeros([1, 8, 8, 1]))}, NUMBERS, "received: float64"),
    "bytes": ({"images": tf.make_tensor_proto(noise(8, 8)[None, ..., None])}, NUMBERS, "received: uint8"),
    "few bytes": ({"images": raw(FLOAT, [3], tensor_content=bytes(8))}, NUMBERS, f"8 bytes, which {SHAPE}"),
    "many bytes": ({"images": raw(FLOAT, [1], tensor_content=bytes(8))}, NUMBERS, f"8 bytes, which {SHAPE}"),
    "no values": ({"images": raw(FLOAT, [1, 8, 8, 1])}, NUMBERS, f"0 values, which {SHAPE}"),
    "many values": ({"images": raw(FLOAT, [1], float_val=[1, 2])}, NUMBERS, f"2 values, which {SHAPE} [1]"),
    "values of another kind": ({"images": raw(FLOAT, [2], string_val=[b"a", b"b"])}, NUMBERS, "of shape"),
    "a side below zero": ({"images": raw(FLOAT, [-1], float_val=[1])}, NUMBERS, "each of them known"),
    "sides without end": ({"images": raw(FLOAT, [2**62] * 40_000, float_val=[1])}, NUMBERS, "at most 32"),
    "no dtype": ({"images": raw(0, [1], float_val=[1])}, NUMBERS, "there is no such dtype"),
    "another dtype": ({"images": raw(999, [1], tensor_content=b"x")}, NUMBERS, "there is no such dtype"),
    "a resource": ({"images": raw(20, [1], float_val=[1])}, NUMBERS, "there is no such dtype"),
    "bytes of a resource": ({"images": raw(20, [1], tensor_content=b"x")}, NUMBERS, "no such dtype"),
    "quantized": ({"images": raw(11, [1], int_val=[1])}, NUMBERS, "takes float32"),
    "strings as bytes": ({"image_bytes": raw(STRING, [1], tensor_content=bytes(8))}, {}, "no such dtype"),
    "an odd complex": ({"images": raw(8, [1], scomplex_val=[1])}, NUMBERS, "takes float32; received"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_is_told_so(client: Client, kind: str):
    inputs, more, words = BAD[kind]
    code, message = client.refusal(lambda: client.predict(inputs, **more))
    assert code == "INVALID_ARGUMENT", message
    assert words in message
    assert "\n" not in message
    assert len(message) < 1100


def test_a_tensor_of_few_bytes_that_declares_many(client: Client):
    many = raw(FLOAT, [2**40], float_val=[1])
    assert client.refusal(lambda: client.predict({"images": many}, **NUMBERS))[0] == "RESOURCE_EXHAUSTED"
    both = {"a": raw(FLOAT, [2**20], float_val=[1]), "b": raw(FLOAT, [1], float_val=[1])}
    code, message = client.refusal(lambda: client.predict(both))
    assert (code, "more than 1048576 values" in message) == ("RESOURCE_EXHAUSTED", True)


SLOW = strings(encoded(np.zeros((6000, 6000), np.uint8)))


def test_the_time_limit_of_server_and_of_client(strict: Server, hurried: Client):
    code, message = hurried.refusal(lambda: hurried.predict({"image_bytes": SLOW}))
    assert (code, "longer than 3 s" in message) == ("DEADLINE_EXCEEDED", True)
    code, _ = hurried.refusal(lambda: hurried.predict({"image_bytes": SLOW}, timeout=0.5))
    assert code == "DEADLINE_EXCEEDED"
    # Nobody waits for the answer: its place is free again.
    wait_for(lambda: gauge(strict, "serving_predictions_running") == 0)
    hurried.predict({"image_bytes": strings(IMAGES[0])})


def test_too_many_at_once(strict: Server, hurried: Client):
    request = PredictRequest(model_spec=ModelSpec(name="unet"), inputs={"image_bytes": SLOW})
    calls = [hurried.prediction.Predict.future(request, PATIENCE) for _ in range(5)]
    codes = sorted(call.exception().code().name for call in calls)
    assert {key: len(list(same)) for key, same in itertools.groupby(codes)}["UNAVAILABLE"] >= 3
    assert "overloaded" in "".join(call.exception().details() for call in calls)
    wait_for(lambda: gauge(strict, "serving_predictions_running") == 0)


def test_it_still_answers(server: Server, client: Client):
    assert client.predict({"image_bytes": strings(*IMAGES)}).outputs
    assert "Traceback" not in server.log()
    assert " ERROR " not in server.log()
