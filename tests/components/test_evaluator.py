"""The gate: what TFMA is asked for, what it decides, and which model is the baseline."""

import json
import shutil

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tfx.types.standard_artifacts import Model, ModelBlessing

from components import evaluator
from components.versions import TRAINING_RECORD

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


@pytest.fixture
def artifacts(tmp_path):
    """Four models, the last one of other classes; the first two were blessed, the second one twice."""
    models, blessings = {}, []
    for number in (1, 2, 3, 4):
        model = models[number] = Model()
        model.id, model.uri = number, str(tmp_path / str(number))
        record = tmp_path / str(number) / "Format-Serving" / TRAINING_RECORD
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"classes": ["a", "b"] if number < 4 else ["a", "b", "c"]}))
    for number, (model_id, blessed) in enumerate([(2, 1), (1, 1), (2, 1), (3, 0), (4, 1)], 10):
        blessing = ModelBlessing()
        blessing.id = number
        blessing.set_int_custom_property("current_model_id", model_id)
        blessing.set_int_custom_property("blessed", blessed)
        blessings.append(blessing)
    return models, blessings


def baseline(artifacts, candidate, count):
    models, blessings = artifacts
    resolved = evaluator.BlessedBaselineStrategy().resolve_artifacts(
        None,
        {"candidate": [models[candidate]], "model": [*models.values()], "model_blessing": blessings[:count]},
    )
    return [model.id for model in resolved["model"]]


@pytest.mark.parametrize(
    ("candidate", "blessings", "expected"), [(3, 5, [2]), (2, 5, [1]), (1, 2, [2]), (1, 0, []), (4, 5, [])]
)
def test_baseline_is_the_most_recently_blessed_other_model(artifacts, candidate, blessings, expected):
    assert baseline(artifacts, candidate, blessings) == expected


def test_a_baseline_whose_files_are_gone_is_passed_over(artifacts):
    shutil.rmtree(artifacts[0][2].uri)
    assert baseline(artifacts, 3, 5) == [1]


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
