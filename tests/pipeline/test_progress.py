"""What the terminal shows: a real pseudo-terminal, and a file."""

import io
import logging
import os
import re
import select
import time

import pytest

from pipeline.progress import Board


def work(output: io.TextIOBase, seconds: float = 0.0) -> None:
    """Two components, the second of which fails in its training."""
    with Board(output, 2) as board:  # type: ignore[arg-type]
        board.start("First")
        board.end("First", cached=True, seconds=0.1, note="3 images")
        board.start("Second")
        for step in (1, 2):
            counts = {"epoch": 1, "epochs": 2, "step": step, "steps": 2, "values": {"loss": 0.5}}
            logging.getLogger("unet.progress").info("training", extra=counts)
        print("from a library")
        time.sleep(seconds)
        raise RuntimeError


def test_plain_lines_where_there_is_no_terminal():
    output = io.StringIO()
    with pytest.raises(RuntimeError):
        work(output)
    lines = output.getvalue().splitlines()
    assert lines == [
        "[ 1/2] First                   cached   3 images",
        "        training: epoch 1/2, step 2/2  loss 0.500",
        "[ 2/2] Second                  failed",
    ]


def read_until(text: str, descriptor: int) -> str:
    """Output of the terminal up to a text; the kernel hands it on in its own time."""
    shown = ""
    while text not in shown and select.select([descriptor], [], [], 10)[0]:
        shown += os.read(descriptor, 4096).decode()
    return shown


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_gets_a_moving_line_if_it_can_and_standard_output_is_left_alone(term, capfd, monkeypatch):
    monkeypatch.setenv("TERM", term)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        with pytest.raises(RuntimeError):
            work(terminal, seconds=0.6)
        shown = read_until("failed", ours)
    os.close(ours)
    assert ("\x1b" in shown) == (term == "xterm")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "step 2/2" in text
    assert "failed" in text.rpartition("step 2/2")[2]
    assert capfd.readouterr().out == "from a library\n"
