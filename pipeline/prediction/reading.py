"""How images and masks are read for an existing model: by its training record, or by settings instead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import profile
from pipeline.config.settings import PipelineConfig


def config_of_model(
    record: Mapping[str, Any],
    data: Path,
    overrides: Mapping[str, Any],
    thresholds: Mapping[str, float],
) -> PipelineConfig:
    """Returns the configuration by which a model is scored; without any threshold its `thresholds` are empty.

    Args:
        record: training record of the model.
        data: folder of the data.
        overrides: settings that replace those of the record.
        thresholds: metrics that the images must reach.

    Raises:
        profile.ConfigError: a setting is wrong, or the classes are not those of the model.
    """
    values: dict[str, Any] = {**_recorded(record), **overrides, "data": data}
    if thresholds:
        values["thresholds"] = dict(thresholds)
    config = profile.validated(values, "the model's record, --set and --threshold")
    if list(config.classes) != list(record["classes"]):
        raise profile.ConfigError(
            f"classes are {', '.join(config.classes)}; those of the model, in its order, are "
            f"{', '.join(record['classes'])}: give these names the values in your masks"
        )
    return config if "thresholds" in values else config.model_copy(update={"thresholds": {}})


def parse_thresholds(words: Sequence[str], problems: list[str]) -> dict[str, float]:
    """Reads thresholds METRIC=VALUE; adds a sentence to `problems` for each word that is none."""
    found = {}
    for word in words:
        # A slice has an = of its own: foreground_iou@size=small=0.5
        key, _, text = word.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not key.strip() or math.isnan(value):
            problems.append(f"--threshold {word}: expected METRIC=VALUE, such as foreground_iou=0.8")
        else:
            found[key.strip()] = value
    return found


def _recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that a training record tells."""
    labels = record.get("labels")
    if labels is None:  # a model that was exported before its record told them
        values = (_value(value) for value in record["class_values"])
        labels = {"classes": dict(zip(record["classes"], values, strict=True)), "ignore": None}
    return {
        **labels,
        "background": record.get("background", "first"),
        "channels": record["channels"],
        "value_range": record.get("value_range"),
        "use_channels": record.get("use_channels"),
    }


def _value(value: int | Sequence[int]) -> int | str:
    return value if isinstance(value, int) else "#" + bytes(value).hex()
