"""Test images to look at."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pipeline.report.artifacts import RunArtifacts
from pipeline.report.gallery import build
from tests.pipeline.report.conftest import Made, damaged
from tests.pipeline.report.pages import page

MANY = ["background", *(f"class {i}" for i in range(11))]


@pytest.mark.parametrize("classes", [MANY[:3], MANY])
def test_the_legend_has_letters_where_the_pictures_have(make: Callable[..., Made], classes: list[str]):
    made = make(classes=classes, size=(300, 300))
    found = build(RunArtifacts(made.root, made.run))
    assert [name for name, _, _ in found["classes"]] == classes
    assert len({color for _, color, _ in found["classes"]}) == len(classes)
    letters = "ABCDEFGHIJK" if classes == MANY else ""
    assert [letter for _, _, letter in found["classes"]] == ["", *(letters or [""] * (len(classes) - 1))]
    panels = found["groups"][0]["images"][0]["panels"]
    assert [bool(panel.over) for panel in panels[:3]] == [False, bool(letters), bool(letters)]
    assert ("bear its letter" in page(made).text["images"]) == bool(letters)


def test_that_the_contrast_of_patches_is_stretched_is_told(make: Callable[..., Made]):
    assert "contrast, which is stretched" in page(make()).text["samples"]


@pytest.mark.parametrize(
    ("which", "told", "marked"),
    [
        ([True, True], "The contrast of the images is", 0),
        ([True, False], "of some images", 1),
        ([False], "", 0),
    ],
)
def test_stretched_contrast_is_told_where_it_was_done(
    make: Callable[..., Made], which: list[bool], told: str, marked: int
):
    made = make()
    index = made.folder("Evaluator", "evaluation") / "pictures" / "index.json"
    rows = json.loads(index.read_text())
    shown = [{**rows[i % len(rows)], "stretched": stretched} for i, stretched in enumerate(which)]
    index.write_text(json.dumps(shown))
    text = page(made).text["images"]
    assert told in text
    assert ("percentile 0.5 of the values is black, 99.7 is white" in text) == bool(told)
    assert text.count("contrast stretched") == marked


@pytest.mark.parametrize(
    "file", ["0-image.jpg", "0-ground_truth.png", "0-predicted.png", "0-probability.png"]
)
def test_a_damaged_picture_spares_the_others(make: Callable[..., Made], file: str):
    made = make()
    damaged(made.folder("Evaluator", "evaluation") / "pictures" / file)
    found = page(made)
    assert "cannot be read" in found.text["images"]
    assert "Best" in found.text["images"]


@pytest.mark.parametrize(
    ("settings", "ignored", "counted"),
    [
        ({}, [], "foreground pixels, true or predicted"),
        ({"background": "none"}, [], "pixels"),
        ({"ignore": 255}, ["ignored"], "foreground pixels, true or predicted"),
    ],
)
def test_what_counts_is_told(
    make: Callable[..., Made], settings: dict[str, object], ignored: list[str], counted: str
):
    made = make()
    made.run.config.update(settings)
    text = page(made).text["images"]
    assert f"of the {counted}" in text
    assert ("ignored" in text) == bool(ignored)
    assert ("foreground IoU" in text) == ("background" not in settings)
    found = build(RunArtifacts(made.root, made.run))
    assert [name for name, _, _ in found["ignored"]] == ignored


@pytest.mark.parametrize("told", [True, False])
def test_the_name_of_an_image_ends_as_it_does(make: Callable[..., Made], told: bool):
    made = make()
    index = made.folder("Evaluator", "evaluation") / "pictures" / "index.json"
    [row, *_] = json.loads(index.read_text())
    row |= {"name": "slice: ", "errors": {"right": 0.5, "missed": 0.5, "too_much": 0, "other": 0}}
    index.write_text(json.dumps([row if told else {k: v for k, v in row.items() if k != "errors"}]))
    [shown] = build(RunArtifacts(made.root, made.run))["groups"][0]["images"]
    [errors] = [panel for panel in shown["panels"] if panel.label == "Errors"]
    assert errors.alt == "Errors in slice: " + told * ": missed 50.0 %, too much 0.0 %"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"errors": {"right": 1.0, "missed": 0.0, "too_much": 0.0}}, "1.errors.other"),
        ({"image": 3}, "1.image"),
    ],
)
def test_an_index_that_was_edited_is_told(make: Callable[..., Made], change: dict[str, object], where: str):
    made = make()
    index = made.folder("Evaluator", "evaluation") / "pictures" / "index.json"
    first, second, *others = json.loads(index.read_text())
    index.write_text(json.dumps([first, {**second, **change}, *others]))
    assert f"index.json: damaged, or of another version ({where}: " in page(made).text["images"]
