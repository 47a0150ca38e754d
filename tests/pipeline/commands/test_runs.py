"""The commands `runs` and `runs show`, on roots of all kinds."""

from __future__ import annotations

import json
import os
import re
import shutil
import time

import pytest

from pipeline.cli import main
from pipeline.process.lock import exclusive
from tests.pipeline.recorded_runs import CACHED, COMPLETE, HASH, NODES, RUNNING, RecordedRuns
from tests.pipeline.terminals import terminal
from unet.registry.model_card import write_card


@pytest.fixture
def recorded(tmp_path):
    return RecordedRuns(tmp_path / "root")


@pytest.fixture
def several(recorded):
    """One that pushed, one that was not good enough and was promoted, one that was killed."""
    told = {name: {"seconds": 1.5, "peak_memory_mb": 900} for name in NODES}
    recorded.add("20261125-010000", version=12, components=told, command="python run_pipeline.py run",
                 changed={"steps": 30}, profile="profiles/cells.toml")  # fmt: skip
    states = {"ImageMaskExampleGen": CACHED, **dict.fromkeys(NODES[1:], COMPLETE)}
    recorded.add("20261125-020000", states, status="not_blessed", iou=0.3)
    recorded.add("20261125-030000", {"ImageMaskExampleGen": CACHED, "Trainer": RUNNING}, "running", process=1)
    recorded.promote("20261125-020000", 14, "good enough")
    return recorded


def call(capsys, recorded, *words):
    code = main(["runs", "--root", str(recorded.root.path), *words])
    found = capsys.readouterr()
    assert "Traceback" not in found.out + found.err
    return code, found.out, found.err


def test_a_line_for_each_run_the_newest_last(several, capsys):
    code, out, err = call(capsys, several)
    head, *lines = out.splitlines()
    assert (code, err) == (0, "")
    assert head.split() == ["RUN", "DATA", "PROFILE", "IOU", "RESULT", "TIME"]
    first = f"20261125-010000 {HASH[:6]} cells 0.800 pushed 12 1 min 40 s"
    assert lines[0].split() == first.split()
    assert "not blessed, promoted 14" in lines[1]
    assert "killed" in lines[2]


def test_as_json(several, capsys):
    _, out, _ = call(capsys, several, "--json")
    rows = json.loads(out)
    assert [row["id"] for row in rows] == ["20261125-010000", "20261125-020000", "20261125-030000"]
    assert [row["status"] for row in rows] == ["pushed", "not_blessed", "killed"]
    assert [row["foreground_iou"] for row in rows] == [0.8, 0.3, None]
    assert [row["version"] for row in rows] == ["12", "14", ""]
    assert rows[0]["data_hash"] == HASH


def version(recorded: RecordedRuns, number: int) -> None:
    folder = recorded.root.serving / str(number)
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(f"model {number}")
    facts = {"images": {}, "data_sha256": "", "data_licence": "", "code": "", "configuration": ""}
    write_card(folder, number, facts, {})


def states(capsys, recorded):
    _, out, _ = call(capsys, recorded, "--json")
    return [(row["version"], row["in_service"], row["withdrawn"]) for row in json.loads(out)]


def test_what_is_in_service_and_what_was_withdrawn_is_marked(several, capsys):
    for number in (12, 14):
        version(several, number)
    assert states(capsys, several) == [("12", "", False), ("14", "14", False), ("", "", False)]
    _, out, _ = call(capsys, several)
    assert "not blessed, promoted 14, in service " in out
    assert main(["rollback", "--root", str(several.root.path)]) == 0
    copy = capsys.readouterr().out.split("\n")[0].rpartition("/")[2]
    assert states(capsys, several) == [("12", copy, False), ("14", "", True), ("", "", False)]
    _, out, _ = call(capsys, several)
    assert f"pushed 12, in service as {copy} " in out
    assert "promoted 14, withdrawn " in out
    assert "In service:" not in out
    _, out, _ = call(capsys, several, "show", "20261125-010000")
    assert f"serving/unet/12, pushed by this run, in service as {copy}\n" in out
    _, out, _ = call(capsys, several, "show", "20261125-020000", "--json")
    assert json.loads(out)["withdrawn"] is True


