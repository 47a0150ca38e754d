"""What a person sees while images are checked, before a run or by `check`: a bar, or a line now and then."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.terminal.console import SECONDS_BETWEEN_LINES, make_console, moves
from unet.progress import shown_by

_PATIENCE = 0.5  # seconds; what is shorter needs no bar


class ReadingProgress(logging.Handler):
    """The handler of the logger of `unet.progress` for the time of a block; on standard error."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        super().__init__()
        self._console = make_console(sys.stderr)
        self._moves = moves(self._console)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=None)
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> ReadingProgress:
        self._shown = contextlib.ExitStack()
        self._shown.enter_context(shown_by(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.close()
        if self._bar.live.is_started:  # else it would print an empty line
            self._bar.stop()

    def emit(self, record: logging.LogRecord) -> None:
        """One more is read."""
        title, now = record.getMessage(), time.monotonic()
        step, steps = (int(getattr(record, key)) for key in ("step", "steps"))
        self._bar.update(self._task, description=title, completed=step, total=steps)
        if self._moves and now - self._began > _PATIENCE and not self._bar.live.is_started:
            self._bar.start()
        if not self._moves and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._console.print(f"{title}: {step} of {steps}", soft_wrap=True)
