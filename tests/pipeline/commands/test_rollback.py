"""The command as it is typed, on a folder of versions."""

import contextlib
import time
from pathlib import Path

import pytest

from pipeline.history.promotion import last_blessed
from pipeline.history.runs import load
from pipeline.history.withdrawal import tell_withdrawn
from pipeline.process.lock import exclusive
from pipeline.root import Root
from tests.command_line import call
from tests.pipeline.recorded_runs import RecordedRuns
from unet.registry.versions import withdrawn_versions


def rollback(*words: object) -> tuple[int, str, str]:
    done = call("rollback", *words)
    return done.returncode, done.stdout, done.stderr


def make_versions(root: Path, *numbers: int) -> Path:
    for number in numbers:
        folder = root / "serving" / "unet" / str(number)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"model {number}")
    return root / "serving" / "unet"


def test_the_version_before_the_newest_comes_back(tmp_path: Path) -> None:
    serving = make_versions(tmp_path, 5, 7)
    before = int(time.time())
    code, out, _ = rollback("--root", tmp_path)
    newest = max(int(path.name) for path in serving.glob("[0-9]*"))
    assert code == 0
    assert newest >= before
    assert str(serving / str(newest)) in out
    assert (serving / str(newest) / "saved_model.pb").read_text() == "model 5"


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    code, _, err = rollback(6, "--root", tmp_path / "nowhere")
    assert (code, err) == (2, f"{tmp_path / 'nowhere'}: there is no such folder: give --root\n")
    serving = make_versions(tmp_path, 5, 7)
    code, _, err = rollback(6, "--root", tmp_path)
    assert (code, err) == (2, f"{serving}: no version 6; there are: 5, 7\n")
    assert {path.name for path in serving.iterdir()} == {"5", "7", ".lock"}


def two_runs(folder: Path) -> tuple[Root, int, int]:
    """A root whose runs pushed the versions 5 and 7, and the ids of their models."""
    recorded = RecordedRuns(folder)
    for run_id, version in {"1": 5, "2": 7}.items():
        recorded.add(run_id, version=version)
        make_versions(folder, version)
    recorded.close()
    models = [load(folder, run_id).artifact("Trainer", "model") for run_id in ("1", "2")]
    old, new = (model.id for model in models if model)
    return recorded.root, old, new


def test_a_run_at_work_is_not_waited_for_and_ml_metadata_is_left_to_it(tmp_path: Path) -> None:
    root, old, new = two_runs(tmp_path)
    with exclusive(root.lock):
        code, out, err = rollback("--root", tmp_path)
        assert (code, err) == (0, "")
        assert "another run (process " in out
        assert last_blessed(root) == new  # the run at work may be reading it
        tell_withdrawn(root)  # as the next one does when it begins
        assert last_blessed(root) == old
    newest = max(int(path.name) for path in (tmp_path / "serving/unet").glob("[0-9]*"))
    assert (tmp_path / f"serving/unet/{newest}/saved_model.pb").read_text() == "model 5"


def test_a_run_that_comes_next_compares_with_no_withdrawn_model(tmp_path: Path) -> None:
    root, old, _ = two_runs(tmp_path)
    code, _, err = rollback("--root", tmp_path)
    assert (code, err) == (0, "")
    assert last_blessed(root) == old


@pytest.mark.parametrize("at_work", [False, True])
@pytest.mark.parametrize("content", [None, "{", '{"withdrawn": 3}'])
def test_a_withdrawn_model_does_not_come_back_though_the_record_is_damaged(
    tmp_path: Path, content: str | None, at_work: bool
) -> None:
    root, _, _ = two_runs(tmp_path)
    assert rollback("--root", tmp_path)[0] == 0  # the model of 7 is withdrawn
    latest = root.serving / "latest.json"
    latest.unlink()
    if content:
        latest.write_text(content)
    before = sorted(path.name for path in root.serving.iterdir() if path.is_dir())
    with exclusive(root.lock) if at_work else contextlib.nullcontext():
        code, _, err = rollback("--root", tmp_path)
    assert code == 2
    assert "no good version before the newest" in err
    assert sorted(path.name for path in root.serving.iterdir() if path.is_dir()) == before
    assert withdrawn_versions(root.serving)[7]


def test_it_works_without_ml_metadata(tmp_path: Path) -> None:
    serving = make_versions(tmp_path, 5, 7)
    (tmp_path / "metadata.sqlite").write_bytes(b"no database at all" * 100)
    code, out, err = rollback("--root", tmp_path)
    assert code == 0
    assert "In service: " in out
    assert "file is not a database" in err
    assert err.count("\n") == 1
    newest = max(int(path.name) for path in serving.glob("[0-9]*"))
    assert (serving / str(newest) / "saved_model.pb").read_text() == "model 5"
