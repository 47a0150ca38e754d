"""What killed processes left is found in each folder; what a link leads to is not touched."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.history.store import Misplaced
from pipeline.metadata.place import StoreError
from pipeline.retention.plan import format_bytes
from pipeline.root import Root
from tests.pipeline.recorded_runs import RecordedRuns
from tests.pipeline.retention.nights import assert_whole, clean, night, plan_of, run_id


def write(path: Path, text: str = "12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def age(path: Path) -> None:
    """Makes a file and its folder older than every run."""
    for old in (path, path.parent):
        os.utime(old, (0, 0))


def test_what_killed_processes_left_goes(recorded: RecordedRuns) -> None:
    root = recorded.root
    for number in range(2):
        night(recorded, number)
    left = [
        write(root.artifacts / "Trainer" / "model" / "3" / "half").parent,
        write(root.artifacts / "Trainer" / ".system" / "executor_execution" / "9" / "x").parent,
        write(root.path / ".splits.json.0123abcd.part"),
        write(root.run(run_id(1)) / ".run.json.0123abcd.part"),
        write(root.deleted / "3" / "x").parent.parent,
    ]
    stays = [
        write(root.path / "splits.json"),
        write(root.path / "notes.part"),
        write(root.checkpoints / "ab" / "step-000000001.npz"),
        write(root.set_aside / "Trainer" / "model" / "7" / "x"),
    ]
    plan = plan_of(root)
    assert {item.path for item in plan.items} == set(left)
    assert plan.size == 25
    assert all(path.exists() for path in left)  # a plan deletes nothing
    clean(root)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in stays)
    assert_whole(root)
    assert plan_of(root).items == []


def test_what_is_newer_than_ml_metadata_stays(recorded: RecordedRuns) -> None:
    night(recorded, 0)
    key = recorded.root.artifacts / "Trainer" / "model"
    for number in ("98", "99"):  # ML Metadata came back from a backup
        write(key / number / "x")
    plan = plan_of(recorded.root)
    assert plan.items == []
    assert plan.notes == [f"{key}: what is newer than all that ML Metadata knows stays (2 outputs)"]


def test_what_only_runs_used_that_go_goes(recorded: RecordedRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    root = recorded.root
    used = write(root.checkpoints / "used" / "step-000000001.npz")
    old = write(root.checkpoints / "old" / "step-000000001.npz")
    aside = write(root.set_aside / "Trainer" / "model" / "7" / "x").parent
    for number in range(6):
        name = night(recorded, number, pushes=False)
        write(root.artifacts / "Trainer" / "curves" / str(number))
        root.tensorboard.mkdir(exist_ok=True)
        (root.tensorboard / name).symlink_to(f"../artifacts/Trainer/model_run/{number}")
    os.utime(used, (time.time() + 1e9,) * 2)  # the runs of the test are in the future or the past
    age(old)
    monkeypatch.setattr("pipeline.retention.needs._began", lambda root, runs: time.time() + 1e8)
    gone = {item.path for item in plan_of(root).items}
    assert {old.parent, aside} <= gone
    assert used.parent not in gone
    assert root.tensorboard / run_id(0) in gone
    clean(root)
    assert all(path.exists() for path in root.tensorboard.iterdir())


def test_no_link_is_followed(recorded: RecordedRuns, tmp_path: Path) -> None:
    root, elsewhere = recorded.root, tmp_path / "elsewhere"
    for number in range(6):
        night(recorded, number)
    shutil.move(root.serving, elsewhere)
    root.serving.symlink_to(elsewhere)
    model = root.artifacts / "Trainer" / "model"
    shutil.move(model, elsewhere / "model")
    model.symlink_to(elsewhere / "model")
    (root.run("") / "20250101-000000Z").symlink_to(elsewhere)
    before = set(elsewhere.rglob("*"))
    plan = clean(root)
    assert (
        set(elsewhere.rglob("*"))
        - {
            elsewhere / ".lock",
            elsewhere / "latest.json",
        }
        == before
    )
    assert model.is_symlink()
    assert any(str(root.serving) in note for note in plan.notes)
    assert not (root.artifacts / "Trainer" / "model_run" / "2").exists()
    models = [a for a in recorded.store.get_artifacts() if a.type == "Model"]
    assert not any(a.state == mlmd.Artifact.DELETED for a in models)


def test_a_root_by_a_link_is_the_same_and_a_moved_one_is_refused(
    recorded: RecordedRuns, tmp_path: Path
) -> None:
    for number in range(6):
        night(recorded, number)
    (tmp_path / "link").symlink_to(recorded.root.path)
    assert plan_of(Root.at(tmp_path / "link")).items == plan_of(recorded.root).items != []
    shutil.copytree(recorded.root.path, tmp_path / "copy")
    with pytest.raises(Misplaced):
        plan_of(Root.at(tmp_path / "copy"))


def test_without_ml_metadata_nothing_is_known_so_nothing_goes(tmp_path: Path) -> None:
    write(tmp_path / "artifacts" / "Trainer" / "model" / "1" / "x")
    with pytest.raises(StoreError):
        plan_of(Root.at(tmp_path))


@pytest.mark.parametrize(
    ("size", "words"), [(999, "999 B"), (1000, "1.0 kB"), (3_240_000, "3.2 MB"), (5 * 10**15, "5000.0 TB")]
)
def test_bytes_in_words(size: int, words: str) -> None:
    assert format_bytes(size) == words
