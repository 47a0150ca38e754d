"""Writes the objects of predicted masks: an image of their numbers for each mask, and a table of all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction.outputs import first_of
from pipeline.prediction.tasks import OBJECTS, Outputs, Task
from unet.files import atomic_write
from unet.inference.large_tiff import write_tiff
from unet.inference.objects import COLUMNS, number_objects, object_rows
from unet.masks.object_rule import ObjectRule


class ObjectTable:
    """Numbers the objects of one mask after the other, and keeps a row of the table for each."""

    def __init__(self, file: Any, out: Path, record: Mapping[str, Any], rule: ObjectRule):
        """Writes the head of the table.

        Args:
            file: the open table.
            out: folder of the outputs.
            record: training record of the model.
            rule: what counts as an object.
        """
        self._out, self._rule = out, rule
        self._classes = list(record["classes"])
        self._first = first_of(record)
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["image", "page", *COLUMNS])

    def add(self, task: Task, indices: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Writes the numbers of the objects of a mask, and their rows.

        Args:
            task: the image.
            indices: class of each pixel in its mask, [H, W].

        Returns:
            The objects, as of `unet.inference.objects.number_objects`.
        """
        numbers, classes_of = number_objects(indices, len(self._classes), self._first, self._rule)
        write_numbers(self._out / task.objects, numbers)
        image, page = (task.folder / task.image.name).as_posix(), "" if task.page is None else task.page
        self._rows.writerows((image, page, *row) for row in object_rows(numbers, classes_of, self._classes))
        return numbers, classes_of


def write_numbers(path: Path, numbers: NDArray[np.int32]) -> None:
    """Writes the number of each pixel's object, [H, W], in 16 bits, or in 32 where these do not suffice."""
    dtype = np.uint16 if numbers.max(initial=0) < 1 << 16 else np.uint32
    with atomic_write(path, "wb") as file:
        write_tiff(Path(file.name), numbers.astype(dtype))


@contextmanager
def object_table(outputs: Outputs, out: Path, record: Mapping[str, Any]) -> Iterator[ObjectTable | None]:
    """Opens the table of the objects of all images, if requested; it is complete when the context ends."""
    if outputs.objects is None:
        yield None
        return
    with atomic_write(out / OBJECTS) as file:
        yield ObjectTable(file, out, record, outputs.objects)
