"""Images of other than one or three channels inside a graph, see `unet.images.stacking`."""

from __future__ import annotations

import tensorflow as tf

from unet.images.channels import is_stacked


def stack(pixels: tf.Tensor) -> tf.Tensor:
    """Puts the channels of an image below one another, where PNG needs it, for `encode_png`.

    Args:
        pixels: the image, [H, W, channels].

    Returns:
        [channels * H, W, 1]; grey and RGB as they are.
    """
    channels = pixels.shape[-1]
    if not is_stacked(channels):
        return pixels
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    return tf.reshape(tf.transpose(pixels, [2, 0, 1]), [channels * height, width, 1])


def unstack(stored: tf.Tensor, channels: int) -> tf.Tensor:
    """The image [H, W, channels] of which `stack` made [channels * H, W, 1], or grey or RGB as it is."""
    if not is_stacked(channels):
        return stored
    width = tf.shape(stored)[1]
    pixels = tf.transpose(tf.reshape(stored, [channels, -1, width]), [1, 2, 0])
    return tf.ensure_shape(pixels, [None, None, channels])
