"""The picture of a run at work: a line for each component, a bar for the one at work, and what is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Group, OverflowMethod, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipeline.history.durations import format_duration
from pipeline.history.executions import CACHED, DONE, FAILED, RUNNING, STOPPED, WAITING

NOT_RUN = "not run"
_BAR = 40  # columns, where there are as many
_MARKS = {WAITING: "·", CACHED: "=", DONE: "✓", FAILED: "✗", STOPPED: "-", NOT_RUN: "·"}
_ASCII_MARKS = {WAITING: ".", CACHED: "=", DONE: "+", FAILED: "x", STOPPED: "-", NOT_RUN: "."}
_STYLES = {
    WAITING: "dim",
    NOT_RUN: "dim",
    CACHED: "dim",
    FAILED: "bold red",
    STOPPED: "bold yellow",
    RUNNING: "bold",
}


@dataclasses.dataclass
class ProgressRow:
    """A component on the board; `note`: what it decided."""

    name: str
    state: str = WAITING
    seconds: float = 0.0
    note: str = ""
    same_as: str = ""

    @property
    def detail(self) -> str:
        """What is worth saying about it, beside its time."""
        same = f"same inputs as run {self.same_as}" if self.same_as else ""
        return ", ".join(filter(None, (same, self.note)))


@dataclasses.dataclass
class Step:
    """How far the component at work says it is; see `unet.progress.report`."""

    title: str
    step: int
    steps: int
    values: dict[str, float]

    @property
    def share(self) -> float:
        """0 to 1."""
        return min(self.step / self.steps, 1.0) if self.steps else 0.0

    @property
    def counted(self) -> str:
        """How far, in words."""
        return f"step {self.step}/{self.steps}" if self.values else f"{self.step} of {self.steps}"

    @property
    def measured(self) -> str:
        """The values."""
        return "  ".join(f"{name} {value:.3f}" for name, value in self.values.items())

    def __str__(self) -> str:
        return f"{self.title}: {self.counted}  {self.measured}".rstrip()


@dataclasses.dataclass
class ViewState:
    """All that is shown at one moment.

    Attributes:
        rows: all components, in their order.
        step: of the component at work, if it says.
        elapsed: seconds since the start.
        left: seconds to the end, where they can be told.
        height: number of lines of the terminal.
        ascii_only: no other characters are sure to be shown.
    """

    rows: Sequence[ProgressRow]
    step: Step | None
    elapsed: float
    left: float | None
    height: int
    ascii_only: bool


def draw(picture: ViewState, spinner: Spinner) -> RenderableType:
    """The picture; `spinner` is the one that turns beside the component at work."""
    working = next((row for row in picture.rows if row.state == RUNNING), None)
    lines: list[RenderableType] = [_table(picture, spinner)]
    if working and picture.step:
        lines += _bar(picture.step)
    if working:
        lines.append(Text(_footer(picture), style="dim", no_wrap=True, overflow="crop"))
    return Group(*lines)


def make_spinner(ascii_only: bool) -> Spinner:
    """One that turns."""
    return Spinner("line" if ascii_only else "dots")


def _table(picture: ViewState, spinner: Spinner) -> Table:
    overflow: OverflowMethod = "crop" if picture.ascii_only else "ellipsis"
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True, overflow=overflow)
    table.add_column(justify="right", min_width=7, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow=overflow)
    marks = _ASCII_MARKS if picture.ascii_only else _MARKS
    rows, before, after = _visible(picture)
    if before:
        table.add_row("", Text(f"{before} before", style="dim"))
    for row in rows:
        style = _STYLES.get(row.state, "")
        mark: RenderableType = spinner if row.state == RUNNING else Text(marks[row.state], style=style)
        table.add_row(mark, *(Text(cell, style) for cell in (row.name, _state(row), row.detail)))
    if after:
        table.add_row("", Text(f"{after} to come", style="dim"))
    return table


def _visible(picture: ViewState) -> tuple[Sequence[ProgressRow], int, int]:
    """The rows that there is room for, around the one at work; how many are left out before and after."""
    room = picture.height - 4  # the bar, its numbers, what is left, and the line of the cursor
    at_end = all(row.state != RUNNING for row in picture.rows)  # nothing moves any more: it may scroll
    if len(picture.rows) <= room or at_end:
        return picture.rows, 0, 0
    room = max(room - 2, 1)
    working = next(
        (i for i, row in enumerate(picture.rows) if row.state in (RUNNING, WAITING)), len(picture.rows)
    )
    first = min(max(working - room // 2, 0), len(picture.rows) - room)
    return picture.rows[first : first + room], first, len(picture.rows) - first - room


def _state(row: ProgressRow) -> str:
    if row.state == RUNNING:
        return format_duration(int(row.seconds))  # tenths would flicker
    return format_duration(row.seconds) if row.state == DONE else row.state


def _bar(step: Step) -> list[RenderableType]:
    """A bar, and the numbers below it."""
    bar = ProgressBar(total=1.0, completed=step.share, width=_BAR)
    return [Padding.indent(bar, 2), Padding.indent(Text(str(step)), 2)]


def _footer(picture: ViewState) -> str:
    finished = sum(row.state in (DONE, CACHED) for row in picture.rows)
    parts = [format_duration(int(picture.elapsed))]
    if picture.left is not None and picture.left >= 1:
        parts.append(f"about {format_duration(round(picture.left))} left")
    return ", ".join([*parts, f"{finished} of {len(picture.rows)} components"])
