"""Writes trained networks as a SavedModel with signatures, warm-up requests and training record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from unet.export import signatures
from unet.export.folding import folded
from unet.export.graph import Segmenter
from unet.export.warmup import write_warmup
from unet.masks.background import first_foreground
from unet.registry.decision import decision_of
from unet.registry.records import TRAINING_RECORD
from unet.registry.versions import MODEL_NAME
from unet.tiling import Geometry


def segmenter_of(networks: Sequence[keras.Model], record: Mapping[str, Any]) -> Segmenter:
    """The graph that a training record describes.

    Args:
        networks: fully convolutional networks that return probabilities; the graph predicts their mean. It
            has no normalization layers, see `unet.export.folding`.
        record: training record of the model, which holds all parameters of its graph.
    """
    normalization = record["normalization"]
    return Segmenter(
        [folded(network) for network in networks],
        geometry=Geometry.of_record(record),
        channels=record["channels"],
        mean=normalization.get("mean"),
        stddev=normalization.get("stddev"),
        class_values=record["class_values"],
        scale=record["scale"],
        max_area=record["max_area"],
        test_time_augmentation=record["test_time_augmentation"],
        first=first_foreground(record["background"]),
        decision=decision_of([record]),
    )


def write(networks: Sequence[keras.Model], record: Mapping[str, Any], path: Path) -> None:
    """Writes the SavedModel that a training record describes; see `signatures.export`.

    Args:
        networks: networks of `segmenter_of`.
        record: training record of the model.
        path: folder to write.
    """
    signatures.export(segmenter_of(networks, record), path, record["max_pixels"])
    write_warmup(path, MODEL_NAME, record["channels"], record["max_pixels"])
    (path / TRAINING_RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
