"""What can be told of runs: whole ones, those at work, those that died, those whose files are broken."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.history.runs import HistoryError, load, runs
from pipeline.process.lock import exclusive
from tests.pipeline.recorded_runs import CACHED, COMPLETE, FAILED, HASH, NODES, RUNNING


def test_a_run_has_its_components_with_what_they_read_and_wrote(recorded):
    recorded.add("1", version=7, components={"Trainer": {"seconds": 61.5, "peak_memory_mb": 1300}})
    run = load(recorded.root.path, "latest")
    assert (run.id, run.status, run.seconds, run.problems) == ("1", "pushed", 100.0, [])
    assert [(node.name, node.state) for node in run.nodes] == [(name, "done") for name in NODES]
    trainer = run.node("Trainer")
    assert trainer
    assert (trainer.seconds, trainer.peak_memory_mb) == (61.5, 1300)
    examples = run.artifact("ImageMaskExampleGen", "examples")
    assert trainer.inputs["examples"] == [examples]
    assert examples
    assert examples.type == "Examples"
    assert examples.properties["fingerprint"] == HASH
    assert examples.properties["train_count"] == 6
    assert Path(examples.uri).is_dir()
    assert run.artifact("Trainer", "nonsense") is None
    assert run.artifact("Nobody", "model") is None


def test_a_cached_component_names_the_run_that_made_its_output(recorded):
    recorded.add("1")
    recorded.add("2", {"ImageMaskExampleGen": CACHED, "Trainer": COMPLETE})
    recorded.add("3", {"ImageMaskExampleGen": CACHED, "Trainer": CACHED})
    run = load(recorded.root.path, "3")
    assert [(node.state, node.same_as) for node in run.nodes[:2]] == [("cached", "1"), ("cached", "2")]


def test_runs_come_oldest_first_and_may_be_limited(recorded):
    for name in ("20261125-010000", "20261125-020000", "20261124-230000"):
        recorded.add(name)
    names = [run.id for run in runs(recorded.root.path)]
    assert names == ["20261124-230000", "20261125-010000", "20261125-020000"]
    assert [run.id for run in runs(recorded.root.path, last=1)] == names[-1:]


def test_a_run_at_work_waits_for_the_components_to_come(recorded):
    began = {"ImageMaskExampleGen": COMPLETE, "Trainer": RUNNING}
    with exclusive(recorded.root.lock):
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 30))
        recorded.add("1", began, status="running", process=os.getpid(), started=started)
        run = load(recorded.root.path, "1")
    assert run.status == "running"
    assert run.seconds >= 29
    assert [node.state for node in run.nodes] == ["done", "running", "waiting", "waiting"]


def test_a_run_whose_process_is_gone_was_killed(recorded):
    folder = recorded.add(
        "1", {"ImageMaskExampleGen": COMPLETE, "Trainer": RUNNING}, status="running", process=1
    )
    began = time.time() - 500
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began))
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "started": started}))
    os.utime(folder / "log.txt", (began + 60, began + 60))
    with exclusive(recorded.root.lock):  # by another command, such as a rollback
        run = load(recorded.root.path, "1")
    assert run.status == "killed"
    assert run.seconds == pytest.approx(60, abs=1.5)
    assert [node.state for node in run.nodes] == ["done", "failed", "waiting", "waiting"]


def test_a_really_killed_process_is_told_as_killed(tmp_path):
    code = """
import sys, time
from pathlib import Path
from typing import Any
from pipeline.process.lock import exclusive
from pipeline.history.record import RunRecord
root = Path(sys.argv[1])
with exclusive(root / ".lock"):
    folder = root / "runs" / "1"
    folder.mkdir(parents=True)
    RunRecord.begin("1", "command", "default", {}, {}).write(folder)
    print("begun", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    assert load(tmp_path, "1").status == "running"
    process.kill()
    process.communicate()
    assert load(tmp_path, "1").status == "killed"


def test_a_failed_component_ends_with_its_run_not_when_the_next_run_closes_it(recorded):
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 200))
    recorded.add("1", {"Trainer": FAILED}, status="failed", reason="no", started=started, seconds=203.0)
    run = load(recorded.root.path, "1")
    assert (run.status, run.reason) == ("failed", "no")
    trainer = run.node("Trainer")
    assert trainer
    assert trainer.state == "failed"
    assert trainer.seconds == pytest.approx(3, abs=1.5)


