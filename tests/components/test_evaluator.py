"""The gate: what TFMA is asked for, what it decides, and which model is the baseline."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tfx.types.standard_artifacts import Model, ModelBlessing

from components import evaluator

CLASSES = ["background", "cell"]
GOOD, BAD = [[90, 5], [5, 100]], [[60, 40], [40, 60]]


def compute(predictions, models=("",)):
    """All metrics over two images, by model and name, given what the models return for each image."""
    computed = {}
    for model in models:
        for metric in evaluator.metrics.metric_names(CLASSES):
            [computation] = evaluator._computations(metric, CLASSES, [model])
            fn, total = computation.combiner, computation.combiner.create_accumulator()
            for _ in range(2):
                total = fn.add_input(total, tfma.metrics.StandardMetricInputs(predictions=predictions))
            for key, value in fn.extract_output(
                fn.merge_accumulators([total, fn.create_accumulator()])
            ).items():
                computed[key.model_name, key.name] = value
    return computed


def confusion(counts):
    return {"confusion": np.asarray(counts, float).ravel()}


def test_confusions_of_all_images_are_added_up_before_the_metric_is_taken():
    values = compute(confusion(GOOD))
    assert values["", "foreground_iou"] == 100 / 110
    assert values["", "pixel_error"] == pytest.approx(10 / 200)


def test_predictions_of_two_models_are_told_apart():
    both = {"candidate": confusion(GOOD), "baseline": confusion(BAD)}
    values = compute(both, ("candidate", "baseline"))
    assert values["candidate", "foreground_iou"] > values["baseline", "foreground_iou"]


@pytest.mark.parametrize(
    ("metric", "bound", "field"),
    [("foreground_iou", 0.8, "lower_bound"), ("pixel_error", 0.1, "upper_bound")],
)
def test_thresholds_point_the_right_way(metric, bound, field):
    config = evaluator.eval_config(CLASSES, {metric: bound}, 0.02)
    [threshold] = [c.threshold for c in config.metrics_specs[0].metrics if c.HasField("threshold")]
    assert getattr(threshold.value_threshold, field).value == bound
    change = threshold.change_threshold
    assert change.absolute.value == pytest.approx(0.02 if metric == "pixel_error" else -0.02, abs=1e-6)


def artifacts():
    """Three models; the first two were blessed, the second one twice."""
    models = []
    for number in (1, 2, 3):
        model = Model()
        model.id = number
        models.append(model)
    blessings = []
    for number, (model_id, blessed) in enumerate([(2, 1), (1, 1), (2, 1), (3, 0)], 10):
        blessing = ModelBlessing()
        blessing.id = number
        blessing.set_int_custom_property("current_model_id", model_id)
        blessing.set_int_custom_property("blessed", blessed)
        blessings.append(blessing)
    return models, blessings


@pytest.mark.parametrize(
    ("candidate", "blessings", "baseline"), [(3, 4, [2]), (2, 4, [1]), (1, 2, [2]), (1, 0, [])]
)
def test_baseline_is_the_most_recently_blessed_other_model(candidate, blessings, baseline):
    models, all_blessings = artifacts()
    [own] = [model for model in models if model.id == candidate]
    resolved = evaluator.BlessedBaselineStrategy().resolve_artifacts(
        None, {"candidate": [own], "model": models, "model_blessing": all_blessings[:blessings]}
    )
    assert [model.id for model in resolved["model"]] == baseline


def test_the_combiner_runs_in_beam():
    key = tfma.metrics.MetricKey(name="pixel_error")
    inputs = [tfma.metrics.StandardMetricInputs(predictions=confusion([[3, 1], [0, 4]]))] * 5
    with beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        result = (
            pipeline | beam.Create(inputs) | beam.CombineGlobally(evaluator._SumConfusions(key, "", CLASSES))
        )
        _ = result | beam.Map(_check_pixel_error)


def _check_pixel_error(output):
    [value] = output.values()
    assert value == pytest.approx(1 / 8)
