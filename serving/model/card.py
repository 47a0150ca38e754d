"""What the card of a model tells of its classes: names, values in its masks, colours to show them in."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

log = logging.getLogger("serving")

CARD = Path("assets.extra", "model_card.json")
MOST_BYTES = 1 << 20  # of a card; those of this project have a few kilobytes


def classes_of(version: Path) -> list[dict[str, Any]]:
    """Reads the classes of a version from its card.

    Only these are told to clients, not what else the card says. A card that cannot be read does not keep a
    good model out of service: it is logged, and the model has no names for its classes.

    Args:
        version: folder of the SavedModel.

    Returns:
        A class each, in the order of the model's probabilities: `name`; `value` in masks, a number or red,
        green and blue; `color` of the signature `colored`, red, green and blue from 0 to 255, or None;
        `background`, whether it is one. Empty if there is no card that can be read.
    """
    path = version / CARD
    if not path.is_file():
        return []
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        return _classes(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        log.warning("the classes of version %s have no names; %s: %s", version.name, path, error)
        return []


def _classes(card: Any) -> list[dict[str, Any]]:
    if not isinstance(card, dict):
        raise ValueError("it is no JSON object")
    names, values = card.get("classes"), card.get("class_values")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError('"classes" is no list of names')
    if not isinstance(values, list) or len(values) != len(names) or not all(map(_is_value, values)):
        raise ValueError('"class_values" does not hold a value for each class')
    colors = card.get("class_colors") or [None] * len(names)
    if not isinstance(colors, list) or len(colors) != len(names) or not all(map(_is_color_or_none, colors)):
        raise ValueError('"class_colors" does not hold red, green and blue for each class')
    first = card.get("background") == "first"
    return [
        {"name": name, "value": value, "color": color, "background": first and i == 0}
        for i, (name, value, color) in enumerate(zip(names, values, colors, strict=True))
    ]


def _is_value(value: Any) -> bool:
    return _is_number(value, 65535) or _is_color(value)


def _is_color_or_none(value: Any) -> bool:
    return value is None or _is_color(value)


def _is_color(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_number(part, 255) for part in value)


def _is_number(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
