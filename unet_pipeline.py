"""The pipeline in Python, for notebooks: check images, train on them, score a model, predict arrays.

    import unet_pipeline

    print(unet_pipeline.check("cells"))
    run = unet_pipeline.train("cells", "cells-run", steps=1500)
    model = unet_pipeline.Model.load(run.model)
    mask = model.predict(array)

Settings are those of the command line, as arguments by name. Trainings and evaluations run in a process of
their own, whose lines appear as they come: interrupting a cell ends them as Ctrl-C does, and leaves the
kernel alone. What cannot be used raises `unet.errors.BadInput`, a `ValueError` that says what to change.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.check.check import check as check_data
from pipeline.check.findings import Report
from pipeline.config import profile as profiles
from pipeline.config.settings import PipelineConfig
from pipeline.history.runs import HistoryError, ids
from pipeline.history.summary import RunSummary, read
from pipeline.prediction.models import find_model
from pipeline.process.exit_codes import BAD_INPUT, INTERRUPTED, NOT_BLESSED, OK
from pipeline.root import Root, refusal
from pipeline.terminal.command import program
from unet.errors import BadInput, TrainingFailed
from unet.evaluation.results import EVALUATION
from unet.images.reader import decode
from unet.inference.model import Model as _Loaded
from unet.inference.model import class_indices
from unet.registry.records import ModelError


def check(
    data: str | Path,
    root: str | Path = "runs",
    *,
    profile: str | Path = "default",
    skip_bad: bool = False,
    **settings: Any,
) -> Report:
    """Reads every image and mask, and lists all problems; changes no file and loads no TensorFlow.

    Args:
        data: folder of images and masks, in any layout that the command `check` reads.
        root: root folder of the pipeline, whose remembered splits apply.
        profile: name of a profile, or a TOML file of settings.
        skip_bad: whether to leave out single files with problems.
        settings: settings by name; they replace those of the profile.

    Returns:
        The report: `ok`, `problems`, `summary`, and `proposed`, settings that may fit these images better;
        `print` shows it as the command does.

    Raises:
        BadInput: a setting cannot be used.
    """
    config = _configuration(profile, data, settings)
    return check_data(config, _root(root), skip_bad=skip_bad, proposals=True)


def train(
    data: str | Path,
    root: str | Path = "runs",
    *,
    profile: str | Path = "default",
    skip_bad: bool = False,
    rebaseline: bool = False,
    **settings: Any,
) -> RunSummary:
    """Trains, evaluates, and puts the model into service if it is good enough, as the command `run` does.

    An interrupted training goes on where it was when it is called again.

    Args:
        data: folder of images and masks.
        root: folder of everything the pipeline makes; created where missing.
        profile: name of a profile, or a TOML file of settings.
        skip_bad: whether to leave out single files with problems.
        rebaseline: whether the thresholds alone decide, without a comparison with the last blessed model.
        settings: settings by name; they replace those of the profile. None leaves a setting as it is.

    Returns:
        What came of the run: among others its `status` ("pushed", "unchanged" or "not_blessed"), `reason`,
        `metrics`, and `model`, the folder of the exported model.

    Raises:
        BadInput: the data or a setting cannot be used.
        TrainingFailed: the run ended without a result, for the reason that the message says.
        KeyboardInterrupt: the cell was interrupted; what was finished is kept.
    """
    words = ["run", *_words(profile, data, root, settings)]
    words += ["--skip-bad"] if skip_bad else []
    words += ["--rebaseline"] if rebaseline else []
    before = _runs(root)
    code, errors = _call(words)
    newest = _runs(root)[-1:]
    made = read(_root(root).run(newest[0])) if newest else None
    if code in (OK, NOT_BLESSED) and made:
        return made
    reason = made.reason if made and newest[0] not in before else errors
    if code == BAD_INPUT and not reason:
        report = check(data, root, profile=profile, skip_bad=skip_bad, **settings)
        reason = "\n".join(f"{found.path}: {found.found}; {found.advice}" for found in report.problems)
    raise (BadInput if code == BAD_INPUT else TrainingFailed)(reason or _ended(code))


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on labeled images.

    Attributes:
        metrics: value of each metric over all images; None if it could not be measured.
        intervals: lowest and highest value of each metric, with a confidence of 95 %.
        images: a row for each image: its name, size and metrics.
        confusion: pixel counts; row = ground truth, column = prediction.
        classes: names of the classes, in the order of `confusion`.
        passed: whether the images reach `thresholds`; None without any.
        reason: a sentence about `passed`.
    """

    metrics: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float | None, float | None]]
    images: Sequence[Mapping[str, Any]]
    confusion: Sequence[Sequence[float]]
    classes: Sequence[str]
    passed: bool | None
    reason: str


