"""Exports a trained network as a SavedModel with its training record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from unet.export.saved_model import write
from unet.export.settings import ExportSettings
from unet.masks.labels import served_values
from unet.tiling import Geometry, tile_area
from unet.training.settings import TrainSettings
from unet.training.tiles import Tiles


def export(
    networks: Sequence[keras.Model],
    settings: TrainSettings,
    how: ExportSettings,
    train: Tiles,
    path: Path,
    facts: Mapping[str, Any],
) -> None:
    """Writes a SavedModel with its signatures, warm-up requests and training record.

    Args:
        networks: fully convolutional networks that return probabilities; the model predicts their mean.
        settings: settings of the networks' training.
        how: settings of the export.
        train: tiles of the training split, which hold the constants of the normalisation.
        path: folder to write.
        facts: further entries of the training record.
    """
    geometry, over_data = Geometry(settings.depth), settings.normalize == "dataset"
    constants = {"mean": train.mean[0].tolist(), "stddev": train.stddev[0].tolist()} if over_data else {}
    record = {
        "classes": list(settings.classes),
        "class_values": served_values(settings.classes),
        "labels": {"classes": settings.classes, "ignore": settings.ignore},  # in the masks of the data
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
        # Callers of the signature `network` need the geometry for the tiling.
        "geometry": {key: getattr(geometry, key) for key in ("depth", "halo", "step", "smallest")},
        **facts,
    }
    write(networks, record, path)
