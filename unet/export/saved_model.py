"""From trained networks to a SavedModel that serves and describes itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from unet.export import signatures
from unet.export.graph import Segmenter, tile_area
from unet.export.warmup import write_warmup
from unet.masks.labels import served_values
from unet.registry.versions import TRAINING_RECORD
from unet.tiling import Geometry
from unet.training.batches import Tiles
from unet.training.settings import TrainSettings

MODEL_NAME = "unet"


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """See `pipeline.config.settings.PipelineConfig` for the meaning of each."""

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
    constants = {"mean": train.mean[0].tolist(), "stddev": train.stddev[0].tolist()} if over_data else {}
    record = {
        "classes": list(settings.classes),
        "class_values": served_values(settings.classes),
        "channels": train.channels,
        "value_range": settings.value_range,  # without it, nobody could send it floating-point images
        "normalisation": {"over": settings.normalise, **constants},
        "max_pixels": how.serving_max_pixels,
        "base_filters": settings.base_filters,  # the chosen ones; the recipe has what was to be chosen from
        "scale": settings.scale,
        "symmetries": how.symmetries,
        "max_area": tile_area(1e9 * how.serving_memory, settings.base_filters, geometry),
        # What callers of the signature `network` need to do the tiling.
        "geometry": {key: getattr(geometry, key) for key in ("depth", "halo", "step", "smallest")},
        **facts,
    }
    write(networks, record, path)


def write(networks: Sequence[keras.Model], record: Mapping[str, Any], path: Path) -> None:
    """Writes the SavedModel that a training record describes; see `export`.

    Args:
        networks: fully convolutional ones that return probabilities; the model answers with their mean.
        record: what the model will say of itself, and everything that its graph is made by.
        path: folder to write.
    """
    normalisation = record["normalisation"]
    segmenter = Segmenter(
        networks,
        geometry=Geometry(record["geometry"]["depth"]),
        channels=record["channels"],
        mean=normalisation.get("mean"),
        stddev=normalisation.get("stddev"),
        class_values=record["class_values"],
        scale=record["scale"],
        max_area=record["max_area"],
        symmetries=record["symmetries"],
    )
    signatures.export(segmenter, path, record["max_pixels"])
    write_warmup(path, MODEL_NAME, record["channels"], record["max_pixels"])
    (path / TRAINING_RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
