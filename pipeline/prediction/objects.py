"""Writes the objects of predicted masks: an image of their numbers for each mask, and a table of all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction.tasks import OBJECTS, Outputs, Task
from unet.files import atomic_write
from unet.inference.large_tiff import write_tiff
from unet.inference.objects import COLUMNS, number_objects, object_rows
from unet.masks.background import first_foreground


class ObjectTable:
    """Numbers the objects of one mask after the other, and keeps a row of the table for each."""

    def __init__(self, file: Any, out: Path, record: Mapping[str, Any], split: float):
        """Writes the head of the table.

        Args:
            file: the open table.
            out: folder of the outputs.
            record: training record of the model.
            split: depth in pixels by which objects are split.
        """
        self._out, self._split = out, split
        self._classes = list(record["classes"])
        self._first = first_foreground(record.get("background", "first"))
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["image", "page", *COLUMNS])

    def add(self, task: Task, indices: NDArray[np.uint8]) -> None:
        """Writes the numbers of the objects of a mask, and their rows.

        Args:
            task: the image.
            indices: class of each pixel in its mask, [H, W].
        """
        numbers, classes_of = number_objects(indices, len(self._classes), self._first, self._split)
        dtype = np.uint16 if len(classes_of) <= 1 << 16 else np.uint32
        with atomic_write(self._out / task.objects, "wb") as file:
            write_tiff(Path(file.name), numbers.astype(dtype))
        image, page = (task.folder / task.image.name).as_posix(), "" if task.page is None else task.page
        self._rows.writerows((image, page, *row) for row in object_rows(numbers, classes_of, self._classes))


@contextmanager
def object_table(outputs: Outputs, out: Path, record: Mapping[str, Any]) -> Iterator[ObjectTable | None]:
    """Opens the table of the objects of all images, if requested; it is complete when the context ends."""
    if outputs.objects is None:
        yield None
        return
    with atomic_write(out / OBJECTS) as file:
        yield ObjectTable(file, out, record, outputs.objects)
