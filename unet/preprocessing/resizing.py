"""Resizing of images and of what the network says about them: the one place that knows `scale`.

Where objects are much larger or smaller than what the network sees, images are resized on their way in, and
probabilities on their way out. Pixels are squares whose centres lie at halves, each axis has its own exact
ratio, and shrinking averages over all pixels (an antialiasing triangle filter), so that nothing shifts.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

_STRIP = 1 << 21  # values of the answer that are computed at a time: they, and what they are of, are float32


def scaled_size(size: tf.Tensor, scale: float) -> tf.Tensor:
    """Side of an image of `size` pixels (int32) as the network sees it: int32, at least 1."""
    return tf.maximum(1, tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32))


def resize_image(pixels: tf.Tensor, scale: float) -> tf.Tensor:
    """[H, W, channels] uint16 -> the same of `scaled_size`; the identity, without any operation, for 1."""
    if scale == 1:
        return pixels
    height, width = (scaled_size(tf.shape(pixels)[axis], scale) for axis in (0, 1))
    resized = resize(pixels, height, width, lambda x: tf.cast(tf.round(x), tf.uint16), tf.uint16)
    return tf.ensure_shape(resized, [None, None, pixels.shape[-1]])  # a loop forgets it


def resize_mask(indices: tf.Tensor, scale: float) -> tf.Tensor:
    """[H, W, 1] class indices -> the same of `scaled_size`, each pixel that of the nearest centre."""
    if scale == 1:
        return indices
    for axis in (0, 1):
        size = tf.shape(indices)[axis]
        target = scaled_size(size, scale)
        ratio = tf.cast(size, tf.float32) / tf.cast(target, tf.float32)
        nearest = tf.cast((tf.cast(tf.range(target), tf.float32) + 0.5) * ratio, tf.int32)
        indices = tf.gather(indices, tf.minimum(nearest, size - 1), axis=axis)
    return indices


def resize(
    values: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    finish: Callable[[tf.Tensor], tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """Resizes an image in strips of rows, so that the answer is never held as float32.

    Args:
        values: [H, W, K] of any number type.
        height: of the answer.
        width: of the answer.
        finish: what to keep of a strip: [h, width, K] float32 -> [h, width, L].
        dtype: of what `finish` returns.

    Returns:
        [height, width, L].
    """
    source = tf.shape(values)
    down, right = (tf.cast(target / source[axis], tf.float32) for axis, target in ((0, height), (1, width)))
    rows = tf.clip_by_value(_STRIP // (width * source[2]), 1, height)
    count = (height + rows - 1) // rows
    strips = tf.TensorArray(dtype, count, infer_shape=False)

    def strip(i: tf.Tensor, strips: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        first, last = i * rows, tf.minimum((i + 1) * rows, height)
        top, bottom = strip_source(first, last, down, source[0])
        resized = resize_strip(values[top:bottom], top, first, last, width, down, right)
        return i + 1, strips.write(i, finish(resized))

    _, strips = tf.while_loop(lambda i, _: i < count, strip, (0, strips), parallel_iterations=1)
    return strips.concat()


def strip_source(
    first: tf.Tensor, last: tf.Tensor, down: tf.Tensor, height: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows `top` to `bottom` of an image of `height` that rows `first` to `last` of the answer depend on.

    `down` is the height of the answer by that of the image, float32; the others are int32.
    """
    reach = tf.cast(tf.math.ceil(1 / tf.minimum(down, 1)), tf.int32) + 1  # of the filter, rows of the source
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
    """Rows `first` to `last` of a resized image, [last - first, width, K] float32.

    Args:
        strip: the rows of the image from `top` on that `strip_source` told, [h, W, K] of any number type.
        top: see there, as `first`, `last` and `down`.
        first: see there.
        last: see there.
        width: of the answer.
        down: see there.
        right: width of the answer by that of the image, float32.
    """
    # Position in the strip of the answer = position in that of the source * scale + translation.
    shift = tf.cast(top, tf.float64) * tf.cast(down, tf.float64) - tf.cast(first, tf.float64)
    return tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(strip, tf.float32)[None],
        size=tf.stack([last - first, width]),
        scale=tf.stack([down, right]),
        translation=tf.stack([tf.cast(shift, tf.float32), 0.0]),
        kernel_type="triangle",
        antialias=True,
    )[0]
