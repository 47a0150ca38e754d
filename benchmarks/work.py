"""The work of a network, and what the processor does at its best: to say how much of it is used."""

from __future__ import annotations

import time
from typing import Any

_SIDE = 4096  # of the matrices
_SECONDS = 3.0


def operations(network: Any) -> float:
    """Returns the multiplications and additions of all convolutions for one image.

    Args:
        network: a Keras model of a fixed input size [H, W, C].
    """
    total = 0.0
    for layer in network.layers:
        if "kernel" in {weight.name for weight in layer.weights}:
            transposed = type(layer).__name__ == "Conv2DTranspose"  # works on each pixel of its input
            pixels = (layer.input if transposed else layer.output).shape[1:3]
            total += 2.0 * pixels[0] * pixels[1] * layer.kernel.shape.num_elements()
    return total


def multiplied(precision: str) -> float:
    """Measures multiplications of large square matrices; returns operations a second, the best of 3 seconds.

    Args:
        precision: of the factors, `float32` or `bfloat16`.
    """
    import tensorflow as tf

    factor = tf.cast(tf.random.stateless_normal((_SIDE, _SIDE), (0, 1)), precision)
    multiply = tf.function(lambda x: tf.reduce_sum(tf.cast(tf.linalg.matmul(x, x)[:1], tf.float32)))
    multiply(factor)
    best, end = float("inf"), time.monotonic() + _SECONDS
    while time.monotonic() < end:
        start = time.perf_counter()
        multiply(factor).numpy()
        best = min(best, time.perf_counter() - start)
    return 2.0 * _SIDE**3 / best
