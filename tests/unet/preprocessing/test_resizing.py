import numpy as np
import pytest
import tensorflow as tf

from unet.preprocessing import resizing
from unet.preprocessing.resizing import resize, resize_image, resize_mask, scaled_size


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [(100, 1.0, 100), (100, 0.25, 25), (1, 0.05, 1), (3, 0.05, 1), (7, 4.0, 28)],
)
def test_sizes(size, scale, expected):
    assert int(scaled_size(tf.constant(size), scale)) == expected


def test_scale_1_is_the_identity():
    pixels = tf.constant(np.arange(12, dtype=np.uint16).reshape(3, 4, 1))
    assert resize_image(pixels, 1.0) is pixels
    assert resize_mask(pixels, 1.0) is pixels


@pytest.mark.parametrize("shape", [(40, 61, 1), (1, 1, 1), (5, 300, 3), (17, 11, 1)])
@pytest.mark.parametrize("scale", [0.05, 0.37, 0.5, 2.0, 4.0])
def test_images_are_resized_as_tensorflow_does_it(shape, scale, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    size = [int(scaled_size(tf.constant(side), scale)) for side in shape[:2]]
    whole = tf.image.resize(tf.cast(pixels, tf.float32), size, antialias=True).numpy()
    for strip in (1 << 21, 50):  # at once, and in strips of a row or two
        monkeypatch.setattr(resizing, "STRIP", strip)
        resized = resize_image(tf.constant(pixels), scale).numpy()
        assert resized.dtype == np.uint16
        assert resized.shape == (*size, shape[2])
        np.testing.assert_allclose(resized, whole, atol=2)  # of 65535


@pytest.mark.parametrize("scale", [0.25, 0.6, 3.0])
def test_masks_keep_their_place(scale):
    mask = np.zeros((60, 80, 1), np.uint8)
    mask[20:40, 10:50] = 7
    resized = resize_mask(tf.constant(mask), scale).numpy()
    gray = resize_image(tf.constant(mask.astype(np.uint16) * 1000), scale).numpy()
    assert set(np.unique(resized)) == {0, 7}
    assert ((resized == 7) == (gray > 3500)).mean() > 0.97


def test_there_and_back_nothing_shifts():
    y, x = np.mgrid[:200, :240]
    pixels = (30000 + 20000 * np.sin(y / 20) * np.cos(x / 25)).astype(np.uint16)[..., None]
    small = resize_image(tf.constant(pixels), 0.3)
    back = resize(small, 200, 240, lambda v: v, tf.float32).numpy()
    assert abs(back - pixels)[10:-10, 10:-10].max() < 700


def test_probabilities_still_sum_to_one():
    probabilities = tf.nn.softmax(tf.random.stateless_normal([13, 17, 3], [1, 2]))
    back = resize(probabilities, 50, 41, lambda v: v, tf.float32)
    np.testing.assert_allclose(tf.reduce_sum(back, -1), 1, atol=1e-5)
