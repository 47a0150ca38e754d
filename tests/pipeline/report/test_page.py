"""The whole report: all that a run left, and whatever of it is missing or damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape

import pytest

from pipeline.report.page import SECTIONS, report
from tests.pipeline.report.conftest import Made, write_anomalies
from tests.pipeline.report.pages import Page, page
from unet.evaluation.results import read_images
from unet.training.files import CURVES

ENDED = ("failed", "bad_input", "interrupted", "killed", "unknown")
HOSTILE = ['<script>alert("1")</script>', "a & b's", "Zürich, 東京", "\u202etfel-ot-thgir", "x" * 200]


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
    assert "step 60 were kept: their Foreground IoU on the eval images, 0.780," in text["curves"]
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


def test_names_are_text(make: Callable[..., Made]):
    made = make(names=HOSTILE, classes=("back<ground>", 'c"&ell'))
    write_anomalies(made.folder("ExampleValidator", "anomalies"), {"<b>mean</b>": "is <odd> & strange"})
    found = page(made)
    for name in HOSTILE:
        assert name in found.text["distribution"]
    assert "train: <b>mean</b>: is <odd> & strange" in found.text["data"]
    assert 'c"&ell' in found.text["classes"]
    assert found.tags.count("script") == 1


def test_each_of_several_classes_is_told_by_itself(make: Callable[..., Made]):
    made = make(classes=["background", "nucleus", "border"])
    curves = "validation,loss,val_foreground_iou,val_iou_background,val_iou_nucleus,val_iou_border,steps\n"
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


def test_many_images_stay_below_five_megabytes(make: Callable[..., Made]):
    made = make(images=1000, drawn=9, size=(300, 300))
    assert len(report(made.root, made.run).encode()) < 5e6
