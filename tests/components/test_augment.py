"""Augmentation moves image and mask together, and the same seed does the same."""

import numpy as np
import pytest
import tensorflow as tf

from components import augment


def pair(height=40, width=30, channels=1):
    """An image whose every pixel is different, and a mask that repeats the image's first channel."""
    image = np.arange(height * width * channels, dtype=np.float32).reshape(height, width, channels)
    return tf.constant(image), tf.constant(image[..., :1].astype(np.int32))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_image_and_mask_stay_together(seed, channels):
    image, mask = pair(channels=channels)
    image, mask = augment.crop(image, mask, 20, tf.constant([seed, 1]))
    image, mask = augment.flip_and_turn(image, mask, tf.constant([seed, 2]))
    assert image.shape == (20, 20, channels)
    assert mask.shape == (20, 20, 1)
    np.testing.assert_array_equal(image[..., :1].numpy(), mask.numpy())


def test_crops_reach_every_corner_and_nothing_beyond():
    image, mask = pair(22, 21)
    corners = {int(augment.crop(image, mask, 20, tf.constant([seed, 0]))[0][0, 0, 0]) for seed in range(200)}
    assert corners == {y * 21 + x for y in range(3) for x in range(2)}


def test_all_eight_symmetries_occur():
    image, mask = pair(20, 20)
    seen = {
        augment.flip_and_turn(image, mask, tf.constant([seed, 0]))[0].numpy().tobytes() for seed in range(100)
    }
    assert len(seen) == 8


def test_grey_values_change_within_bounds_and_repeatably():
    image = tf.ones([4, 4, 1])
    varied = [augment.vary_grey_values(image, tf.constant([seed, 0]), 0.2).numpy() for seed in range(50)]
    values = [float(v[0, 0, 0]) for v in varied]
    assert 0.6 <= min(values) < 0.9
    assert 1.1 < max(values) <= 1.4
    again = augment.vary_grey_values(image, tf.constant([0, 0]), 0.2).numpy()
    np.testing.assert_array_equal(varied[0], again)
