"""Losses on logits."""

from __future__ import annotations

import keras


def pixel_cross_entropy() -> keras.losses.Loss:
    """Softmax and cross-entropy of each pixel: the paper's equation 1 without its weight map.

    Takes y_true [B, H, W] class indices and y_pred [B, H, W, classes] logits; computed from logits, since the
    logarithm of a float32 softmax saturates.
    """
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy")
