from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.unet.encoded_images import noise
from unet.images import stacking as offline
from unet.preprocessing.stacking import stack, unstack


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_channels_are_stacked_as_offline_and_come_back(channels: int) -> None:
    pixels = noise(5, 7, channels)
    stacked = stack(tf.constant(pixels))
    np.testing.assert_array_equal(stacked[..., 0], offline.stack(pixels))
    np.testing.assert_array_equal(unstack(stacked, channels), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_rgb_are_left_alone(channels: int) -> None:
    pixels = noise(5, 7, channels)
    np.testing.assert_array_equal(stack(tf.constant(pixels)), pixels)
    np.testing.assert_array_equal(unstack(tf.constant(pixels), channels), pixels)
