"""The bar of the images that are checked."""

from __future__ import annotations

import os
import time

import pytest

from pipeline.terminal import check_progress
from pipeline.terminal.check_progress import ReadingProgress
from tests.pipeline.terminals import HIDE, terminal
from unet.progress import report


def read(seconds: float) -> None:
    with ReadingProgress():
        for step in (1, 2, 3):
            report("checking images", step, 3)
            time.sleep(seconds)
        raise KeyboardInterrupt


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_terminal_gets_a_bar_of_what_takes_long_and_its_cursor_back(seconds, monkeypatch):
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as screen, os.fdopen(os.dup(screen.theirs), "w") as output:
        monkeypatch.setattr("sys.stderr", output)
        with pytest.raises(KeyboardInterrupt):
            read(seconds)
        monkeypatch.undo()
    assert (HIDE in screen.raw) == ("checking images" in screen.seen) == (seconds > 0)
    assert screen.cursor_is_shown


def test_where_there_is_no_terminal_there_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(check_progress, "SECONDS_BETWEEN_LINES", 0.05)
    with pytest.raises(KeyboardInterrupt):
        read(0.06)
    assert capsys.readouterr().err.splitlines()[-1] == "checking images: 3 of 3"
