"""The report of the command evaluate: what it has besides the sections that a run's report has, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.report.formats import sentence
from pipeline.report.verdict import main_metrics, measured
from unet.evaluation.results import ImageRow, Verdict


@dataclass(frozen=True)
class Scores:
    """The scores of a model on labeled images.

    Attributes:
        model: path of the model.
        folder: path of the images and masks.
        verdict: metrics over all images, and the checks of the thresholds.
        images: a row for each image.
        first: index of the first class that counts.
    """

    model: str
    folder: str
    verdict: Verdict
    images: list[ImageRow]
    first: int

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.verdict["classes"])

    @property
    def foreground_classes(self) -> list[str]:
        """The classes that count, if there are several; else none."""
        classes = self.classes[self.first :]
        return classes if len(classes) > 1 else []


def headline(scored: Scores) -> dict[str, Any]:
    """Builds the top of the page: whether the thresholds are met, and the main metrics."""
    good = scored.verdict["blessed"]
    words, tone = ("Every threshold is met", "good") if good else ("A threshold is not met", "bad")
    if not scored.verdict["checks"]:
        words, tone = "Scored; nothing was demanded", "open"
    return {
        "words": words,
        "tone": tone,
        "reason": "" if good else sentence(scored.verdict["reason"]),
        "promoted": "",
        "tiles": main_metrics(scored.verdict),
    }


def build(scored: Scores) -> dict[str, Any]:
    """Builds the tables of the thresholds and of all other metrics."""
    more = {"note": "", "reason": "", "baseline": "", "log": "", "demands": "What was demanded"}
    return {**measured(scored.verdict), **more}
