"""Random variations of training windows, vectorised in TensorFlow; all of them seeded, none of them padded.

The network is equivariant to none of these by construction, so each one is data it has not seen (the paper,
section 3.1).
"""

from __future__ import annotations

import tensorflow as tf


def crop(image: tf.Tensor, mask: tf.Tensor, side: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts the same random window out of a tile and its mask.

    Args:
        image: [H, W, C], both sides at least `side` pixels.
        mask: [H, W, 1], of the same sides.
        side: side of the window, in pixels.
        seed: shape [2].

    Returns:
        [side, side, C] and [side, side, 1].
    """
    room = tf.shape(mask)[:2] - side + 1  # number of offsets on each axis
    # random_uniform gives integers of one range only: draw fractions and scale them.
    offset = tf.cast(tf.random.stateless_uniform([2], seed) * tf.cast(room, tf.float32), tf.int32)
    top, left = tf.unstack(tf.minimum(offset, room - 1))
    image, mask = (t[top : top + side, left : left + side, :] for t in (image, mask))
    return (
        tf.ensure_shape(image, [side, side, image.shape[-1]]),
        tf.ensure_shape(mask, [side, side, mask.shape[-1]]),
    )


def flip_and_turn(image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies one of the eight symmetries of the square to a square window and its mask.

    Args:
        image: [S, S, C].
        mask: [S, S, 1].
        seed: shape [2].

    Returns:
        The same shapes.
    """
    choice = tf.random.stateless_uniform([], seed, 0, 8, tf.int32)
    both = tf.concat([tf.cast(image, tf.float32), tf.cast(mask, tf.float32)], -1)  # [S, S, C + 1]
    both = tf.image.rot90(both, choice % 4)
    both = tf.cond(choice < 4, lambda: both, lambda: tf.reverse(both, [1]))
    both = tf.ensure_shape(both, [*image.shape[:2], image.shape[-1] + 1])
    return tf.cast(both[..., :-1], image.dtype), tf.cast(both[..., -1:], mask.dtype)


def vary_grey_values(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Scales and shifts normalised grey values, as staining, exposure and gain do.

    Args:
        image: [S, S, C], normalised to mean 0 and standard deviation 1.
        seed: shape [2].
        strength: the factor is drawn from 1 +- strength, the shift from +- strength.

    Returns:
        The same shape.
    """
    factor, shift = tf.unstack(tf.random.stateless_uniform([2], seed, -strength, strength))
    return image * (1 + factor) + shift