def evaluate(
    data: str | Path,
    model: str | Path | Model | None = None,
    root: str | Path = "runs",
    *,
    out: str | Path | None = None,
    thresholds: Mapping[str, float] | None = None,
    **settings: Any,
) -> Evaluation:
    """Scores a model on labeled images, as the command `evaluate` does.

    Args:
        data: folder of images and masks; all of them are scored.
        model: what `Model.load` takes, or a loaded model.
        root: root folder of the pipeline.
        out: folder for evaluation.json, images.csv and report.html; None writes none of them.
        thresholds: metrics that the images must reach.
        settings: settings by name, of how the data are read or measured; they replace what the model's
            training record says.

    Raises:
        BadInput: the data, the model or a setting cannot be used.
        RuntimeError: the evaluation ended without a result.
        KeyboardInterrupt: the cell was interrupted.
    """
    if isinstance(model, Model):
        [model] = model.folders
    words = ["evaluate", "--data", str(data), "--root", str(_root(root).path)]
    words += ["--model", str(model)] if model is not None else []
    words += [
        word for name, value in (thresholds or {}).items() for word in ("--threshold", f"{name}={value}")
    ]
    words += _assignments(settings)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(out or folder)
        code, errors = _call([*words, "--out", str(results)])
        if code == BAD_INPUT:
            raise BadInput(errors or _ended(code))
        if code not in (OK, NOT_BLESSED):
            raise RuntimeError(errors or _ended(code))
        found = json.loads((results / EVALUATION).read_text(encoding="utf-8"))
    return Evaluation(
        metrics={name: metric["value"] for name, metric in found["metrics"].items()},
        intervals={name: (metric["low"], metric["high"]) for name, metric in found["metrics"].items()},
        images=found["per_image"],
        **{name: found[name] for name in ("confusion", "classes", "passed", "reason")},
    )


