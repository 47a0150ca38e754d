"""The border term against its definition, pixel by pixel and cell by cell."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from unet.masks import weight_map
from unet.masks.labels import IGNORE


def by_definition(cells, sigma):
    """Equation 2's exponential in steps of 1/255, from all distances of all pixels to all cells."""
    ids = [i for i in np.unique(cells) if i]
    everywhere = np.argwhere(np.ones_like(cells))
    if len(ids) < 2:
        return np.zeros(cells.shape)
    distances = np.sort([cdist(everywhere, np.argwhere(cells == i)).min(1) for i in ids], axis=0)
    term = np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2)).reshape(cells.shape)
    return np.where(cells == 0, np.rint(255 * term), 0)


def discs(shape, count, radius, seed=0):
    """Discs, each with an id of its own; later ones lie on top."""
    rng = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int32)
    rows, columns = np.indices(shape)
    for i, (y, x) in enumerate(rng.uniform((0, 0), shape, (count, 2)), 1):
        cells[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = i
    return cells


@pytest.mark.parametrize("sigma", [1.0, 5.0, 9.0])
@pytest.mark.parametrize(
    ("shape", "count", "radius"),
    [((1, 1), 1, 1), ((1, 40), 4, 2), ((40, 1), 4, 2), ((30, 50), 0, 1), ((30, 50), 1, 5), ((30, 50), 2, 5),
     ((60, 60), 25, 4), ((37, 61), 60, 3)],
)  # fmt: skip
def test_it_is_the_definition(shape, count, radius, sigma):
    cells = discs(shape, count, radius)
    np.testing.assert_array_equal(weight_map.border(cells, sigma), by_definition(cells, sigma))


@pytest.mark.parametrize("block", [7, 16, 64])
def test_blocks_leave_no_trace(block, monkeypatch):
    monkeypatch.setattr(weight_map, "BLOCK", block)
    cells = discs((50, 61), 12, 4)
    np.testing.assert_array_equal(weight_map.border(cells, 5.0), by_definition(cells, 5.0))


def test_arms_that_meet_elsewhere_are_one_cell():
    indices = np.zeros((300, 20), np.uint8)
    indices[5:295, 5:8] = indices[5:295, 11:14] = indices[290:295, 5:14] = 1
    cells = weight_map.label_cells(indices)
    assert cells.max() == 1
    assert weight_map.border(cells, 5.0).max() == 0


def test_parts_that_meet_at_a_corner_are_two_cells():
    assert weight_map.label_cells(np.eye(3, dtype=np.uint8)).max() == 3


def test_ignored_pixels_belong_to_no_cell():
    indices = np.array([[1, IGNORE, 1]], np.uint8)
    np.testing.assert_array_equal(weight_map.label_cells(indices), [[1, 0, 2]])


def test_the_highest_ids_stay_apart_from_cells_without_one():
    indices = np.array([[1, 0, 1, 0, 2, 2]], np.uint8)
    instances = np.array([[0, 0, 0, 0, 65534, 65535]], np.uint16)
    cells = weight_map.label_cells(indices, instances)[0]
    assert (cells > 0).tolist() == [True, False, True, False, True, True]
    assert len(set(cells.tolist())) == 5


def test_ids_keep_touching_objects_apart_and_pieces_together():
    indices = np.array([[1, 1, 1, 0, 1, 0, 2]], np.uint8)
    instances = np.array([[7, 7, 9, 0, 7, 0, 0]], np.uint16)
    cells = weight_map.label_cells(indices, instances)[0]
    assert cells[0] == cells[1] == cells[4] != cells[2]
    assert cells[3] == cells[5] == 0
    assert cells[6] not in (0, cells[0], cells[2])
