"""Predicts one image and writes its output files, each atomically."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction.tasks import RECORD, Outputs, Task
from unet.files import atomic_write
from unet.images.display import class_colors, overlay
from unet.images.legend import with_legend
from unet.images.reader import decode, encode_png
from unet.inference.inputs import InputImage, read
from unet.inference.large_tiff import write_tiff
from unet.inference.model import Model, Segmented, class_indices, class_values
from unet.inference.world_file import world_file
from unet.masks.background import first_foreground


def write_answers(
    task: Task,
    model: Model,
    outputs: Outputs,
    out: Path,
    progress: Callable[[float], None] = lambda share: None,
) -> NDArray[np.uint8] | None:
    """Reads an image and writes its mask, and the other outputs that need the image or the model.

    Args:
        task: the image to predict.
        model: the model that predicts.
        outputs: the requested outputs.
        out: folder of the outputs.
        progress: called with the finished share, 0 to 1, for images that take long.

    Returns:
        The class indices of the mask, [H, W], or None if no other output needs them.

    Raises:
        ImageError: the image cannot be used.
        OSError: an output cannot be written.
    """
    picture = model.read(task.image, task.page or 0, task.large)
    (out / task.folder).mkdir(parents=True, exist_ok=True)
    if model.serves(picture) and not task.large:
        indices = _write_served(task, model, picture, outputs, out)
    else:
        segmented = model.segment(picture, bool(outputs.probabilities), progress)
        indices = segmented.indices
        _write_segmented(task, model, segmented, outputs, out)
    if place := world_file(task.image, task.page or 0):
        _write(out / task.name(".tfw" if task.large else ".pgw"), place)
    if indices is not None and outputs.overlay:
        first = first_of(model.record)
        names = model.record["classes"]
        colors = class_colors(len(names), first)
        shown = overlay(picture.pixels, indices, colors, first)
        entries = list(zip(names, colors, strict=True))[first:]
        _write(out / task.name(".overlay.png"), encode_png(with_legend(shown, entries)))
    return indices


def first_of(record: Mapping[str, Any]) -> int:
    """Index of the first class that counts, by the training record of a model."""
    return first_foreground(record.get("background", "first"))


def finished_indices(task: Task, out: Path, record: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Reads class indices, [H, W], from a mask written earlier; raises `ImageError`."""
    return class_indices(read(out / task.mask, scratch=out, large=task.large).pixels, class_values(record))


def require_writable(out: Path) -> None:
    """Creates the folder of the outputs, and the record in it; raises `OSError` if it is not writable."""
    out.mkdir(parents=True, exist_ok=True)
    _write(out / ".predict", b"predict")
    (out / ".predict").unlink(missing_ok=True)
    (out / RECORD).touch()  # a process that is killed before it finished anything made what is there, too


def _write_served(
    task: Task, model: Model, picture: InputImage, outputs: Outputs, out: Path
) -> NDArray[np.uint8] | None:
    """Writes mask and probabilities; returns the class indices if another output needs them."""
    data = model.served_mask(picture)
    maps = model.served_probabilities(picture) if outputs.probabilities else []
    for name, png in zip([task.mask, *task.maps(outputs)], [data, *maps], strict=True):
        _write(out / name, png)
    if not (outputs.overlay or outputs.of_masks):
        return None
    return class_indices(decode(data), model.values)


def _write_segmented(task: Task, model: Model, segmented: Segmented, outputs: Outputs, out: Path) -> None:
    planes: list[tuple[str, NDArray[Any], NDArray[Any] | None]]
    planes = [(task.mask, segmented.indices, model.values)]
    if segmented.maps is not None:
        planes += [
            (name, plane, None) for name, plane in zip(task.maps(outputs), segmented.maps, strict=True)
        ]
    for name, plane, values in planes:
        if task.large:
            with atomic_write(out / name, "wb") as file:
                write_tiff(Path(file.name), plane, values)
        else:
            _write(out / name, encode_png(plane if values is None else values[plane]))


def _write(path: Path, data: bytes) -> None:
    with atomic_write(path, "wb") as file:
        file.write(data)
