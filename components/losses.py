"""Losses on logits."""

from __future__ import annotations

import keras

from components.masks import IGNORE


def pixel_cross_entropy(ignore: bool = False) -> keras.losses.Loss:
    """Softmax and cross-entropy of each pixel: the paper's equation 1 without its weight map.

    Takes y_true [B, H, W] class indices and y_pred [B, H, W, classes] logits; computed from logits, since the
    logarithm of a float32 softmax saturates.

    Args:
        ignore: y_true may hold `IGNORE`. The loss is then the mean over all other pixels of the batch, and 0
            where there are none: Keras masks them out and divides by the number of those that are left.
    """
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=IGNORE if ignore else None, name="cross_entropy"
    )
