"""Small untrained networks that segment, for the tests of the graph and of its signatures."""

from __future__ import annotations

import functools

import keras

from unet.export.graph import Segmenter
from unet.network import create_unet
from unet.tiling import Geometry

DEPTH = 2
VALUES = (7, 100, 255)


def network(channels: int, activation: str | None = None) -> keras.Model:
    keras.utils.set_random_seed(8)  # of this seed few outputs are dead, and all classes occur
    return create_unet(
        (None, None, channels), classes=3, base_filters=4, depth=DEPTH, decoder="paper", activation=activation
    )


def area(stride: int) -> int:
    """Of square tiles of a stride."""
    return (stride + Geometry(DEPTH).smallest) ** 2


@functools.cache
def segmenter(
    channels: int = 1, values: tuple[int, ...] = VALUES, stride: int = 32, symmetries: bool = False
) -> Segmenter:
    mean, stddev = [100.0, 120.0, 140.0][:channels], [60.0, 50.0, 40.0][:channels]
    return Segmenter(
        network(channels),
        Geometry(DEPTH),
        channels,
        mean,
        stddev,
        values,
        area(stride),
        test_time_augmentation=symmetries,
    )
