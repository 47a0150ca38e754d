"""The record of its training that travels with an exported model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet.errors import BadInput

# What callers of the signature `network` need to know.
_NEEDED = (
    "classes",
    "class_values",
    "channels",
    "normalization",
    "scale",
    "geometry",
    "base_filters",
    "max_area",
)


_ALIKE = ("classes", "class_values", "channels", "value_range", "scale", "geometry")


class ModelError(BadInput):
    """A folder that holds no model of this pipeline, or models that cannot be averaged."""


def common_record(models: Sequence[Path]) -> Mapping[str, Any]:
    """The training record of models that answer together; raises `ModelError` if they cannot.

    Of a single model it may be empty: one from elsewhere answers, too, but with masks of small images alone.
    """
    records = [training_record(model) for model in models]
    if len(models) > 1:
        for model, record in zip(models, records, strict=True):
            missing = [key for key in _NEEDED if key not in record]
            if missing:
                raise ModelError(f"{model}: no training record of this pipeline, so it cannot be averaged")
            differing = [key for key in _ALIKE if record.get(key) != records[0].get(key)]
            if differing:
                names = ", ".join(differing)
                raise ModelError(f"{model}: {names} differ from {models[0]}: average models of the same data")
    return records[0]


def mean_record(models: Sequence[Path], test_time_augmentation: bool) -> dict[str, Any]:
    """What the training record of their mean says of the models it is made of, see `unet.export.average`.

    Args:
        models: folders of SavedModels with training records.
        test_time_augmentation: whether the mean is to answer with that over the eight flips and quarter
            turns; it does if one of these models does.
    """
    records = [training_record(model) for model in models]
    parts = [
        {"sha256": digest(model), "learning_rate": record.get("learning_rate")}
        for model, record in zip(models, records, strict=True)
    ]
    turned = test_time_augmentation or any(record["test_time_augmentation"] for record in records)
    return {"test_time_augmentation": turned, "mean_of": parts}


# Where an exported model says how it was trained: part of the SavedModel, so that it travels with it.
TRAINING_RECORD = "assets.extra/training.json"


# What is written as a model is pushed: it does not make it another model.
CARDS = ("assets.extra/model_card.json", "assets.extra/model_card.md")


def training_record(model: Path) -> dict[str, Any]:
    """What a SavedModel says of its training, `components.trainer` what that is; or nothing."""
    record = model / TRAINING_RECORD
    return json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}


def digest(model: Path) -> str:
    """SHA-256 of what a SavedModel holds but its card: equal for equal models, whenever they were pushed."""
    found = hashlib.sha256()
    names = sorted(p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file())
    for name in names:
        if name not in CARDS:
            found.update(name.encode() + b"\0" + hashlib.sha256((model / name).read_bytes()).digest())
    return found.hexdigest()
