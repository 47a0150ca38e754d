"""The training record inside an exported model."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet.errors import BadInput
from unet.files import files_under

# Entries of the training record that callers of the signature `network` need.
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


_ALIKE = (
    "classes", "class_values", "background", "channels", "use_channels", "value_range", "scale", "geometry",
)  # fmt: skip


class ModelError(BadInput):
    """A folder holds no model of this pipeline, or models cannot be averaged."""


def common_record(models: Sequence[Path]) -> Mapping[str, Any]:
    """The common training record of models to average; raises `ModelError` if they cannot be averaged.

    The record of a single model may be empty: a model of another origin can predict, too, but only small
    images.
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
            aims = [_aim(found) for found in (record, records[0])]
            if aims[0] != aims[1]:
                raise ModelError(
                    f"{model}: its operating point is for {aims[0]}, that of {models[0]} for {aims[1]}: "
                    "average models of one operating_point"
                )
    return records[0]


def mean_record(models: Sequence[Path], test_time_augmentation: bool) -> dict[str, Any]:
    """Entries of an averaged model's training record that describe its parts, see `unet.export.average`.

    Args:
        models: folders of SavedModels with training records.
        test_time_augmentation: whether the averaged model predicts the mean over the eight flips and quarter
            turns, too; it always does if one of `models` does.
    """
    records = [training_record(model) for model in models]
    parts = [
        {"sha256": digest(model), "learning_rate": record.get("learning_rate")}
        for model, record in zip(models, records, strict=True)
    ]
    turned = test_time_augmentation or any(record["test_time_augmentation"] for record in records)
    found: dict[str, Any] = {"test_time_augmentation": turned, "mean_of": parts}
    if point := operating_point(records):
        found[OPERATING_POINT] = {"aim": _aim(records[0]), **point}
    return found


def operating_point(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How a model decides, or the mean of several; None: by the most likely class.

    Of several models it is the mean of their thresholds, or of each class the geometric mean of its factors,
    as factors decide alike if all are multiplied by the same number. Each was chosen for the same aim on the
    eval split of its own training, and no images are at hand on which another could be chosen.

    Args:
        records: training records of models of the same classes and for the same aim.

    Returns:
        `threshold`, or `factors` of the classes; see `unet.registry.decision`.
    """
    points = [record[OPERATING_POINT] for record in records if OPERATING_POINT in record]
    if not points:
        return None
    if "threshold" in points[0]:
        return {"threshold": sum(point["threshold"] for point in points) / len(points)}
    each = zip(*(point["factors"] for point in points), strict=True)  # those of a class together
    return {"factors": [math.prod(factors) ** (1 / len(factors)) for factors in each]}


def _aim(record: Mapping[str, Any]) -> str:
    return record.get(OPERATING_POINT, {}).get("aim", "argmax")


# Entry of the training record, of models that decide otherwise than by the most likely class.
OPERATING_POINT = "operating_point"

# The training record is part of the SavedModel, so that copies of the model keep it.
TRAINING_RECORD = "assets.extra/training.json"


# Files that are added when a model is pushed; they do not count in its `digest`.
CARDS = ("assets.extra/model_card.json", "assets.extra/model_card.md")


def training_record(model: Path) -> dict[str, Any]:
    """The training record of a SavedModel, see `components.trainer`; empty without a record.

    Raises:
        ModelError: the record is damaged.
    """
    path = model / TRAINING_RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (RecursionError, ValueError) as error:
        raise ModelError(f"{model}: its training record is damaged ({error})") from error
    if not isinstance(record, dict):
        raise ModelError(f"{model}: its training record is damaged (not a JSON object)")
    return record


def digest(model: Path) -> str:
    """SHA-256 of all files of a SavedModel except its card, so that pushing a model does not change it."""
    found = hashlib.sha256()
    names = sorted(p.relative_to(model).as_posix() for p in files_under(model) if p.is_file())
    for name in names:
        if name not in CARDS:
            found.update(name.encode() + b"\0" + hashlib.sha256((model / name).read_bytes()).digest())
    return found.hexdigest()
