"""Scores an existing model on labeled images, as the gate does. Imports TensorFlow only after all checks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.check.check import inspected
from pipeline.check.findings import taught_lines, turned_lines
from pipeline.config import profile
from pipeline.config.settings import PipelineConfig
from pipeline.history.record import REPORT
from pipeline.prediction.models import find_model
from pipeline.prediction.reading import config_of_model, parse_thresholds
from pipeline.process import memory
from pipeline.process.exit_codes import BAD_INPUT, NOT_BLESSED, OK
from pipeline.report.page import evaluation
from pipeline.report.scores import Scores
from pipeline.root import Root
from pipeline.terminal.check_progress import ReadingProgress
from pipeline.terminal.console import make_console
from pipeline.terminal.predict_progress import PredictionProgress
from pipeline.terminal.scores import print_scores
from unet.dataset import split_memory
from unet.dataset.inspection import SampleStats
from unet.dataset.sample import GROUP, Problem, Sample
from unet.dataset.spans import is_pattern
from unet.errors import BadInput
from unet.evaluation import gate
from unet.evaluation.results import Verdict, write_evaluation
from unet.evaluation.rows import Measuring, image_row
from unet.evaluation.settings import GateSettings
from unet.files import atomic_write
from unet.images.channels import fits
from unet.images.raster import ImageError
from unet.images.reader import encode_png, read_image
from unet.inference.model import Model
from unet.masks.labels import IGNORE, LabelMap
from unet.masks.reader import read_mask
from unet.registry.records import ModelError, digest, training_record


@dataclass(frozen=True)
class EvaluateRequest:
    """The arguments of the command.

    Attributes:
        folder: folder of images and masks, in a layout that `run` reads; all of them are scored.
        root: root folder; without `model`, its last pushed model is scored.
        model: folder of a SavedModel or of versions, number of a version under `root`, or id of a run; or
            None.
        out: folder of the results, created if missing; None prints them only.
        demands: METRIC=VALUE words; metrics that the images must reach.
        settings: KEY=VALUE words that override what the training record says of the data.
    """

    folder: Path
    root: Path
    model: str | None = None
    out: Path | None = None
    demands: Sequence[str] = ()
    settings: Sequence[str] = ()


def evaluate(request: EvaluateRequest) -> int:
    """Prints the scores of a model; writes `evaluation.json`, `images.csv` and `report.html` into `out`.

    Returns:
        0 on success; 2 if the arguments or any file could not be used; 3 if a threshold is not met.

    Raises:
        OSError: the results cannot be written.
    """
    root = Root.at(request.root)
    model, problems = find_model(request.model, root)
    config = _configured(request, model, problems)
    if request.out and os.path.lexists(request.out) and not request.out.is_dir():
        problems.append(f"{request.out}: no folder: give a folder for the results")
    samples: list[Sample] = []
    turned: list[str] = []
    taught: list[str] = []
    if config:
        samples, facts, found = _checked(config, root)
        turned = [fact.name for fact in facts if fact.turned]
        taught = _taught(facts, root)
        problems += [f"{problem.path}: {problem.found}; {problem.advice}" for problem in found]
    if problems or not config:
        print("\n".join(problems), file=sys.stderr)
        return BAD_INPUT

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # no messages of TensorFlow in the user's terminal
    images: list[gate.ImageScores] = []
    with PredictionProgress(len(samples)) as progress:
        try:
            with memory.uncollected():
                loaded = Model(model)
            progress.begin()
            for sample in samples:
                progress.start(sample.name)
                try:
                    images.append(_scored(loaded, sample, config))
                    progress.end(good=True)
                except ImageError as error:
                    progress.problem(f"{sample.image}: {error}")
                    progress.end(good=False)
        except ModelError as error:
            progress.problem(str(error))
            return BAD_INPUT
    if progress.bad:
        return BAD_INPUT
    classes = list(config.classes)
    settings = GateSettings.of(config, class_names=classes, first=config.first_foreground)
    verdict = gate.decide(images, settings, {"state": "none", "why": "nothing is compared", "model_id": None})
    rows = sorted(gate.table(images, classes), key=lambda row: row["name"])
    if request.out:
        scores = Scores(str(model.resolve()), str(config.data.resolve()), verdict, rows, settings.first)
        page = evaluation(scores)
        write_evaluation(request.out, {**_evaluation(model, config, verdict), "taught": taught}, rows)
        with atomic_write(request.out / REPORT) as file:
            file.write(page)
    print_scores(model, config.data, verdict, rows, config.first_foreground, make_console(sys.stdout))
    if notes := [*taught_lines(taught, root.path), *turned_lines(turned)]:
        print("", *notes, sep="\n")
    if request.out:
        print(f"\nWritten to {request.out}")
    return OK if verdict["blessed"] else NOT_BLESSED


def _configured(request: EvaluateRequest, model: Path, problems: list[str]) -> PipelineConfig | None:
    """Returns how the data are read and measured; None if that is not known, and adds to `problems`."""
    is_there = not problems
    thresholds = parse_thresholds(request.demands, problems)
    try:
        overrides = profile.parse_overrides(request.settings)
        record = training_record(model) if is_there else {}
        if "class_values" in record:
            return config_of_model(record, request.folder, overrides, thresholds)
        if is_there:
            problems.append(f"{model}: no training record, which names the classes: it cannot be scored")
    except (profile.ConfigError, ModelError) as error:
        problems.append(str(error))
    except KeyError as error:
        problems.append(f"{model}: its training record is damaged (without {error})")
    except (OSError, ValueError) as error:
        problems.append(f"{model}: its training record is damaged ({error})")
    if not (request.folder.exists() or is_pattern(request.folder)):
        problems.append(f"{request.folder}: there is no such folder: give --data")
    return None


def _checked(config: PipelineConfig, root: Root) -> tuple[list[Sample], list[SampleStats], list[Problem]]:
    """Reads every image and mask; returns the samples, what is known of them, and all problems."""
    with ReadingProgress():
        samples, problems, inspection = inspected(config, config.reading(root.splits))
    images = {sample.name: sample.image for sample in samples}
    for fact in inspection.facts:
        if not fits(fact.channels, int(config.channels)):
            found = f"an image of {fact.channels} channels, the model sees {config.channels}"
            advice = "give images of the channels that the model was trained on"
            problems.append(Problem(str(images[fact.name]), found, advice))
    return samples, inspection.facts, problems


def _taught(facts: Sequence[SampleStats], root: Root) -> list[str]:
    """Names of the images that were in the train or eval split of a run of this root."""
    try:
        split_of = split_memory.load(root.splits).images
    except BadInput:  # the next run tells of it
        return []
    return [fact.name for fact in facts if split_of.get(fact.content) in ("train", "eval")]


def _scored(model: Model, sample: Sample, config: PipelineConfig) -> gate.ImageScores:
    page, most = sample.page or 0, config.max_pixels
    image = read_image(
        sample.image,
        page=page,
        max_pixels=most,
        value_range=config.value_range,
        use_channels=config.use_channels,
    )
    labels = LabelMap(config.classes, config.ignore, config.mask_values)
    mask = read_mask(sample.mask, labels, page=page, max_pixels=most)
    outputs = model.evaluated(image.data, encode_png(mask.indices))
    values = {**dict(sample.columns), GROUP: sample.group}
    row: dict[str, Any] = image_row(
        sample.name,
        (image.height, image.width),
        image.bit_depth,
        {name: values[name] for name in config.slices},
        outputs,
        Measuring.of(config, len(config.classes), IGNORE, config.first_foreground),
        mask.instances,
    )
    measured = row.pop("measured")
    return {**row, "candidate": measured, "baseline": None}  # type: ignore[typeddict-item]


def _evaluation(model: Path, config: PipelineConfig, verdict: Verdict) -> Mapping[str, Any]:
    """Returns what the file says over all images."""
    keys = ("classes", "images", "checks", "slices", "confusion", "calibration")
    return {
        "model": str(model.resolve()),
        "model_sha256": digest(model),
        "data": str(config.data.resolve()),
        "passed": verdict["blessed"] if config.thresholds else None,
        "reason": verdict["reason"] if config.thresholds else "",
        "metrics": {
            name: {key: metric[key] for key in ("value", "low", "high")}
            for name, metric in verdict["metrics"].items()
        },
        **{key: verdict[key] for key in keys},  # type: ignore[literal-required]
    }
