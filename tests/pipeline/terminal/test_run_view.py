"""The picture of a run at work, drawn once for each size."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pipeline.history.executions import CACHED, DONE, FAILED, RUNNING, WAITING
from pipeline.terminal.run_view import (
    NOT_RUN,
    STOPPED,
    ProgressRow,
    Step,
    ViewState,
    draw,
    make_spinner,
)


def lines(rows: list[ProgressRow], width: int = 100, **change: Any) -> list[str]:
    """What is drawn, without spaces at the ends."""
    values: dict[str, Any] = {"step": None, "elapsed": 61.0, "left": None, "height": 40}
    state = ViewState(rows, **{**values, "ascii_only": False, **change})
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(draw(state, make_spinner(True)))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def many(working: int, count: int = 12) -> list[ProgressRow]:
    """Components of which one works."""
    states = [DONE] * working + [RUNNING] + [WAITING] * (count - working - 1)
    return [ProgressRow(f"Component{i:02d}", state) for i, state in enumerate(states)]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (ProgressRow("A", DONE, 9.94), ["✓", "A", "9.9", "s"]),
        (ProgressRow("A", DONE, 60.0), ["✓", "A", "1", "min", "0", "s"]),
        (ProgressRow("A", CACHED, same_as="7", note="3 images"), "= A cached same inputs as run 7, 3 images"),
        (ProgressRow("A", FAILED, 3.0, note="why"), ["✗", "A", "failed", "why"]),
        (ProgressRow("A", STOPPED), ["-", "A", "stopped"]),
        (ProgressRow("A", NOT_RUN), ["·", "A", "not", "run"]),
        (ProgressRow("A", WAITING), ["·", "A", "waiting"]),
    ],
)
def test_a_component_has_a_mark_its_state_and_what_it_decided(row: ProgressRow, cells: Any):
    [line] = lines([row])
    assert line.split() == (cells.split() if isinstance(cells, str) else cells)


def test_a_narrow_terminal_shows_the_beginning_of_what_was_decided():
    rows = [ProgressRow("A", RUNNING, note="because it is so")]
    assert "because it is so" in lines(rows, width=68)[0]
    assert "because…" in lines(rows, width=20)[0].replace(" …", "…")


@pytest.mark.parametrize(
    ("left", "footer"),
    [
        (None, "1 min 1 s, 1 of 2 components"),
        (0.9, "1 min 1 s, 1 of 2 components"),
        (1.0, "1 min 1 s, about 1 s left, 1 of 2 components"),
    ],
)
def test_the_footer_counts_what_is_finished_and_says_what_is_left(left: float | None, footer: str):
    assert lines([ProgressRow("A", CACHED), ProgressRow("B", RUNNING)], left=left)[-1] == footer


def test_without_anything_at_work_there_is_no_footer():
    step = Step("training", 1, 2, {})
    assert len(lines([ProgressRow("A", DONE)], step=step, left=9.0)) == 1


@pytest.mark.parametrize(
    ("working", "height", "first", "last", "before", "after"),
    [
        (5, 16, 0, 11, 0, 0),  # twelve and four for what is below: all of them
        (5, 15, 1, 9, 1, 2),
        (0, 15, 0, 8, 0, 3),
        (11, 15, 3, 11, 3, 0),
        (5, 3, 5, 5, 5, 6),
    ],
)
def test_a_low_terminal_shows_what_is_around_the_work(
    working: int, height: int, first: int, last: int, before: int, after: int
):
    found = lines(many(working), height=height)
    names = [word for line in found for word in line.split() if word.startswith("Component")]
    assert names == [f"Component{i:02d}" for i in range(first, last + 1)]
    assert any(f"{before} before" in line for line in found) == bool(before)
    assert any(f"{after} to come" in line for line in found) == bool(after)


def test_at_the_end_everything_is_shown_on_a_low_terminal_too():
    assert len(lines([ProgressRow(f"C{i}", DONE) for i in range(12)], height=5)) == 12


@pytest.mark.parametrize(
    ("step", "text", "share"),
    [
        (Step("reading", 3, 4, {}), "reading: 3 of 4", 0.75),
        (Step("training", 3, 4, {"IoU": 0.5}), "training: step 3/4  IoU 0.500", 0.75),
        (Step("fit", 3, 4, {"a": 1, "b": 2}), "fit: step 3/4  a 1.000  b 2.000", 0.75),
        (Step("reading", 5, 4, {}), "reading: 5 of 4", 1.0),
        (Step("reading", 0, 0, {}), "reading: 0 of 0", 0.0),
    ],
)  # fmt: skip
def test_a_step_in_words_and_as_a_share(step: Step, text: str, share: float):
    assert (str(step), step.share) == (text, share)


def test_a_step_has_a_bar_and_its_numbers():
    step = Step("training", 3, 4, {"IoU": 0.5})
    shown = lines([ProgressRow("A", RUNNING)], step=step)
    assert shown[1].count("━") == 30  # three quarters of forty columns
    assert "training: step 3/4  IoU 0.500" in "\n".join(shown[1:])


def test_ascii_alone():
    rows = [ProgressRow("A", FAILED), ProgressRow("B", DONE, 1.0), ProgressRow("C", WAITING)]
    text = "".join(lines(rows, ascii_only=True))
    assert text.isascii()
    assert [line[0] for line in lines(rows, ascii_only=True)] == ["x", "+", "."]
