"""Predicts masks of images with exported models. Imports TensorFlow only after all other checks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.prediction.models import find_models
from pipeline.prediction.of_masks import outputs_of_masks
from pipeline.prediction.outputs import finished_indices, require_writable, write_answers
from pipeline.prediction.record import PredictionRecord
from pipeline.prediction.tasks import Outputs, collisions, find_tasks, not_ours, taken_for_images
from pipeline.process import memory, signals
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED, OK
from pipeline.root import Root
from pipeline.terminal.predict_progress import PredictionProgress
from unet.files import hash_of
from unet.images.raster import ImageError
from unet.inference.model import Model
from unet.masks.object_rule import ObjectRule
from unet.registry.records import ModelError, common_record


@dataclass(frozen=True)
class Request:
    """The arguments of the command.

    Attributes:
        inputs: image files, folders whose files are all images, and globs.
        out: folder of the outputs; created where missing.
        root: root folder; without `models`, its last pushed model predicts.
        models: folders of SavedModels or of versions, numbers of versions under `root`, or ids of runs; the
            probabilities of several models are averaged.
        probabilities: whether to write `OUT/NAME.CLASS.png`, too, in 16-bit gray: 65535 is a probability of
            1.
        overlay: whether to write `OUT/NAME.overlay.png`, too.
        objects: what counts as an object, to write `OUT/NAME.objects.tif`, the number of each pixel's object,
            and `OUT/objects.csv`, a row for each object of all images; or None.
        polygons: "geojson" to write `OUT/NAME.geojson`, "coco" to write `OUT/coco.json` for all images, or
            None; with `objects` a polygon for each object, else for each region of a class.
        overwrite: whether to replace finished outputs, and files that `predict` did not make.
    """

    inputs: Sequence[str | Path]
    out: Path
    root: Path
    models: Sequence[str | Path] = ()
    probabilities: bool = False
    overlay: bool = False
    polygons: str | None = None
    objects: ObjectRule | None = None
    overwrite: bool = False


def predict(request: Request) -> int:
    """Writes `OUT/NAME.png` for every image, with the class values of the training masks.

    Each page of a multi-page TIFF is an image: `OUT/NAME-0000.png` and so on. A TIFF of more than 2^26 pixels
    is read in strips, and its mask and probabilities are TIFFs. An image with outputs of the same models is
    skipped. A file that cannot be used is reported, and the other files are predicted.

    Returns:
        0 on success; 2 if the arguments or any file could not be used; 75 if the command was interrupted.

    Raises:
        OSError: the outputs cannot be written.
    """
    models, problems = find_models(request.models, Root.at(request.root))
    record, more = _record(models, problems)
    tasks, unusable = find_tasks(request.inputs, request.out)
    names = tuple(record.get("classes", ())) if request.probabilities else ()
    outputs = Outputs(names, request.overlay, request.polygons, request.objects)
    if not more and (request.probabilities or outputs != Outputs()):
        problems.append(f"{models[0]}: no training record, which names the classes: it can give masks alone")
    if request.polygons and find_spec("rasterio") is None:
        problems.append("polygons need the package rasterio: make setup installs it, or pip install rasterio")
    clashes = list(collisions(tasks, outputs, request.out))
    problems += [*unusable, *(clashes or taken_for_images(request.inputs, tasks, outputs, request.out))]
    if not request.overwrite and (message := not_ours(tasks, outputs, request.out)):
        problems.append(message)
    if os.path.lexists(request.out) and not request.out.is_dir():
        problems.append(f"{request.out}: no folder: give a folder for the masks")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return BAD_INPUT

    require_writable(request.out)
    finished = PredictionRecord(request.out, models)
    todo = {
        task
        for task in tasks
        if request.overwrite or not finished.is_finished(task.image, task.names(outputs.of_the_model))
    }
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # no messages of TensorFlow in the user's terminal
    with PredictionProgress(len(todo)) as progress:
        try:
            with memory.uncollected():
                model = Model(*models, scratch=request.out) if todo else None
            progress.begin()
            with outputs_of_masks(outputs, request.out, record) as add:
                for task in tasks:
                    try:
                        if model and task in todo:
                            progress.start(task.title)
                            content = _content(task.image)
                            indices = write_answers(task, model, outputs, request.out, progress.share)
                            if indices is not None and outputs.of_masks:
                                add(task, indices)
                            finished.finish(task.image, content, task.names(outputs.of_the_model))
                            progress.end(good=True)
                        elif outputs.of_masks:
                            add(task, finished_indices(task, request.out, record))
                    except ImageError as error:
                        progress.problem(f"{task.title}: {error}")
                        progress.end(good=False)
        except ModelError as error:
            progress.problem(str(error))
            return BAD_INPUT
        except KeyboardInterrupt:
            signals.settle()
            progress.problem(
                f"interrupted after {progress.done} of {len(todo)} images: run the same command to go on"
            )
            return INTERRUPTED
    print(f"{request.out}: {progress.summary(len(tasks))}, by {', '.join(map(str, models))}")
    return BAD_INPUT if progress.bad else OK


def _content(image: Path) -> str:
    """The hash of an image's file; raises `ImageError` if it cannot be read just now."""
    try:
        return hash_of(image)
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", "run the same command again") from error


def _record(models: Sequence[Path], problems: list[str]) -> tuple[Mapping[str, Any], bool]:
    """Returns the training record of the models and whether it names the classes; adds to `problems`."""
    if problems:
        return {}, True
    try:
        record = common_record(models)
    except ModelError as error:
        problems.append(str(error))
        return {}, True
    return record, "classes" in record
