"""What can be told of runs: whole ones, those at work, those that died, those whose files are broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.history import lease
from pipeline.history.runs import HistoryError, ids, load, newest_config, runs
from pipeline.process.lock import exclusive
from tests.open_files import none_left
from tests.pipeline.recorded_runs import COMPLETE, FAILED, HASH, NODES, RUNNING


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


def test_runs_come_oldest_first_and_may_be_limited(recorded):
    wanted = ["20261125-010000Z", "20261125-010000Z-99", "20261125-010000Z-100", "20261125-010001Z"]
    for name in reversed(wanted):
        recorded.add(name)
    recorded.root.run("zebra").mkdir()  # no run of ours: never the latest
    assert ids(recorded.root.path) == ["zebra", *wanted]
    assert [run.id for run in runs(recorded.root.path)] == ["zebra", *wanted]
    assert [run.id for run in runs(recorded.root.path, last=1)] == wanted[-1:]
    assert load(recorded.root.path, "latest").id == wanted[-1]


def test_an_id_is_known_as_long_as_its_folder_or_its_executions_are(recorded):
    shutil.rmtree(recorded.add("20261125-010000Z"))
    assert ids(recorded.root.path) == ["20261125-010000Z"]


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
    assert [node.state for node in run.nodes] == ["done", "stopped", "waiting", "waiting"]


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


@pytest.mark.parametrize("state", [FAILED, RUNNING])
@pytest.mark.parametrize(("status", "told"), [("interrupted", "stopped"), ("failed", "failed")])
def test_no_component_of_an_interrupted_run_has_failed(recorded, state, status, told):
    recorded.add("1", {"ImageMaskExampleGen": COMPLETE, "Trainer": state}, status=status, seconds=20.0)
    run = load(recorded.root.path, "1")
    assert [node.state for node in run.nodes] == ["done", told, "waiting", "waiting"]


def test_a_failed_component_ends_with_its_run_not_when_the_next_run_closes_it(recorded):
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 200))
    recorded.add("1", {"Trainer": FAILED}, status="failed", reason="no", started=started, seconds=203.0)
    run = load(recorded.root.path, "1")
    assert (run.status, run.reason) == ("failed", "no")
    trainer = run.node("Trainer")
    assert trainer
    assert trainer.state == "failed"
    assert trainer.seconds == pytest.approx(3, abs=1.5)


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


def test_a_run_with_an_id_of_the_user_has_its_place_by_its_start(recorded):
    recorded.add("20261125-010000Z")
    recorded.add("night", started="2026-11-25T03:00:00+0100")
    recorded.add("20261125-030000Z")
    assert ids(recorded.root.path) == ["20261125-010000Z", "night", "20261125-030000Z"]


@pytest.mark.parametrize(
    ("owner", "minutes", "status"), [("1", 5, "waiting"), ("1", -5, "killed"), ("2", 5, "killed")]
)
def test_a_run_waits_for_its_next_part_as_long_as_it_keeps_the_root(recorded, owner, minutes, status):
    recorded.add(
        "1", {"ImageMaskExampleGen": COMPLETE}, status="waiting", reason="train comes next", seconds=7
    )
    lease.renew(recorded.root, owner, "train", minutes)
    run = load(recorded.root.path, "1")
    assert (run.status, run.seconds) == (status, 7)
    assert "train comes next" in run.reason
    recorded.root.lease.write_text("{torn")
    assert load(recorded.root.path, "1").status == "killed"
    lease.end(recorded.root)
    assert load(recorded.root.path, "1").status == "killed"


def test_settings_that_cannot_be_read_now_are_not_the_defaults(recorded):
    recorded.add("20261125-010000Z")
    assert newest_config(recorded.root.path)
    with none_left(), pytest.raises(OSError, match="Too many open files"):
        newest_config(recorded.root.path)