BROKEN_RECORDS = {
    "torn": (b'{"run_id": "1", "sta', "not JSON"),
    "binary": (b"\xff\xfe\x00", "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "without a start": (b"{}", "lacks run_id or started"),
    "of a wrong type": (b'{"run_id": "1", "started": "", "nodes": 3}', "nodes is 3"),
}


@pytest.mark.parametrize("name", BROKEN_RECORDS)
def test_a_broken_record_is_told_and_hides_no_other_run(name, recorded):
    content, sentence = BROKEN_RECORDS[name]
    (recorded.add("1") / "run.json").write_bytes(content)
    recorded.add("2")
    first, second = runs(recorded.root.path)
    assert second.status == "pushed"
    assert not second.problems
    assert any("run.json" in problem and sentence in problem for problem in first.problems)
    assert [node.state for node in first.nodes] == ["done"] * 4  # ML Metadata knows


WHOLE = dict.fromkeys(NODES, COMPLETE)


@pytest.mark.parametrize(
    ("states", "version", "iou", "status", "reason"),
    [
        (WHOLE, 7, 0.8, "pushed", ""),
        (WHOLE, 0, 0.3, "not_blessed", "foreground_iou is 0.3000, the threshold is 0.5000"),
        ({"ImageMaskExampleGen": COMPLETE}, 0, 0.8, "unknown", "what it said of itself is gone"),
        ({**WHOLE, "Trainer": FAILED}, 7, 0.8, "unknown", "what it said of itself is gone"),
        ({}, 0, 0.8, "unknown", "what it said of itself is gone"),
    ],
)
@pytest.mark.parametrize("lost", ["folder", "records"])
def test_a_run_whose_folder_or_records_are_gone_is_still_known(
    recorded, states, version, iou, status, reason, lost
):
    folder = recorded.add("1", states, version=version, iou=iou)
    if lost == "folder":
        shutil.rmtree(folder)
    else:
        for name in ("run.json", "summary.json"):
            (folder / name).write_bytes(b"{torn")
    recorded.add("2")
    first, _ = runs(recorded.root.path)
    assert (first.id, first.status, first.reason) == ("1", status, reason)
    assert [node.name for node in first.nodes] == list(states)
    assert [push.version for push in first.pushes] == ([str(version)] if version else [])
    assert ("the run's folder is gone" if lost == "folder" else "not JSON") in first.problems[0]


def test_an_empty_folder_is_a_run_that_was_killed_at_once(recorded):
    (recorded.root.run("3")).mkdir(parents=True)
    run = load(recorded.root.path, "3")
    assert run.status == "killed"
    assert run.nodes == []
    assert "it has no run.json: restore it" in run.problems[0]


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


def test_what_is_not_there_is_told(recorded, tmp_path):
    with pytest.raises(HistoryError, match="no run was made here yet"):
        load(recorded.root.path, "latest")
    assert runs(recorded.root.path) == []
    recorded.add("1")
    with pytest.raises(HistoryError, match="no run 2; the newest are: 1"):
        load(recorded.root.path, "2")
    with pytest.raises(HistoryError, match="no such folder"):
        runs(tmp_path / "nowhere")


def test_it_imports_no_tensorflow():
    code = "import sys, pipeline.commands.runs; print({m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"'tensorflow'", "'tfx'", "'keras'", "'apache_beam'"} & set(
        done.stdout.strip("{}\n").split(", ")
    )
