"""Which run, data and settings a version comes from, also by a rollback or a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.history.lineage import lineage, run_of_version
from pipeline.history.runs import HistoryError, load
from tests.pipeline.recorded_runs import CACHED, COMPLETE, FAILED, HASH, NODES


def copy_of(serving: Path, version: int, original: int) -> None:
    """What a rollback leaves."""
    folder = serving / str(version)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    card = {"version": version, "rolled_back_to": original}
    (folder / "assets.extra" / "model_card.json").write_text(json.dumps(card))


def test_a_run_that_made_everything_itself(recorded):
    recorded.add("1", version=12)
    found = lineage(recorded.root.path, load(recorded.root.path, "1"))
    assert (found.data_hash, found.data_run, found.model_run) == (HASH, "1", "1")
    assert found.version == str(recorded.root.serving / "12")
    assert found.pushed == "pushed by run 1"


def test_what_comes_from_the_cache_was_made_by_an_earlier_run(recorded):
    recorded.add("1")
    recorded.add("2", {"ImageMaskExampleGen": CACHED, **dict.fromkeys(NODES[1:], COMPLETE)}, version=12)
    found = lineage(recorded.root.path, load(recorded.root.path, "2"))
    assert (found.data_run, found.model_run, found.pushed) == ("1", "2", "pushed by run 2")


def test_a_version_leads_to_its_run(recorded):
    recorded.add("1", version=12)
    recorded.add("2", version=13)
    run, sentence = run_of_version(recorded.root.path, 12)
    assert (run.id, sentence) == ("1", "")


def test_a_copy_leads_to_the_run_of_the_original(recorded):
    recorded.add("1", version=12)
    copy_of(recorded.root.serving, 14, 12)
    copy_of(recorded.root.serving, 15, 14)
    run, sentence = run_of_version(recorded.root.path, 15)
    assert run.id == "1"
    assert sentence.startswith(
        "version 15 is a copy of version 14, which a rollback brought back; version 14"
    )


def test_what_a_person_promoted_leads_to_the_run_of_its_model(recorded):
    recorded.add("1", iou=0.3, status="not_blessed")
    recorded.add("2", version=13)
    recorded.promote("1", 14, "the thresholds are too high")
    run, sentence = run_of_version(recorded.root.path, 14)
    assert run.id == "1"
    assert [push.version for push in run.pushes] == ["14"]
    assert "promoted by ada, 2026-11-26T09:00:00+0000: the thresholds are too high" in sentence
    assert lineage(recorded.root.path, run).pushed.startswith("promoted by ada")


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (99, "no version 99; there are: 20, 21, 30"),
        (30, "no run under this root pushed version 30"),
        (20, "is a copy of version 5, of which no run is known"),
        (21, "version 21 pushed|pushed version 21|of which no run"),
    ],
)
def test_a_version_that_nobody_knows_is_a_sentence(version, sentence, recorded):
    recorded.add("1", version=12)
    copy_of(recorded.root.serving, 20, 5)
    copy_of(recorded.root.serving, 21, 21)
    copy_of(recorded.root.serving, 30, 5)
    (recorded.root.serving / "30" / "assets.extra" / "model_card.json").write_text("{torn")
    with pytest.raises(HistoryError, match=sentence):
        run_of_version(recorded.root.path, version)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_push_that_was_killed_before_it_was_recorded_leads_to_its_run(is_ours, recorded):
    recorded.add("1", {**dict.fromkeys(NODES[:-1], COMPLETE), "Pusher": FAILED}, status="running")
    model = load(recorded.root.path, "1").artifact("Trainer", "model")
    assert model is not None
    for folder, content in {
        model.path / "Format-Serving": "model",
        # Another root that shares the serving folder may have a run that began in the same second.
        recorded.root.serving / "12": "model" if is_ours else "other",
    }.items():
        (folder / "assets.extra").mkdir(parents=True)
        (folder / "saved_model.pb").write_text(content)
        (folder / "assets.extra" / "model_card.json").write_text(json.dumps({"version": 12, "run": "1"}))
    copy_of(recorded.root.serving, 13, 12)
    if not is_ours:
        with pytest.raises(HistoryError, match="no run under this root pushed version 12"):
            run_of_version(recorded.root.path, 12)
        return
    run, sentence = run_of_version(recorded.root.path, 12)
    assert (run.id, sentence) == (
        "1",
        "version 12 was pushed by a process that was killed before it noted that",
    )
    run, sentence = run_of_version(recorded.root.path, 13)
    assert run.id == "1"
    assert sentence.startswith("version 13 is a copy of version 12")
