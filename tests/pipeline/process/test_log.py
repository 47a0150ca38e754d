"""Everything that is printed goes into a file, and the terminal stays ours."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.process.log import captured, forgive_encodings


def test_what_native_code_prints_is_in_the_log_and_the_terminal_is_for_us(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "log.txt").write_text("of before\n")
    with captured(tmp_path / "log.txt") as terminal:
        os.write(1, b"out\n")
        os.write(2, b"err\n")
        print("for people", file=terminal)
        assert capfd.readouterr().out == "for people\n"  # at once, line by line
    os.write(1, b"out again\n")
    os.write(2, b"err again\n")
    assert capfd.readouterr() == ("out again\n", "err again\n")
    assert (tmp_path / "log.txt").read_text() == "of before\nout\nerr\n"


def test_the_streams_are_back_after_an_error_and_none_stays_open(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyError), captured(tmp_path / "log.txt"):
        raise KeyError
    assert len(os.listdir("/proc/self/fd")) == before
    os.write(1, b"here\n")
    assert capfd.readouterr().out == "here\n"


FULL = """
import logging, os, sys
from pathlib import Path
from pipeline.process.log import captured
with captured(Path("/dev/full")) as terminal:
    print("lost")
    print("lost", file=sys.stderr, flush=True)
    logging.warning("lost")
    try:
        raise ValueError
    except ValueError:
        logging.exception("lost")
    print("x" * 100_000)
    os.system("echo lost")
    print("for people", file=terminal)
print("afterwards")
"""


def test_a_full_disk_loses_lines_of_the_log_and_nothing_of_them_reaches_the_terminal():
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "for people\nafterwards\n", "")


CLOSED = """
import os, sys
from pathlib import Path
from pipeline.process.log import captured, open_closed
open_closed()
with open("state", "w+") as state, captured(Path("log")) as terminal:
    assert state.fileno() > 2, state
    print("lost", file=terminal)
    os.system("echo logged; cat")
    print("logged", file=sys.stderr)
print("lost")
assert not sys.stdin.read()
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_not_replaced_by_the_next_file(tmp_path: Path, closed: str):
    words = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, CLOSED]
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        words, cwd=tmp_path, env=path, input="", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "log").read_text() == "logged\nlogged\n"


def test_programs_that_are_started_do_not_inherit_the_terminal(tmp_path: Path):
    with captured(tmp_path / "log.txt") as terminal:
        assert not os.get_inheritable(terminal.fileno())
        assert os.get_inheritable(1)


def test_a_character_that_cannot_be_shown_becomes_an_escape(monkeypatch: pytest.MonkeyPatch):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2))
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    forgive_encodings()
    for stream in (out, err):
        stream.write("é")
        stream.flush()
        assert stream.buffer.getvalue() == b"\\xe9"


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_stream_that_cannot_be_changed_spares_the_other_one(stream, monkeypatch: pytest.MonkeyPatch):
    err = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", err)
    forgive_encodings()
    assert err.errors == "backslashreplace"
