"""How good the model is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pipeline.report.artifacts import RunArtifacts
from pipeline.report.quality import _rank, _share, classes
from tests.pipeline.report.conftest import Made
from tests.pipeline.report.pages import page
from unet.evaluation.results import read_verdict
from unet.evaluation.slices import SHARES, SIZES


def test_slices_without_images_and_a_gate_without_checks(make: Callable[..., Made]):
    made = make()
    path = made.folder("Evaluator", "evaluation") / "verdict.json"
    verdict = json.loads(path.read_text())
    verdict["checks"] = []
    nothing = dict.fromkeys(verdict["metrics"])
    verdict["slices"] = {"size=large": {"images": 0, "metrics": nothing, "baseline": nothing}}
    verdict["slices"] |= {"odd": {"images": 0, "metrics": {}, "baseline": None}}
    verdict["confusion"] = [[0, 0], [0, 0]]
    verdict["calibration"] = {"bins": [], "ece": None}
    path.write_text(json.dumps(verdict))
    text = page(made).text
    assert "Nothing was demanded of this model." in text["verdict"]
    assert "large0–" in text["slices"]
    assert "The calibration was not measured." in text["calibration"]
    assert not any("cannot be shown" in part for part in text.values())


@pytest.mark.parametrize("count", [3, 12])
def test_the_confusion_matrix_of_many_classes_is_narrow_and_keeps_its_pixels(
    make: Callable[..., Made], count: int
):
    made = make(classes=[f"class {i}" for i in range(count)], size=(200, 200))
    found = classes(RunArtifacts(made.root, made.run))
    verdict = read_verdict(made.folder("Evaluator", "evaluation"))
    assert verdict
    assert found["narrow"] == (count == 12)
    width = max(len(share) for _, cells in found["matrix"] for _, share, _ in cells)
    assert width <= 3 if found["narrow"] else width > 3
    pixels = [[int(n.replace(",", "")) for n, _, _ in cells] for _, cells in found["matrix"]]
    assert pixels == verdict["confusion"]
    assert ("As pixels" in page(made).text["classes"]) == found["narrow"]


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0"), (0.001, "<1"), (0.006, "1"), (0.5, "50"), (1.0, "100")]
)
def test_a_share_that_is_not_nothing_is_not_told_as_nothing(share: float, text: str):
    assert _share(share, 12) == text


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["10", "9", "a"], ["9", "10", "a"]),
        (["b", "a", "1.5"], ["1.5", "a", "b"]),
    ],
)
def test_slices_are_ordered_as_people_would(values: list[str], order: list[str]):
    assert sorted(values, key=_rank) == order


@pytest.mark.parametrize("order", [list(SIZES), list(SHARES)])
def test_buckets_are_ordered_by_their_bounds(order: list[str]):
    assert sorted(sorted(order), key=lambda value: _rank(value, order)) == order
