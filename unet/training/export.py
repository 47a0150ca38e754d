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
from unet.metrics import class_factors, operating_point
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
        record["operating_point"] = choose_on_images(
            predict,
            validation,
            geometry,
            how.operating_point,
            len(settings.classes),
            settings.first_foreground,
        )
    write(networks, record, path)


def choose_on_images(
    predict: Callable[[tf.Tensor], tf.Tensor],
    tiles: Tiles,
    geometry: Geometry,
    aim: str,
    classes: int,
    first: int,
) -> dict[str, Any]:
    """Chooses how a model decides on whole images, in the size that the network sees.

    Of a background and one class it is a threshold, see `operating_point.choose`, and all pixels count. Else
    it is a factor for each class, see `class_factors.choose`, by at most 4 million pixels at an even stride.

    Args:
        predict: probabilities of normalised patches, [1, H, W, channels] -> [1, H', W', classes].
        tiles: tiles of the images.
        geometry: geometry of the network.
        aim: the setting `operating_point`, which is not "argmax".
        classes: number of classes.
        first: index of the first class that counts: 1 after a background, 0 without one.
    """
    parts = (
        (predict(tf.constant(x, tf.float32))[0, :rows, :columns].numpy(), ground_truth)
        for x, ground_truth, rows, columns in validation_tiles(tiles, geometry)
    )  # [rows, columns, classes] and [rows, columns] each
    if (classes, first) == (2, 1):
        counts = np.zeros((2, operating_point.BINS + 1), np.int64)  # by true class
        for found, ground_truth in parts:
            for label in (0, 1):  # what is ignored is neither
                counts[label] += operating_point.histogram(found[..., 1][ground_truth == label])
        return operating_point.choose(counts[0], counts[1], aim)
    sizes = zip(*(tiles.features[key] for key in ("name", "height", "width")), strict=True)
    images = {name: int(height * width) for name, height, width in sizes}
    sample = class_factors.Sample(sum(images.values()), classes)
    for found, ground_truth in parts:
        sample.add(found, ground_truth)
    return class_factors.choose(sample, first)
