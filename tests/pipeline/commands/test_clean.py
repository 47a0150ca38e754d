"""The command as it is typed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from pipeline.process.lock import exclusive
from tests.command_line import call
from tests.pipeline.recorded_runs import RecordedRuns
from tests.pipeline.retention.nights import assert_whole, ids, night, run_id
from tests.pipeline.small_disks import mounted
from tests.pipeline.terminals import terminal

FEW = ("--keep-runs", 3, "--keep-versions", 2)


def test_it_shows_its_plan_and_deletes_only_when_told(recorded: RecordedRuns) -> None:
    for number in range(6):
        night(recorded, number)
    for words in ((), ("--dry-run",), ("--dry-run", "--yes")):
        done = call("clean", "--root", recorded.root.path, *FEW, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Goes: ")
        assert f"{recorded.root.run(run_id(2))}  (later runs replaced it)" in done.stdout
        assert "3 runs: one of the newest 3 runs" in done.stdout
        assert len(ids(recorded.root)) == 6
    done = call("clean", "--root", recorded.root.path, *FEW, "--yes")
    assert done.returncode == 0
    assert "Deleted: " in done.stdout
    assert ids(recorded.root) == [run_id(number) for number in (3, 4, 5)]
    assert_whole(recorded.root)
    assert "Nothing goes." in call("clean", "--root", recorded.root.path, *FEW, "--yes").stdout


def test_the_settings_are_those_of_the_newest_run(recorded: RecordedRuns) -> None:
    for number in range(6):
        night(recorded, number, config={"keep_runs": 4, "keep_versions": 2})
    assert call("clean", "--root", recorded.root.path, "--yes").returncode == 0
    assert len(ids(recorded.root)) == 4


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "of-others").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_on_a_full_disk_it_makes_room_or_says_so_in_one_line(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=4m") as small:
        recorded = RecordedRuns(small / "root")
        for number in range(6):
            night(recorded, number)
        recorded.close()
        old = recorded.root.checkpoints / "search-of-an-old-run" / "step-000000001.npz"
        fill(small)
        done = call("clean", "--root", recorded.root.path, *FEW, "--yes")
        advice = f"make room in {recorded.root.path}, then run the same command again"
        assert (done.returncode, done.stderr) == (1, f"ML Metadata: the disk is full: {advice}\n")
        assert len(ids(recorded.root)) == 6
        (small / "of-others").unlink()
        old.parent.mkdir(parents=True)
        old.write_bytes(bytes(500_000))
        for path in (old, old.parent):
            os.utime(path, (1e9, 1e9))
        fill(small)
        done = call("clean", "--root", recorded.root.path, *FEW, "--yes")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(ids(recorded.root)) == 3
        assert not old.exists()
        assert_whole(recorded.root)


def test_what_cannot_be_done_is_one_line(recorded: RecordedRuns, tmp_path: Path) -> None:
    done = call("clean", "--root", tmp_path / "nowhere")
    assert (done.returncode, done.stderr) == (
        2,
        f"{tmp_path / 'nowhere'}: there is no such folder: give --root\n",
    )
    night(recorded, 0)
    done = call("clean", "--root", recorded.root.path, "--keep-versions", 1)
    assert done.returncode == 2
    assert done.stderr.startswith("keep_versions = 1: ")
    (recorded.root.run(run_id(0)) / "run.json").write_text(json.dumps({"config": 7}))
    assert call("clean", "--root", recorded.root.path).returncode == 0
    with exclusive(recorded.root.lock):
        done = call("clean", "--root", recorded.root.path)
    assert done.returncode == 75
    assert done.stderr.endswith("wait for it\n")
    (tmp_path / "empty").mkdir()
    done = call("clean", "--root", tmp_path / "empty")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(("typed", "left"), [("\x04", 6), ("\n", 6), ("n\n", 6), ("Yes\n", 3)])
def test_a_person_is_asked_and_only_yes_deletes(
    recorded: RecordedRuns, monkeypatch: pytest.MonkeyPatch, typed: str, left: int
) -> None:
    for number in range(6):
        night(recorded, number)
    with terminal() as screen, os.fdopen(os.dup(screen.theirs)) as typing:
        monkeypatch.setattr(sys, "stdin", typing)
        screen.type(typed)  # \x04 is Ctrl-D
        done = call("clean", "--root", recorded.root.path, *FEW)
    assert (done.returncode, done.stderr, len(ids(recorded.root))) == (0, "", left)
    last = done.stdout.splitlines()[-1]
    assert ("Nothing was deleted." in last, "Deleted: " in last) == (left == 6, left == 3)
