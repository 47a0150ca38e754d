from __future__ import annotations

import numpy as np
import pytest

from unet.images.channels import stored_rows
from unet.images.raster import ImageError
from unet.images.stacking import choose, composite, stack, unstack

PIXELS = np.random.default_rng(0).integers(0, 1 << 16, (5, 7, 4), np.uint16)


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_channels_lie_below_one_another_and_come_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    stacked = stack(pixels)
    assert stacked.shape == (stored_rows(5, channels), 7)
    np.testing.assert_array_equal(stacked[5:10], pixels[..., 1])
    np.testing.assert_array_equal(unstack(stacked, channels), pixels)


def test_channels_are_chosen_by_number_and_in_order() -> None:
    np.testing.assert_array_equal(choose(PIXELS, [3, 1]), PIXELS[..., [2, 0]])
    assert choose(PIXELS, "all") is PIXELS
    with pytest.raises(ImageError, match="an image of 4 channels, which has no channel 5"):
        choose(PIXELS, [1, 5])
    with pytest.raises(ImageError, match="257 channels, more than 256"):
        choose(np.zeros([1, 1, 257], np.uint8), "all")


def test_people_see_one_or_three_channels() -> None:
    shown = {n: composite(np.zeros([2, 2, n])).shape[-1] for n in (1, 2, 3, 4, 9)}
    assert shown == {1: 1, 2: 1, 3: 3, 4: 3, 9: 3}
