"""What ML Metadata knows of a run, and a sentence where it cannot be read."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.history.runs import load, runs
from tests.pipeline.recorded_runs import CACHED, COMPLETE


def test_a_cached_component_names_the_run_that_made_its_output(recorded):
    recorded.add("1")
    recorded.add("2", {"ImageMaskExampleGen": CACHED, "Trainer": COMPLETE})
    recorded.add("3", {"ImageMaskExampleGen": CACHED, "Trainer": CACHED})
    run = load(recorded.root.path, "3")
    assert [(node.state, node.same_as) for node in run.nodes[:2]] == [("cached", "1"), ("cached", "2")]


def test_a_component_began_when_its_execution_was_recorded(recorded):
    before = int(time.time())
    recorded.add("1")
    began = load(recorded.root.path, "1").nodes[0].began
    assert before <= began <= time.time()


def test_a_property_of_several_values_is_a_dictionary(recorded):
    recorded.add("1")
    artifacts = recorded.store.get_artifacts()
    for artifact in artifacts:  # as TFX's ExampleValidator leaves them
        artifact.custom_properties["blessed"].struct_value.update({"train": 1, "eval": [0]})
    recorded.store.put_artifacts(artifacts)
    [found] = load(recorded.root.path, "1").nodes[0].outputs["examples"]
    assert found.properties["blessed"] == {"train": 1, "eval": [0]}


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "nonsense":
        path.write_bytes(b"no database at all" * 100)
    elif how == "half-written":
        path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE Type (id INTEGER)")
            connection.commit()
    elif how == "out of step":  # an index that lacks rows, as after a flipped bit
        for command in (
            "CREATE TABLE Kept AS SELECT * FROM sqlite_master WHERE name = 'idx_event_execution_id'",
            "DELETE FROM sqlite_master WHERE name = 'idx_event_execution_id'",
            "DELETE FROM Event WHERE id = 1",
            "INSERT INTO sqlite_master SELECT * FROM Kept",
        ):
            with contextlib.closing(sqlite3.connect(path)) as connection:  # each reads what there is by then
                connection.execute("PRAGMA writable_schema = ON")
                connection.execute(command)
                connection.commit()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("missing", "there is no such file"),
        ("empty", "half-written"),
        ("nonsense", "file is not a database"),
        ("half-written", "half-written"),
        ("torn", "malformed"),
        ("out of step", "damaged: wrong # of entries in index idx_event_execution_id"),
    ],
)
def test_without_ml_metadata_the_records_tell_what_they_know(how, sentence, recorded):
    recorded.add("1", version=7)
    recorded.close()
    damage(recorded.root.metadata, how)
    [run] = runs(recorded.root.path)
    assert run.status == "pushed"
    assert run.config["steps"] == 30
    assert [node.state for node in run.nodes] == ["waiting"] * 4
    assert [str(recorded.root.metadata) in run.problems[0], sentence in run.problems[0]] == [True, True]
    assert "\n" not in run.problems[0]


def test_a_metadata_store_that_another_process_locks_is_a_sentence(recorded):
    recorded.add("1")
    recorded.close()
    with contextlib.closing(sqlite3.connect(recorded.root.metadata, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        [run] = runs(recorded.root.path)
    assert "another process is writing to it" in run.problems[0]
    assert run.status == "pushed"


def test_a_killed_writer_leaves_a_journal_that_the_next_reader_rolls_back(recorded):
    recorded.add("1")
    recorded.close()
    code = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM Execution")
for i in range(2000):
    connection.execute("INSERT INTO Execution (type_id, create_time_since_epoch) VALUES (1, ?)", (i,))
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code, str(recorded.root.metadata)], check=False)
    assert Path(f"{recorded.root.metadata}-journal").exists()
    [run] = runs(recorded.root.path)
    assert not run.problems
    assert [node.state for node in run.nodes] == ["done"] * 4
