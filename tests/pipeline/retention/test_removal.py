"""A deletion that is killed at any instant leaves nothing half there, and the next run completes it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.metadata.store import open_store
from pipeline.retention.removal import delete, drop_checkpoints, finish, is_complete
from pipeline.root import Root
from tests.pipeline.recorded_runs import RecordedRuns
from tests.pipeline.retention.nights import assert_whole, clean, ids, night, plan_of, size
from tests.unet.registry.test_interrupted_rollback import interrupted
from unet.registry.versions import settle, versions


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no test here cuts the power


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_it_is_killed_at_any_instant(recorded: RecordedRuns, tmp_path: Path) -> None:
    for number in range(4):
        night(recorded, number)
    recorded.close()
    root, original = recorded.root, tmp_path / "original"
    shutil.copytree(root.path, original)
    whole = {artifact.uri: files(Path(artifact.uri)) for artifact in open_store(root).get_artifacts()}
    clean(root)
    expected, left = ids(root), versions(root.serving)
    bytes_left = size(root)
    states = set()
    for instant in range(2000):
        shutil.rmtree(root.path)
        shutil.copytree(original, root.path)
        plan = plan_of(root)
        if not interrupted(lambda: delete(root, plan), instant):  # noqa: B023
            break
        dead = {a.uri for a in open_store(root).get_artifacts() if a.state == mlmd.Artifact.DELETED}
        for uri, content in whole.items():
            assert (files(Path(uri)) == content) if os.path.isdir(uri) else (uri in dead)
        for version in versions(root.serving):
            assert (root.serving / str(version) / "saved_model.pb").read_text()
        states.add(frozenset(uri for uri in dead if os.path.isdir(uri)))
        finish(root)
        assert not any(os.path.exists(uri) for uri in dead)
        clean(root)
        settle(root.serving)
        assert (ids(root), versions(root.serving), size(root)) == (expected, left, bytes_left)
        if instant % 10 == 0:
            assert_whole(root)
            assert size(root) > bytes_left  # the reports
    else:
        raise AssertionError("it never ends")
    assert len(states) > 5  # each output went by itself


def test_a_run_completes_nothing_where_nothing_was_begun(recorded: RecordedRuns) -> None:
    night(recorded, 0)
    before = files(recorded.root.path)
    finish(recorded.root)
    assert files(recorded.root.path) == before


def test_the_checkpoints_of_a_complete_training_go_those_of_another_stay(tmp_path: Path) -> None:
    root = Root(tmp_path)
    for name, when in {"used": 0, "other": 3600}.items():
        file = root.checkpoints / name / "step-000000001.npz"
        file.parent.mkdir(parents=True)
        file.touch()
        for path in (file, file.parent):
            os.utime(path, (time.time() - when,) * 2)
    drop_checkpoints(root, time.time() - 60)
    assert [path.name for path in root.checkpoints.iterdir()] == ["other"]
    drop_checkpoints(root, 0)
    assert not root.checkpoints.exists()


def test_the_checkpoints_of_one_complete_training_stay_where_it_may_go_on(tmp_path: Path) -> None:
    root, now = Root(tmp_path), time.time()

    def write(name: str, when: float) -> None:
        file = root.checkpoints / name / "step-000000001.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        for path in file.parent, *file.parent.iterdir():
            os.utime(path, (when,) * 2)

    write("first", now - 100)
    write("search-x", now - 100)
    drop_checkpoints(root, now - 200, keep=True)
    assert [path.name for path in root.checkpoints.iterdir()] == ["first"]
    assert is_complete(root.checkpoints / "first")
    write("first", now - 50)
    write("interrupted", now - 50)
    write("second", now)
    drop_checkpoints(root, now - 10, keep=True)
    assert sorted(path.name for path in root.checkpoints.iterdir()) == ["interrupted", "second"]
    taken_up = root.checkpoints / "second" / "step-000000002.npz"
    taken_up.touch()
    os.utime(taken_up, (now + 100,) * 2)
    assert not is_complete(root.checkpoints / "second")
    assert not is_complete(root.checkpoints / "interrupted")
