"""The files that answer an image: whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.prediction import tasks
from pipeline.prediction.outputs import (
    add_to_coco,
    coco_file,
    finished_indices,
    require_writable,
)
from pipeline.prediction.tasks import Outputs, Task

RECORD: dict[str, Any] = {"classes": ["background", "cell", "other"], "class_values": [0, 100, 255]}
INDICES = np.zeros((6, 9), np.uint8)
INDICES[1:3, 2:5] = 1
TASK = Task(Path("in/a.tif"), 3, Path("deep"))


def test_a_mask_that_is_finished_gives_its_classes_again(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.array([0, 100, 255], np.uint8)[INDICES]).save(tmp_path / "deep/a-0003.png")
    np.testing.assert_array_equal(finished_indices(TASK, tmp_path, RECORD), INDICES)


def test_the_coco_file_names_the_image_its_page_and_its_size(tmp_path: Path):
    pytest.importorskip("rasterio")
    with coco_file(Outputs(polygons="coco"), tmp_path, RECORD) as coco:
        assert coco
        add_to_coco(coco, RECORD, TASK, INDICES)
        assert not (tmp_path / "coco.json").exists()  # not before it is whole
    found = json.loads((tmp_path / "coco.json").read_text())
    [image] = found["images"]
    assert (image["file_name"], image["height"], image["width"]) == ("deep/a.tif", 6, 9)
    assert [annotation["area"] for annotation in found["annotations"]] == [6]


def test_a_coco_file_that_was_interrupted_leaves_nothing(tmp_path: Path):
    pytest.importorskip("rasterio")
    with pytest.raises(KeyboardInterrupt), coco_file(Outputs(polygons="coco"), tmp_path, RECORD):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("polygons", [None, "geojson"])
def test_without_coco_there_is_no_coco_file(tmp_path: Path, polygons: str | None):
    with coco_file(Outputs(polygons=polygons), tmp_path, RECORD) as coco:
        assert coco is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_be_written_into_is_made_and_holds_an_empty_record(tmp_path: Path):
    require_writable(tmp_path / "a" / "b")
    [record] = (tmp_path / "a" / "b").iterdir()
    assert (record.name, record.read_bytes()) == (tasks.RECORD, b"")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="File exists"):
        require_writable(tmp_path / "out")


def test_a_model_without_a_background_gives_regions_of_all_classes(tmp_path: Path):
    pytest.importorskip("rasterio")
    record = {**RECORD, "background": "none"}
    with coco_file(Outputs(polygons="coco"), tmp_path, record) as coco:
        assert coco
        add_to_coco(coco, record, TASK, INDICES)
    found = json.loads((tmp_path / "coco.json").read_text())
    assert [category["name"] for category in found["categories"]] == record["classes"]
    areas = {annotation["category_id"]: annotation["area"] for annotation in found["annotations"]}
    assert areas == {0: 6 * 9 - 6, 1: 6}
