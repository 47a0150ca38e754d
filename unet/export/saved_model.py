"""Writes trained networks as a SavedModel with signatures, warm-up requests and training record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from unet.export import signatures
from unet.export.graph import Segmenter
from unet.export.warmup import write_warmup
from unet.masks.background import first_foreground
from unet.registry.records import TRAINING_RECORD
from unet.registry.versions import MODEL_NAME
from unet.tiling import Geometry


def write(networks: Sequence[keras.Model], record: Mapping[str, Any], path: Path) -> None:
    """Writes the SavedModel that a training record describes; see `signatures.export`.

    Args:
        networks: fully convolutional networks that return probabilities; the model predicts their mean.
        record: training record of the model, which holds all parameters of its graph.
        path: folder to write.
    """
    normalization = record["normalization"]
    segmenter = Segmenter(
        networks,
        geometry=Geometry(record["geometry"]["depth"]),
        channels=record["channels"],
        mean=normalization.get("mean"),
        stddev=normalization.get("stddev"),
        class_values=record["class_values"],
        scale=record["scale"],
        max_area=record["max_area"],
        test_time_augmentation=record["test_time_augmentation"],
        first=first_foreground(record["background"]),
    )
    signatures.export(segmenter, path, record["max_pixels"])
    write_warmup(path, MODEL_NAME, record["channels"], record["max_pixels"])
    (path / TRAINING_RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
