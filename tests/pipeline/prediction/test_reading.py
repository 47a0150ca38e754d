"""How the data are read for a model: what its record says, what is said instead, and what cannot be."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.profile import ConfigError
from pipeline.prediction.reading import config_of_model, parse_thresholds

RECORD = {
    "classes": ["background", "cell"],
    "class_values": [0, 255],
    "labels": {"classes": {"background": 3, "cell": "instances"}, "ignore": 9},
    "background": "none",
    "channels": 2,
    "use_channels": [2, 4],
    "value_range": [0.0, 1.0],
}


def config(record: Any = RECORD, thresholds: Any = None, **overrides: Any) -> Any:
    return config_of_model(record, Path("cells"), overrides, thresholds or {})


def test_the_record_says_how_the_data_are_read() -> None:
    found = config()
    assert found.data == Path("cells")
    assert list(found.classes.items()) == [("background", 3), ("cell", "instances")]
    assert (found.ignore, found.background, found.channels) == (9, "none", 2)
    assert (list(found.use_channels), found.value_range) == ([2, 4], (0.0, 1.0))
    assert found.thresholds == {}


def test_settings_and_thresholds_come_before_the_record() -> None:
    found = config(thresholds={"iou_cell": 0.5}, classes={"background": 0, "cell": 1}, ignore=255)
    assert (found.classes["cell"], found.ignore, found.thresholds) == (1, 255, {"iou_cell": 0.5})


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0, 255], {"background": 0, "cell": 255}),
        ([[0, 0, 0], [255, 16, 0]], {"background": "#000000", "cell": "#ff1000"}),
    ],
)
def test_a_record_without_labels_has_the_values_of_the_predicted_masks(values: Any, classes: Any) -> None:
    record = {"classes": ["background", "cell"], "class_values": values, "channels": 1}
    found = config(record)
    assert (dict(found.classes), found.ignore, found.background) == (classes, None, "first")


def test_other_classes_and_unknown_metrics_are_refused() -> None:
    with pytest.raises(ConfigError, match="those of the model, in its order, are background, cell"):
        config(classes={"cell": 1, "background": 0})
    with pytest.raises(ConfigError, match="unknown metric 'iou_cat'"):
        config(thresholds={"iou_cat": 0.5})


def test_thresholds_are_words_of_metric_and_value() -> None:
    problems: list[str] = []
    words = [
        "foreground_iou=0.8",
        "ece = 0.1",
        "iou_cell@size=small=0.5",
        "iou_cell",
        "ece=low",
        "=1",
        "ece=nan",
    ]
    assert parse_thresholds(words, problems) == {
        "foreground_iou": 0.8,
        "ece": 0.1,
        "iou_cell@size=small": 0.5,
    }
    assert [problem.partition(":")[0] for problem in problems] == [
        "--threshold iou_cell",
        "--threshold ece=low",
        "--threshold =1",
        "--threshold ece=nan",
    ]
