"""The legend below an overlay."""

import numpy as np
import pytest

from unet.images.legend import with_legend

ENTRIES = [("cell", (230, 159, 0)), ("a border of some kind", (86, 180, 233)), ("nucleus", (0, 158, 115))]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 31), (300, 400), (200, 3000)])
@pytest.mark.parametrize("count", [1, 3])
def test_the_picture_stays_and_every_class_has_a_swatch_below_it(height: int, width: int, count: int) -> None:
    picture = np.random.default_rng(0).integers(0, 200, (height, width, 3), np.uint8)
    found = with_legend(picture, ENTRIES[:count])
    np.testing.assert_array_equal(found[:height, :width], picture)
    assert found.shape[1] == max(width, 160)
    below = found[height:].reshape(-1, 3)
    swatches = [int((below == color).all(-1).sum()) for _, color in ENTRIES]
    assert [pixels > 60 for pixels in swatches] == [i < count for i in range(3)]
    assert len(set(swatches[:count])) == 1  # none is cut off
    assert (below == 0).all(-1).sum() > 50  # words


def test_more_classes_take_more_lines_not_more_width() -> None:
    picture = np.zeros((50, 200, 3), np.uint8)
    few, many = (with_legend(picture, ENTRIES[:1] * count) for count in (1, 30))
    assert few.shape[1] == many.shape[1] == 200
    assert many.shape[0] > few.shape[0] + 50


def test_names_in_any_script_are_taken() -> None:
    assert (
        with_legend(np.zeros((9, 300, 3), np.uint8), [("細胞", (1, 2, 3)), ("", (4, 5, 6))]).shape[1] == 300
    )
