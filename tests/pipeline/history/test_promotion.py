"""What ML Metadata remembers of a promotion."""

from __future__ import annotations

from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.promotion import TYPE, Promotion, Record, last_blessed
from pipeline.history.runs import load
from tests.pipeline.recorded_runs import RUNNING, RecordedRuns

PROMOTION = Promotion("1", "a demo", "ada", "2026-11-26T09:00:00+0000")


def model_of(recorded: RecordedRuns, run_id: str) -> Any:
    return load(recorded.root.path, run_id).artifact("Trainer", "model")


def record_of(recorded: RecordedRuns) -> Record:
    return Record(recorded.root, PROMOTION, {"model": model_of(recorded, "1")})


def execution(recorded: RecordedRuns) -> Any:
    [found] = recorded.store.get_executions_by_type(TYPE)
    return found


def test_nothing_is_blessed_where_no_model_was_good_enough(recorded: RecordedRuns):
    recorded.add("1", iou=0.3)
    assert last_blessed(recorded.root) is None


@pytest.mark.parametrize("done", [True, False])
def test_a_promoted_model_is_the_last_blessed_one_once_it_is_in_service(recorded: RecordedRuns, done: bool):
    recorded.add("1", iou=0.3)
    record = record_of(recorded)
    assert execution(recorded).last_known_state == mlmd.Execution.RUNNING
    if done:
        record.done(recorded.root.serving / "7")
    else:
        record.failed()
    states = {True: mlmd.Execution.COMPLETE, False: mlmd.Execution.FAILED}
    assert execution(recorded).last_known_state == states[done]
    assert last_blessed(recorded.root) == (model_of(recorded, "1").id if done else None)


def test_a_promotion_that_was_killed_is_closed_by_the_next_one(recorded: RecordedRuns):
    recorded.add("1", states={"Trainer": RUNNING})  # which is closed by the next run
    recorded.add("2", iou=0.3)
    inputs = {"model": model_of(recorded, "2")}
    Record(recorded.root, PROMOTION, inputs)  # without an end
    Record(recorded.root, PROMOTION, inputs).done(recorded.root.serving / "7")
    Record(recorded.root, PROMOTION, inputs)
    states = [found.last_known_state for found in recorded.store.get_executions_by_type(TYPE)]
    assert states == [mlmd.Execution.FAILED, mlmd.Execution.COMPLETE, mlmd.Execution.RUNNING]
    [trainer, _] = recorded.store.get_executions_by_type("Trainer")
    assert trainer.last_known_state == mlmd.Execution.RUNNING


def test_the_record_says_who_when_and_why(recorded: RecordedRuns):
    recorded.add("1", iou=0.3)
    record_of(recorded).done(recorded.root.serving / "7")
    [push] = load(recorded.root.path, "1").pushes
    assert (push.version, push.run, push.by) == (
        "7",
        "1",
        "promoted by ada, 2026-11-26T09:00:00+0000: a demo",
    )
    [path] = recorded.root.artifacts.glob(f"{TYPE}/blessing/*/*")
    assert path.name == "BLESSED"


def test_what_no_artifact_tells_is_unknown_unless_the_pusher_said_it(recorded: RecordedRuns):
    recorded.add("1")
    record = record_of(recorded)
    assert record.facts() == {"data_licence": "", "code": "unknown", "configuration": "unknown"}
    [pusher] = recorded.store.get_executions_by_type("Pusher")
    pusher.custom_properties["facts"].string_value = '{"code": "c0de"}'
    recorded.store.put_executions([pusher])
    assert record.facts() == {"data_licence": "", "code": "c0de", "configuration": "unknown"}
