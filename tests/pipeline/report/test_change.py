"""The comparison of two runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable

import pytest

from pipeline.report.page import COMPARED, comparison
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import Page


@pytest.fixture
def two(make: Callable[..., Made]) -> tuple[Made, Made]:
    first, second = make("20261124-020000", seed=1), make("20261125-020000", seed=2)
    second.run.record.config |= {"steps": 90, "classes": {"a": 0, "<b>": 1}}
    second.run.record.versions["python"] = "3.13"
    return first, second


def compared(first: Made, second: Made) -> Page:
    return Page(comparison(first.root, first.run, second.run))


def test_everything_side_by_side(two: tuple[Made, Made]):
    found = compared(*two)
    text = found.text
    assert list(text)[1:] == [section.id for section in COMPARED]
    values = []
    for made in two:
        verdict = json.loads((made.folder("Evaluator", "evaluation") / "verdict.json").read_text())
        values.append(verdict["metrics"]["foreground_iou"]["value"])
    row = next(line for line in text["verdicts"].splitlines() if line.startswith("Foreground IoU"))
    assert f"{values[0]:.4f}{values[1]:.4f}" in row
    assert row.endswith("better" if values[1] > values[0] else "worse")
    counts = re.search(r"(\d+) got better, (\d+) got worse, (\d+) stayed", text["changed-images"])
    assert counts
    assert sum(map(int, counts.groups())) == 5
    mean = re.search(r"changed by (\S+) on average \(95 % interval (\S+) to (\S+)\)", text["changed-images"])
    assert mean
    change, low, high = (float(value.replace("−", "-")) for value in mean.groups())
    assert low < change < high
    assert ("may be chance" in text["changed-images"]) == (low <= 0 <= high)
    assert "steps6090" in text["settings"]
    assert '"<b>" = 1' in text["settings"]
    assert "python3.103.13" in text["settings"]
    assert "20261124-020000" in text["both-curves"]
    assert "Trainer" in text["times"]
    assert "different data" not in text["verdicts"]
    assert not any("cannot be shown" in part for part in text.values())


def test_a_run_with_itself_differs_in_nothing(two: tuple[Made, Made]):
    text = compared(two[0], two[0]).text
    assert "0 got better, 0 got worse, 5 stayed the same" in text["changed-images"]
    assert "on average" not in text["changed-images"]
    assert "Settings: no difference." in text["settings"]


def test_other_data_and_other_images_are_told(make: Callable[..., Made]):
    first, second = make("a", names=["only here"]), make("b")
    examples = second.run.artifact("ImageMaskExampleGen", "examples")
    assert examples
    examples.properties["fingerprint"] = "other"
    text = compared(first, second).text
    assert "different data" in text["verdicts"]
    assert "2 images of only one of the two runs" in text["changed-images"]


def test_a_run_without_an_evaluation_is_told(two: tuple[Made, Made]):
    first, second = two
    shutil.rmtree(second.root.artifacts / second.run.id)
    text = compared(first, second).text
    assert "20261125-020000: " in text["verdicts"]
    assert "is gone" in text["changed-images"]
    assert "20261125-020000: " in text["both-curves"]
    assert "cannot be shown" not in "".join(text.values())
