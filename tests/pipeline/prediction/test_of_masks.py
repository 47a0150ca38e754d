"""Objects and polygons of finished masks: whole files, or none."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.prediction.of_masks import outputs_of_masks
from pipeline.prediction.tasks import Outputs, Task
from unet.masks.object_rule import ObjectRule

RECORD: dict[str, Any] = {"classes": ["background", "cell", "other"], "class_values": [0, 100, 255]}
INDICES = np.zeros((6, 9), np.uint8)
INDICES[1:3, 2:5] = 1
ALL = ObjectRule()
TASK = Task(Path("in/a.tif"), 3, Path("deep"))
pytest.importorskip("rasterio")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    return tmp_path


def touching() -> np.ndarray:
    """Two discs of class 1 that touch, and one of class 2."""
    y, x = np.mgrid[:30, :70]
    mask = np.zeros((30, 70), np.uint8)
    for column, index in ((12, 1), (30, 1), (56, 2)):
        mask[(y - 14) ** 2 + (x - column) ** 2 < 100] = index
    return mask


def coco(out: Path) -> dict[str, Any]:
    return json.loads((out / "coco.json").read_text())


def test_the_coco_file_names_the_image_its_page_and_its_size(out: Path) -> None:
    with outputs_of_masks(Outputs(polygons="coco"), out, RECORD) as add:
        add(TASK, INDICES)
        assert not (out / "coco.json").exists()  # not before it is whole
    [image] = coco(out)["images"]
    assert (image["file_name"], image["height"], image["width"]) == ("deep/a.tif", 6, 9)
    assert [annotation["area"] for annotation in coco(out)["annotations"]] == [6]
    assert "object" not in coco(out)["annotations"][0]


def test_a_coco_file_that_was_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), outputs_of_masks(Outputs(polygons="coco"), tmp_path, RECORD):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("outputs", "files"),
    [
        (Outputs(), set()),
        (Outputs(polygons="geojson"), {"deep/a-0003.geojson"}),
        (Outputs(objects=ALL), {"deep/a-0003.objects.tif", "objects.csv"}),
        (
            Outputs(objects=ObjectRule(), polygons="coco"),
            {"deep/a-0003.objects.tif", "objects.csv", "coco.json"},
        ),
    ],
)
def test_what_is_asked_for_is_written_and_nothing_else(out: Path, outputs: Outputs, files: set[str]) -> None:
    with outputs_of_masks(outputs, out, RECORD) as add:
        add(TASK, INDICES)
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == files


def test_a_model_without_a_background_gives_regions_of_all_classes(out: Path) -> None:
    record = {**RECORD, "background": "none"}
    with outputs_of_masks(Outputs(polygons="coco"), out, record) as add:
        add(TASK, INDICES)
    assert [category["name"] for category in coco(out)["categories"]] == record["classes"]
    areas = {annotation["category_id"]: annotation["area"] for annotation in coco(out)["annotations"]}
    assert areas == {0: 6 * 9 - 6, 1: 6}


@pytest.mark.parametrize(
    ("rule", "classes"), [(None, ["cell", "other"]), (ObjectRule(0.75), ["cell", "cell", "other"])]
)
def test_polygons_are_of_the_objects_where_these_are_asked_for(
    out: Path, rule: ObjectRule | None, classes: list[str]
) -> None:
    for polygons in ("geojson", "coco"):
        with outputs_of_masks(Outputs(polygons=polygons, objects=rule), out, RECORD) as add:
            add(TASK, touching())
    features = json.loads((out / "deep/a-0003.geojson").read_text())["features"]
    assert sorted(feature["properties"]["class"] for feature in features) == classes
    assert sum(feature["properties"]["area"] for feature in features) == (touching() > 0).sum()
    if rule:  # the numbers are those of the table
        rows = list(csv.DictReader((out / "objects.csv").read_text().splitlines()))
        table = [(int(row["object"]), row["class"], int(row["area"])) for row in rows]
        keys = ("object", "class", "area")
        assert [tuple(feature["properties"][key] for key in keys) for feature in features] == table
        assert [(a["object"], a["area"]) for a in coco(out)["annotations"]] == [(n, a) for n, _, a in table]
