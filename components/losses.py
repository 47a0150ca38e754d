"""Losses on logits."""

from __future__ import annotations

import keras


def pixel_cross_entropy() -> keras.losses.Loss:
    """The paper's energy function (equation 1) without the weight map: softmax and cross-entropy of each pixel.

    Takes y_true [B, H, W] class indices and y_pred [B, H, W, classes] logits; computed from logits, since the
    logarithm of a float32 softmax saturates.
    """
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy")
