"""The files that answer an image: whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.prediction import tasks
from pipeline.prediction.outputs import finished_indices, require_writable
from pipeline.prediction.tasks import Task

RECORD: dict[str, Any] = {"classes": ["background", "cell", "other"], "class_values": [0, 100, 255]}
INDICES = np.zeros((6, 9), np.uint8)
INDICES[1:3, 2:5] = 1
TASK = Task(Path("in/a.tif"), 3, Path("deep"))


def test_a_mask_that_is_finished_gives_its_classes_again(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.array([0, 100, 255], np.uint8)[INDICES]).save(tmp_path / "deep/a-0003.png")
    np.testing.assert_array_equal(finished_indices(TASK, tmp_path, RECORD), INDICES)


def test_a_folder_that_can_be_written_into_is_made_and_holds_an_empty_record(tmp_path: Path):
    require_writable(tmp_path / "a" / "b")
    [record] = (tmp_path / "a" / "b").iterdir()
    assert (record.name, record.read_bytes()) == (tasks.RECORD, b"")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="File exists"):
        require_writable(tmp_path / "out")
