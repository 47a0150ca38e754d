"""A rollback that is interrupted at any file operation is completed by whoever comes next, never undone."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unet.registry.versions import LATEST, Withdrawn, newest_version, push, roll_back, settle, versions

_watching: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _watching or ():  # None while Python ends
        watch(event, arguments)


class Killed(BaseException):
    """The process ends here."""


def interrupted(action: Callable[[], object], instant: int) -> bool:
    """Whether the action was interrupted before its file operation of this number."""
    left = itertools.count(instant, -1)
    changes = ("os.", "shutil.copyfile", "open", "fcntl.")  # what reads only is no other instant

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(changes) and event not in ("os.listdir", "os.scandir") and next(left) == 0:
            _watching.clear()
            raise Killed

    return _watched(watch, action) is Killed


def _watched(watch: Callable[[str, tuple[Any, ...]], None], action: Callable[[], object]) -> object:
    if _hook not in _installed:
        sys.addaudithook(_hook)  # for good: it does nothing unless something watches
        _installed.append(_hook)
    _watching.append(watch)
    try:
        return action()
    except Killed:
        return Killed
    finally:
        _watching.clear()


_installed: list[Any] = []


def make_model(folder: Path, content: str) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.data").write_text(content * 10)
    return folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Four models; waiting for the disk is left out, since no test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return {name: make_model(tmp_path / name, name) for name in "abcd"}


def serving_of(models: dict[str, Path], folder: Path, names: str = "abc") -> Path:
    """Versions that were pushed one after another."""
    for name in names:
        push(models[name], folder)
    return folder


def in_service(folder: Path) -> str:
    return (folder / str(newest_version(folder)) / "saved_model.pb").read_text()


def withdrawn(folder: Path) -> list[str]:
    return list(json.loads((folder / LATEST).read_text())["withdrawn"])


def each_instant(models: dict[str, Path], tmp_path: Path, version: int | None = None) -> list[Path]:
    """The serving folder as rollbacks leave it that were interrupted one file operation later each."""
    found: list[Path] = []
    for instant in range(1000):
        folder = serving_of(models, tmp_path / f"serving-{instant}")
        number = None if version is None else versions(folder)[version]
        if not interrupted(lambda: roll_back(folder, number), instant):  # noqa: B023
            assert instant > 20
            return found
        found.append(folder)
    raise AssertionError("the rollback never ends")


def test_the_next_run_keeps_the_bad_model_out(models: dict[str, Path], tmp_path: Path):
    states = set()
    for folder in each_instant(models, tmp_path):
        before, is_recorded = in_service(folder), bool(withdrawn(folder))
        states.add((before, is_recorded))
        if is_recorded:
            with pytest.raises(Withdrawn):
                push(models["c"], folder)
            assert in_service(folder) == "b"
        else:  # it has not begun
            assert push(models["c"], folder)[1] is False
        latest = json.loads((folder / LATEST).read_text())
        assert latest["version"] == newest_version(folder)
        assert "rolling_back_to" not in latest
        assert not list(folder.glob(".pushing-*"))
    # Before, recorded but not begun, and in service but not complete: each was met; never the fourth.
    assert states == {("c", False), ("c", True), ("b", True)}


@pytest.mark.parametrize("version", [None, 0], ids=["before", "first"])
def test_the_same_rollback_again_completes_it_and_goes_no_further(
    models: dict[str, Path], tmp_path: Path, version: int | None
):
    wanted = "b" if version is None else "a"
    for folder in each_instant(models, tmp_path, version):
        if withdrawn(folder) and "rolling_back_to" not in json.loads((folder / LATEST).read_text()):
            assert in_service(folder) == wanted  # complete, but for the last fsync
            continue
        number = None if version is None else versions(folder)[version]
        back = roll_back(folder, number)
        assert (back / "saved_model.pb").read_text() == in_service(folder) == wanted
        assert len(versions(folder)) == 4
        with pytest.raises(Withdrawn):
            push(models["c"], folder)


def test_another_rollback_replaces_it(models: dict[str, Path], tmp_path: Path):
    for folder in each_instant(models, tmp_path):
        roll_back(folder, versions(folder)[0])
        assert in_service(folder) == "a"
        for bad in "bc":
            with pytest.raises(Withdrawn):
                push(models[bad], folder)


def test_a_new_model_and_a_promotion_come_after_it(models: dict[str, Path], tmp_path: Path):
    for folder in each_instant(models, tmp_path):
        is_recorded = bool(withdrawn(folder))
        push(models["d"], folder)
        assert in_service(folder) == "d"
        assert len(versions(folder)) == (5 if is_recorded else 4)
        push(models["c"], folder, even_withdrawn=True)
        assert in_service(folder) == "c"
        assert push(models["c"], folder)[1] is False
        assert withdrawn(folder) == []


def test_a_rollback_that_is_interrupted_again_and_again_ends(models: dict[str, Path], tmp_path: Path):
    folder = serving_of(models, tmp_path / "serving")
    for instant in range(1000):
        if not interrupted(
            lambda: roll_back(folder) if in_service(folder) == "c" else settle(folder), instant
        ):
            break
    assert in_service(folder) == "b"
    with pytest.raises(Withdrawn):
        push(models["c"], folder)


def test_what_it_was_to_go_back_to_is_gone(models: dict[str, Path], tmp_path: Path):
    folder = next(f for f in each_instant(models, tmp_path) if withdrawn(f) and in_service(f) == "c")
    first, second, third = versions(folder)
    shutil.rmtree(folder / str(second))
    settle(folder)
    assert in_service(folder) == "a"
    shutil.rmtree(folder / str(first))
    assert len(versions(folder)) == 2
    assert third in versions(folder)


def test_without_any_good_version_the_bad_one_stays_but_is_not_pushed(
    models: dict[str, Path], tmp_path: Path
):
    folder = next(f for f in each_instant(models, tmp_path) if withdrawn(f) and in_service(f) == "c")
    for version in versions(folder)[:2]:
        shutil.rmtree(folder / str(version))
    with pytest.raises(Withdrawn):
        push(models["c"], folder)
    assert in_service(folder) == "c"
    push(models["d"], folder)
    assert in_service(folder) == "d"
    assert "rolling_back_to" not in json.loads((folder / LATEST).read_text())


def test_each_name_is_given_after_the_content_and_the_record_before_it_are_on_the_disk(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = serving_of(models, tmp_path / "serving")
    synced: list[str] = []
    renamed: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            source = Path(arguments[0])
            contents = [source, *source.rglob("*")] if source.is_dir() else [source]
            assert {str(path) for path in contents} <= set(synced)
            assert not renamed or str(folder) in synced  # the name before it
            synced.clear()
            renamed.append(Path(arguments[1]).name)

    monkeypatch.setattr(os, "fsync", sync)
    _watched(watch, lambda: roll_back(folder))
    assert renamed == [LATEST, str(newest_version(folder)), LATEST]
    assert synced == [str(folder)]


@pytest.mark.parametrize("damage", ["", "{torn", "[]", '{"withdrawn": 5}', "missing"])
def test_a_damaged_record_is_mended_from_what_others_remember(
    models: dict[str, Path], tmp_path: Path, damage: str
):
    folder = serving_of(models, tmp_path / "serving")
    roll_back(folder)
    remembered = settle(folder)
    assert remembered == set(withdrawn(folder))
    assert len(remembered) == 1
    before = (folder / LATEST).read_text()
    if damage == "missing":
        (folder / LATEST).unlink()
    else:
        (folder / LATEST).write_text(damage)
    assert settle(folder, remembered) == remembered
    assert (folder / LATEST).read_text() == before
    with pytest.raises(Withdrawn):
        push(models["c"], folder)


def test_a_record_that_is_whole_counts_more_than_what_others_remember(
    models: dict[str, Path], tmp_path: Path
):
    folder = serving_of(models, tmp_path / "serving")
    assert settle(folder, {"5eed"}) == frozenset()


def test_without_a_folder_nothing_is_withdrawn_and_nothing_is_made(tmp_path: Path):
    assert settle(tmp_path / "serving") == frozenset()
    assert not (tmp_path / "serving").exists()


def test_a_folder_that_was_deleted_does_not_bring_the_bad_model_back(models: dict[str, Path], tmp_path: Path):
    folder = serving_of(models, tmp_path / "serving")
    roll_back(folder)
    remembered = settle(folder)
    shutil.rmtree(folder)
    settle(folder, remembered)
    with pytest.raises(Withdrawn):
        push(models["c"], folder)
    push(models["d"], folder)
    assert in_service(folder) == "d"


PUSH = """
import sys
from pathlib import Path
from unet.registry.versions import push
print("began", flush=True)
push(*map(Path, sys.argv[1:]))
"""


def test_two_who_push_into_one_folder_take_turns(models: dict[str, Path], tmp_path: Path):
    folder = serving_of(models, tmp_path / "serving", "a")
    at_work = folder / ".pushing-1"  # of another pipeline that shares the folder
    at_work.mkdir()
    with (folder / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-c", PUSH, str(models["b"]), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"began\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            assert at_work.is_dir()
            assert in_service(folder) == "a"
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert process.wait(60) == 0
    assert not at_work.exists()  # its owner holds the lock no more: it was killed
    assert in_service(folder) == "b"
