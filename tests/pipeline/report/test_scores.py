"""The report of the command evaluate."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from pipeline.report.page import SCORED, evaluation
from pipeline.report.scores import Scores
from tests.pipeline.report.pages import Page
from unet.evaluation import gate
from unet.evaluation.settings import GateSettings
from unet.metrics.measurement import ImageStatistics
from unet.metrics.objects import COUNTS

CLASSES = ["background", "cell & co", "other"]


def scores(thresholds: dict[str, float]) -> Scores:
    """Two images, of which one is right and the other one wrong in half of its pixels."""
    images: list[gate.ImageScores] = []
    for name, half in (("<a>", 0.0), ("b", 10.0)):
        confusion = np.diag([20.0, 20.0 - half, 20.0])
        confusion[1, 0] = half
        boundary, bins = np.ones((2, 4)), np.array([[30.0, 40.0, 50.0]] + [[0.0] * 3] * 14)
        objects = np.array([[2, 3, 0.75, *[1] * 5, *[0] * 5], [0] * COUNTS])
        found = ImageStatistics(confusion, boundary, objects, bins, np.zeros((2, 0, 2)))
        images.append(
            {
                "name": name, "height": 6, "width": 10, "bit_depth": 8, "foreground": math.nan,
                "slices": ["size=small"], "candidate": found.to_json(), "baseline": None,
            }
        )  # fmt: skip
    settings = GateSettings(thresholds=thresholds, class_names=CLASSES)
    verdict = gate.decide(images, settings, {"state": "none", "why": "nothing", "model_id": None})
    return Scores("models/1", "<data>", verdict, gate.table(images, CLASSES), 1)


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({}, "Scored; nothing was demanded"),
        ({"pixel_error": 1.0}, "Every threshold is met"),
        ({"pixel_error": 0.0, "mean_iou": 0.5}, "A threshold is not met"),
    ],
)
def test_every_section_shows_what_was_scored(thresholds: dict[str, float], words: str) -> None:
    found: Any = Page(evaluation(scores(thresholds))).text
    assert list(found)[1:] == [section.id for section in SCORED]
    assert words in found[""]
    assert "models/1" in found[""]
    assert "<data>" in found[""]
    assert ("What was demanded" in found["verdict"]) == bool(thresholds)
    assert ("Nothing was demanded of this model" in found["verdict"]) == (not thresholds)
    assert "cell & co" in found["classes"]
    assert "<a>" in found["distribution"]
    assert "small" in found["slices"]
    assert "Share that was right" in found["calibration"]
    assert not any("cannot be shown" in part for part in found.values())


def test_objects_are_counted_by_class_and_by_the_overlap_that_is_demanded() -> None:
    html = evaluation(scores({}))
    rows = re.findall("<tr><th scope=.row.><bdi>cell &amp; co</bdi></th>(.*)</tr>", html)
    cells = [re.findall('"n">([^<]*)</td>', row) for row in rows]
    assert ["4", "6", "2", "2", "4"] in cells
    assert ["0.40"] * 5 + ["0.00"] * 5 in cells


def test_one_class_of_objects_needs_no_column_of_its_own() -> None:
    found = scores({})
    assert found.foreground_classes == CLASSES[1:]
    alone = Scores("", "", {**found.verdict, "classes": CLASSES[:2]}, [], 1)
    assert alone.foreground_classes == []
