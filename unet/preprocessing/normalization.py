"""Normalisation to mean 0 and standard deviation 1, with constants of the training split or of each image."""

from __future__ import annotations

import tensorflow as tf

from unet.images.depth import DEPTH_SCALE


def pixel_sums(pixels: tf.Tensor) -> tf.Tensor:
    """Count, sum and sum of squares of each channel; the results of several images add up.

    Args:
        pixels: the image as `decode_image` returns it, [H, W, channels] uint16.

    Returns:
        The three sums, [3, channels] float64, on the 0..255 scale. In float32 the sum of squares would be
        wrong in its third digit after some hundred images.
    """
    channels = pixels.shape[-1]

    def row_sums(row: tf.Tensor) -> tf.Tensor:
        x = tf.cast(row, tf.float64) / DEPTH_SCALE  # [W, channels]
        count = tf.fill([channels], tf.cast(tf.shape(row)[0], tf.float64))  # [channels]
        return tf.stack([count, tf.reduce_sum(x, 0), tf.reduce_sum(x * x, 0)])  # [3, channels]

    # Row by row: a float64 copy of a large image would take more memory than anything else.
    rows = tf.map_fn(  # [H, 3, channels]
        row_sums, pixels, fn_output_signature=tf.TensorSpec([3, channels], tf.float64)
    )
    return tf.reduce_sum(rows, 0)  # [3, channels]


def moments(sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation, each [channels] float32, from the sums [3, channels] of `pixel_sums`."""
    count, total, squares = tf.unstack(sums)  # [channels] each
    mean = total / count
    variance = tf.maximum(squares / count - mean * mean, 0)
    # An image of one grey value gets a deviation of 1, which avoids a division by 0. Rounding turns its
    # variance of 0 into about 1e-12.
    stddev = tf.where(variance > 1e-9, tf.sqrt(variance), tf.ones_like(variance))
    return tf.cast(mean, tf.float32), tf.cast(stddev, tf.float32)
