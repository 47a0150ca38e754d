"""Fields of protocol buffers are counted before they are parsed."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from serving.errors import Refused
from serving.protocols.json_values import BYTES_OF_A_VALUE, MOST_DEPTH, MOST_VALUES
from serving.protocols.wire import MOST_FIELDS, count_fields, parse_message
from tests.serving.hostile.messages import field, nested, predict, shaped, varint, whole

KIND = PredictRequest.DESCRIPTOR


def inside(content: bytes) -> bytes:
    """A request of one tensor of some content."""
    return field(2, field(2, content))


def test_the_fields_of_a_message_are_those_of_all_within_it():
    request = PredictRequest(model_spec={"name": "unet", "version": {"value": 300}}, output_filter=["a", "b"])
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([b"image"], tf.string, [1]))
    # The model's name, and its version in a message; the names; key, dtype, one side of the shape, one value.
    fields = (1 + 1 + 2) + 2 + (1 + 1 + 1 + 1 + 3 + 1)
    assert count_fields(request.SerializeToString(), KIND) == fields


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.arange(500, dtype=np.float32), tf.float32),
        (np.arange(500, dtype=np.float64), tf.float64),
        (np.arange(500), tf.int64),
        (np.arange(-250, 250), tf.int32),
        (np.ones(500, bool), tf.bool),
    ],
)  # fmt: skip
def test_each_number_of_a_packed_list_counts(values: np.ndarray, dtype: tf.DType):
    field_name = {
        tf.float32: "float_val", tf.float64: "double_val", tf.int64: "int64_val", tf.int32: "int_val",
        tf.bool: "bool_val",
    }[dtype]  # fmt: skip
    request = PredictRequest()
    getattr(request.inputs["x"], field_name).extend(values.tolist())
    empty = PredictRequest()
    getattr(empty.inputs["x"], field_name).extend([])
    added = count_fields(request.SerializeToString(), KIND) - count_fields(empty.SerializeToString(), KIND)
    assert added == 1 + 500


def test_what_is_in_bytes_does_not_count():
    image = field(2, b"") * 1000  # bytes of an image may look like fields
    assert count_fields(inside(field(8, image)), KIND) == 3


def test_a_text_counts_for_what_python_takes_beyond_its_bytes():
    for text, wide in (("a" * 10**6, 0), ("a" * 10**6 + "\U0001f600", 3 * 10**6)):
        request = PredictRequest(model_spec={"name": text})
        count = count_fields(request.SerializeToString(), KIND)
        assert sys.getsizeof(request.model_spec.name) - 10**6 < count * BYTES_OF_A_VALUE + 100
        assert count * BYTES_OF_A_VALUE <= wide + 3 * BYTES_OF_A_VALUE


@pytest.mark.parametrize(
    "unit",
    [field(2, b""), field(3, b""), inside(b""), whole(9, 1)],
    ids=["input", "output", "tensor", "number"],
)
def test_too_many_are_refused_whatever_they_are(unit: bytes):
    each = count_fields(unit, KIND)
    assert count_fields(unit * (MOST_FIELDS // each), KIND) <= MOST_FIELDS
    with pytest.raises(Refused, match="more than 131072 fields") as refused:
        count_fields(unit * (MOST_FIELDS // each + 1), KIND)
    assert refused.value.status == 413


def test_too_many_in_one_packed_list_are_refused():
    assert count_fields(inside(field(10, bytes(MOST_VALUES))), KIND) == MOST_VALUES + 3
    with pytest.raises(Refused, match="more than 1048576 numbers"):
        count_fields(inside(field(10, bytes(MOST_VALUES + 1))), KIND)


def test_counting_takes_no_memory():
    data = field(2, b"") * MOST_FIELDS
    tracemalloc.start()
    try:
        count_fields(data, KIND)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_what_is_nested_too_deeply_is_refused():
    levels = (MOST_DEPTH - 2) // 2  # each is two messages, within an entry and its tensor
    count_fields(predict(nested(levels)), KIND)
    with pytest.raises(Refused, match="nested too deeply: at most 64 levels"):
        count_fields(predict(nested(levels + 1)), KIND)


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a number that is missing
        b"\x12",  # a size that is missing
        b"\x12\x05abc",  # bytes that are missing
        b"\x0d\0\0\0",  # three of four bytes
        b"\x09" + bytes(7),  # seven of eight
        b"\x13\x14",  # a group
        b"\x0e",  # no way for a field to lie
        b"\x08" + b"\xff" * 11,  # a number that does not end
        field(2, field(2, b"")[:1] + varint(5)),  # an inner message that is longer than the outer one
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes):
    with pytest.raises(Refused, match="the message is no PredictRequest") as refused:
        count_fields(data, KIND)
    assert refused.value.status == 400


def test_what_only_the_parser_finds_is_refused_alike():
    data = field(1, field(1, b"\xff"))
    assert count_fields(data, KIND) == 2
    with pytest.raises(Refused, match="the message is no PredictRequest"):
        parse_message(data, PredictRequest)


def test_a_message_is_parsed():
    request = parse_message(predict(shaped(3, dtype=1)), PredictRequest)
    assert request.model_spec.name == "unet"
    assert [side.size for side in request.inputs["image_bytes"].tensor_shape.dim] == [3]
