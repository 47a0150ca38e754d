"""Constants of the normalisation against numpy, and in the exported graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet.export.graph import Segmenter
from unet.network import create_unet
from unet.preprocessing.normalization import moments, pixel_sums
from unet.tiling import Geometry


def random_pixels(height, width, channels, low=0, high=65536):
    return np.random.default_rng(height).integers(low, high, (height, width, channels)).astype(np.uint16)


@pytest.mark.parametrize("size", [(1, 1, 1), (7, 3, 1), (1, 50, 3), (40, 30, 3)])
def test_moments_of_one_image(size):
    pixels = random_pixels(*size)
    mean, stddev = moments(pixel_sums(tf.constant(pixels)))
    scaled = pixels.astype(np.float64) / 257
    np.testing.assert_allclose(mean, scaled.mean((0, 1)), rtol=1e-6)
    expected = scaled.std((0, 1))
    np.testing.assert_allclose(stddev, np.where(expected > 0, expected, 1), rtol=1e-5)


def test_sums_add_up_over_images():
    images = [random_pixels(20, 30, 1), random_pixels(5, 5, 1, 0, 300)]
    mean, stddev = moments(sum(pixel_sums(tf.constant(image)) for image in images))
    pixels = np.concatenate([image.ravel() for image in images]) / 257
    np.testing.assert_allclose([mean[0], stddev[0]], [pixels.mean(), pixels.std()], rtol=1e-6)


@pytest.mark.parametrize("value", [0, 257 * 31, 65535])
def test_one_gray_value_has_a_deviation_of_one(value):
    mean, stddev = moments(pixel_sums(tf.fill([64, 64, 1], tf.constant(value, tf.uint16))))
    assert mean.numpy() == pytest.approx(value / 257)
    assert stddev.numpy() == 1


def test_the_exported_graph_normalizes_an_image_by_itself():
    keras.utils.set_random_seed(8)
    network = create_unet((None, None, 1), base_filters=4, depth=2, decoder="paper")
    image = random_pixels(70, 45, 1, 1000, 9000)
    own = image.astype(np.float64) / 257
    by_itself = Segmenter(network, Geometry(2), 1, None, None, (0, 1), max_area=60**2).predict(image)
    by_constants = Segmenter(network, Geometry(2), 1, own.mean(), own.std(), (0, 1)).predict(image)
    np.testing.assert_allclose(by_itself, by_constants, atol=1e-5)
    assert np.ptp(by_itself[..., 0]) > 0.01
