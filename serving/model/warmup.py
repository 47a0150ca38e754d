"""Reads the warm-up requests of a SavedModel, in TensorFlow Serving's format.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of PredictionLog messages. Their definition is
part of TensorFlow Serving's package, which installs a second TensorFlow; so the five messages and the fields
that are read are declared here. Protobuf skips unknown fields.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
TENSOR = ".tensorflow.TensorProto"

# message: {field: (number, type)}; field numbers are those of tensorflow_serving/apis/*.proto.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelSpec": {"signature_name": (3, "string")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "map")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}


def warmup_requests(folder: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields signature and inputs of every predict request in a SavedModel's file, if there is one."""
    path = folder / WARMUP_FILE
    if not path.is_file():
        return
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = _prediction_log().FromString(record)
        if log.HasField("predict_log"):  # else a request for an unsupported interface
            request = log.predict_log.request
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            yield request.model_spec.signature_name or "serving_default", inputs


@functools.cache
def _prediction_log() -> Any:
    """Creates the class of PredictionLog messages."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving/prediction_log.proto",
        package="serving",
        syntax="proto3",
        dependency=["tensorflow/core/framework/tensor.proto"],
    )
    field = descriptor_pb2.FieldDescriptorProto
    for name, members in MESSAGES.items():
        message = file.message_type.add(name=name)
        for member, (number, kind) in members.items():
            added = message.field.add(name=member, number=number, label=field.LABEL_OPTIONAL)
            if kind == "string":
                added.type = field.TYPE_STRING
            elif kind == "map":  # map<string, TensorProto>, in protoc's encoding
                entry = message.nested_type.add(name="InputsEntry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
                entry.field.add(
                    name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE,
                    type_name=TENSOR,
                )  # fmt: skip
                added.label, added.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
                added.type_name = f".serving.{name}.InputsEntry"
            else:
                added.type, added.type_name = field.TYPE_MESSAGE, f".serving.{kind}"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("serving.PredictionLog"))
