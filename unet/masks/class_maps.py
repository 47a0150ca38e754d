"""Reads the names of classes that annotation tools export beside masks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unet.files import files_in
from unet.masks.labels import Value, is_color

_NAMES = {
    *("labelmap.txt", "label_map.txt", "label_colors.txt"),  # CVAT, CamVid
    *("class_names.txt", "classes.txt", "labels.txt", "codes.txt"),  # labelme2voc, fastai: a name a line
    *("classes.json", "labels.json", "meta.json", "dataset.json", "categories.json"),  # nnU-Net, Supervisely
    *("_annotations.coco.json", "instances_default.json", "annotations.json"),  # COCO
    *("class_dict.csv", "_classes.csv", "classes.csv"),  # Roboflow
}
_LARGEST = 1 << 24  # bytes


def find_class_map(folders: Iterable[Path]) -> tuple[Path, dict[str, Value]] | None:
    """Finds the first file with names of classes and their values, numbers or colors "#rrggbb"."""
    for folder in folders:
        for path in files_in(folder):
            if path.name.lower() in _NAMES and (classes := read_class_map(path)):
                return path, classes
    return None


def read_class_map(path: Path) -> dict[str, Value]:
    """The classes of a file of any of these forms by name; empty if it is of no known form."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        text = path.read_text("utf-8-sig")
        read = {".json": _json, ".csv": _csv}.get(path.suffix.lower(), _lines)
        classes = read(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    kinds = {is_color(value) for value in classes.values()}
    return (
        classes if len(classes) > 1 and len(kinds) == 1 and len({*classes.values()}) == len(classes) else {}
    )


def _lines(text: str) -> dict[str, Value]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if all(line.count(":") >= 2 for line in lines):  # CVAT: name:red,green,blue:parts:actions
        return {name: _color(color.split(",")) for name, color in (line.split(":")[:2] for line in lines)}
    if all(len(words := line.split(None, 3)) > 3 and "".join(words[:3]).isdecimal() for line in lines):
        return {line.split(None, 3)[3]: _color(line.split()[:3]) for line in lines}
    names = [line for line in lines if line.strip("_").lower() != "ignore"]  # labelme2voc calls -1 __ignore__
    return {name.strip("_"): number for number, name in enumerate(names)}


def _csv(text: str) -> dict[str, Value]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    classes: dict[str, Value] = {}
    for row in rows:
        cells = {str(key).strip().lower(): str(value).strip() for key, value in row.items()}
        name = cells.get("class") or cells["name"]
        number = cells.get("pixel value") or cells.get("value") or cells.get("id")
        classes[name] = int(number) if number else _color([cells[c] for c in "rgb"])
    return classes


def _json(text: str) -> dict[str, Value]:
    content = json.loads(text)
    if isinstance(content, dict):
        content = next((content[k] for k in ("categories", "classes", "labels") if k in content), content)
    if isinstance(content, dict):  # name -> value, as nnU-Net's, or value -> name
        if all(str(key).isdecimal() for key in content):
            return {str(name): int(key) for key, name in content.items()}
        return {name: _value(value) for name, value in content.items()}
    if all(isinstance(entry, str) for entry in content):
        return {name: number for number, name in enumerate(content)}
    classes = {
        str(e.get("name") or e["title"]): _value(e["id"] if "id" in e else e["color"]) for e in content
    }
    if 0 not in classes.values() and not any(is_color(v) for v in classes.values()):
        classes = {"background": 0, **classes}  # COCO counts from 1
    return classes


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return _color(value)
    return value.lower() if is_color(value) else int(value)


def _color(parts: Iterable[Any]) -> str:
    red, green, blue = (int(part) for part in parts)
    return "#" + bytes((red, green, blue)).hex()
