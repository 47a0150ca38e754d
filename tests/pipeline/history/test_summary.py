"""The summary of a run, made of what ML Metadata and the run's folder say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.history import summary
from pipeline.history.record import Unreadable
from pipeline.history.runs import HistoryError, load
from pipeline.history.summary import summarize
from tests.pipeline.recorded_runs import CACHED, COMPLETE, FAILED, HASH, NODES, RUNNING

# Schedulers read these.
FIELDS = {
    "run_id", "config", "started", "status", "reason", "seconds", "components", "images", "metrics",
    "baseline", "thresholds", "verdict", "learning_rate", "trials", "steps", "best_step",
    "declined", "start", "model", "data_hash", "pushed", "warnings", "peak_memory_mb", "versions",
    "format_version",
}  # fmt: skip


def test_it_says_what_schedulers_read(recorded):
    told = {"(loading)": {"seconds": 9.0}, "Trainer": {"seconds": 61.5, "peak_memory_mb": 1300}}
    folder = recorded.add("1", version=7, components=told, peak_memory_mb=1300, versions={"python": "3.10"})
    summary.write(recorded.root.path, "1")
    found = json.loads((folder / "summary.json").read_text())
    assert found.keys() == FIELDS
    assert (found["status"], found["verdict"], found["data_hash"]) == ("pushed", "blessed", HASH)
    assert found["metrics"] == {"foreground_iou": 0.8, "example_count": 2.0}
    assert found["baseline"] == {}
    assert found["thresholds"] == {"foreground_iou": 0.5}
    assert found["images"] == {"train": 6, "eval": 2, "test": 2}
    assert found["pushed"] == str(recorded.root.serving / "7")
    assert found["model"].endswith("/Format-Serving")
    assert set(found["components"]) == {"(loading)", *NODES}
    assert found["components"]["Trainer"] == {"seconds": 61.5, "cached": False, "peak_memory_mb": 1300}
    assert found["peak_memory_mb"] == 1300


def test_it_can_be_made_again_and_is_the_same(recorded):
    folder = recorded.add("1", version=7)
    summary.write(recorded.root.path, "1")
    first = (folder / "summary.json").read_bytes()
    (folder / "summary.json").unlink()
    summary.write(recorded.root.path, "latest")
    assert (folder / "summary.json").read_bytes() == first
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"metrics": []}, "metrics is []"),
        ({"components": {"Trainer": 3}}, "components.Trainer is 3"),
        ({"warnings": "none"}, "warnings is 'none'"),
        ({"run_id": None}, "run_id is None"),
    ],
)
def test_one_that_was_edited_by_hand_is_told_and_not_used(recorded, change, sentence):
    folder = recorded.add("1", states={})  # ML Metadata knows nothing of it
    summary.write(recorded.root.path, "1")
    values = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**values, **change}))
    run = load(recorded.root.path, "1")
    assert summarize(run).metrics == {}
    assert any(f"summary.json: {sentence}" in problem for problem in run.problems)
    with pytest.raises(Unreadable, match=sentence.split()[0]):
        summary.read(folder)


@pytest.mark.parametrize(
    ("states", "status", "finished"),
    [
        ({}, "failed", set()),
        ({"ImageMaskExampleGen": COMPLETE, "Trainer": FAILED}, "failed", {"ImageMaskExampleGen"}),
        ({"ImageMaskExampleGen": COMPLETE, "Trainer": RUNNING}, "killed", {"ImageMaskExampleGen"}),
    ],
)
def test_a_run_that_did_not_come_to_its_end_has_one_of_what_was_finished(states, status, finished, recorded):
    recorded.add("1", states, status="running" if status == "killed" else status, process=1)
    found = summarize(load(recorded.root.path, "1"))
    assert (found.status, found.verdict, found.metrics, found.pushed) == (status, "", {}, "")
    assert set(found.components) == finished


def test_what_is_cached_is_told_with_what_it_made(recorded):
    recorded.add("1", version=7)
    states = dict.fromkeys(NODES[:3], CACHED)
    recorded.add("2", {**states, "Pusher": COMPLETE}, status="not_blessed")
    found = summarize(load(recorded.root.path, "2"))
    assert [told["cached"] for told in found.components.values()] == [True, True, True, False]
    assert found.metrics["foreground_iou"] == 0.8


def test_where_ml_metadata_knows_nothing_any_more_the_written_one_counts(recorded):
    recorded.add("1", version=7)
    before = summary.write(recorded.root.path, "1")
    recorded.close()
    recorded.root.metadata.unlink()
    after = summarize(load(recorded.root.path, "1"))
    assert (after.data_hash, after.metrics, after.pushed) == (before.data_hash, before.metrics, before.pushed)


def test_an_evaluation_that_is_gone_leaves_the_metrics_that_were_written(recorded):
    recorded.add("1")
    summary.write(recorded.root.path, "1")
    shutil.rmtree(recorded.root.artifacts / "Evaluator")
    assert summarize(load(recorded.root.path, "1")).metrics["foreground_iou"] == 0.8


def test_a_damaged_evaluation_is_a_problem_and_no_traceback(recorded):
    recorded.add("1")
    [verdict] = recorded.root.artifacts.rglob("verdict.json")
    verdict.write_text("{")
    run = load(recorded.root.path, "1")
    assert summarize(run).metrics == {}
    assert any("verdict.json" in problem for problem in run.problems)


def test_a_run_that_is_unknown_has_none(tmp_path: Path):
    with pytest.raises(HistoryError, match="no run was made here yet"):
        summary.write(tmp_path, "1")
