"""Writes what is made of finished masks: the objects of `pipeline.prediction.objects`, and polygons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction.objects import object_table
from pipeline.prediction.outputs import first_of
from pipeline.prediction.tasks import COCO, Outputs, Task
from unet.files import atomic_write

if TYPE_CHECKING:
    from unet.inference.polygons import CocoWriter


@contextmanager
def outputs_of_masks(
    outputs: Outputs, out: Path, record: Mapping[str, Any]
) -> Iterator[Callable[[Task, NDArray[np.uint8]], None]]:
    """Opens the files of all images; they are complete when the context ends, or not there.

    Args:
        outputs: the requested outputs.
        out: folder of the outputs.
        record: training record of the model.

    Yields:
        What writes the files of one image: it takes the task and the class of each pixel in its mask, [H, W].
    """
    with object_table(outputs, out, record) as table, _coco_file(outputs, out, record) as coco:

        def add(task: Task, indices: NDArray[np.uint8]) -> None:
            numbered = table.add(task, indices) if table else None
            if not outputs.polygons:
                return
            from unet.inference.polygons import object_regions, regions, write_geojson

            found = object_regions(*numbered) if numbered else regions(indices, first_of(record))
            if coco:
                name = (task.folder / task.image.name).as_posix()
                height, width = indices.shape
                coco.add(name, height, width, found, page=task.page)
            else:
                with atomic_write(out / task.polygons) as file:
                    write_geojson(Path(file.name), found, record["classes"])

        yield add


@contextmanager
def _coco_file(outputs: Outputs, out: Path, record: Mapping[str, Any]) -> Iterator[CocoWriter | None]:
    if outputs.polygons != "coco":
        yield None
        return
    from unet.inference.polygons import CocoWriter

    with (
        atomic_write(out / COCO) as file,
        CocoWriter(Path(file.name), record["classes"], first_of(record)) as writer,
    ):
        yield writer
