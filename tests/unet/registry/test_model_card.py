import json
from pathlib import Path

import pytest

from tests.open_files import none_left
from unet.registry.model_card import license_of, read_card, renumber_card, write_card
from unet.registry.records import TRAINING_RECORD

FACTS = {
    "data_sha256": "ab",
    "data_licence": "",
    "images": {"train": 3, "test": 1},
    "code": "c",
    "configuration": "d",
}


def test_a_card_says_what_the_model_is_and_how_good(tmp_path: Path) -> None:
    record = {
        "classes": ["nothing", "cell"], "class_values": [0, 255], "channels": 1, "scale": 1.0,
        "normalization": {"over": "dataset", "mean": [10.0], "stddev": [2.0]},
        "recipe": {"base_filters": [8, 16], "depth": 4, "stem_stride": 2, "normalization_layer": "batch",
                   "residual": True},
        "tuned": {"base_filters": 16}, "steps": 200, "refit": True,
        "operating_point": {"aim": "recall>=0.9", "threshold": 0.125},
    }  # fmt: skip
    (tmp_path / TRAINING_RECORD).parent.mkdir()
    (tmp_path / TRAINING_RECORD).write_text(json.dumps(record))
    write_card(tmp_path, 7, FACTS, {"iou_cell": 0.5, "iou_nothing": float("nan")})
    card = json.loads((tmp_path / "assets.extra" / "model_card.json").read_text())
    assert card["metrics_on_test_split"] == {"iou_cell": 0.5, "iou_nothing": None}
    assert card["training"] == {
        "learning_rate": None, "base_filters": 16, "depth": 4, "stem_stride": 2,
        "normalization_layer": "batch", "residual": True, "steps": 200, "refit": True,
    }  # fmt: skip
    assert (card["version"], card["classes"], card["data_sha256"]) == (7, ["nothing", "cell"], "ab")
    text = (tmp_path / "assets.extra" / "model_card.md").read_text()
    for line in ("# U-Net, version 7", "| classes | nothing = 0, cell = 255 |", "| background | nothing |",
                 "| operating point | cell above a probability of 0.125, chosen for recall>=0.9 |",
                 "| iou_cell | 0.5000 |", "| learned from | train and eval |",
                 "| network | depth 4, 16 filters, stem of stride 2, batch normalization, folded into the "
                 "convolutions, residual blocks |",
                 "| licence of the data | not stated |", "| iou_nothing | - |",
                 "| normalization | (value - mean) / standard deviation: mean [10.0], deviation [2.0]; "
                 "values on the scale of 0 to 255 (16 bits divided by 257) |"):  # fmt: skip
        assert line in text
    renumber_card(tmp_path, 9)
    text = (tmp_path / "assets.extra" / "model_card.md").read_text()
    assert "# U-Net, version 9" in text
    assert "| a copy of | version 7, which a rollback brought back |" in text


@pytest.mark.parametrize("content", ["{torn", "[]", "[" * 100_000])
def test_a_damaged_card_is_taken_for_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra/model_card.json").write_text(content)
    assert read_card(tmp_path) == {}


def test_a_card_that_cannot_be_opened_now_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra/model_card.json").write_text("{}")
    with none_left(), pytest.raises(OSError, match="Too many open files"):
        read_card(tmp_path)


def test_a_card_tells_the_factors_of_the_classes(tmp_path: Path) -> None:
    point = {"aim": "dice", "factors": [1.0, 2**0.5, 0.25]}
    record = {"classes": ["sky", "road", "car"], "class_values": [0, 1, 2], "operating_point": point}
    (tmp_path / TRAINING_RECORD).parent.mkdir()
    (tmp_path / TRAINING_RECORD).write_text(json.dumps(record))
    write_card(tmp_path, 7, FACTS, {})
    assert json.loads((tmp_path / "assets.extra" / "model_card.json").read_text())["operating_point"] == point
    said = "the highest of the probabilities times sky 1, road 1.41, car 0.25, chosen for dice"
    assert f"| operating point | {said} |" in (tmp_path / "assets.extra" / "model_card.md").read_text()


def test_a_card_of_a_model_that_normalizes_each_image(tmp_path: Path) -> None:
    (tmp_path / TRAINING_RECORD).parent.mkdir()
    (tmp_path / TRAINING_RECORD).write_text(json.dumps({"normalization": {"over": "image"}}))
    write_card(tmp_path, 7, FACTS, {})
    text = (tmp_path / "assets.extra" / "model_card.md").read_text()
    assert "| (value - mean) / standard deviation, of each channel of each image; values on the scale" in text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("LICENSE", "\n# CC0 1.0\nmore", "CC0 1.0"), ("LICENCE.txt", "mine", "mine"), ("README", "CC0", "")],
)
def test_the_license_is_the_first_line_of_its_file(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    (tmp_path / name).write_text(text)
    assert license_of(tmp_path) == expected
