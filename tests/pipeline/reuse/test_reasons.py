"""Reasons name what changed of code and settings since an earlier execution."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tfx.proto.orchestration import pipeline_pb2

from pipeline.reuse.reasons import _code, _copy, _settings


def node(**parameters: Any) -> Any:
    """A node of a compiled pipeline with these parameters."""
    made = pipeline_pb2.PipelineNode()
    for key, value in parameters.items():
        kind = "int_value" if isinstance(value, int) else "string_value"
        setattr(made.parameters.parameters[key].field_value, kind, value)
    return made


CODE = {"keras": "3.12", "unet.network": "a1", "unet.tiling": "b2"}


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        (CODE, []),
        ({**CODE, "unet.network": "c3"}, ["the code of unet.network changed"]),
        ({**CODE, "keras": "3.15"}, ["keras 3.12 is now 3.15"]),
        ({**CODE, "scipy": "1.1"}, ["scipy not used is now 1.1"]),
    ],
)
def test_the_changed_module_or_library_is_named(now: dict[str, str], reasons: list[str]):
    assert _code(json.dumps(CODE), node(code=json.dumps(now))) == reasons


@pytest.mark.parametrize("before", [None, "0f3a"])
def test_code_of_which_only_a_hash_is_known_changed(before: str | None):
    assert _code(before, node(code=json.dumps(CODE))) == ["its code changed"]


def config(**train: Any) -> str:
    """The custom configuration of a Trainer: JSON in JSON."""
    return json.dumps({"train": json.dumps(train), "warm_start": "none"})


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        (config(steps=5, classes={"a": 0, "b": 1}), []),
        (config(steps=6, classes={"a": 0, "b": 1}), ["train.steps 5 is now 6"]),
        (config(steps=5, classes={"a": 0, "b": 2}), ["train.classes.b 1 is now 2"]),
        (config(steps=5, classes={"a": 0}), ["train.classes.b 1 is now unset"]),
        (config(steps=5, classes={"b": 1, "a": 0}), ["custom_config is in another order"]),
    ],
)
def test_the_changed_setting_is_named(now: str, reasons: list[str]):
    before = {"custom_config": config(steps=5, classes={"a": 0, "b": 1}), "images": 3}
    assert _settings(before, node(custom_config=now, images=3), ()) == reasons


def test_what_the_driver_keeps_out_of_the_key_is_no_reason():
    assert _settings({"input_base": "/a"}, node(input_base="/b"), ["input_base"]) == []
    assert _settings({"input_base": "/a"}, node(input_base="/b"), []) == ["input_base /a is now /b"]


def test_the_copy_holds_what_is_committed_and_the_source_stays(tmp_path: Path):
    with contextlib.closing(sqlite3.connect(tmp_path / "a")) as source:
        source.execute("CREATE TABLE t (x)")
        source.execute("INSERT INTO t VALUES (1)")
        source.commit()
        source.execute("INSERT INTO t VALUES (2)")  # of a run at work
        _copy(tmp_path / "a", tmp_path / "b")
    with contextlib.closing(sqlite3.connect(tmp_path / "b")) as copy:
        assert copy.execute("SELECT x FROM t").fetchall() == [(1,)]
