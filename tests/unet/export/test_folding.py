"""The exported network has no normalization layers and answers as the trained one does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from unet.export.folding import folded
from unet.network import create_unet
from unet.tiling import Geometry


def network(**layers: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    return create_unet((None, None, 2), base_filters=3, depth=2, decoder="paper", **layers)


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("residual", [False, True])
def test_the_network_answers_the_same_without_its_normalization(stem_stride: int, residual: bool) -> None:
    trained = network(stem_stride=stem_stride, residual=residual, normalization_layer="batch")
    rng = np.random.default_rng(0)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # gamma, beta, mean, variance
            layer.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    plain = folded(trained)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in plain.layers)
    # The weights are those of a network that never had any: `unet.export.average` relies on it.
    same = network(stem_stride=stem_stride, residual=residual)
    assert [w.shape for w in plain.get_weights()] == [w.shape for w in same.get_weights()]
    side = Geometry(2, stem_stride).smallest + 2 * Geometry(2, stem_stride).step
    x = rng.normal(size=(1, side, side, 2)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(trained(x, training=False))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(plain(x), expected, atol=1e-5)
    same.set_weights(plain.get_weights())
    np.testing.assert_allclose(same(x), expected, atol=1e-5)


def test_a_network_without_normalization_is_exported_as_it_is() -> None:
    plain = network()
    assert folded(plain) is plain
