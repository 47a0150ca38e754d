"""What a training hands on: the exported model with its record."""

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
        networks: fully convolutional ones that return probabilities; the model answers with their mean.
        settings: of their training.
        how: of the export.
        train: the tiles of the training, for the constants of the normalisation.
        path: folder to write.
        facts: more for the training record.
    """
    geometry, over_data = Geometry(settings.depth), settings.normalize == "dataset"
    constants = {"mean": train.mean[0].tolist(), "stddev": train.stddev[0].tolist()} if over_data else {}
    record = {
        "classes": list(settings.classes),
        "class_values": served_values(settings.classes),
        "channels": train.channels,
        "value_range": settings.value_range,  # without it, nobody could send it floating-point images
        "normalization": {"over": settings.normalize, **constants},
        "max_pixels": how.serving_max_pixels,
        "base_filters": settings.base_filters,  # the chosen ones; the recipe has what was to be chosen from
        "scale": settings.scale,
        "test_time_augmentation": how.test_time_augmentation,
        "max_area": tile_area(1e9 * how.serving_memory, settings.base_filters, geometry),
        # What callers of the signature `network` need to do the tiling.
        "geometry": {key: getattr(geometry, key) for key in ("depth", "halo", "step", "smallest")},
        **facts,
    }
    write(networks, record, path)
