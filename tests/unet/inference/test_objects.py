"""The numbers and the measures of the objects of a mask."""

import numpy as np
import pytest

from unet.inference.objects import COLUMNS, number_objects, object_rows
from unet.masks.object_rule import ObjectRule

CLASSES = ["background", "cell", "other"]
Y, X = np.mgrid[:60, :80]


def mask():
    """Two disks of class 1 that touch, a bar of class 2, and a single pixel of class 1."""
    found = np.zeros((60, 80), np.uint8)
    for left in (20, 36):
        found[(Y - 20) ** 2 + (X - left) ** 2 < 81] = 1
    found[50:54, 10:50] = 2
    found[0, 79] = 1
    return found


@pytest.mark.parametrize(("split", "cells"), [(0.0, 2), (1.0, 3)])
def test_objects_are_numbered_class_by_class(split, cells):
    numbers, classes_of = number_objects(mask(), 3, rule=ObjectRule(split))
    assert classes_of.tolist() == [0] + [1] * cells + [2]
    assert np.unique(numbers).tolist() == list(range(cells + 2))
    np.testing.assert_array_equal(classes_of[numbers], mask())


def test_rows_have_the_class_the_area_the_center_and_the_box_of_an_object():
    numbers, classes_of = number_objects(mask(), 3, rule=ObjectRule(1.0))
    rows = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in object_rows(numbers, classes_of, CLASSES)}
    place = {
        tuple(row[key] for key in ("class", "left", "top", "width", "height")): row for row in rows.values()
    }
    pixel, bar = place["cell", 79, 0, 1, 1], place["other", 10, 50, 40, 4]
    assert (pixel["area"], pixel["x"], pixel["y"]) == (1, 79.5, 0.5)
    assert (bar["area"], bar["x"], bar["y"]) == (160, 30.0, 52.0)
    assert bar["eccentricity"] > 0.99
    assert bar["perimeter"] == pytest.approx(2 * (39 + 3), abs=1)
    disks = sorted((row["x"], row["y"], row["area"]) for row in rows.values() if row["area"] > 200)
    assert disks[0][:2] == pytest.approx((20.3, 20.5), abs=0.7)
    assert disks[1][:2] == pytest.approx((36.7, 20.5), abs=0.7)
    assert sum(row["area"] for row in rows.values()) == np.count_nonzero(mask())


def test_a_mask_without_objects_and_one_without_a_background():
    nothing = np.zeros((4, 5), np.uint8)
    numbers, classes_of = number_objects(nothing, 3)
    assert (numbers.max(), list(object_rows(numbers, classes_of, CLASSES))) == (0, [])
    numbers, classes_of = number_objects(nothing, 3, first=0)
    [row] = object_rows(numbers, classes_of, CLASSES)
    assert row[:5] == (1, "background", 20, 2.5, 2.0)
