"""Resizes images and the probability maps of their predictions by the setting `scale`.

Where objects are much larger or smaller than the network's receptive field, input images are resized by
`scale`, and output probabilities back to the original size. Pixels are squares whose centres lie at halves,
each axis has its own exact ratio, and shrinking averages over all pixels (an antialiasing triangle filter),
so that nothing shifts.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

STRIP = 1 << 21  # output values that are computed at a time: a strip's input and output are float32


def scaled_size(size: tf.Tensor, scale: float) -> tf.Tensor:
    """Number of pixels, int32 and at least 1, to which an axis of `size` pixels (int32) is resized."""
    return tf.maximum(1, tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32))


def resize_image(pixels: tf.Tensor, scale: float) -> tf.Tensor:
    """Resizes [H, W, channels] uint16 to [scaled H, scaled W, channels]; scale 1 returns the input itself."""
    if scale == 1:
        return pixels
    height, width = (scaled_size(tf.shape(pixels)[axis], scale) for axis in (0, 1))
    resized = resize(  # [scaled H, scaled W, channels]
        pixels, height, width, lambda x: tf.cast(tf.round(x), tf.uint16), tf.uint16
    )
    # Loops lose the static shape [None, None, channels].
    return tf.ensure_shape(resized, [None, None, pixels.shape[-1]])


def resize_mask(indices: tf.Tensor, scale: float) -> tf.Tensor:
    """Resizes class indices [H, W, 1] to [scaled H, scaled W, 1] by the nearest pixel centre."""
    if scale == 1:
        return indices
    for axis in (0, 1):
        size = tf.shape(indices)[axis]
        target = scaled_size(size, scale)
        ratio = tf.cast(size, tf.float32) / tf.cast(target, tf.float32)
        nearest = tf.cast((tf.cast(tf.range(target), tf.float32) + 0.5) * ratio, tf.int32)  # [target]
        # [scaled H, W, 1], then [scaled H, scaled W, 1]
        indices = tf.gather(indices, tf.minimum(nearest, size - 1), axis=axis)
    return indices


def resize(
    values: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    finish: Callable[[tf.Tensor], tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """Resizes an image in strips of rows, so that the whole output is never held as float32.

    Args:
        values: the image, [H, W, K] of any number type.
        height: number of rows of the output.
        width: number of columns of the output.
        finish: converts each resized strip: [h, width, K] float32 -> [h, width, L].
        dtype: type of the values that `finish` returns.

    Returns:
        The resized and converted image, [height, width, L].
    """
    source = tf.shape(values)
    down, right = (tf.cast(target / source[axis], tf.float32) for axis, target in ((0, height), (1, width)))
    rows = tf.clip_by_value(STRIP // (width * source[2]), 1, height)
    count = (height + rows - 1) // rows
    strips = tf.TensorArray(dtype, count, infer_shape=False)

    def strip(i: tf.Tensor, strips: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        first, last = i * rows, tf.minimum((i + 1) * rows, height)
        top, bottom = strip_source(first, last, down, source[0])
        resized = resize_strip(  # [last - first, width, K]
            values[top:bottom], top, first, last, width, down, right
        )
        return i + 1, strips.write(i, finish(resized))  # [last - first, width, L]

    _, strips = tf.while_loop(lambda i, _: i < count, strip, (0, strips), parallel_iterations=1)
    return strips.concat()  # [height, width, L]


def strip_source(
    first: tf.Tensor, last: tf.Tensor, down: tf.Tensor, height: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Range of image rows, (top, bottom), on which the output rows `first` to `last` depend.

    Args:
        first: first output row of the strip, int32.
        last: output row after the strip, int32.
        down: height of the output divided by the height of the image, float32.
        height: number of rows of the image, int32.
    """
    reach = tf.cast(tf.math.ceil(1 / tf.minimum(down, 1)), tf.int32) + 1  # filter radius in image rows
    top = tf.maximum(0, tf.cast(tf.cast(first, tf.float32) / down, tf.int32) - reach)
    bottom = tf.minimum(height, tf.cast(tf.cast(last, tf.float32) / down, tf.int32) + reach + 1)
    return top, bottom


def resize_strip(
    strip: tf.Tensor,
    top: tf.Tensor,
    first: tf.Tensor,
    last: tf.Tensor,
    width: tf.Tensor,
    down: tf.Tensor,
    right: tf.Tensor,
) -> tf.Tensor:
    """Output rows `first` to `last` of a resized image, [last - first, width, K] float32.

    Args:
        strip: image rows in the range that `strip_source` returned, [h, W, K] of any number type.
        top: first image row of `strip`.
        first: first output row of the strip.
        last: output row after the strip.
        width: number of columns of the output.
        down: height of the output divided by the height of the image, float32.
        right: width of the output divided by the width of the image, float32.
    """
    # Row in the output strip = row in the input strip * scale + translation.
    shift = tf.cast(top, tf.float64) * tf.cast(down, tf.float64) - tf.cast(first, tf.float64)
    return tf.raw_ops.ScaleAndTranslate(  # [1, last - first, width, K]
        images=tf.cast(strip, tf.float32)[None],  # [1, h, W, K]
        size=tf.stack([last - first, width]),
        scale=tf.stack([down, right]),
        translation=tf.stack([tf.cast(shift, tf.float32), 0.0]),
        kernel_type="triangle",
        antialias=True,
    )[0]  # [last - first, width, K]
