"""Which run a part goes on with; runs in parts that really run are in tests/test_end_to_end.py."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from data.synthetic import write_cells
from pipeline.commands.parts import NothingToDo, find, goes_on, require_begun, require_same
from pipeline.history import lease
from pipeline.history.lease import Leased
from pipeline.history.runs import load
from pipeline.root import Root
from tests.command_line import call
from tests.pipeline.recorded_runs import COMPLETE, FAILED
from unet.errors import BadInput

INGESTED = {"ImageMaskExampleGen": COMPLETE}
TRAINED = {**INGESTED, "Trainer": COMPLETE}
WORDS = ["--data", "cells dir"]


def in_parts(
    recorded: Any, run_id: str, states: dict[str, int], status: str = "waiting", **record: Any
) -> Path:
    """Adds a run in parts, which keeps the root if it waits."""
    if status == "waiting":
        lease.renew(recorded.root, run_id, "train", 60)
    values = {"stage": "ingest", "arguments": WORDS, "process": 1, **record}
    return recorded.add(run_id, states, status, **values)


def found_id(recorded: Any, *words: Any) -> str:
    """The id of the run that a part goes on with."""
    run = find(recorded.root, *words)
    assert run
    return run.id


@pytest.mark.parametrize("stage", ["transform", "push"])
def test_a_later_part_of_no_run_says_which_part_comes_first_and_makes_no_root(stage: str, tmp_path: Path):
    done = call("run", "--only", stage, "--data", tmp_path, "--root", tmp_path / "root", cwd=tmp_path)
    assert done.returncode == 2
    assert f"{stage} needs what ingest makes: first " in done.stderr
    assert "run --only ingest --data" in done.stderr
    assert not (tmp_path / "root").exists()
    require_begun(Root(tmp_path / "root"), "ingest", [])
    require_begun(Root(tmp_path / "root"), "", [])


def test_a_later_part_says_which_part_it_needs(recorded):
    in_parts(recorded, "n", INGESTED)
    with pytest.raises(
        BadInput, match=r"evaluate needs what train makes: first .* --only train --run-id n --data"
    ):
        find(recorded.root, "evaluate", "n", WORDS)
    assert found_id(recorded, "train", "n", WORDS) == "n"  # the recorded run has no Transform
    assert found_id(recorded, "", "n", WORDS) == "n"
    lease.end(recorded.root)
    with pytest.raises(BadInput, match=r"train needs what ingest makes: first .* --only ingest --run-id m"):
        find(recorded.root, "train", "m", WORDS)
    assert find(recorded.root, "ingest", "m", WORDS) is None


def test_a_part_that_is_done_does_nothing_and_keeps_the_root(recorded):
    in_parts(recorded, "n", INGESTED)
    lease.renew(recorded.root, "n", "train", 0.5)
    with pytest.raises(NothingToDo, match=r"ingest is done; next: .* --only train --run-id n") as found:
        find(recorded.root, "ingest", "n", WORDS)
    assert found.value.status == "waiting"
    kept = lease.read(recorded.root)
    assert kept
    assert kept.stage == "train"


@pytest.mark.parametrize("other", ["", "m"])
@pytest.mark.parametrize("stage", ["", "ingest", "train"])
def test_a_second_run_never_mixes_with_one_in_parts(recorded, stage, other):
    in_parts(recorded, "n", INGESTED)
    with pytest.raises(Leased, match="run n is made in parts"):
        find(recorded.root, stage, other, WORDS)


def test_any_other_run_ends_with_75_before_it_reads_the_data(recorded, tmp_path):
    in_parts(recorded, "n", INGESTED)
    recorded.close()
    before = sorted(recorded.root.path.rglob("*"))
    for words in ([], ["--run-id", "m"], ["--only", "ingest"], ["--only", "transform", "--run-id", "m"]):
        done = call("run", *words, "--data", tmp_path / "none", "--root", recorded.root.path)
        assert done.returncode == 75, done.stdout + done.stderr
        assert "run n is made in parts" in done.stdout
        assert "wait for it" in done.stdout
    assert {*sorted(recorded.root.path.rglob("*"))} - {*before} <= {recorded.root.lock}
    shown = call("runs", "--root", recorded.root.path, "--json")
    [row] = json.loads(shown.stdout)
    assert row["status"] == "waiting"
    assert row["next"].endswith("--only train --run-id n --data 'cells dir'")
    assert f"next: {row['next']}" in call("runs", "--root", recorded.root.path).stdout
    one = call("runs", "show", "--root", recorded.root.path).stdout
    assert row["next"] in one
    assert "not run" not in one


@pytest.mark.parametrize(("status", "code"), [("pushed", 0), ("unchanged", 0), ("not_blessed", 3)])
@pytest.mark.parametrize("stage", ["", "ingest", "push"])
def test_a_finished_run_does_nothing_and_ends_as_it_did(recorded, tmp_path, status, code, stage):
    recorded.add("n", status=status, reason="why not" if code else "")
    recorded.close()
    only = ["--only", stage] if stage else []
    done = call("run", *only, "--run-id", "n", "--data", tmp_path / "none", "--root", recorded.root.path)
    assert done.returncode == code
    told = f"Run n is finished: {status.replace('_', ' ')}{' (why not)' if code else ''}; nothing was done"
    assert told in done.stdout


@pytest.mark.parametrize("status", ["interrupted", "failed", "bad_input", "running"])
def test_an_unfinished_run_goes_on_until_another_one_came(recorded, status):
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 60))
    in_parts(recorded, "z", {**INGESTED, "Trainer": FAILED}, status, started=started)
    assert found_id(recorded, "train", "z", []) == "z"
    recorded.add("a", started=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    with pytest.raises(BadInput, match=r"run z was left unfinished .* run a came after it"):
        find(recorded.root, "train", "z", [])
    lease.renew(recorded.root, "z", "train", -1)  # nobody began since: the clock went back
    assert found_id(recorded, "train", "z", []) == "z"


def test_a_part_that_was_killed_after_its_last_component_is_ended_again(recorded):
    in_parts(recorded, "n", TRAINED, "running", stage="train")
    assert found_id(recorded, "train", "n", []) == "n"


def test_a_run_that_was_killed_before_its_record_begins(recorded):
    recorded.root.run("n").mkdir(parents=True)
    assert find(recorded.root, "ingest", "n", []) is None


def test_an_id_like_those_that_are_made_here_is_no_new_one(recorded):
    with pytest.raises(BadInput, match="no run 20261125-010000Z; ids like this are made here"):
        find(recorded.root, "", "20261125-010000Z", [])


@pytest.mark.parametrize(
    ("now", "options", "told"),
    [
        ({"steps": 30}, {}, ""),
        ({"steps": 31, "data": "/other"}, {}, "steps is 31, but run n began with 30"),
        ({"classes": {"b": 0, "a": 1}}, {}, 'classes is {"b": 0, "a": 1}, but'),
        ({"channels": "auto"}, {}, ""),
        ({"channels": 1}, {}, "channels is 1, but run n began with 3"),
        ({"new_setting": 1}, {}, ""),
        ({}, {"rebaseline": True}, "--rebaseline is true, but run n began with false"),
    ],
)
def test_all_parts_have_the_same_settings(recorded, now, options, told):
    config = {"steps": 30, "data": "/cells", "classes": {"a": 1, "b": 0}, "channels": 3}
    in_parts(recorded, "n", INGESTED, config=config, options={"rebaseline": False, "skip-bad": False})
    run = load(recorded.root.path, "n")
    if told:
        with pytest.raises(BadInput) as found:
            require_same(run, now, options)
        assert str(found.value).startswith(told)
        return
    require_same(run, now, options)


@pytest.mark.parametrize(
    ("status", "record", "stage"),
    [
        ("waiting", {}, "train"),
        ("interrupted", {}, "train"),
        ("running", {}, "train"),  # its process is gone
        ("failed", {}, ""),
        ("interrupted", {"stage": ""}, ""),
    ],
)
def test_what_comes_next_is_told_of_runs_in_parts(recorded, status, record, stage):
    in_parts(recorded, "n", INGESTED, status, **record)
    assert (f"--only {stage} --run-id n" in goes_on(load(recorded.root.path, "n"))) == bool(stage)


def test_an_expired_run_makes_room_for_the_next_one(recorded, tmp_path):
    in_parts(recorded, "n", INGESTED)
    lease.renew(recorded.root, "n", "train", -1)
    recorded.close()
    run = load(recorded.root.path, "n")
    assert (run.status, run.reason) == ("killed", "its next part never came ()")
    done = call("run", "--data", tmp_path / "none", "--root", recorded.root.path)
    assert done.returncode == 2  # it came to the data


@pytest.mark.parametrize("run_id", ["../up", "a/b", "", "a~1", "latest", ".hidden", "a b", "x" * 129])
def test_an_id_that_is_no_folder_name_is_refused(run_id, tmp_path):
    done = call("run", "--run-id", run_id, "--root", tmp_path / "root")
    assert done.returncode == 2
    assert "--run-id" in done.stderr
    assert not (tmp_path / "root").exists()


def test_an_unknown_stage_is_refused_with_the_list(tmp_path):
    done = call("run", "--only", "deploy", "--root", tmp_path / "root")
    assert done.returncode == 2
    assert "ingest" in done.stderr
    assert call("run", "--explain", "--only", "train", "--root", tmp_path / "root").returncode == 2


def test_bad_data_end_the_run_in_parts(recorded, tmp_path):
    write_cells(tmp_path / "data", 6, (32, 32))
    next((tmp_path / "data" / "masks").iterdir()).write_bytes(b"")
    words = ["--data", tmp_path / "data", "--root", recorded.root.path]
    words += ["--set", "classes={ background = 0, cell = 255 }"]
    in_parts(recorded, "n", {}, "interrupted", nodes=[], config={})
    lease.renew(recorded.root, "n", "ingest", 60)
    recorded.close()
    assert call("run", "--only", "ingest", "--run-id", "n", *words).returncode == 2
    assert lease.read(recorded.root) is None
