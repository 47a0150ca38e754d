"""The whole report: all that a run left, and whatever of it is missing or damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.history.executions import Node, Push
from pipeline.report.artifacts import RunArtifacts
from pipeline.report.page import SECTIONS, report
from pipeline.report.provenance import configuration
from tests.pipeline.report.conftest import Made, write_anomalies
from unet.evaluation.results import read_images, read_verdict, write_verdict
from unet.training.files import CURVES

ENDED = ("failed", "bad_input", "interrupted", "killed", "unknown")
HOSTILE = ['<script>alert("1")</script>', "a & b's", "Zürich, 東京", "\u202etfel-ot-thgir", "x" * 200]


class Page(HTMLParser):
    """Text of each section, headings, tags and pictures of a page; fails on tags that are left open."""

    VOID = {"meta", "img", "br", "link", "line", "rect", "circle", "polyline"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {"": ""}
        self.headings: list[int] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self._section, self._open = "", list[str]()
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = str(values["id"])
            self.text[self._section] = ""
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(values)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.text[self._section] += data


def page(made: Made) -> Page:
    return Page(report(made.root, made.run))


def test_every_section_shows_what_the_run_left(make: Callable[..., Made]):
    made = make()
    text = page(made).text
    assert list(text)[1:] == [section.id for section in SECTIONS]
    verdict = json.loads((made.folder("Evaluator", "evaluation") / "verdict.json").read_text())
    value = verdict["metrics"]["foreground_iou"]["value"]
    assert "Pushed into service" in text[""]
    assert f"{value:.3f}" in text[""]
    assert f"{value:.4f}" in text["verdict"]
    assert "at least 0.500" in text["verdict"]
    for word in ("Worst", "In the middle", "Best", "missed", "Probability"):
        assert word in text["images"]
    assert "Precision" in text["classes"]
    assert f"{verdict['confusion'][1][1]:,}" in text["classes"]
    assert "Median" in text["distribution"]
    assert "image 0003" in text["distribution"]
    assert "foreground" in text["slices"]
    assert "0.020" in text["calibration"]
    assert "got better" in text["blessed"]
    assert "step 60 were kept, with a foreground IoU of 0.780" in text["curves"]
    assert "tensorboard --logdir" in text["curves"]
    assert "the loss is nan at step 3" in text["search"]
    assert "Weight, 0 to 11.0" in text["samples"]
    assert "Nothing was found" in text["data"]
    assert "9.5" in text["data"]
    assert "900 MB" in text["components"]
    assert "steps" in text["configuration"]
    assert "1795557723" in text["lineage"]
    assert not any("cannot be shown" in part for part in text.values())


def test_the_page_loads_nothing_and_can_be_read_aloud(make: Callable[..., Made]):
    made = make()
    html = report(made.root, made.run)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)
    assert "@import" not in html
    assert "default-src 'none'" in unescape(html)
    found = Page(html)
    assert all(image["src"] and image["src"].startswith("data:image/") for image in found.images)
    assert all("alt" in image for image in found.images)
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert found.tags.count("table") == found.tags.count("caption")
    assert {"header", "nav", "main", "footer"} <= set(found.tags)


@pytest.mark.parametrize(
    "classes", [("background", "nucleus", "dividing nucleus"), tuple(f"class {i}" for i in range(12))]
)
def test_several_classes(make: Callable[..., Made], classes: tuple[str, ...]):
    text = page(make(classes=classes)).text
    for name in classes:
        assert name in text["classes"]
        assert name in text["images"]
    assert "a class for another" in text["images"]


def test_one_image_and_no_model_before(make: Callable[..., Made]):
    text = page(make(images=1, baseline=False)).text
    assert "1 test image" in text["verdict"]
    assert "No other model was blessed before." in text["blessed"]
    assert not any("cannot be shown" in part for part in text.values())


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
    assert "The gate demanded nothing of this model." in text["verdict"]
    assert "large0–" in text["slices"]
    assert "The calibration was not measured." in text["calibration"]
    assert not any("cannot be shown" in part for part in text.values())


def test_names_are_text(make: Callable[..., Made]):
    made = make(names=HOSTILE, classes=("back<ground>", 'c"&ell'))
    write_anomalies(made.folder("ExampleValidator", "anomalies"), {"<b>mean</b>": "is <odd> & strange"})
    found = page(made)
    for name in HOSTILE:
        assert name in found.text["distribution"]
    assert "train: <b>mean</b>: is <odd> & strange" in found.text["data"]
    assert 'c"&ell' in found.text["classes"]
    assert found.tags.count("script") == 1


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nan(path: Path) -> None:
    """No number is known any more."""
    path.write_text(
        re.sub(r"-?\d+\.\d+(e-?\d+)?", "null" if path.suffix == ".json" else "nan", path.read_text())
    )


CHANGES: dict[str, Callable[[Path], Any]] = {
    "cut": damaged,
    "nan": nan,
    "gone": lambda path: path.unlink(),
    "list": lambda path: path.write_text("[]"),
    "object": lambda path: path.write_text("{}"),
    "rows": lambda path: path.write_text("[{}]"),
    "bytes": lambda path: path.write_bytes(b"\xff\x00"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("node", "key", "file", "section"),
    [
        ("Evaluator", "evaluation", "verdict.json", "verdict"),
        ("Evaluator", "evaluation", "images.json", "distribution"),
        ("Evaluator", "evaluation", "pictures/index.json", "images"),
        ("Tuner", "tuner_results", "tuner_results.json", "search"),
        ("Trainer", "model_run", "curves.csv", "curves"),
        ("Trainer", "model_run", "samples/index.json", "samples"),
    ],
)
def test_a_damaged_file_is_a_sentence_in_its_section(
    make: Callable[..., Made], node: str, key: str, file: str, section: str, change: Callable[[Path], Any]
):
    made = make()
    change(made.folder(node, key) / file)
    text = page(made).text
    assert len(text) > 9  # the other sections are there
    assert len(text.get(section, text[""])) > 20
    assert "Traceback" not in "".join(text.values())
    assert "image 0003" in text["distribution"] or section == "distribution"


@pytest.mark.parametrize(
    "file", ["0-image.jpg", "0-ground_truth.png", "0-predicted.png", "0-probability.png"]
)
def test_a_damaged_picture_spares_the_others(make: Callable[..., Made], file: str):
    made = make()
    damaged(made.folder("Evaluator", "evaluation") / "pictures" / file)
    found = page(made)
    assert "cannot be read" in found.text["images"]
    assert "Best" in found.text["images"]


@pytest.mark.parametrize("node", ["StatisticsGen", "Tuner", "Trainer", "Evaluator"])
def test_deleted_artifacts_are_told(make: Callable[..., Made], node: str):
    made = make()
    shutil.rmtree(made.root.artifacts / made.run.id / node)
    text = "".join(page(made).text.values())
    assert "is gone: it was deleted after the run" in text
    assert "cannot be shown" not in text


def test_each_of_several_classes_is_told_by_itself(make: Callable[..., Made]):
    made = make(classes=["background", "nucleus", "border"])
    curves = "epoch,loss,val_foreground_iou,val_iou_background,val_iou_nucleus,val_iou_border,steps\n"
    (made.folder("Trainer", "model_run") / CURVES).write_text(f"{curves}1,0.5,0.5,0.9,0.8,0.2125,30\n")
    found = page(made)
    images = read_images(made.folder("Evaluator", "evaluation"))
    assert images
    for section in ("curves", "distribution"):
        assert "IoU, nucleus" in found.text[section]
        assert "IoU, background" not in found.text[section]
    assert "0.2125" in found.text["curves"]
    assert f"{images[0]['metrics']['iou_border']:.3f}" in found.text["distribution"]


@pytest.mark.parametrize("status", [*ENDED, "running", "not_blessed", "strange"])
def test_a_run_that_did_not_come_far(make: Callable[..., Made], status: str):
    made = make(status=status, reason="the <mask> of a.png\nis of another size")
    made.run.nodes = made.run.nodes[:3]
    for node in made.run.nodes[1:]:
        node.state, node.outputs = "failed", {}
    found = page(made)
    assert "The <mask> of a.png" in found.text[""]
    assert "The run did not come as far as" in found.text["unreached"]
    assert "Learning curves" in found.text["unreached"]
    assert ("and the last one" in found.text.get("verdict", "")) == (status in ENDED)
    assert "failed" in found.text["components"]


def test_a_run_of_which_only_the_folder_is_left(make: Callable[..., Made]):
    made = make()
    made.run.nodes, made.run.record.config = [], {}
    made.run.problems.append("metadata.sqlite: no database")
    text = page(made).text
    assert "No component was started." in text["components"]
    assert "not known" in text["configuration"]


@pytest.mark.parametrize(
    ("changed", "listed"),
    [({"steps": 60}, ["steps"]), ({}, [])],
)
def test_settings_that_were_changed_are_those_a_person_set(make: Callable[..., Made], changed, listed):
    made = make()
    made.run.record.changed = changed
    shown = configuration(RunArtifacts(made.root, made.run))["changed"]
    assert {row["name"] for row in shown} == {*listed}
    assert ("Every setting has its default." in page(made).text["configuration"]) == (not listed)


@pytest.mark.parametrize("by_chance", [False, True])
def test_a_drop_that_may_be_chance_says_so(make: Callable[..., Made], by_chance: bool):
    made = make()
    folder = made.folder("Evaluator", "evaluation")
    verdict = read_verdict(folder)
    assert verdict
    drop = {**verdict["checks"][0], "kind": "drop", "bound": 0.01, "p": 0.4, "by_chance": by_chance}
    write_verdict(folder, {**verdict, "checks": [drop]})
    text = page(made).text["verdict"]
    assert "p = 0.400" in text
    assert ("may be chance" in text) == by_chance


def test_a_promotion_is_told(make: Callable[..., Made]):
    made = make(status="not_blessed", reason="foreground_iou is 0.4, the threshold is 0.5")
    made.run.pushes.append(
        Push("/models/unet/1795557999", made.run.id, reason="a <demo>", who="ann", when="today")
    )
    text = page(made).text
    assert "Not blessed" in text[""]
    assert "Version 1795557999 was promoted by ann, today: a <demo>." in text[""]
    assert "1795557999" in text["lineage"]


def test_drift_is_shown_beside_the_images_of_the_last_blessed_model(make: Callable[..., Made]):
    made, before = make(), make("20261124-020000")
    statistics = before.run.artifact("StatisticsGen", "statistics")
    assert statistics
    made.run.nodes.append(Node("BlessedStatistics", "done", outputs={"baseline": [statistics]}))
    validator = made.run.artifact("DistributionValidator", "report")
    assert validator
    validator.properties["warnings"] = "mean drifted: 7 before, 21 now"
    text = page(made).text["data"]
    assert "train, last blessed" in text
    assert "mean drifted: 7 before, 21 now" in text
    shutil.rmtree(before.folder("StatisticsGen", "statistics"))
    assert "images of the last blessed model cannot be shown" in page(made).text["data"]


def test_many_images_stay_below_five_megabytes(make: Callable[..., Made]):
    made = make(images=1000, drawn=9, size=(300, 300))
    assert len(report(made.root, made.run).encode()) < 5e6
