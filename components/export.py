"""From trained networks to a SavedModel that serves and describes itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from components import signatures
from components.input_pipeline import Tiles
from components.masks import served_values
from components.serving_graph import Segmenter, tile_area
from components.tiling import Geometry
from components.train_settings import TrainSettings
from components.versions import TRAINING_RECORD
from components.warmup import write_warmup

MODEL_NAME = "unet"


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """See `pipeline.config.PipelineConfig` for the meaning of each."""

    symmetries: bool
    serving_memory: float
    serving_max_pixels: int


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
    geometry, over_data = Geometry(settings.depth), settings.normalise == "dataset"
    mean, stddev = (train.mean[0], train.stddev[0]) if over_data else (None, None)
    constants = {"mean": train.mean[0].tolist(), "stddev": train.stddev[0].tolist()} if over_data else {}
    values = served_values(settings.classes)
    area = tile_area(1e9 * how.serving_memory, settings.base_filters, geometry)
    segmenter = Segmenter(
        networks,
        geometry=geometry,
        channels=train.channels,
        mean=mean,
        stddev=stddev,
        class_values=values,
        scale=settings.scale,
        max_area=area,
        symmetries=how.symmetries,
    )
    signatures.export(segmenter, path, how.serving_max_pixels)
    write_warmup(path, MODEL_NAME, train.channels, how.serving_max_pixels)
    record = {
        "classes": list(settings.classes),
        "class_values": values,
        "channels": train.channels,
        "value_range": settings.value_range,  # without it, nobody could send it floating-point images
        "normalisation": {"over": settings.normalise, **constants},
        "max_pixels": how.serving_max_pixels,
        "base_filters": settings.base_filters,  # the chosen ones; the recipe has what was to be chosen from
        "scale": settings.scale,
        "symmetries": how.symmetries,
        "max_area": area,
        # What callers of the signature `network` need to do the tiling.
        "geometry": {key: getattr(geometry, key) for key in ("depth", "halo", "step", "smallest")},
        **facts,
    }
    text = json.dumps(record, indent=2)
    (path / TRAINING_RECORD).write_text(text, encoding="utf-8")