def test_what_no_listed_run_pushed_is_in_service_all_the_same(several, capsys):
    version(several, 99)
    _, out, _ = call(capsys, several)
    assert out.splitlines()[-1] == f"In service: {several.root.serving / '99'}"


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(columns, several, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with terminal(columns) as screen, os.fdopen(os.dup(screen.theirs), "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        main(["runs", "--root", str(several.root.path)])
        monkeypatch.undo()
    lines = screen.seen.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("20261125-0" in line for line in lines) == 3
    assert any("0.800" in line for line in lines)
    assert any("pushed" in line for line in lines)
    assert any("promoted" in line for line in lines)


def test_only_the_newest_are_listed_unless_all_are_wanted(recorded, capsys):
    for number in range(22):
        recorded.add(f"{number:03d}", {})
    _, out, _ = call(capsys, recorded)
    assert len(out.splitlines()) == 22  # the head, 20 runs, and how to see the others
    assert "runs --all" in out
    _, out, _ = call(capsys, recorded, "--all")
    assert len(out.splitlines()) == 23


def test_all_about_one_run(several, capsys):
    code, out, _ = call(capsys, several, "show", "20261125-010000")
    assert code == 0
    for text in (
        "Run 20261125-010000: pushed",
        "command    python run_pipeline.py run\n",
        "settings   steps=30\n",
        "images     6 train, 2 eval, 2 test\n",
        "Gate: blessed",
        "foreground_iou",
        "Trainer             done 1.5 s 900 MB\n",
        f"{HASH}, read by this run",
        "trained by this run",
        "serving/unet/12, pushed by this run",
    ):
        assert text in out


def test_the_start_is_told_in_local_time_with_its_zone(several, capsys, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        _, out, _ = call(capsys, several, "show", "20261125-010000")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "started    2026-11-25 10:05 JST, " in out


def test_the_latest_is_shown_unless_one_is_named(several, capsys):
    _, out, _ = call(capsys, several, "show")
    assert out.startswith("Run 20261125-030000: killed (its process ended without a word)")
    assert "cached - same inputs as run 20261125-010000" in out
    assert re.search(r"Evaluator +not run", out)
    assert f"{HASH}, read by run 20261125-010000" in out


def test_which_data_made_a_version(several, capsys):
    _, out, _ = call(capsys, several, "show", "--version", "12")
    assert "Run 20261125-010000: pushed" in out
    assert f"/cells  {HASH[:16]}" in out
    _, out, _ = call(capsys, several, "show", "--version", "14")
    assert out.startswith(
        "Version 14 was promoted by ada, 2026-11-26T09:00:00+0000: good enough\nRun 20261125-02"
    )


def test_one_run_as_json(several, capsys):
    _, out, _ = call(capsys, several, "show", "20261125-020000", "--json")
    found = json.loads(out)
    assert found["run_id"] == "20261125-020000"
    assert found["lineage"]["data_run"] == "20261125-010000"
    assert [node["state"] for node in found["nodes"]] == ["cached", "done", "done", "done"]
    assert found["nodes"][0]["outputs"]["examples"][0]["properties"]["fingerprint"] == HASH


def test_a_run_at_work_is_shown(recorded, capsys):
    with exclusive(recorded.root.lock):
        recorded.add(
            "1", {"ImageMaskExampleGen": COMPLETE, "Trainer": RUNNING}, "running", process=os.getpid()
        )
        _, out, _ = call(capsys, recorded, "show")
        _, listed, _ = call(capsys, recorded)
    assert out.startswith("Run 1: running")
    assert re.search(r"Evaluator +waiting", out)
    assert "running" in listed


def test_an_artifact_whose_folder_is_gone_is_told(several, capsys):
    shutil.rmtree(several.root.artifacts / "Trainer")
    _, out, _ = call(capsys, several, "show", "20261125-010000")
    assert out.count("(its folder is gone)") == 2


def test_a_bad_run_does_not_hide_the_others_and_is_explained_once(several, capsys):
    (several.root.run("20261125-020000") / "run.json").write_text("{")
    code, out, _ = call(capsys, several)
    assert code == 0
    assert len(out.splitlines()) == 5
    assert out.splitlines()[-1].startswith("Note: ")
    assert "run.json: not JSON" in out.splitlines()[-1]


def test_a_root_whose_metadata_is_broken_still_lists_its_runs(several, capsys):
    several.close()
    several.root.metadata.write_bytes(b"nonsense" * 500)
    code, out, _ = call(capsys, several)
    assert code == 0
    assert out.count("Note: ") == 1
    assert "pushed" in out
    code, _, err = call(capsys, several, "show", "--version", "12")
    assert code == 2
    assert "not a database" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show"], "no run was made here yet"),
        (["show", "--version", "3"], "no version 3; there are: none"),
    ],
)
def test_what_is_not_there_is_bad_input(words, sentence, recorded, capsys):
    code, out, err = call(capsys, recorded, *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_an_empty_root_and_none_at_all(recorded, capsys, tmp_path):
    code, out, _ = call(capsys, recorded)
    assert (code, out.count("\n")) == (0, 1)
    assert "no run was made here yet" in out
    assert main(["runs", "--root", str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
