"""Normalisation to mean 0 and standard deviation 1, by constants of the training split or of each image."""

from __future__ import annotations

import tensorflow as tf

from unet.images.depth import DEPTH_SCALE


def pixel_sums(pixels: tf.Tensor) -> tf.Tensor:
    """Count, sum and sum of squares of each channel, which add up over images.

    Args:
        pixels: [H, W, channels] uint16, as `decode_image` returns them.

    Returns:
        [3, channels] float64 on the 0..255 scale: in float32 a sum of squares is wrong in its third digit
        after some hundred images.
    """
    channels = pixels.shape[-1]

    def row_sums(row: tf.Tensor) -> tf.Tensor:
        x = tf.cast(row, tf.float64) / DEPTH_SCALE  # [W, channels]
        count = tf.fill([channels], tf.cast(tf.shape(row)[0], tf.float64))
        return tf.stack([count, tf.reduce_sum(x, 0), tf.reduce_sum(x * x, 0)])

    # Row by row: eight bytes for each pixel of a large image would be its largest copy by far.
    rows = tf.map_fn(row_sums, pixels, fn_output_signature=tf.TensorSpec([3, channels], tf.float64))
    return tf.reduce_sum(rows, 0)


def moments(sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation, each [channels] float32, of what `pixel_sums` counted."""
    count, total, squares = tf.unstack(sums)
    mean = total / count
    variance = tf.maximum(squares / count - mean * mean, 0)
    # One grey value has nothing to scale; 1 keeps it finite. Rounding leaves about 1e-12 of a variance of 0.
    stddev = tf.where(variance > 1e-9, tf.sqrt(variance), tf.ones_like(variance))
    return tf.cast(mean, tf.float32), tf.cast(stddev, tf.float32)
