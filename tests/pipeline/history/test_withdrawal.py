"""What ML Metadata knows of a rollback, and what is done where one of the two records is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.history.lineage import run_of_version
from pipeline.history.outcome import model_path
from pipeline.history.promotion import last_blessed
from pipeline.history.runs import load, pushes
from pipeline.history.withdrawal import tell_withdrawn, try_to_tell
from pipeline.metadata.place import StoreError
from tests.pipeline.recorded_runs import RecordedRuns
from unet.registry.versions import LATEST, Withdrawn, push, roll_back, versions


def model_of(recorded: RecordedRuns, run_id: str) -> tuple[Path, int]:
    """The folder of a run's model, and its id."""
    artifact = load(recorded.root.path, run_id).artifact("Trainer", "model")
    assert artifact is not None
    return model_path(artifact), artifact.id


@pytest.fixture
def two(recorded: RecordedRuns) -> RecordedRuns:
    """Two runs, each of which pushed its model."""
    for run_id in "12":
        saved = recorded.root.path / "saved" / run_id
        saved.mkdir(parents=True)
        (saved / "saved_model.pb").write_text(f"model {run_id}")
        version, _ = push(saved, recorded.root.serving)
        recorded.add(run_id, version=int(version.name))
        shutil.copytree(saved, model_of(recorded, run_id)[0])
    return recorded


def marks(recorded: RecordedRuns, kind: str = "ModelBlessing") -> list[int]:
    found = recorded.store.get_artifacts_by_type(kind)
    return [artifact.custom_properties["withdrawn"].int_value for artifact in found]


def test_the_withdrawn_model_is_no_longer_the_last_blessed_one(two: RecordedRuns):
    assert last_blessed(two.root) == model_of(two, "2")[1]
    roll_back(two.root.serving)
    tell_withdrawn(two.root)
    assert last_blessed(two.root) == model_of(two, "1")[1]
    assert (marks(two), marks(two, "PushedModel")) == ([0, 1], [0, 1])
    assert [made.withdrawn for made in pushes(two.root.path)] == [False, True]
    run, sentence = run_of_version(two.root.path, versions(two.root.serving)[1])
    assert run.id == "2"
    assert sentence.endswith("was withdrawn by a rollback")


def test_a_model_that_is_wanted_again_is_marked_no_more(two: RecordedRuns):
    roll_back(two.root.serving)
    tell_withdrawn(two.root)
    push(model_of(two, "2")[0], two.root.serving, even_withdrawn=True)
    tell_withdrawn(two.root)
    assert last_blessed(two.root) == model_of(two, "2")[1]
    assert (marks(two), marks(two, "PushedModel")) == ([0, 0], [0, 0])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_model_whose_files_are_gone_is_known_all_the_same(two: RecordedRuns, when: str):
    roll_back(two.root.serving)
    if when == "after":
        tell_withdrawn(two.root)
        shutil.rmtree(two.root.serving / str(versions(two.root.serving)[1]))
    shutil.rmtree(model_of(two, "2")[0])
    tell_withdrawn(two.root)
    assert marks(two) == [0, 1]


@pytest.mark.parametrize("what", ["record", "folder"])
def test_the_marks_restore_the_record_of_the_serving_folder(two: RecordedRuns, what: str):
    roll_back(two.root.serving)
    tell_withdrawn(two.root)
    if what == "record":
        (two.root.serving / LATEST).write_text("{torn")
    else:
        shutil.rmtree(two.root.serving)
    tell_withdrawn(two.root)
    assert marks(two) == [0, 1]
    with pytest.raises(Withdrawn):
        push(model_of(two, "2")[0], two.root.serving)


def test_where_nothing_was_withdrawn_no_model_is_read(two: RecordedRuns):
    before = two.store.get_artifacts()
    tell_withdrawn(two.root)
    assert two.store.get_artifacts() == before


def test_a_root_without_runs_has_nothing_to_tell(tmp_path: Path):
    from pipeline.root import Root

    tell_withdrawn(Root(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_damaged_store_is_told(two: RecordedRuns, capsys: pytest.CaptureFixture[str]):
    roll_back(two.root.serving)
    two.close()
    two.root.metadata.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="not a database"):
        tell_withdrawn(two.root)
    try_to_tell(two.root)  # what was asked for is done: a sentence, no error
    assert "not a database" in capsys.readouterr().err
