"""The row of one image, from what the exported model says of it."""

import math

import numpy as np

from unet.evaluation.rows import Measuring, image_row
from unet.evaluation.settings import Gate
from unet.images.reader import encode_png
from unet.masks.labels import IGNORE
from unet.metrics.boundary import boundary_f1
from unet.metrics.measurement import ImageStatistics, measure


def outputs(ground_truth: np.ndarray, maps: list[np.ndarray], confusion: np.ndarray) -> dict:
    return {
        "confusion": confusion.ravel(),
        "probabilities_bytes": np.array([encode_png(values) for values in maps], object),
        "ground_truth_bytes": np.array(encode_png(ground_truth), object),
    }


def test_it_has_the_statistics_of_the_image_and_its_slices() -> None:
    ground_truth = np.array([[0, 1, 1, IGNORE]] * 3, np.uint8)
    cell = np.array([[1000, 60000, 2000, 60000]] * 3, np.uint16)
    confusion = np.array([[3.0, 0.0], [3.0, 3.0]])
    row = image_row(
        "a", (3, 4), 16, {"site": ""}, outputs(ground_truth, [cell], confusion), Measuring(2, IGNORE, 1)
    )
    expected = measure(confusion, cell[..., None], ground_truth, IGNORE, 1)
    assert row["measured"] == expected.to_json()
    assert (row["name"], row["height"], row["width"], row["bit_depth"]) == ("a", 3, 4, 16)
    assert row["foreground"] == 6 / 9
    assert row["slices"] == ["size=small", "bit_depth=16", "foreground=high", "site=(none)"]


def test_outlines_are_those_of_the_predicted_mask_and_the_calibration_is_of_the_probabilities() -> None:
    ground_truth = np.array([[0, 1, 1, 0]] * 3, np.uint8)
    cell = np.array([[1000, 20000, 20000, 1000]] * 3, np.uint16)
    told = outputs(ground_truth, [cell], np.diag([6.0, 6.0]))
    rows = [
        image_row("a", (3, 4), 8, {}, told | more, Measuring(2, IGNORE, 0))["measured"]
        for more in ({}, {"predicted_bytes": np.array(encode_png(ground_truth), object)})
    ]
    by_class, predicted = (ImageStatistics.stack([row]) for row in rows)
    np.testing.assert_array_equal(boundary_f1(predicted.boundary), [[1.0]])
    assert boundary_f1(by_class.boundary)[0, 0] == 0
    np.testing.assert_array_equal(predicted.calibration, by_class.calibration)


def test_objects_that_the_masks_number_are_apart() -> None:
    ground_truth = np.array([[1, 1, 1, 1]] * 3, np.uint8)
    cell = np.full((3, 4), 60000, np.uint16)
    numbers = np.array([[1, 1, 2, 2]] * 3, np.uint16)
    told = outputs(ground_truth, [cell], np.diag([0.0, 12.0]))
    found = [
        image_row("a", (3, 4), 8, {}, told, Measuring(2, IGNORE, 0), instances)["measured"]["objects"][0]
        for instances in (None, numbers)
    ]
    assert [counts[:4] for counts in found] == [[1, 1, 1, 1], [2, 1, 0, 0]]  # half of an object is no match


def test_the_settings_of_the_gate_say_how_images_are_measured() -> None:
    settings = Gate(boundary_tolerance=3, segment_scores=True, split_objects=0.5, min_object_size=7)
    assert Measuring.of(settings, 4, IGNORE, 0) == Measuring(4, IGNORE, 3, True, 0, 0.5, 7)


def test_predicted_objects_are_split_and_true_ones_are_not() -> None:
    y, x = np.mgrid[:24, :40]
    mask = sum((y - 12) ** 2 + (x - left) ** 2 < 81 for left in (11, 27)).astype(bool)
    told = outputs(mask.astype(np.uint8), [np.where(mask, 60000, 0).astype(np.uint16)], np.eye(2))
    for split, predicted in ((0.0, 1), (1.0, 2)):
        row = image_row("a", (24, 40), 8, {}, told, Measuring(2, IGNORE, 0, split=split))
        assert row["measured"]["objects"][0][:2] == [1, predicted]
    row = image_row("a", (24, 40), 8, {}, told, Measuring(2, IGNORE, 0, min_size=int(mask.sum()) + 1))
    assert row["measured"]["objects"][0][:2] == [1, 0]


def test_no_share_is_foreground_where_nothing_counts_or_all_does() -> None:
    void = np.full((3, 4), IGNORE, np.uint8)
    maps = [np.full((3, 4), 100, np.uint16)] * 2
    for first in (0, 1):
        confusion = np.zeros((3, 3)) if first else np.diag([4.0, 4.0, 4.0])
        how = Measuring(3, IGNORE, 1, first=first)
        row = image_row("a", (3, 4), 8, {}, outputs(void, maps, confusion), how)
        assert math.isnan(row["foreground"])
        assert row["slices"] == ["size=small", "bit_depth=8"]
        assert len(row["measured"]["boundary"]) == 3 - first
