"""What a run does with the ML Metadata that it finds: half-made, damaged, of another place."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.history.executions import StoreError
from pipeline.history.store import Misplaced, make_usable
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
        make_usable(root)
        assert not root.metadata.exists()
        again = RecordedRuns(root.path)
        again.add("1")
        again.close()
        make_usable(root)
        assert root.metadata.exists()


def test_a_store_that_knows_a_component_at_work_is_kept(recorded):
    recorded.add("1", {"Trainer": RUNNING})
    make_usable(recorded.root)
    assert recorded.root.metadata.exists()


def test_where_components_have_written_a_half_made_store_is_told(tmp_path: Path):
    root = Root(tmp_path)
    root.artifacts.mkdir()
    sqlite(root.metadata, "CREATE TABLE Type (id INT)")
    with pytest.raises(StoreError, match="its tables are missing"):
        make_usable(root)
    assert root.metadata.exists()


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_root_that_was_moved_or_copied_is_told(recorded, tmp_path, how):
    recorded.add("1")
    recorded.close()
    make_usable(recorded.root)
    how(recorded.root.path, tmp_path / "other")
    with pytest.raises(Misplaced, match=f"other: this root was made as {recorded.root.path}, and"):
        make_usable(Root(tmp_path / "other"))
    shutil.rmtree(recorded.root.path, ignore_errors=True)
    shutil.move(tmp_path / "other", recorded.root.path)
    make_usable(recorded.root)


def test_a_root_that_was_made_through_a_link_is_the_same(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    made = RecordedRuns(tmp_path / "link")
    made.add("1")
    make_usable(Root.at(tmp_path / "link"))
    make_usable(Root.at(tmp_path / "real"))
