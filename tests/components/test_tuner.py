"""What a pushed model was trained with is reused for its own recipe alone."""

import json

import pytest

from components.tuner import pushed_choice
from unet.registry.records import TRAINING_RECORD

RECIPE = {"base_filters": [8, 16], "dropout": 0.0}


@pytest.mark.parametrize(
    ("record", "recipe", "choice"),
    [
        ({"tuned": {"base_filters": 16}}, RECIPE, {"learning_rate": 1e-3, "base_filters": 16}),
        ({}, RECIPE, {"learning_rate": 1e-3}),  # of a version that tuned nothing else
        ({"tuned": {"base_filters": 16}}, {**RECIPE, "dropout": 0.1}, None),
        ({"tuned": {"base_filters": 16}}, {**RECIPE, "base_filters": 8}, None),
    ],
)
def test_the_choice_of_the_newest_pushed_model(tmp_path, record, recipe, choice):
    for version in ("1", "12"):
        path = tmp_path / version / TRAINING_RECORD
        path.parent.mkdir(parents=True)
        (tmp_path / version / "saved_model.pb").touch()
        content = {"learning_rate": 1e-3, "recipe": RECIPE, **record} if version == "12" else {}
        path.write_text(json.dumps(content))
    assert pushed_choice(tmp_path, recipe) == choice


def test_no_pushed_model_no_choice(tmp_path):
    assert pushed_choice(tmp_path / "none", RECIPE) is None


def test_a_damaged_record_is_no_choice(tmp_path):
    path = tmp_path / "1" / TRAINING_RECORD
    path.parent.mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    path.write_text('{"recipe')
    assert pushed_choice(tmp_path, RECIPE) is None
