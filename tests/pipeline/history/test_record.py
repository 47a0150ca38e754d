"""What a run says of itself."""

from __future__ import annotations

import json
import math
from datetime import datetime

import pytest

from pipeline.history.record import RECORD, RunRecord, moment, read_record, write_json
from pipeline.history.runs import runs

BROKEN_RECORDS = {
    "torn": (b'{"run_id": "1", "sta', "not JSON"),
    "binary": (b"\xff\xfe\x00", "not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "without a start": (b"{}", "run_id is missing"),
    "nested too deeply": (b"[" * 100_000, "not JSON"),
} | {
    f"of a wrong type, {sentence}": (b'{"run_id": "1", "started": "", %s}' % part, sentence)
    for part, sentence in {
        b'"nodes": 3': "nodes is 3",
        b'"nodes": [[1]]': "nodes.0 is [1]",
        b'"seconds": NaN': "NaN is not a finite number",
        b'"seconds": 1e999': "1e999 is not a finite number",
        b'"peak_memory_mb": 1%s' % (b"0" * 30): "10000000000000000000... has more than 64 bits",
        b'"seconds": true': "seconds is True",
        b'"components": {"Trainer": []}': "components.Trainer is []",
        b'"components": {"Trainer": {"seconds": "x"}}': "components.Trainer.seconds is 'x'",
        b'"config": {"thresholds": [1]}': "config.thresholds is [1]",
        b'"config": {"push_to": 1e300}': "config.push_to is 1e+300",
    }.items()
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


def test_a_record_is_read_as_it_was_written_and_a_newer_ones_fields_are_left_out(tmp_path):
    record = RunRecord("1", "2026-11-25T01:05:46+0000", nodes=["A"], seconds=2.5, peak_memory_mb=7)
    record.command, record.config = "run --data caf\udce9", {"data": "caf\udce9"}  # bytes that are no UTF-8
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    values = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps({**values, "new": 1, "seconds": 3}))
    assert read_record(tmp_path).seconds == 3  # a whole number is a number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-25T01:05:46+0000", 1795568746.0),
        ("2026-11-25T01:05:46+0100", 1795565146.0),
        ("0001-01-01T00:00:00+0100", None),
        ("9999-12-31T23:59:59-0100", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_when_a_run_started(text, seconds):
    found = moment(text)
    assert (found and found.timestamp()) == seconds


def test_a_time_without_an_offset_is_known_too():
    assert moment("2026-11-25T01:05:46") == datetime(2026, 11, 25, 1, 5, 46)


def test_what_is_no_number_in_json_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": math.nan})
    assert list(tmp_path.iterdir()) == []
