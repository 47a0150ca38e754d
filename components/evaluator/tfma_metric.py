"""The metrics of the gate inside TFMA: one computation for each model returns all of them.

Each image is measured once, before TFMA sorts it into slices, and gives one row of sums. The outputs are the
metrics over all images, as numbers, and the rows themselves, as a metric that holds JSON.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2

from unet.dataset.sample import COLUMN_PREFIX, GROUP
from unet.evaluation.rows import Measuring, image_row
from unet.export.signatures import EVALUATE
from unet.images.reader import decode
from unet.metrics import measurement
from unet.metrics.measurement import ImageStatistics
from unet.metrics.names import gate_names

ROWS = "images"  # name of the metric that holds the rows
COUNT = "example_count"


class SegmentationMetrics(tfma.metrics.Metric):
    """All of `unet.metrics.names.gate_names`, and the rows that they are computed from."""

    def __init__(
        self, classes: Sequence[str], columns: Sequence[str], how: Mapping[str, Any], name: str = ROWS
    ):
        """Declares the metrics.

        Args:
            classes: names of the classes.
            columns: columns of the manifest by which the images are sliced.
            how: fields of a `Measuring`, since TFMA keeps the arguments of a metric as JSON.
            name: name of the metric in TFMA.
        """
        super().__init__(
            _computations, name=name, classes=list(classes), columns=list(columns), how=dict(how)
        )


def _computations(
    name: str,
    classes: list[str],
    columns: list[str],
    how: dict[str, Any],
    model_names: list[str] | None = None,
    **_: Any,
) -> list[metric_types.MetricComputation]:
    computations = []
    measuring = Measuring(**how)
    for model in model_names or [""]:
        names = [*gate_names(classes, measuring.with_segments, measuring.first), COUNT, name]
        keys = [metric_types.MetricKey(name=each, model_name=model) for each in names]
        computations.append(
            metric_types.MetricComputation(
                keys=keys,
                preprocessors=[MeasureImage(model, columns, measuring)],
                combiner=CombineRows(model, classes, name),
            )
        )
    return computations


class MeasureImage(metric_types.Preprocessor):
    """Turns the prediction of one model for one image into a row of sums."""

    def __init__(self, model: str, columns: Sequence[str], how: Measuring):
        """Declares it.

        Args:
            model: name of the model, empty if there is only one.
            columns: columns of the manifest by which the images are sliced.
            how: how images are measured.
        """
        super().__init__(name=f"measure_image:{model}")  # TFMA distinguishes preprocessors by their names
        self._model, self._columns, self._how = model, columns, how

    def process(self, extracts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Measures one image; `extracts` holds its features and predictions. Yields the row of the image."""
        outputs = extracts[tfma.PREDICTIONS_KEY]
        if self._model in outputs:  # with a baseline, predictions are nested by the name of the model
            outputs = outputs[self._model]
        features = {key: np.asarray(value) for key, value in extracts[tfma.FEATURES_KEY].items()}
        height, width, depth = (int(features[key].item()) for key in ("height", "width", "bit_depth"))
        values = {column: features[_feature(column)].item().decode() for column in self._columns}
        name, numbers = features["name"].item().decode(), features.get("instances")
        instances = decode(numbers.item())[..., 0] if numbers is not None and numbers.size else None
        yield image_row(name, (height, width), depth, values, outputs, self._how, instances)


class CombineRows(beam.CombineFn):
    """Collects the rows of all images and computes the metrics over all of them."""

    def __init__(self, model: str, classes: list[str], name: str):
        """Args: model: name of the model; classes: names of the classes; name: name of the rows' metric."""
        self._model, self._classes, self._name = model, classes, name

    def create_accumulator(self) -> list[dict[str, Any]]:
        """Starts with no rows."""
        return []

    def add_input(self, rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
        """Adds the row of one image."""
        rows.append(row)
        return rows

    def merge_accumulators(self, parts: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Joins the rows of several workers."""
        return [row for rows in parts for row in rows]

    def extract_output(self, rows: list[dict[str, Any]]) -> dict[metric_types.MetricKey, Any]:
        """Computes the metrics by key; TFMA calls this for an empty set of images, too."""
        values: dict[str, Any] = {COUNT: float(len(rows)), self._name: json.dumps(rows).encode()}
        if rows:
            measured = ImageStatistics.stack([row["measured"] for row in rows])
            values |= measurement.pooled(measured, self._classes)
        return {
            metric_types.MetricKey(name=name, model_name=self._model): value for name, value in values.items()
        }


def eval_config(classes: Sequence[str], columns: Sequence[str], how: Measuring) -> config_pb2.EvalConfig:
    """Creates TFMA's configuration: the exported model on whole images, without thresholds.

    Args:
        classes: names of the classes.
        columns: columns of the manifest by which the images are sliced.
        how: how images are measured.
    """
    arguments = {"classes": list(classes), "columns": list(columns), "how": dataclasses.asdict(how)}
    metric = config_pb2.MetricConfig(
        class_name=SegmentationMetrics.__name__, module=__name__, config=json.dumps(arguments)
    )
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name=EVALUATE, model_type="tf_generic")],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[metric])],
    )


def read_rows(folder: str, model: str) -> list[dict[str, Any]]:
    """Reads the rows of one model from TFMA's output; returns none if the model was not evaluated.

    Args:
        folder: folder of the evaluation.
        model: `tfma.CANDIDATE_KEY` or `tfma.BASELINE_KEY`; if only one model was evaluated, it is the
            candidate.
    """
    for name in (model, "") if model == tfma.CANDIDATE_KEY else (model,):
        result = tfma.load_eval_result(folder, model_name=name)
        values = result.get_metrics_for_slice() if result.slicing_metrics else None
        if values and ROWS in values:
            rows: list[dict[str, Any]] = json.loads(base64.b64decode(values[ROWS]["bytesValue"]))
            return rows
    return []


def _feature(column: str) -> str:
    return column if column == GROUP else COLUMN_PREFIX + column