class Model:
    """An exported model, or several whose probabilities are averaged; `Model.load` finds them.

    Attributes:
        folders: folders of the SavedModels.
        classes: names of the classes; the index of each is its value in a predicted mask.
        channels: number of channels of the images that it was trained on.
        record: how it was trained: settings, geometry, normalization and so on.
    """

    def __init__(self, *folders: str | Path):
        """Loads SavedModels from their folders; raises `BadInput` if they cannot be used."""
        self.folders = [Path(folder) for folder in folders]
        self._model = _Loaded(*self.folders)
        self.record = self._model.record
        if "classes" not in self.record:
            raise ModelError(f"{self.folders[0]}: no training record, which names the classes")
        self.classes: list[str] = list(self.record["classes"])
        self.channels: int = self.record["channels"]

    @classmethod
    def load(
        cls, model: str | Path | int | Sequence[str | Path | int] | None = None, root: str | Path = "runs"
    ) -> Model:
        """Finds and loads a model.

        Args:
            model: folder of a SavedModel or of versions (the newest one is used), number of a version, id of
                a run, or "latest" for the newest run; a list of them: the mean of their probabilities; None:
                the newest version in service.
            root: root folder, for all but folders.

        Raises:
            BadInput: there is no such model, or it cannot be used.
        """
        several = model if isinstance(model, Sequence) and not isinstance(model, str) else [model]
        folders, problems = [], []
        for each in several:
            folder, found = find_model(None if each is None else str(each), Root.at(Path(root)))
            folders.append(folder)
            problems += found
        if problems or not folders:
            raise ModelError("\n".join(problems) or "an empty list of models: name at least one")
        return cls(*folders)

    def predict(
        self, image: str | Path | bytes | ArrayLike, probabilities: bool = False
    ) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Predicts an image of any size, to the bit as the command `predict` and the server do.

        Args:
            image: array [H, W] or [H, W, 3], or [H, W, channels] for a model of other channels; or a path or
                the bytes of a file of one image. Arrays are of uint8 or uint16, which are taken as the values
                of a file; of other types if the model was trained with a `value_range`.
            probabilities: whether to return probabilities instead of classes.

        Returns:
            The index of each pixel's class, uint8 [H, W]; or probabilities, float32 [H, W, classes], which
            are multiples of 1/65535.

        Raises:
            BadInput: the image cannot be used.
        """
        if not isinstance(image, (str, Path, bytes)):
            image = np.asarray(image)
        try:
            picture = self._model.picture(image)
        except BadInput:
            raise
        except ValueError as error:  # of an array
            raise BadInput(str(error)) from None
        if not self._model.serves(picture):
            found = self._model.segment(picture, probabilities)
            if found.maps is None:
                return found.indices
            return _shares(np.moveaxis(found.maps, 0, -1))
        if probabilities:
            planes = [decode(png)[..., 0] for png in self._model.served_probabilities(picture)]
            return _shares(np.stack(planes, -1))
        return class_indices(decode(self._model.served_mask(picture)), self._model.values)

    def __repr__(self) -> str:
        return f"Model({', '.join(repr(str(folder)) for folder in self.folders)})"


def _shares(maps: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.divide(maps, 65535, dtype=np.float32)


def _root(root: str | Path) -> Root:
    if why := refusal(str(root)):
        raise BadInput(why)
    return Root.at(Path(root))


def _runs(root: str | Path) -> list[str]:
    """Ids of all runs, oldest first."""
    with contextlib.suppress(HistoryError):
        return ids(_root(root).path)
    return []


def _configuration(profile: str | Path, data: str | Path, settings: Mapping[str, Any]) -> PipelineConfig:
    given = {name: value for name, value in settings.items() if value is not None}
    try:
        return profiles.load(str(profile), {**given, "data": Path(data)})
    except profiles.ConfigError as error:
        raise BadInput(str(error)) from None


def _words(profile: str | Path, data: str | Path, root: str | Path, settings: Mapping[str, Any]) -> list[str]:
    """Words of the command line, after a look at the settings: mistakes are told without a process."""
    config = _configuration(profile, data, settings).model_dump(mode="json")
    words = [] if profile == "default" else ["--profile", str(profile)]
    words += ["--data", str(data), "--root", str(_root(root).path)]
    return words + _assignments({name: config[name] for name in settings})


def _assignments(settings: Mapping[str, Any]) -> list[str]:
    """The options `--set` of some settings."""
    return [
        word
        for name, value in settings.items()
        if value is not None
        for word in ("--set", f"{name}={profiles.toml_value(_plain(value))}")
    ]


def _plain(value: Any) -> Any:
    """A value in the types that TOML has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def _call(words: Sequence[str]) -> tuple[int, str]:
    """Runs a command in a process of its own, and shows its lines as they come.

    An interrupt ends the process as Ctrl-C does, which saves what it can; a second one ends it at once.

    Returns:
        The exit code, and what was written to standard error.
    """
    process = subprocess.Popen(
        [sys.executable, *program(), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    errors: list[str] = []
    reader = threading.Thread(target=_show, args=(process.stderr, sys.stderr, errors), daemon=True)
    reader.start()
    try:
        try:
            _show(process.stdout, sys.stdout)
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            _show(process.stdout, sys.stdout)
            process.wait()
            raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        reader.join(1)
        if not reader.is_alive():  # else a process that this one has left behind holds the other end
            process.stderr.close()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code, "".join(errors).strip()


def _show(source: IO[str], target: IO[str], lines: list[str] | None = None) -> None:
    for line in source:
        target.write(line)
        target.flush()
        if lines is not None:
            lines.append(line)


def _ended(code: int) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}; SIGKILL often means too little memory"
    return f"the process ended with exit code {code}; see the lines above"
