"""What a run does with the ML Metadata that it finds: half-made, damaged, of another place."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.history.runs import pushes, runs
from pipeline.history.store import Misplaced, make_usable
from pipeline.metadata.place import StoreError
from pipeline.metadata.settings import Database
from pipeline.root import Root
from tests.pipeline.recorded_runs import RUNNING, RecordedRuns


def sqlite(path: Path, *commands: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for command in commands:
            connection.execute(command)
        connection.commit()


def test_a_half_made_store_is_made_anew_by_the_next_run(tmp_path: Path):
    made = RecordedRuns(tmp_path / "whole")
    made.close()
    with contextlib.closing(sqlite3.connect(made.root.metadata)) as connection:
        tables = [
            text for (text,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")
        ]
    for count in range(1, len(tables) + 1):
        root = Root(tmp_path / str(count))
        root.path.mkdir()
        sqlite(root.metadata, *(text for text in tables[:count] if "sqlite_" not in text))
        make_usable(root, Database())
        assert not root.metadata.exists()
        again = RecordedRuns(root.path)
        again.add("1")
        again.close()
        make_usable(root, Database())
        assert root.metadata.exists()


def test_a_store_that_knows_a_component_at_work_is_kept(recorded):
    recorded.add("1", {"Trainer": RUNNING})
    make_usable(recorded.root, Database())
    assert recorded.root.metadata.exists()


def test_where_components_have_written_a_half_made_store_is_told(tmp_path: Path):
    root = Root(tmp_path)
    root.artifacts.mkdir()
    sqlite(root.metadata, "CREATE TABLE Type (id INT)")
    with pytest.raises(StoreError, match="its tables are missing"):
        make_usable(root, Database())
    assert root.metadata.exists()


def test_a_root_that_was_copied_is_told(recorded, tmp_path):
    recorded.add("1")
    recorded.close()
    shutil.copytree(recorded.root.path, tmp_path / "other")
    with pytest.raises(Misplaced, match=f"other: this root was made as {recorded.root.path}, and"):
        make_usable(Root(tmp_path / "other"), Database())
    make_usable(recorded.root, Database())


def test_a_root_that_was_moved_is_taken_over(recorded, tmp_path):
    recorded.add("1", version=7)
    recorded.close()
    place, other = recorded.root.path, Root(tmp_path / "other place")
    shutil.move(place, other.path)
    [before] = runs(other.path)
    assert "the next run here takes it over" in before.problems[0]
    make_usable(other, Database())
    [run] = runs(other.path)
    assert run.problems == []
    outputs = [found for node in run.nodes for several in node.outputs.values() for found in several]
    assert len(outputs) > 4
    assert all(found.path.is_dir() and found.path.is_relative_to(other.path) for found in outputs)
    blessing = run.artifact("Evaluator", "blessing")
    model = run.artifact("Trainer", "model")
    assert blessing
    assert model
    assert blessing.properties["current_model"] == model.uri
    assert [push.folder for push in pushes(other.path)] == [str(other.serving / "7")]
    make_usable(other, Database())
    shutil.move(other.path, place)  # and back
    make_usable(recorded.root, Database())
    assert runs(place)[0].problems == []


def test_a_root_that_was_made_through_a_link_is_the_same(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    made = RecordedRuns(tmp_path / "link")
    made.add("1")
    make_usable(Root.at(tmp_path / "link"), Database())
    make_usable(Root.at(tmp_path / "real"), Database())
