"""Which exported models a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.prediction.models import find_model, find_models
from pipeline.root import Root
from pipeline.terminal.command import command
from tests.pipeline.recorded_runs import COMPLETE, RecordedRuns


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A root with versions 9 and 10; relative paths are found in it."""
    monkeypatch.chdir(tmp_path)
    root = Root(Path())
    for version in ("9", "10"):
        (root.serving / version).mkdir(parents=True)
        (root.serving / version / "saved_model.pb").touch()
    return root


@pytest.mark.parametrize(
    ("given", "models"),
    [
        ([], ["serving/unet/10"]),  # the newest, as numbers are ordered
        (["9"], ["serving/unet/9"]),
        (["9", "10"], ["serving/unet/9", "serving/unet/10"]),
        (["serving/unet"], ["serving/unet/10"]),
        (["serving/unet/9"], ["serving/unet/9"]),
    ],
)
def test_models_are_named_by_version_by_folder_or_by_the_folder_of_versions(
    root: Root, given: list[str], models: list[str]
):
    assert find_models(given, root) == ([Path(model) for model in models], [])


def test_a_folder_whose_name_is_a_number_comes_before_the_version_of_that_number(root: Root):
    Path("9").mkdir()
    Path("9", "saved_model.pb").touch()
    assert find_models(["9"], root) == ([Path("9")], [])


def test_a_model_that_holds_a_number_is_a_model_and_no_folder_of_versions(root: Root):
    Path("serving/unet/9/1").mkdir()
    Path("serving/unet/9/1/saved_model.pb").touch()
    assert find_models(["serving/unet/9"], root) == ([Path("serving/unet/9")], [])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("7", "serving/unet: no version 7; there are: 9, 10"),
        ("no/where", "no/where: not a SavedModel: give the folder that holds saved_model.pb"),
        (".", ".: not a SavedModel: give the folder that holds saved_model.pb"),
    ],
)
def test_what_is_no_model_is_told(root: Root, given: str, problem: str):
    assert find_models([given], root)[1] == [problem]


def test_where_no_version_is_there_the_advice_says_how_to_get_one(tmp_path: Path):
    models, [problem] = find_models([], Root(tmp_path))
    assert models == []
    assert problem.startswith(
        f"{Root(tmp_path).serving}: no model was pushed yet: run `{command('run')}` first"
    )
    assert find_models(["3"], Root(tmp_path))[1] == [
        f"{Root(tmp_path).serving}: no version 3; there are: none"
    ]


def test_a_run_is_named_by_its_id(tmp_path: Path):
    recorded = RecordedRuns(tmp_path / "root")
    recorded.add("20261125-010000")
    recorded.add("20261125-020000", {"ImageMaskExampleGen": COMPLETE}, "failed")
    [model] = recorded.root.artifacts.glob("Trainer/model/*")
    path = model / "Format-Serving"
    gone = f"{path}: the model of run 20261125-010000 is gone"
    assert find_model("20261125-010000", recorded.root) == (path, [gone])
    path.mkdir()
    (path / "saved_model.pb").touch()
    assert find_model("20261125-010000", recorded.root) == (path, [])
    [problem] = find_model("latest", recorded.root)[1]
    assert problem == "run 20261125-020000 has no model: it ended before one was trained (failed)"
    assert find_models(["20261125-010000"] * 2, recorded.root) == ([path] * 2, [])
    [problem] = find_model("nowhere", recorded.root)[1]
    assert problem.startswith("nowhere: no folder of this name, and no run: ")
    [problem] = find_model("no/where", recorded.root)[1]
    assert "not a SavedModel" in problem


def test_one_model_is_the_newest_version_unless_another_is_named(tmp_path: Path):
    root = Root(tmp_path)
    [problem] = find_model(None, root)[1]
    assert "no model was pushed yet" in problem
    for version in ("9", "10"):
        (root.serving / version).mkdir(parents=True)
        (root.serving / version / "saved_model.pb").touch()
    assert find_model(None, root) == (root.serving / "10", [])
    assert find_model("9", root) == (root.serving / "9", [])
