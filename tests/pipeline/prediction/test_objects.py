"""The files about objects that `predict` writes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from pipeline.prediction.objects import object_table, write_numbers
from pipeline.prediction.tasks import Outputs, Task
from unet.masks.object_rule import ObjectRule

RECORD: dict[str, Any] = {"classes": ["background", "cell"], "class_values": [0, 255]}


def checkers(side: int) -> np.ndarray:
    return (np.indices((side, side)).sum(0) % 2).astype(np.uint8)


def test_a_table_of_all_images_and_the_numbers_of_each(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    tasks = [Task(Path("in/a, b.png")), Task(Path("in/c.tif"), 3, Path("deep"))]
    with object_table(Outputs(objects=ObjectRule()), tmp_path, RECORD) as table:
        assert table
        table.add(tasks[0], checkers(2))
        table.add(tasks[1], checkers(4))
        assert not (tmp_path / "objects.csv").exists()  # not before it is whole
    rows = list(csv.DictReader((tmp_path / "objects.csv").read_text().splitlines()))
    assert [(row["image"], row["page"], row["object"]) for row in rows] == [
        *(("a, b.png", "", str(number)) for number in (1, 2)),
        *(("deep/c.tif", "3", str(number)) for number in range(1, 9)),
    ]
    numbers = tifffile.imread(tmp_path / "a, b.objects.tif")
    assert (numbers.dtype, numbers.tolist()) == (np.uint16, [[0, 1], [2, 0]])
    assert tifffile.imread(tmp_path / "deep/c-0003.objects.tif").max() == 8


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint16), (65535, np.uint16), (65536, np.uint32)])
def test_more_objects_than_16_bits_can_number_take_32(tmp_path: Path, highest: int, dtype: type) -> None:
    write_numbers(tmp_path / "a.tif", np.full((4, 5), highest, np.int32))
    numbers = tifffile.imread(tmp_path / "a.tif")
    assert (numbers.dtype, numbers.shape, numbers.max()) == (dtype, (4, 5), highest)


def test_none_where_none_are_asked_for_and_nothing_after_an_interruption(tmp_path: Path) -> None:
    with object_table(Outputs(), tmp_path, RECORD) as table:
        assert table is None
    with pytest.raises(KeyboardInterrupt), object_table(Outputs(objects=ObjectRule(1.0)), tmp_path, RECORD):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
