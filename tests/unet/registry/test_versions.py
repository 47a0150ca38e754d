"""Pushing: whole versions only, strictly increasing, never twice the same, foreign files left alone."""

import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from unet.files import NoLocks
from unet.registry.model_card import write_card
from unet.registry.records import training_record
from unet.registry.versions import (
    VersionError,
    Withdrawn,
    newest_version,
    push,
    roll_back,
    versions,
    withdrawn_versions,
)


def make_model(folder: Path, content: str = "x") -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.data").write_text(content * 1000)
    return folder


def test_first_push_is_numbered_by_the_clock(tmp_path):
    before = int(time.time())
    target, is_new = push(make_model(tmp_path / "model"), tmp_path / "serving")
    assert is_new
    assert before <= int(target.name) <= time.time()
    assert (target / "variables" / "variables.data").read_text() == "x" * 1000


def test_the_same_model_is_not_pushed_again(tmp_path):
    model = make_model(tmp_path / "model")
    first, _ = push(model, tmp_path / "serving")
    assert push(model, tmp_path / "serving") == (first, False)


def test_a_copy_that_is_not_the_model_is_not_pushed(tmp_path):
    def tear(copy, version):
        with (copy / "variables" / "variables.data").open("r+b") as file:
            file.truncate(10)

    serving, model = tmp_path / "serving", make_model(tmp_path / "model")
    with pytest.raises(OSError, match="the copy of the model is not what was copied"):
        push(model, serving, tear)
    assert versions(serving) == []
    _, is_new = push(model, serving)
    assert is_new
    assert {p.name for p in serving.iterdir() if p.is_dir()} == {str(newest_version(serving))}


def test_a_file_system_without_locks_is_told_so(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)  # as Lustre does without the option flock
    with pytest.raises(NoLocks, match="no file locks: mount it with them"):
        push(make_model(tmp_path / "model"), tmp_path / "serving")


def test_an_older_model_comes_back_as_a_new_version(tmp_path):
    a, b = make_model(tmp_path / "a", "a"), make_model(tmp_path / "b", "b")
    versions = [int(push(model, tmp_path / "serving")[0].name) for model in (a, b, a)]
    assert versions == sorted(set(versions))


def test_versions_increase_when_the_clock_is_behind(tmp_path):
    future = int(time.time()) + 10**6
    make_model(tmp_path / "serving" / str(future), "old")
    target, _ = push(make_model(tmp_path / "model"), tmp_path / "serving")
    assert int(target.name) == future + 1


def test_foreign_files_stay_and_broken_versions_do_not_count(tmp_path):
    serving = tmp_path / "serving"
    (serving / "notes").mkdir(parents=True)
    (serving / "README").write_text("mine")
    (serving / "99999999999").mkdir()
    assert newest_version(serving) is None
    target, _ = push(make_model(tmp_path / "model"), serving)
    assert int(target.name) == 100000000000
    assert {p.name for p in serving.iterdir()} == {
        "notes",
        "README",
        "99999999999",
        "latest.json",
        ".lock",
        target.name,
    }


def test_rollback_makes_an_older_version_the_newest_and_keeps_the_bad_one_out(tmp_path):
    a, b, c = (make_model(tmp_path / name, name) for name in "abc")
    serving = tmp_path / "serving"
    first, _ = push(a, serving)
    second, _ = push(b, serving)
    back = roll_back(serving)
    assert int(back.name) > int(second.name)
    assert (back / "saved_model.pb").read_text() == "a"
    with pytest.raises(Withdrawn):
        push(b, serving)
    assert push(a, serving) == (back, False)
    push(c, serving)
    assert (roll_back(serving, int(second.name)) / "saved_model.pb").read_text() == "b"  # wanted again
    with pytest.raises(Withdrawn):
        push(c, serving)
    assert len(versions(serving)) == 5
    assert json.loads((serving / "latest.json").read_text())["version"] == versions(serving)[-1]
    assert first.is_dir()


def test_rolling_back_again_goes_on_to_the_good_version_before(tmp_path):
    serving = tmp_path / "serving"
    for name in "abc":
        push(make_model(tmp_path / name, name), serving)
    assert [(roll_back(serving) / "saved_model.pb").read_text() for _ in range(2)] == ["b", "a"]
    with pytest.raises(VersionError, match="no good version before the newest"):
        roll_back(serving)


@pytest.mark.parametrize(
    ("version", "message"), [(None, "no good version before the newest"), (5, "no version 5; there are: ")]
)
def test_what_cannot_be_rolled_back_is_said(tmp_path, version, message):
    target, _ = push(make_model(tmp_path / "a"), tmp_path / "serving")
    with pytest.raises(VersionError, match=message):
        roll_back(tmp_path / "serving", version)
    with pytest.raises(VersionError, match="is the newest version already"):
        roll_back(tmp_path / "serving", int(target.name))


