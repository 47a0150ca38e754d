"""Which exported models a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.prediction.models import find_models


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Versions 9 and 10; relative paths are found beside them."""
    for version in ("9", "10"):
        (tmp_path / "serving" / version).mkdir(parents=True)
        (tmp_path / "serving" / version / "saved_model.pb").touch()
    monkeypatch.chdir(tmp_path)
    return Path("serving")


@pytest.mark.parametrize(
    ("given", "models"),
    [
        ([], ["serving/10"]),  # the newest, as numbers are ordered
        (["9"], ["serving/9"]),
        (["9", "10"], ["serving/9", "serving/10"]),
        (["serving"], ["serving/10"]),
        (["serving/9"], ["serving/9"]),
    ],
)
def test_models_are_named_by_version_by_folder_or_by_the_folder_of_versions(
    serving: Path, given: list[str], models: list[str]
):
    assert find_models(given, serving) == ([Path(model) for model in models], [])


def test_a_folder_whose_name_is_a_number_comes_before_the_version_of_that_number(serving: Path):
    Path("9").mkdir()
    Path("9", "saved_model.pb").touch()
    assert find_models(["9"], serving) == ([Path("9")], [])


def test_a_model_that_holds_a_number_is_a_model_and_no_folder_of_versions(serving: Path):
    Path("serving/9/1").mkdir()
    Path("serving/9/1/saved_model.pb").touch()
    assert find_models(["serving/9"], serving) == ([Path("serving/9")], [])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("7", "serving: no version 7; there are: 9, 10"),
        ("nowhere", "nowhere: not a SavedModel: give the folder that holds saved_model.pb"),
        (".", ".: not a SavedModel: give the folder that holds saved_model.pb"),
    ],
)
def test_what_is_no_model_is_told(serving: Path, given: str, problem: str):
    assert find_models([given], serving)[1] == [problem]


def test_where_no_version_is_there_the_advice_says_how_to_get_one(tmp_path: Path):
    models, [problem] = find_models([], tmp_path)
    assert models == []
    assert problem.startswith(f"{tmp_path}: no model was pushed yet: run `python run_pipeline.py` first")
    assert find_models(["3"], tmp_path)[1] == [f"{tmp_path}: no version 3; there are: none"]
