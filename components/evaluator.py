"""What the Evaluator measures and demands: TFMA's configuration, and its metrics.

The exported model itself is evaluated, on whole images: its `evaluate` signature turns serialized examples
into one confusion matrix an image, TFMA adds them up, and `components.metrics` turns them into numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray
from tensorflow_model_analysis.metrics import metric_types
from tfx.dsl.components.common import resolver
from tfx.types.standard_artifacts import Model
from tfx.utils import path_utils

from components import images, lineage, metrics, segment_scores
from components.masks import IGNORE
from components.versions import training_record

SIGNATURE, SEGMENTS_SIGNATURE = "evaluate", "evaluate_segments"


class SegmentationMetric(tfma.metrics.Metric):
    """One metric of `components.metrics`, by its name."""

    def __init__(self, name: str, classes: Sequence[str]):
        """Args: name: one of `metrics.metric_names(classes)`; classes: names, the background first."""
        super().__init__(_computations, name=name, classes=list(classes))


def _computations(
    name: str, classes: list[str], model_names: list[str] | None = None, **_: Any
) -> list[metric_types.MetricComputation]:
    computations = []
    for model in model_names or [""]:
        key = metric_types.MetricKey(name=name, model_name=model)
        combiner = _SumConfusions(key, model, classes)
        computations.append(metric_types.MetricComputation(keys=[key], preprocessors=[], combiner=combiner))
    return computations


class _SumConfusions(beam.CombineFn):
    """Adds up the confusion matrices of all images and takes one metric of the sum."""

    def __init__(self, key: metric_types.MetricKey, model: str, classes: list[str]):
        self._key, self._model, self._classes = key, model, classes

    def create_accumulator(self) -> NDArray[np.float64]:
        return np.zeros((len(self._classes), len(self._classes)))

    def add_input(
        self, total: NDArray[np.float64], element: metric_types.StandardMetricInputs
    ) -> NDArray[np.float64]:
        prediction = element.prediction
        # With a baseline, predictions are nested by the name of the model.
        if isinstance(prediction, Mapping) and self._model in prediction:
            prediction = prediction[self._model]
        confusion = prediction["confusion"] if isinstance(prediction, Mapping) else prediction
        return total + np.asarray(confusion, np.float64).reshape(total.shape)

    def merge_accumulators(self, totals: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return sum(totals, self.create_accumulator())

    def extract_output(self, total: NDArray[np.float64]) -> dict[metric_types.MetricKey, float]:
        return {self._key: metrics.summarize(total, self._classes)[self._key.name]}


class SegmentScore(tfma.metrics.Metric):
    """One of `metrics.SEGMENT_SCORES`, by its name; all of them are computed at once."""

    def __init__(self, name: str):
        """Args: name: of the score."""
        super().__init__(_segment_computations, name=name)


def _segment_computations(
    name: str, model_names: list[str] | None = None, **_: Any
) -> list[metric_types.MetricComputation]:
    del name  # equal computations are done once
    computations = []
    for model in model_names or [""]:
        keys = [metric_types.MetricKey(name=score, model_name=model) for score in metrics.SEGMENT_SCORES]
        combiner = _MeanSegmentScores(keys, model)
        computations.append(metric_types.MetricComputation(keys=keys, preprocessors=[], combiner=combiner))
    return computations


class _MeanSegmentScores(beam.CombineFn):
    """Mean over all images of the scores at each threshold; then the best threshold of all."""

    def __init__(self, keys: list[metric_types.MetricKey], model: str):
        self._keys, self._model = keys, model

    def create_accumulator(self) -> NDArray[np.float64]:
        """[2, thresholds, scores]: sums, and how many there are of each."""
        return np.zeros((2, len(segment_scores.THRESHOLDS), len(self._keys)))

    def add_input(
        self, total: NDArray[np.float64], element: metric_types.StandardMetricInputs
    ) -> NDArray[np.float64]:
        prediction = element.prediction
        if isinstance(prediction, Mapping) and self._model in prediction:
            prediction = prediction[self._model]
        foreground, truth = (
            images.decode(np.asarray(prediction[key]).item())[..., 0]
            for key in ("foreground_bytes", "truth_bytes")
        )
        found = segment_scores.scores(foreground / 65535, truth, IGNORE)
        there = ~np.isnan(found)  # an image without segments has no scores
        return total + np.stack([np.where(there, found, 0), there])

    def merge_accumulators(self, totals: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return sum(totals, self.create_accumulator())

    def extract_output(self, total: NDArray[np.float64]) -> dict[metric_types.MetricKey, float]:
        sums, counts = total
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return dict(zip(self._keys, segment_scores.best(means), strict=True))


def eval_config(
    classes: Sequence[str],
    thresholds: Mapping[str, float],
    max_drop: float,
    with_segment_scores: bool = False,
) -> tfma.EvalConfig:
    """TFMA's configuration of the gate.

    Args:
        classes: names, the background first.
        thresholds: the bound of each metric: a lower one, or an upper one where lower is better.
        max_drop: how much worse than the baseline the metrics with a threshold may be.
        with_segment_scores: measure `metrics.SEGMENT_SCORES`, too.
    """
    kinds: list[tuple[str, type[tfma.metrics.Metric], dict[str, Any]]] = [
        (name, SegmentationMetric, {"classes": list(classes)}) for name in metrics.metric_names(classes)
    ]
    if with_segment_scores:
        kinds += [(name, SegmentScore, {}) for name in metrics.SEGMENT_SCORES]
    configs = []
    for name, kind, arguments in kinds:
        config = tfma.MetricConfig(
            class_name=kind.__name__, module=__name__, config=json.dumps({"name": name, **arguments})
        )
        if name in thresholds:
            config.threshold.CopyFrom(_threshold(name, thresholds[name], max_drop))
        configs.append(config)
    configs.append(tfma.MetricConfig(class_name="ExampleCount"))
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name=SEGMENTS_SIGNATURE if with_segment_scores else SIGNATURE,
                model_type="tf_generic",
            )
        ],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=configs)],
    )


def _threshold(name: str, bound: float, max_drop: float) -> tfma.MetricThreshold:
    lower_is_better = name in metrics.LOWER_IS_BETTER
    value = tfma.GenericValueThreshold(
        **{"upper_bound" if lower_is_better else "lower_bound": {"value": bound}}
    )
    # So that float rounding never rejects an equal model where no drop is allowed.
    allowed = max_drop + 1e-9
    change = tfma.GenericChangeThreshold(
        direction=tfma.MetricDirection.LOWER_IS_BETTER
        if lower_is_better
        else tfma.MetricDirection.HIGHER_IS_BETTER,
        absolute={"value": allowed if lower_is_better else -allowed},
    )
    return tfma.MetricThreshold(value_threshold=value, change_threshold=change)


def read_metrics(uri: str, model: str | None = None) -> dict[str, float]:
    """Metrics of one model over all images, from an evaluation; empty if it was not evaluated.

    Args:
        uri: of the evaluation.
        model: `tfma.CANDIDATE_KEY` or `tfma.BASELINE_KEY`; None: the candidate, beside a baseline or not.
    """
    if model is None:
        return read_metrics(uri, tfma.CANDIDATE_KEY) or read_metrics(uri, "")
    evaluated = tfma.load_eval_result(uri, model_name=model)
    values: dict[str, Any] = evaluated.get_metrics_for_slice() if evaluated.slicing_metrics else {}
    # With a baseline, TFMA adds the difference of each metric.
    names = [name for name in values or {} if not name.endswith("_diff")]
    return {name: values[name]["doubleValue"] for name in names}


class BlessedBaselineStrategy(resolver.ResolverStrategy):
    """The most recently blessed model that is not the candidate itself.

    TFX's own strategy would resolve an unchanged candidate as its own baseline in the next run: evaluation
    would never come from the cache, and the candidate would be compared with itself. Models of other classes,
    or whose files are gone, cannot be compared.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Takes `candidate`, `model` and `model_blessing`; leaves `model` with the baseline, or empty."""
        del store
        [candidate] = input_dict["candidate"]
        classes = _classes(candidate)
        models = {artifact.id: artifact for artifact in input_dict["model"]}
        for blessing in lineage.blessed(input_dict["model_blessing"]):
            model_id = blessing.get_int_custom_property("current_model_id")
            if model_id == candidate.id:
                continue
            if model_id in models and _classes(models[model_id]) == classes:
                return {**input_dict, "model": [models[model_id]], "model_blessing": [blessing]}
        return {**input_dict, "model": [], "model_blessing": []}


def _classes(model: Model) -> list[str] | None:
    return training_record(Path(path_utils.serving_model_path(model.uri))).get("classes")
