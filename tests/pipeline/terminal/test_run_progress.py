"""What the terminal shows: real pseudo-terminals of several sizes, and a file."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from typing import TextIO

import pytest

from pipeline.history.executions import CACHED, DONE, Node
from pipeline.terminal import run_progress
from pipeline.terminal.run_progress import RunProgress
from tests.pipeline.terminals import HIDE, Terminal, terminal
from unet.progress import Count, report

NAMES = ("ImageMaskExampleGen", "Trainer", "DistributionValidator", "Pusher")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    """Whatever these tests run in; and the characters of this terminal."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "LC_ALL", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def work(output: TextIO, error: type[BaseException] | None = RuntimeError, pause: float = 0.0) -> None:
    """A component from the cache and one that trains, in which an error may happen."""
    with RunProgress(output, NAMES, dict.fromkeys(NAMES, 30.0)) as progress:
        progress.start(NAMES[0])
        progress.end(Node(NAMES[0], CACHED, same_as="20261125-005733"), "3 images")
        progress.start(NAMES[1])
        for step in (1, 2):
            report("training", step, 2, values={"loss": 0.5, "IoU": 0.75})
        print("from a library")
        time.sleep(pause)  # so that the board is drawn at this moment
        if error:
            raise error
        for name in NAMES[1:]:
            progress.start(name)
            progress.end(Node(name, DONE))


def shown(columns: int = 100, lines: int = 40, encoding: str = "utf-8") -> Terminal:
    with (
        terminal(columns, lines) as screen,
        os.fdopen(os.dup(screen.theirs), "w", encoding=encoding) as output,
        pytest.raises(RuntimeError),
    ):
        work(output, pause=0.6)
    return screen


def test_a_run_begins_again_and_says_why():
    output = io.StringIO()
    with RunProgress(output, NAMES) as progress:
        progress.start(NAMES[0])
        progress.end(Node(NAMES[0], CACHED))
        progress.start(NAMES[1])
        progress.restart(["Damaged: weights"])
        progress.start(NAMES[0])  # the rows wait again: this one is at work, and no other
        with pytest.raises(RuntimeError), progress:
            raise RuntimeError
    lines = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    assert lines == [
        "[ 1/4] ImageMaskExampleGen cached",
        "Damaged: weights",
        "[ 1/4] ImageMaskExampleGen failed",
    ]


def test_plain_lines_where_there_is_no_terminal():
    output = io.StringIO()
    with pytest.raises(RuntimeError):
        work(output)
    assert output.getvalue().splitlines() == [
        "[ 1/4] ImageMaskExampleGen     cached   same inputs as run 20261125-005733, 3 images",
        "        training: step 2/2  loss 0.500  IoU 0.750",
        "[ 2/4] Trainer                 failed",
    ]


def test_a_whole_run_in_plain_lines():
    output = io.StringIO()
    work(output, error=None)
    lines = output.getvalue().splitlines()
    assert [line[:6] for line in lines if line.startswith("[")] == ["[ 1/4]", "[ 2/4]", "[ 3/4]", "[ 4/4]"]
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in output.getvalue()


def test_a_long_component_is_named_in_plain_lines_while_it_works(monkeypatch):
    monkeypatch.setattr(run_progress, "SECONDS_IN_SILENCE", 0.05)
    output = io.StringIO()
    with RunProgress(output, NAMES, {NAMES[0]: 45.0}) as progress:
        progress.start(NAMES[0])
        while not output.getvalue():
            time.sleep(0.01)
        progress.end(Node(NAMES[0], DONE))
    first, last = output.getvalue().splitlines()
    assert re.fullmatch(r"\[ 1/4\] ImageMaskExampleGen     began at \d\d:\d\d:\d\d, about 45 s", first)
    assert last.endswith(" s")


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_every_component_has_a_line_that_fits(columns, capfd):
    screen = shown(columns)
    text = screen.seen
    assert max(map(len, text.split("\n"))) <= columns
    assert screen.cursor_is_shown
    for name, state in zip(NAMES, ("cached", "failed", "not run", "not run"), strict=True):
        assert re.search(rf"{name} +{state}", text)
    assert "Pusher" in text.rpartition("waiting")[0]
    assert "step 2/2" in text
    assert "IoU 0.750" in re.sub(r"\s+", " ", text)  # a narrow terminal breaks the line
    assert ("same inputs as run 20261125-005733" in text) == (columns >= 80)
    assert "━" in text
    assert "left" in text  # 30 s of the other components
    assert capfd.readouterr().out == "from a library\n"  # standard output is not touched


def test_a_low_terminal_shows_what_is_around_the_work_and_all_at_the_end():
    text = shown(80, 7).seen
    assert "to come" in text or "before" in text
    last = text[text.rindex(NAMES[0]) :]
    assert all(name in last for name in NAMES)


@pytest.mark.parametrize("how", ["encoding", "locale"])
def test_a_terminal_without_utf_8_gets_ascii_alone(how, monkeypatch):
    if how == "locale":
        monkeypatch.setenv("LC_ALL", "C")
    screen = shown(encoding="ascii" if how == "encoding" else "utf-8")
    assert screen.raw.isascii()
    assert re.search(r"x Trainer +failed", screen.seen)


@pytest.mark.parametrize(
    ("name", "value", "moves", "colors"),
    [
        ("TERM", "dumb", False, False),
        ("CI", "true", False, False),
        ("CI", "false", True, True),
        ("NO_COLOR", "1", True, False),
        ("TERM", "xterm", True, True),
    ],
)
def test_the_environment_says_what_a_terminal_can(name, value, moves, colors, monkeypatch):
    monkeypatch.setenv(name, value)
    screen = shown()
    assert (HIDE in screen.raw) == moves
    assert bool(re.search(r"\x1b\[(?:\d+;)*3[0-9;]+m", screen.raw)) == colors
    assert "failed" in screen.seen


def test_a_color_that_is_forced_does_not_move_the_cursor_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "log").open("w") as output, pytest.raises(RuntimeError):
        work(output)
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_an_interrupted_component_was_stopped():
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        work(output, KeyboardInterrupt)
    assert output.getvalue().splitlines()[-1] == "[ 2/4] Trainer                stopped"


def test_threads_may_count_together():
    output = io.StringIO()
    with RunProgress(output, NAMES) as progress:
        progress.start(NAMES[0])
        count = Count("reading images", 40)

        def ten() -> None:
            for _ in range(10):
                count.add()

        threads = [threading.Thread(target=ten) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert progress._step
        assert str(progress._step) == "reading images: 40 of 40"


def test_a_reader_that_is_gone_does_not_end_the_run():
    ours, theirs = os.pipe()
    os.close(ours)
    output = os.fdopen(theirs, "w", buffering=1)
    work(output, error=None)
    with pytest.raises(BrokenPipeError):
        output.close()


def test_a_board_shows_the_components_that_will_run():
    output = io.StringIO()
    with RunProgress(output, NAMES) as progress:
        progress.restart([], NAMES[1:2])
        progress.start(NAMES[1])
        progress.end(Node(NAMES[1], CACHED))
        progress.restart(["Gone: examples"], NAMES[:2])
        progress.start(NAMES[0])
        progress.end(Node(NAMES[0], CACHED))
    lines = [line.split()[0:3] for line in output.getvalue().splitlines()]
    assert lines == [["[", "1/1]", NAMES[1]], ["Gone:", "examples"], ["[", "1/2]", NAMES[0]]]
