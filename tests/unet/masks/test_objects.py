"""Which objects a mask has, and where they are split."""

import numpy as np
import pytest
from skimage.measure import label

from unet.masks.object_rule import ObjectRule
from unet.masks.objects import label_objects, predicted_objects, split_touching

Y, X = np.mgrid[:80, :120]


def disk(top, left, radius):
    return (Y - top) ** 2 + (X - left) ** 2 <= radius**2


def areas(labels):
    return sorted(np.bincount(labels.ravel()).tolist()[1:])


def test_numbered_objects_are_apart_and_those_without_a_number_are_connected_parts():
    mask, numbers = np.zeros((80, 120), np.uint8), np.zeros((80, 120), np.uint16)
    for number, left in ((65535, 0), (7, 10), (9, 30), (9, 50), (0, 70), (0, 80)):
        mask[:10, left : left + 10] = 1
        numbers[:10, left : left + 10] = number
    mask[20:30, :10] = 2
    labels = label_objects(mask == 1, numbers)
    assert areas(labels) == [100, 100, 200, 200]  # 9 has two pieces, and the last two have no number
    assert labels.max() == 4
    assert areas(label_objects(mask == 2, numbers)) == [100]


def test_parts_that_meet_at_a_corner_are_two_objects():
    mask = np.eye(4, dtype=np.uint8)
    assert areas(label_objects(mask == 1)) == [1, 1, 1, 1]


@pytest.mark.parametrize(("depth", "count"), [(0, 1), (0.75, 2), (7, 2), (8, 1)])
def test_disks_that_touch_are_split_if_the_neck_is_deep_enough(depth, count):
    both = disk(30, 30, 15) | disk(30, 56, 15)  # the half of the neck is about 7.5 pixels
    found = split_touching(label_objects(both), depth)
    assert (found > 0).tolist() == both.tolist()
    assert found.max() == count
    if count == 2:
        assert found[30, 30] != found[30, 56]
        left, right = (found == found[30, x] for x in (30, 56))
        assert not left[:, 46:].any()
        assert not right[:, :41].any()


def test_a_convex_object_a_ring_and_a_line_stay_whole():
    shapes = disk(25, 25, 20) & ~disk(25, 25, 10)
    shapes |= disk(60, 60, 14)
    shapes[5:15, 60:110] = True
    shapes[70, 90:118] = True
    labels = label_objects(shapes)
    assert split_touching(labels, 1).tolist() == labels.tolist()


def test_numbers_go_on_after_the_highest_and_objects_at_the_edge_are_split_too():
    shapes = disk(0, 20, 12) | disk(0, 40, 12) | disk(60, 20, 12) | disk(60, 40, 12) | disk(60, 100, 8)
    labels = label_objects(shapes)
    before = labels.copy()
    found = split_touching(labels, 1)
    assert labels.tolist() == before.tolist()
    assert np.unique(found).tolist() == [0, 1, 2, 3, 4, 5]
    assert label(found, connectivity=1).max() == 5
    assert split_touching(np.zeros((0, 5), np.int32), 1).shape == (0, 5)


def test_small_objects_are_left_out_and_the_numbers_of_the_others_have_no_gaps():
    inside = np.zeros((6, 12), bool)
    inside[0, :3] = inside[2:4, 4:8] = inside[5, 0] = inside[5, 9:] = True
    for least, sizes in ((0, [3, 8, 1, 3]), (1, [3, 8, 1, 3]), (3, [3, 8, 3]), (4, [8]), (9, [])):
        found = predicted_objects(inside, ObjectRule(min_size=least))
        assert np.bincount(found.ravel())[1:].tolist() == sizes
        assert found.dtype == np.int32


def test_objects_are_split_before_they_are_measured():
    y, x = np.mgrid[:30, :60]
    both = sum((y - 14) ** 2 + (x - left) ** 2 < radius**2 for left, radius in ((14, 10), (27, 5))).astype(
        bool
    )
    large = int(np.bincount(split_touching(label_objects(both), 1).ravel())[1:].max())
    assert predicted_objects(both, ObjectRule(1.0, large)).max() == 1
    assert predicted_objects(both, ObjectRule(1.0, large + 1)).max() == 0


def test_nothing_has_no_objects():
    assert predicted_objects(np.zeros((4, 5), bool), ObjectRule(0.5, 15)).max() == 0
    assert predicted_objects(np.zeros((0, 5), bool), ObjectRule(0.5, 15)).shape == (0, 5)
