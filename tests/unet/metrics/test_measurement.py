"""What is measured of an image, and that sets, parts and resamples of images are sums of it."""

import json
import math

import numpy as np
import pytest

from unet.masks.labels import IGNORE
from unet.metrics import measurement
from unet.metrics.confusion import summarize
from unet.metrics.measurement import FULL, ImageStatistics
from unet.metrics.names import gate_names

CLASSES = ["background", "cell", "wall"]


def image(seed, shape=(24, 30)):
    """Probabilities of all classes, times 65535, and a truth with some pixels that do not count."""
    rng = np.random.default_rng(seed)
    ground_truth = np.kron(rng.integers(0, 3, (shape[0] // 6, shape[1] // 6)), np.ones((6, 6))).astype(
        np.uint8
    )
    odds = rng.random((*ground_truth.shape, 3)) + np.eye(3)[ground_truth]
    ground_truth[:2] = IGNORE
    return np.round(odds / odds.sum(-1, keepdims=True) * FULL).astype(np.uint16), ground_truth


def measured(seed, shift=0, **options):
    probabilities, ground_truth = image(seed)
    ground_truth = np.roll(ground_truth, shift, 1)
    predicted, counted = probabilities.argmax(-1), ground_truth != IGNORE
    confusion = np.zeros((3, 3))
    np.add.at(confusion, (ground_truth[counted], predicted[counted]), 1)
    return measurement.measure(confusion, probabilities[..., 1:], ground_truth, IGNORE, 1, **options)


def stack(count):
    return ImageStatistics.stack([json.loads(json.dumps(measured(i).to_json())) for i in range(count)])


@pytest.mark.parametrize("seed", range(3))
def test_the_most_likely_class_is_that_of_all_probabilities(seed):
    probabilities, _ = image(seed)
    probabilities[..., 0] = FULL - probabilities[..., 1:].sum(-1)
    predicted, confidence = measurement.most_likely(probabilities[..., 1:])
    np.testing.assert_array_equal(predicted, probabilities.argmax(-1))  # of equal ones the first, too
    np.testing.assert_array_equal(confidence, probabilities.max(-1))


def test_of_equal_classes_the_first_is_taken():
    half = np.array([[[32768], [32767]]], np.uint16)
    assert measurement.most_likely(half)[0].tolist() == [[1, 0]]
    thirds = np.full((1, 1, 2), 21845, np.uint16)
    assert measurement.most_likely(thirds)[0] == 0


def test_pixels_that_do_not_count_are_nowhere():
    one = measured(0)
    assert one.calibration[:, 0].sum() == one.confusion.sum() == 22 * 30
    probabilities, ground_truth = image(0)
    probabilities[:2] = 0
    again = measurement.measure(one.confusion, probabilities[..., 1:], ground_truth, IGNORE, 1)
    np.testing.assert_array_equal(again.boundary, one.boundary)
    np.testing.assert_array_equal(again.calibration, one.calibration)


def test_metrics_of_a_set_are_those_of_its_sums():
    rows = stack(5)
    values = measurement.pooled(rows, CLASSES)
    assert list(values) == gate_names(CLASSES, False)
    pooled = summarize(rows.confusion.sum(0), CLASSES)
    assert {name: values[name] for name in pooled} == pytest.approx(pooled)
    each = [summarize(c, CLASSES)["foreground_iou"] for c in rows.confusion]
    assert values["foreground_iou_p10"] == pytest.approx(np.percentile(each, 10))


def test_a_resample_is_the_set_of_the_images_drawn():
    rows = stack(4)
    chosen = np.array([[0, 1, 2, 3], [2, 2, 0, 0], [3, 3, 3, 3]])
    drawn = measurement.of_sets(rows, CLASSES, chosen)
    for i, indices in enumerate(chosen):
        alone = ImageStatistics.stack([measured(int(k)).to_json() for k in indices])
        for name, value in measurement.pooled(alone, CLASSES).items():
            assert drawn[name][i] == pytest.approx(value), name


def test_images_without_a_class_do_not_count_in_the_worst_decile():
    empty = np.diag([9.0, 0, 0])
    rows = [measured(i).to_json() for i in range(3)]
    rows[1]["confusion"] = empty.tolist()
    each = [summarize(r["confusion"], CLASSES)["foreground_iou"] for r in rows]
    assert math.isnan(each[1])
    found = measurement.pooled(ImageStatistics.stack(rows), CLASSES)["foreground_iou_p10"]
    assert found == pytest.approx(np.nanpercentile(each, 10))
    nothing = measurement.pooled(ImageStatistics.stack([rows[1]]), CLASSES)
    assert math.isnan(nothing["foreground_iou_p10"])


def test_segment_scores_are_means_over_images_at_the_best_threshold():
    some = [measured(i, with_segments=True) for i in range(2)]
    rows = ImageStatistics.stack([one.to_json() for one in some])
    values = measurement.pooled(rows, CLASSES)
    assert list(values) == gate_names(CLASSES, True)
    means = np.mean([one.segments[0] for one in some], 0)
    assert values["v_rand"] == pytest.approx(means[:, 0].max())
    assert values["v_info"] == pytest.approx(means[:, 1].max())


def test_an_image_without_segments_has_no_scores():
    probabilities, ground_truth = image(0)
    one = measurement.measure(
        np.eye(3), probabilities[..., 1:], ground_truth * 0, IGNORE, 1, with_segments=True
    )
    values = measurement.pooled(ImageStatistics.stack([one.to_json()]), CLASSES)
    assert math.isnan(values["v_rand"])
    assert math.isnan(values["v_info"])


def test_without_a_background_the_first_class_counts_as_the_others_do():
    values, others = (
        measurement.pooled(
            ImageStatistics.stack([measured(i, 3, first=first).to_json() for i in range(4)]), CLASSES
        )
        for first in (0, 1)
    )
    assert list(values) == gate_names(CLASSES, False, first=0)
    assert values["foreground_iou"] == values["mean_iou"] == others["mean_iou"] != others["foreground_iou"]
    kinds = [f"boundary_f1_{name}" for name in CLASSES]
    assert values["boundary_f1"] == pytest.approx(np.mean([values[kind] for kind in kinds]))
    assert [values[kind] for kind in kinds[1:]] == [others[kind] for kind in kinds[1:]]
