"""What is left behind around a run; runs themselves are in tests/test_end_to_end.py."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from data.synthetic import write_cells
from pipeline.cli import main
from pipeline.commands.run import write_skipped
from pipeline.process.signals import SECONDS_TO_STOP
from tests.pipeline.recorded_runs import RUNNING, RecordedRuns
from tests.pipeline.small_disks import mounted
from unet.dataset.sample import Problem


def test_a_skipped_file_is_a_line_whatever_its_name(tmp_path: Path) -> None:
    names = ["a\tb.png", "new\nline.png", "back\\n.png", "d\u00e4.png"]
    write_skipped(tmp_path / "skipped.tsv", [Problem(name, "an empty file", "") for name in names])
    lines = (tmp_path / "skipped.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == [
        [name, "an empty file"] for name in (r"a\tb.png", r"new\nline.png", r"back\\n.png", "d\u00e4.png")
    ]


@pytest.mark.parametrize(
    "content", [b"nonsense" * 500, b"SQLite format 3\0" + bytes(84)], ids=["text", "torn"]
)
def test_a_damaged_metadata_store_is_a_sentence_before_anything_is_loaded(content, tmp_path, capsys):
    write_cells(tmp_path / "data", 6, (32, 32))
    root = tmp_path / "root"
    root.mkdir()
    (root / "metadata.sqlite").write_bytes(content)
    words = ["run", "--data", str(tmp_path / "data"), "--root", str(root)]
    assert main([*words, "--set", "classes={ background = 0, cell = 255 }"]) == 1
    found = capsys.readouterr()
    assert str(root / "metadata.sqlite") in found.out
    assert "Loading" not in found.out
    assert not (root / "runs").exists()
    assert (root / "metadata.sqlite").read_bytes() == content


def test_a_copied_root_is_a_sentence_before_anything_is_loaded(recorded, tmp_path, capsys):
    write_cells(tmp_path / "data", 6, (32, 32))
    recorded.add("1")
    recorded.close()
    copy = shutil.copytree(recorded.root.path, tmp_path / "copy")
    before = sorted(copy.rglob("*"))
    words = ["run", "--data", str(tmp_path / "data"), "--root", str(copy)]
    assert main([*words, "--set", "classes={ background = 0, cell = 255 }"]) == 2
    found = capsys.readouterr()
    told = (
        f"{copy}: this root was made as {recorded.root.path}, and ML Metadata holds that path: move it back"
    )
    assert told in found.out
    assert "Loading" not in found.out
    assert sorted(copy.rglob("*")) == sorted([*before, copy / ".lock"])
    assert main(["promote", "latest", "--reason", "a", "--root", str(copy)]) == 2
    assert told in capsys.readouterr().err
    assert main(["runs", "--root", str(copy)]) == 0
    assert f"Note: {told}" in capsys.readouterr().out


ENDING = """
import sys
from pathlib import Path
from pipeline.history import runs
from pipeline.process import signals
from pipeline.commands.run import _Work
from pipeline.process.exit_codes import CODE_OF
from pipeline.root import Root
root = Root(Path(sys.argv[1]))
run = runs.load(root.path, "1")
signals.install()
work = _Work(root, run.record, sys.stdout)
signals.watch(work.give_up)
work.nodes = run.nodes
work.end("pushed", "")
sys.exit(CODE_OF["pushed"])
"""


@pytest.mark.parametrize(
    ("number", "late"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGTERM, True)],
)
def test_a_signal_while_the_report_is_written_does_not_change_how_the_run_ended(recorded, number, late):
    folder = recorded.add("1", version=7)
    curves = Path(next(recorded.root.artifacts.glob("Trainer/model_run/*")), "curves.csv")
    os.mkfifo(curves)  # keeps who reads it until somebody writes
    recorded.close()
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING, str(recorded.root.path)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    impatient = threading.Timer(60, process.kill)
    impatient.start()
    told = process.stdout.readline()
    while not told.endswith("summary.json\n"):  # the last line before the report
        line = process.stdout.readline()
        assert line
        told += line
    assert f"Pushed {recorded.root.serving / '7'}" in told
    time.sleep(SECONDS_TO_STOP + 1 if late else 0.3)
    process.send_signal(number)
    if not late:  # the one who wants it to stop at last gets that
        time.sleep(0.3)
        curves.write_text("step,loss\n1,0.5\n")
    rest, _ = process.communicate()
    impatient.cancel()
    assert process.returncode == 0
    assert (f"report    {folder / 'report.html'}" in rest) == (folder / "report.html").exists() == (not late)
    assert json.loads((folder / "run.json").read_text())["status"] == "pushed"


STALLED = """
import sys, time
from pathlib import Path
from pipeline.commands.run import _Work
from pipeline.history import runs
from pipeline.process import log, signals
from pipeline.process.stall import StallWatch
from pipeline.root import Root
root = Root(Path(sys.argv[1]))
record = runs.load(root.path, "1").record
signals.install()
with log.captured(root.run("1") / "log.txt") as terminal:
    work = _Work(root, record, terminal)
    signals.watch(work.give_up)
    work._stall_minutes = 0.01
    with StallWatch(0.6, [root.path], work._stop_stall):
        work._on_start("Trainer")
        hashlib = __import__("hashlib")
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in which no exception is raised
"""


def test_a_run_that_stands_still_in_native_code_is_ended_and_recorded_as_failed(recorded):
    folder = recorded.add("1", {"Trainer": RUNNING}, status="running")
    recorded.close()
    command = [sys.executable, "-c", STALLED, str(recorded.root.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    reason = "Trainer: no progress for 0.01 minutes, so it was stopped"
    assert done.returncode == 1
    assert f"Failed: {reason}" in done.stdout
    told = json.loads((folder / "run.json").read_text())
    assert told["status"] == "failed"
    assert told["reason"].startswith(reason)
    assert "pbkdf2" not in done.stderr
    assert "most recent call first" in (folder / "log.txt").read_text()  # where it stood


ON_A_FULL_DISK = """
import sys
from pathlib import Path
from pipeline.commands.run import _Work
from pipeline.process.exit_codes import CODE_OF
from pipeline.history import runs
from pipeline.process import log, reserve
from pipeline.process.failures import explain
from pipeline.root import Root
root = Root(Path(sys.argv[1]))
record = runs.load(root.path, "1").record
reserve.hold(root.reserve)
with log.captured(root.run("1") / "log.txt") as terminal:
    work = _Work(root, record, terminal)
    work._on_start("Trainer")
    try:
        with open(root.path / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError as error:
        print("lost" * 10_000)
        work.end(*explain(error, work.at_work, root.path))
sys.exit(1)
"""


def test_the_end_of_a_run_is_recorded_though_log_and_root_are_on_a_full_disk(tmp_path):
    with mounted(tmp_path / "small", "size=12m") as small:
        recorded = RecordedRuns(small / "root")
        folder = recorded.add("1", {"Trainer": RUNNING}, status="running")
        recorded.close()
        command = [sys.executable, "-c", ON_A_FULL_DISK, str(recorded.root.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        told = json.loads((folder / "run.json").read_text())
        reason = (
            f"Trainer: the disk is full: make room in {recorded.root.path}, then run the same command again"
        )
        assert (told["status"], told["reason"]) == ("failed", reason)
        assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
        assert f"Failed: {reason}" in done.stdout
        assert (done.returncode, done.stderr) == (1, "")
        assert not recorded.root.reserve.exists()


HUNG_UP = """
import hashlib, os, sys, time
from pathlib import Path
from pipeline.commands.run import _Work
from pipeline.history import runs
from pipeline.process import log, signals
from pipeline.process.failures import explain
from pipeline.root import Root
from pipeline.terminal.run_progress import RunProgress
root = Root(Path(sys.argv[1]))
record = runs.load(root.path, "1").record
signals.install()
with log.captured(root.run("1") / "log.txt") as terminal:
    work = _Work(root, record, terminal)
    signals.watch(work.give_up)
    try:
        work._progress = RunProgress(terminal, record.nodes, {})
        with work._progress:
            work._on_start("Trainer")
            os.write(int(sys.argv[3]), b"!")
            if sys.argv[2] == "stuck":
                hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in which no exception is raised
            time.sleep(60)
    except BaseException as error:
        signals.settle()
        work.end(*explain(error, work.at_work, root.path))
        os._exit(75)
"""


def _take_the_terminal() -> None:
    """Makes the terminal at standard input that of the session, which hears of its end; heeds SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("at", ["asleep", "stuck"])
def test_a_run_whose_terminal_is_closed_is_recorded_as_interrupted(recorded, at):
    folder = recorded.add("1", {"Trainer": RUNNING}, status="running")
    recorded.close()
    ready, tell = os.pipe()
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", HUNG_UP, str(recorded.root.path), at, str(tell)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        pass_fds=[tell],
        env={**os.environ, "TERM": "xterm-256color", "CI": ""},
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    )
    os.close(theirs)
    os.close(tell)
    assert os.read(ready, 1) == b"!"
    os.close(ready)
    time.sleep(0.5)
    os.close(ours)  # the kernel sends SIGHUP, and what is written to the terminal fails from now on
    assert process.wait(60) == 75
    told = json.loads((folder / "run.json").read_text())
    assert (told["status"], told["reason"]) == ("interrupted", "stopped by a signal in Trainer")
