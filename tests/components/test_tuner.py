"""What a pushed model was trained with is reused for its own recipe alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner import executor as tuner_executor
from tfx.types.standard_artifacts import Examples, HyperParameters, TunerResults
from tfx.utils import json_utils

from components.tuner import Executor, pushed_choice, tuner_fn
from tests.unet.training.tiny import SETTINGS, SIZES
from unet.errors import ImagesLost
from unet.registry.records import TRAINING_RECORD
from unet.training.search_settings import TuneSettings
from unet.training.settings import TrainSettings

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


class _Stopped(Exception):
    """The search would begin here."""


def test_it_is_told_how_many_images_it_must_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []

    def search(inputs: Any, properties: Any, folder: str) -> None:
        seen.append(json_utils.loads(properties["custom_config"])["images"])
        raise _Stopped

    monkeypatch.setattr(tuner_executor, "search", search)
    monkeypatch.setattr(Executor, "_get_tmp_dir", lambda self: str(tmp_path))
    tiles, best, results = Examples(), HyperParameters(), TunerResults()
    tiles.set_int_custom_property("train_count", 120)
    tiles.set_int_custom_property("eval_count", 24)
    best.uri = results.uri = str(tmp_path)
    config = {"search": TuneSettings(tune="always"), "train": TrainSettings()}
    text = json_utils.dumps({name: settings.model_dump_json() for name, settings in config.items()})
    with pytest.raises(_Stopped):
        Executor().Do(
            {"examples": [tiles]},
            {"best_hyperparameters": [best], "tuner_results": [results]},
            {"custom_config": text},
        )
    assert seen == [{"train": 120, "eval": 24}]


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_search_without_all_images_is_not_begun(patterns: list[str], tmp_path: Path, split: str):
    config = {
        "search": TuneSettings(tune="always").model_dump_json(),
        "train": SETTINGS.model_dump_json(),
        "images": {"train": len(SIZES), "eval": len(SIZES), split: len(SIZES) + 1},
        "checkpoints": str(tmp_path / "checkpoints"),
    }
    with pytest.raises(ImagesLost, match=f"tiles of {len(SIZES)} images, {len(SIZES) + 1} were read"):
        tuner_fn(FnArgs(train_files=patterns, eval_files=patterns, custom_config=config))
    assert not any(tmp_path.iterdir())
