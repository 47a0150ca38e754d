"""The schema of the examples, and its enforcement.

A schema inferred from the data that it validates finds no anomaly. So it is merged with constraints that hold
for every data set: the ranges of the scalars, and the encoded features that Transform needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.components.example_validator import component as validator_component
from tfx.components.example_validator import executor as validator_executor
from tfx.components.schema_gen import component as schema_component
from tfx.components.schema_gen import executor as schema_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from unet.dataset.sample import FRACTION_PREFIX
from unet.errors import BadInput
from unet.images.channels import MOST_CHANNELS

BYTES_FEATURES = ("image", "mask", "border", "name", "group")
INT_RANGES = {"height": (1, 10**9), "width": (1, 10**9), "channels": (1, MOST_CHANNELS), "bit_depth": (8, 16)}
# Values of every bit depth are on the 0..255 scale (unet/images/reader.py).
FLOAT_RANGES = {"mean": (0.0, 255.0), "stddev": (0.0, 127.5)}


def enforce(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """Adds the constraints of every data set to an inferred schema, in place, and returns it."""
    for feature in schema.feature:
        if feature.name in INT_RANGES:
            low, high = INT_RANGES[feature.name]
            feature.int_domain.CopyFrom(schema_pb2.IntDomain(min=low, max=high))
        elif feature.name in FLOAT_RANGES or feature.name.startswith(FRACTION_PREFIX):
            bounds = FLOAT_RANGES.get(feature.name, (0.0, 1.0))
            feature.float_domain.CopyFrom(
                schema_pb2.FloatDomain(min=bounds[0], max=bounds[1], disallow_nan=True, disallow_inf=True)
            )
    for name in BYTES_FEATURES:
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        feature.presence.min_fraction = 1.0
        feature.shape.SetInParent()  # a scalar
    return schema


def without_bytes(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """Copies a schema without the encoded features: they have no statistics, so TFDV would miss them."""
    copy = schema_pb2.Schema()
    copy.CopyFrom(schema)
    del copy.feature[:]
    copy.feature.extend(feature for feature in schema.feature if feature.name not in BYTES_FEATURES)
    return copy


def describe(split: str, anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Lists one sentence for each anomaly of a split; empty if there is none."""
    sentences = [
        f"{split}: {name}: {info.description}" for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        sentences.append(f"{split}: {anomalies.dataset_anomaly_info.description}")
    return sentences


class SchemaGenExecutor(schema_executor.Executor):
    """Infers the schema with TFX, then calls `enforce`."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes schema.pbtxt."""
        super().Do(input_dict, output_dict, exec_properties)
        path = f"{artifact_utils.get_single_uri(output_dict['schema'])}/{schema_executor.DEFAULT_FILE_NAME}"
        io_utils.write_pbtxt_file(path, enforce(io_utils.SchemaReader().read(path)))


class SchemaGen(schema_component.SchemaGen):
    """TFX's SchemaGen with this project's executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(SchemaGenExecutor)


class ExampleValidatorExecutor(validator_executor.Executor):
    """Validates the scalars with TFX and stops the run at anomalies."""

    def _Validate(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> anomalies_pb2.Anomalies:
        schema = without_bytes(inputs[standard_component_specs.SCHEMA_KEY])
        return super()._Validate({**inputs, standard_component_specs.SCHEMA_KEY: schema}, outputs)

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises `BadInput` with a sentence for each anomaly."""
        super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict["anomalies"])
        sentences = []
        for split in json.loads(artifact.split_names):
            path = f"{artifact_utils.get_split_uri([artifact], split)}/SchemaDiff.pb"
            sentences += describe(split, anomalies_pb2.Anomalies.FromString(Path(path).read_bytes()))
        if sentences:
            raise BadInput("The data are not what the schema allows:\n" + "\n".join(sentences))


class ExampleValidator(validator_component.ExampleValidator):
    """TFX's ExampleValidator with this project's executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ExampleValidatorExecutor)
