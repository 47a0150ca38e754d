"""Folds batch normalization into the convolutions before it, so that the exported network has none."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from unet.network import NORMALIZATION


def folded(network: keras.Model) -> keras.Model:
    """Returns a network without normalization layers that computes the same in inference.

    With the moving statistics a normalization is linear, gamma (x - mean) / sqrt(variance + epsilon) + beta
    (Ioffe and Szegedy 2015, algorithm 2, step 11), and so is the convolution before it.

    Args:
        network: network that `unet.network.create_unet` built; one without normalization layers is returned
            as it is.
    """
    normalizations = {
        layer.name.removeprefix(NORMALIZATION): layer
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
    }
    if not normalizations:
        return network

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        biased = {"use_bias": True} if layer.name in normalizations else {}
        return type(layer).from_config(layer.get_config() | biased)

    def called(layer: keras.layers.Layer, x: Any, **options: Any) -> Any:
        return x if isinstance(layer, layers.BatchNormalization) else layer(x, **options)

    plain = keras.models.clone_model(network, clone_function=copied, call_function=called)
    for layer in plain.layers:
        weights = network.get_layer(layer.name).get_weights()
        if found := normalizations.get(layer.name):
            weights = _joined(weights[0], found)
        layer.set_weights(weights)
    return plain


def _joined(kernel: NDArray[Any], layer: layers.BatchNormalization) -> list[NDArray[Any]]:
    """Kernel, [h, w, C, filters], and bias, [filters], of a convolution and the normalization after it."""
    gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in layer.get_weights())
    factor = gamma / np.sqrt(variance + layer.epsilon)  # [filters]
    return [(kernel * factor).astype(kernel.dtype), (beta - mean * factor).astype(kernel.dtype)]
