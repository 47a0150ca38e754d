"""Reads the files of a run, each once, with an error message for each that cannot be used."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any, Protocol

from pipeline.history.runs import Run
from pipeline.root import Root
from unet.evaluation.results import (
    IMAGES,
    EvaluationDamaged,
    ExamplePicture,
    ImageRow,
    Verdict,
    read_images,
    read_pictures,
    read_verdict,
)
from unet.masks.background import first_foreground
from unet.training.files import CURVES

_LINES = 40  # number of lines of the log's end
_TAIL = 1 << 16  # number of bytes at the end of the log that are read


class Missing(Exception):
    """The data of a section are missing or cannot be used; the message is a sentence for users."""


class NotReached(Missing):
    """The run ended before the component that writes the data of a section."""


class Evaluated(Protocol):
    """What the sections about the quality of a model read: that of a run, or of the command evaluate."""

    @property
    def verdict(self) -> Verdict:
        """The metrics and what was decided."""

    @property
    def images(self) -> list[ImageRow]:
        """A row for each image."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""

    @property
    def foreground_classes(self) -> list[str]:
        """The classes that count, if there are several; else none."""


class RunArtifacts:
    """One run and its files. Attributes raise `Missing` if their file cannot be used."""

    def __init__(self, root: Root, run: Run):
        """Args: root: root folder of the run; run: the run from the history."""
        self.root, self.run = root, run

    def folder(self, node: str, key: str) -> Path:
        """Returns the folder of the first output of a component."""
        artifact = self.run.artifact(node, key)
        if artifact is None:
            raise NotReached(f"The run did not come to the end of {node}.")
        path = Path(artifact.uri)
        if not path.is_dir():
            raise Missing(f"{path} is gone: it was deleted after the run.")
        return path

    @functools.cached_property
    def verdict(self) -> Verdict:
        """The verdict of the gate."""
        folder = self.folder("Evaluator", "evaluation")
        verdict = _read(read_verdict, folder)
        if verdict is None:
            raise Missing(f"{folder} holds no verdict: another version of the pipeline made this evaluation.")
        return verdict

    @functools.cached_property
    def images(self) -> list[ImageRow]:
        """A row for each test image."""
        folder = self.folder("Evaluator", "evaluation")
        rows = _read(read_images, folder)
        if not rows:
            raise Missing(f"{folder} holds no table of the test images ({IMAGES}).")
        return rows

    @functools.cached_property
    def pictures(self) -> list[ExamplePicture]:
        """The test images with example pictures."""
        folder = self.folder("Evaluator", "evaluation")
        rows = _read(read_pictures, folder)
        if not rows:
            raise Missing(f"{folder} holds no pictures of test images.")
        return rows

    @property
    def classes(self) -> list[str]:
        """Names of the classes, from the verdict or else from the configuration."""
        try:
            return list(self.verdict["classes"])
        except Missing:
            return list(self.run.config.get("classes", {}))

    @property
    def foreground_classes(self) -> list[str]:
        """The classes that count: all but the background, if there are several; else none."""
        classes = self.classes[self.first :]
        return classes if len(classes) > 1 else []

    @property
    def first(self) -> int:
        """Index of the first class that counts: 1 after a background, 0 without one."""
        return first_foreground(self.run.config.get("background", "auto"))

    @functools.cached_property
    def curves(self) -> dict[str, list[float | None]]:
        """Columns of the learning curves; None for a value that is not a number."""
        path = self.folder("Trainer", "model_run") / CURVES
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, strict=True))
        except FileNotFoundError:
            raise Missing(f"{path} is gone.") from None
        except (OSError, ValueError, csv.Error) as error:
            raise Missing(f"{path} cannot be read: {error}.") from None
        if not rows:
            raise Missing(f"{path} holds no validation.")
        return {name: [_float(row[name]) for row in rows] for name in rows[0] if name}

    def json(self, path: Path, what: str) -> Any:
        """Reads a JSON file; `what` names its content in messages."""
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Missing(f"There is no {what}: {path} is not there.") from None
        except (OSError, RecursionError, ValueError) as error:
            raise Missing(f"{path} cannot be read: {error}.") from None

    @property
    def log_tail(self) -> str:
        """The last lines of the log; empty if there is none."""
        try:
            with (self.root.run(self.run.id) / "log.txt").open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _TAIL))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        # A progress bar writes over its line again and again: what it showed last is what a terminal shows.
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip("\n").split("\n")[-_LINES:]]
        return "\n".join("".join(c for c in line if c.isprintable() or c == "\t") for line in lines)


def _read(reader: Any, folder: Path) -> Any:
    try:
        return reader(folder)
    except EvaluationDamaged as error:
        raise Missing(f"{error}.") from None


def _float(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
