"""Files of an evaluation: what is written is read, and what is broken is told."""

import json
import math

import pytest

from unet.evaluation.results import (
    EvaluationDamaged,
    metrics_of,
    read_images,
    read_pictures,
    read_verdict,
    write_evaluation,
    write_images,
    write_picture_index,
    write_verdict,
)

VERDICT = {
    "blessed": True,
    "reason": "",
    "classes": ["a", "b"],
    "images": 3,
    "checks": [],
    "slices": {},
    "confusion": [[1, 0], [0, 1]],
    "calibration": {"bins": [], "ece": None},
    "baseline": {"state": "compared", "why": "", "model_id": 1},
    "metrics": {
        "iou_a": {"value": 0.5, "low": 0.4, "high": 0.6, "baseline": math.nan},
        "iou_b": {"value": math.nan, "low": math.nan, "high": math.inf, "baseline": 0.25},
    },
}


def test_a_verdict_is_read_as_it_was_written_but_for_what_is_no_number(tmp_path):
    write_verdict(tmp_path, VERDICT)
    verdict = read_verdict(tmp_path)
    assert verdict is not None
    assert verdict["metrics"]["iou_b"] == {"value": None, "low": None, "high": None, "baseline": 0.25}
    assert metrics_of(verdict) == pytest.approx({"iou_a": 0.5, "iou_b": math.nan}, nan_ok=True)
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]


def test_without_a_verdict_there_are_no_metrics():
    assert metrics_of(None) == {}


def test_what_is_not_there_is_nothing(tmp_path):
    assert read_verdict(tmp_path / "no") is None
    assert read_images(tmp_path) == []
    assert read_pictures(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"blessed": true}', b"\xff", b"null", b"[" * 100_000], ids=range(6)
)
def test_a_damaged_verdict_is_told(tmp_path, content):
    (tmp_path / "verdict.json").write_bytes(content)
    with pytest.raises(EvaluationDamaged, match=r"verdict.json: "):
        read_verdict(tmp_path)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"checks": [{"metric": "a"}]}, "checks.0"),
        ({"images": "many"}, "images"),
        ({"metrics": 1}, "metrics"),
    ],
)
def test_what_another_version_wrote_is_told_with_what_to_do(tmp_path, change, where):
    write_verdict(tmp_path, {**VERDICT, **change})
    with pytest.raises(EvaluationDamaged, match=rf"verdict.json: .*\({where}.*; restore the file"):
        read_verdict(tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", "[1]", "[" * 100_000], ids=range(4))
def test_a_damaged_table_is_told(tmp_path, content):
    (tmp_path / "images.json").write_text(content)
    with pytest.raises(EvaluationDamaged, match=r"images.json: "):
        read_images(tmp_path)


def test_images_are_in_the_order_of_their_names(tmp_path):
    write_images(tmp_path, [{"name": name} for name in "bca"])
    assert [row["name"] for row in read_images(tmp_path)] == ["a", "b", "c"]


def test_pictures_whose_files_are_gone_are_left_out(tmp_path):
    keys = ("image", "ground_truth", "predicted", "probability")
    rows = [
        {"role": "worst", "name": n, "score": None, **{key: f"{n}-{key}.png" for key in keys}} for n in "ab"
    ]
    write_picture_index(tmp_path, rows)
    for key in keys:
        (tmp_path / "pictures" / f"b-{key}.png").touch()
    assert [row["name"] for row in read_pictures(tmp_path)] == ["b"]


def test_an_evaluation_is_json_and_a_table_with_a_line_an_image(tmp_path):
    row = {"height": 3, "width": 4, "bit_depth": 8, "foreground": math.nan, "slices": ["size=small"]}
    scores = {"a, b": {"iou_x": 0.1 + 0.2, "ece": 0.5}, "c": {"iou_x": math.nan, "ece": 1.0}}
    rows = [{**row, "name": name, "metrics": metrics} for name, metrics in scores.items()]
    write_evaluation(tmp_path / "new", {"passed": None, "metrics": {}}, rows)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["evaluation.json", "images.csv"]
    found = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    assert found["passed"] is None
    assert found["per_image"][1]["metrics"] == {"iou_x": None, "ece": 1.0}
    assert (tmp_path / "new" / "images.csv").read_text().splitlines() == [
        "name,height,width,bit_depth,foreground,iou_x,ece",
        '"a, b",3,4,8,,0.30000000000000004,0.5',
        "c,3,4,8,,,1.0",
    ]


def test_an_evaluation_that_cannot_be_written_leaves_nothing(tmp_path):
    row = {"name": "a", "height": 3, "width": 4, "bit_depth": 8, "foreground": 0.5, "metrics": {}}
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_evaluation(tmp_path, {"passed": object()}, [row])
    assert list(tmp_path.iterdir()) == []