def test_a_damaged_version_does_not_come_back(tmp_path):
    serving = tmp_path / "serving"
    facts = {"data_sha256": "", "data_licence": "", "images": {}, "code": "", "configuration": ""}
    pushed = [
        push(make_model(tmp_path / name, name), serving, lambda copy, v: write_card(copy, v, facts, {}))[0]
        for name in "abcd"
    ]
    for damaged in (pushed[2], pushed[3]):
        (damaged / "variables" / "variables.data").write_bytes(b"\0" * 1000)
    with pytest.raises(VersionError, match=f"{pushed[2].name} is damaged: it is not what was pushed"):
        roll_back(serving, int(pushed[2].name))
    back = roll_back(serving)
    assert (back / "variables" / "variables.data").read_text() == "b" * 1000
    for name in "cd":  # withdrawn is what was pushed, whatever became of the files
        with pytest.raises(Withdrawn):
            push(tmp_path / name, serving)


def test_a_card_makes_no_other_model(tmp_path):
    def describe(copy, version):
        (copy / "assets.extra").mkdir()
        (copy / "assets.extra" / "model_card.json").write_text(str(version))

    model = make_model(tmp_path / "model")
    target, _ = push(model, tmp_path / "serving", describe)
    assert (target / "assets.extra" / "model_card.json").read_text() == target.name
    assert push(model, tmp_path / "serving", describe) == (target, False)


@pytest.mark.parametrize(
    "content",
    ['{"version": 1, "pa', "[" * 100_000, '{"withdrawn": [["a"]]}', '{"withdrawn": {"a": 1}}', "[1]"],
)
def test_a_damaged_latest_is_mended_by_the_next_push(tmp_path, content):
    model = make_model(tmp_path / "model")
    target, _ = push(model, tmp_path / "serving")
    latest = tmp_path / "serving" / "latest.json"
    whole = latest.read_text()
    latest.write_text(content)
    assert push(model, tmp_path / "serving") == (target, False)
    assert latest.read_text() == whole


@pytest.mark.parametrize("name", ["²", "٣", "007", "99999999999999999999999999 ", "9" * 19])
def test_a_folder_whose_name_only_looks_like_a_number_stops_no_push(tmp_path, name):
    serving = tmp_path / "serving"
    make_model(serving / name, "odd")
    assert versions(serving) == []
    target, _ = push(make_model(tmp_path / "model"), serving)
    assert versions(serving) == [int(target.name)]
    push(make_model(tmp_path / "b", "b"), serving)
    assert (roll_back(serving) / "saved_model.pb").read_text() == "x"
    assert (serving / name / "saved_model.pb").read_text() == "odd"


def test_a_model_without_a_record_says_nothing(tmp_path):
    assert training_record(make_model(tmp_path / "model")) == {}


PUSH = """
import sys
from pathlib import Path
from unet.registry.versions import push
push(*map(Path, sys.argv[1:]))
"""


def incomplete(serving: Path, files: int) -> list[str]:
    """Versions that a server would take and that are not whole, and a `latest.json` that is torn or ahead."""
    wrong = []
    for version in serving.glob("[0-9]*"):
        there = sum(1 for path in version.rglob("*") if path.is_file())
        if there != files:
            wrong.append(f"{version.name}: {there} files")
    if (serving / "latest.json").exists():
        latest = json.loads((serving / "latest.json").read_text())
        if not (serving / latest["path"] / "saved_model.pb").is_file():
            wrong.append(f"latest.json: {latest}")
    return wrong


def test_a_reader_sees_whole_versions_only_whenever_the_pusher_is_killed(tmp_path):
    models, serving = [make_model(tmp_path / name, name) for name in "ab"], tmp_path / "serving"
    for model in models:
        for i in range(200):  # many files: a window to be killed in
            (model / "variables" / str(i)).write_text("y" * 2000)
    serving.mkdir()
    seen, stop = [], threading.Event()

    def poll():
        while not stop.is_set():
            seen.append(incomplete(serving, 202))

    reader = threading.Thread(target=poll)
    reader.start()
    random_numbers, killed = random.Random(0), 0
    try:
        for i in range(50):
            process = subprocess.Popen([sys.executable, "-c", PUSH, str(models[i % 2]), str(serving)])
            hidden = 0
            # The push begins when its hidden folder is there: kill it at any instant from then on.
            while process.poll() is None and not hidden:
                hidden = len(list(serving.glob(".pushing-*")))
            time.sleep(random_numbers.random() * 0.05)
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        stop.set()
        reader.join()
    assert killed > 10
    assert len(seen) > 100
    assert not [wrong for wrong in seen if wrong]
    target, _ = push(models[0], serving)
    assert incomplete(serving, 202) == []
    assert json.loads((serving / "latest.json").read_text())["path"] == target.name
    assert not list(serving.glob(".pushing-*"))


def test_the_versions_of_withdrawn_models_are_known(tmp_path):
    serving = tmp_path / "serving"
    assert withdrawn_versions(serving) == {}
    first, second = (int(push(make_model(tmp_path / name, name), serving)[0].name) for name in "ab")
    assert withdrawn_versions(serving) == {first: False, second: False}
    third = int(roll_back(serving).name)
    assert withdrawn_versions(serving) == {first: False, second: True, third: False}
    (serving / "latest.json").write_text("{")
    assert withdrawn_versions(serving) == {}
