"""Predicts an image without the exported graph: the reference that the graph's output is compared with.

Decoding, normalisation, padding, tiling and test-time augmentation are NumPy's and this project's offline
code, tile by tile in a loop; only the network and the resizing of `unet.preprocessing.resizing` are shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet import tiling
from unet.images.depth import DEPTH_SCALE
from unet.images.reader import decode, to_grayscale
from unet.preprocessing.resizing import resize, resize_image

_STRIDE = 256  # pixels between tiles; other tiles than the exported model's, so that any seam shows


def expected_probabilities(
    network: keras.Model, encoded: bytes, record: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Predicts the probabilities of all classes, [H, W, classes].

    Args:
        network: the Keras model, [N, h, w, channels] -> probabilities [N, h - 184, w - 184, classes].
        encoded: canonical bytes of an image.
        record: training record of the exported model.
    """
    channels = record["channels"]
    stored = decode(encoded, channels)
    deep = stored.dtype == np.uint16
    if channels == 1 and stored.shape[-1] == 3:
        stored = to_grayscale(stored)[..., None]
    stored = np.repeat(stored, channels // stored.shape[-1], -1)
    pixels = stored.astype(np.uint16) * np.uint16(1 if deep else DEPTH_SCALE)
    height, width = pixels.shape[:2]
    scale = record["scale"]
    if scale != 1:
        pixels = resize_image(tf.constant(pixels), scale).numpy()
    x = pixels.astype(np.float64) / DEPTH_SCALE
    constants = record["normalization"]
    if constants["over"] == "image":
        mean, deviation = x.mean((0, 1)), x.std((0, 1))
        deviation = np.where(deviation**2 > 1e-9, deviation, 1)
    else:
        mean, deviation = np.array(constants["mean"]), np.array(constants["stddev"])
    found = _tiled(network, ((x - mean) / deviation).astype(np.float32), record)
    if scale != 1:
        found = resize(tf.constant(found), height, width, lambda values: values, tf.float32).numpy()
    return found


def _tiled(network: keras.Model, x: NDArray[np.float32], record: Mapping[str, Any]) -> NDArray[np.float32]:
    geometry = tiling.Geometry.of_record(record)
    stride = _STRIDE // geometry.step * geometry.step
    rows, cols = (tiling.plan(side, stride, geometry) for side in x.shape[:2])
    padded = tiling.pad(x, rows, cols, geometry)
    turns = (
        [(k, flip) for k in range(4) for flip in (False, True)]
        if record["test_time_augmentation"]
        else [(0, False)]
    )

    def predict(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        total: Any = 0
        for k, flip in turns:
            turned = np.rot90(tile[:, ::-1] if flip else tile, k)
            output = np.rot90(keras.ops.convert_to_numpy(network(turned[None], training=False))[0], -k)
            total += output[:, ::-1] if flip else output
        return total / np.float32(len(turns))

    tiles = tiling.tiles(padded, rows, cols, geometry)
    return tiling.stitch(((top, left, predict(tile)) for top, left, tile in tiles), *x.shape[:2])
