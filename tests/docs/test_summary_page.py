"""The page of summary.json describes the fields that a run writes, and each status with its exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline.history import summary
from pipeline.history.record import RUNNING
from pipeline.history.runs import KILLED, UNKNOWN
from pipeline.process import exit_codes
from pipeline.process.exit_codes import CODE_OF
from tests.docs.blocks import DOCS
from tests.pipeline.recorded_runs import RecordedRuns

PAGE = (DOCS / "reference" / "summary.md").read_text(encoding="utf-8")
FIELDS, STATUSES = PAGE.split("| status |")
TYPES: dict[str, Any] = {
    "text": str,
    "number": (int, float),
    "whole number": int,
    "true or false": bool,
    "table": dict,
    "list": list,
}


def rows(text: str) -> dict[str, str]:
    """The first two columns of a table."""
    found = re.findall(r"^\| `(\w+)` \|([^|]*)\|", text, re.M)
    assert len(found) == len({*dict(found)})
    return {name: cell.strip() for name, cell in found}


def test_the_fields_are_those_that_a_run_writes_with_their_types(tmp_path: Path):
    recorded = RecordedRuns(tmp_path / "root")
    folder = recorded.add("1", version=7)
    recorded.close()
    summary.write(recorded.root.path, "1")
    written = json.loads((folder / summary.SUMMARY).read_text())
    described = rows(FIELDS)
    assert described.keys() == written.keys()
    for name, value in written.items():
        assert isinstance(value, TYPES[described[name]]), name
        assert isinstance(value, bool) == (described[name] == "true or false"), name


def test_the_version_is_that_of_the_code():
    assert f"`format_version` is {summary.FORMAT_VERSION}." in PAGE


def test_each_status_and_its_exit_code():
    codes = {name: str(code) for name, code in CODE_OF.items()}
    assert rows(STATUSES) == {**codes, RUNNING: "", KILLED: "", UNKNOWN: ""}


def test_each_exit_code_is_on_its_page():
    page = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)}
    assert described == {value for value in vars(exit_codes).values() if isinstance(value, int)}
