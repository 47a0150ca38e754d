"""The warm-up requests of a model are read without TensorFlow Serving's package."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import message_factory
from tensorflow_serving.apis import prediction_log_pb2

from serving.model.warmup import WARMUP_FILE, warmup_requests
from unet.export.warmup import write_warmup

needs_a_newer_protobuf = pytest.mark.skipif(
    not hasattr(message_factory, "GetMessageClass"),
    reason="the protobuf of this stack is older than the server's",
)


@needs_a_newer_protobuf
def test_what_the_export_writes_is_read(tmp_path: Path):
    write_warmup(tmp_path, "unet", 1, sides=(20, 30))
    found = list(warmup_requests(tmp_path))
    assert [name for name, _ in found] == ["serving_default", "probabilities"] * 2
    for (_, inputs), side in zip(found, (20, 20, 30, 30), strict=True):
        [data] = inputs["image_bytes"]
        assert tf.io.decode_png(data).shape == (side, side, 1)


def test_a_model_without_requests_has_none(tmp_path: Path):
    assert list(warmup_requests(tmp_path)) == []


@needs_a_newer_protobuf
def test_requests_of_other_kinds_are_left_out_and_one_without_a_name_is_the_default(tmp_path: Path):
    other, plain = prediction_log_pb2.PredictionLog(), prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.name = "unet"
    plain.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.5, 2.0]))
    path = tmp_path / WARMUP_FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(other.SerializeToString())
        writer.write(plain.SerializeToString())
    [(name, inputs)] = warmup_requests(tmp_path)
    assert name == "serving_default"
    assert inputs["x"].tolist() == [1.5, 2.0]
