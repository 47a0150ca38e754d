"""Exports a trained network as a SavedModel with its training record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unet.export.saved_model import segmenter_of, write
from unet.export.settings import ARGMAX, ExportSettings
from unet.images.display import class_colors
from unet.masks.labels import served_values
from unet.metrics.operating_point import BINS, choose, histogram
from unet.tiling import Geometry, tile_area
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles, validation_tiles


def export(
    networks: Sequence[keras.Model],
    settings: TrainSettings,
    how: ExportSettings,
    train: Tiles,
    validation: Tiles,
    path: Path,
    facts: Mapping[str, Any],
) -> None:
    """Writes a SavedModel with its signatures, warm-up requests and training record.

    Args:
        networks: fully convolutional networks that return probabilities; the model predicts their mean.
        settings: settings of the networks' training.
        how: settings of the export.
        train: tiles of the training split, which hold the constants of the normalisation.
        validation: tiles of the validation split, on which the operating point is chosen.
        path: folder to write.
        facts: further entries of the training record.
    """
    geometry, over_data = Geometry.of(settings), settings.normalize == "dataset"
    constants = {"mean": train.mean[0].tolist(), "stddev": train.stddev[0].tolist()} if over_data else {}
    record = {
        "classes": list(settings.classes),
        "class_values": served_values(settings.classes),
        "labels": {"classes": settings.classes, "ignore": settings.ignore},  # in the masks of the data
        "class_colors": class_colors(len(settings.classes), settings.first_foreground),
        "background": "first" if settings.first_foreground else "none",
        "channels": train.channels,
        "value_range": settings.value_range,  # clients need it to convert floating-point images
        "use_channels": settings.use_channels,  # and which channels of their images
        "normalization": {"over": settings.normalize, **constants},
        "max_pixels": how.serving_max_pixels,
        "base_filters": settings.base_filters,  # the chosen number; the recipe holds the searched numbers
        "scale": settings.scale,
        "test_time_augmentation": how.test_time_augmentation,
        "max_area": tile_area(1e9 * how.serving_memory, settings.base_filters, geometry),
        "geometry": geometry.record,
        **facts,
    }
    if how.operating_point != ARGMAX:
        predict = segmenter_of(networks, record).probabilities  # with test-time augmentation, if wanted
        record["operating_point"] = choose_on_images(predict, validation, geometry, how.operating_point)
    write(networks, record, path)


def choose_on_images(
    predict: Callable[[tf.Tensor], tf.Tensor], tiles: Tiles, geometry: Geometry, aim: str
) -> dict[str, Any]:
    """Chooses the threshold on whole images, in the size that the network sees; see `choose`.

    Args:
        predict: probabilities of normalised patches, [1, H, W, channels] -> [1, H', W', 2].
        tiles: tiles of the images.
        geometry: geometry of the network.
        aim: the setting `operating_point`, which is not "argmax".
    """
    counts = np.zeros((2, BINS + 1), np.int64)  # by true class
    for x, ground_truth, rows, columns in validation_tiles(tiles, geometry):
        found = predict(tf.constant(x, tf.float32))[0, :rows, :columns, 1].numpy()  # [rows, columns]
        for label in (0, 1):  # what is ignored is neither
            counts[label] += histogram(found[ground_truth == label])
    return choose(counts[0], counts[1], aim)
