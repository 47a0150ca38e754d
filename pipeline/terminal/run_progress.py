"""What a person sees while a run works: all components, how far they are, and how the training goes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TextIO

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pipeline.history import durations
from pipeline.history.executions import CACHED, DONE, FAILED, RUNNING, STOPPED, WAITING, Node
from pipeline.process import signals
from pipeline.terminal.console import SECONDS_BETWEEN_LINES, ascii_only, fit_to_terminal, make_console, moves
from pipeline.terminal.run_view import NOT_RUN, ProgressRow, Step, ViewState, draw, make_spinner
from unet.progress import shown_by

SECONDS_IN_SILENCE = 10  # after which a plain output hears what is at work


class RunProgress(logging.Handler):
    """A board of all components that moves; where the output is no terminal, a line for each that ended.

    Also the handler of the logger of `unet.progress`.
    """

    def __init__(
        self,
        output: TextIO,
        names: Sequence[str],
        expected: Mapping[str, float] | None = None,
        repetition: bool = False,
    ):
        """Makes the board.

        Args:
            output: where to write.
            names: of all components, in their order.
            expected: seconds of those of which it is known.
            repetition: all may be in the cache, see `pipeline.history.durations.is_repetition`.
        """
        super().__init__()
        self._console = make_console(output)
        self._rows = [ProgressRow(name) for name in names]
        self._expected, self._repetition = dict(expected or {}), repetition
        self._began = self._start = time.monotonic()
        self._step: Step | None = None
        self._last_line = self._began
        self._silence: threading.Timer | None = None
        self._moves = moves(self._console)
        self._ascii = ascii_only(self._console)
        self._spinner = make_spinner(self._ascii)
        self._live = Live(
            console=self._console,
            refresh_per_second=8,
            get_renderable=self._render,
            redirect_stdout=False,  # both go into the log
            redirect_stderr=False,
        )

    def __enter__(self) -> RunProgress:
        if self._moves:
            self._live.start()
        self._shown = contextlib.ExitStack()
        self._shown.enter_context(shown_by(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.close()
        self._hush()
        row = self._at_work()
        if error and row:
            stopped = isinstance(error, KeyboardInterrupt) or signals.happened()
            row.state = STOPPED if stopped else FAILED
            row.seconds = time.monotonic() - self._start
            self._line(row)
            for waiting in self._rows:
                waiting.state = NOT_RUN if waiting.state == WAITING else waiting.state
        self._step = None
        if self._live.is_started:
            self._live.stop()

    def let_go(self) -> None:
        """Gives the terminal back, from another thread while the one that works is stuck."""
        if self._live.is_started:
            with contextlib.suppress(OSError):  # a terminal that was closed
                self._console.file.write("\x1b[?25h\n")  # the cursor: what follows may wait for a lock
                self._console.file.flush()
                self._live.stop()

    def start(self, name: str) -> None:
        """A component begins."""
        row = self._row(name)
        self._start, self._step = time.monotonic(), None
        row.state = RUNNING
        if not self._moves:
            self._silence = threading.Timer(SECONDS_IN_SILENCE, self._say_what_is_at_work, [row])
            self._silence.daemon = True
            self._silence.start()

    def end(self, node: Node, note: str = "") -> None:
        """A component is finished; `note` is what it decided, if anything."""
        self._hush()
        row = self._row(node.name)
        row.seconds, row.note, row.same_as = time.monotonic() - self._start, note, node.same_as
        row.state = CACHED if node.state == CACHED else DONE
        self._step = None
        self._line(row)

    def restart(self, sentences: Sequence[str], names: Sequence[str] | None = None) -> None:
        """All components begin again, or those of these names do; the sentences say why."""
        self._hush()
        self._step = None
        self._rows = [
            ProgressRow(name) for name in ([row.name for row in self._rows] if names is None else names)
        ]
        for sentence in sentences:
            self._print(sentence)

    def emit(self, record: logging.LogRecord) -> None:
        """A step of a training, or whatever else takes steps."""
        values = (getattr(record, key) for key in ("step", "steps", "values"))
        step = self._step = Step(record.getMessage(), *values)
        now = time.monotonic()
        due = now - self._last_line >= SECONDS_BETWEEN_LINES
        if not self._moves and (due or (step.step == step.steps and step.values)):
            self._last_line = now
            self._print(f"        {step}")

    def _row(self, name: str) -> ProgressRow:
        return next(row for row in self._rows if row.name == name)

    def _at_work(self) -> ProgressRow | None:
        return next((row for row in self._rows if row.state == RUNNING), None)

    def _say_what_is_at_work(self, row: ProgressRow) -> None:
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - SECONDS_IN_SILENCE))
        usual = self._expected.get(row.name)
        about = f", about {durations.format_duration(usual)}" if usual and usual > SECONDS_IN_SILENCE else ""
        self._print(f"{self._place(row)} {row.name:<21}   began at {since}{about}")

    def _hush(self) -> None:
        if self._silence:
            self._silence.cancel()

    def _line(self, row: ProgressRow) -> None:
        """A plain line about a component that ended."""
        if not self._moves:
            state = durations.format_duration(row.seconds) if row.state == DONE else row.state
            self._print(f"{self._place(row)} {row.name:<21} {state:>8}   {row.detail}".rstrip())

    def _place(self, row: ProgressRow) -> str:
        return f"[{self._rows.index(row) + 1:2d}/{len(self._rows)}]"

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):  # of a terminal that was closed: the run goes on
            self._console.print(Text(text), soft_wrap=True)

    def _render(self) -> RenderableType:
        fit_to_terminal(self._console)
        row = self._at_work()
        worked = time.monotonic() - self._start
        if row:
            row.seconds = worked
        waiting = [row.name for row in self._rows if row.state == WAITING]
        left = durations.left(
            waiting,
            self._seconds(),
            row.name if row else "",
            worked,
            self._step.share if self._step else None,
        )
        elapsed = time.monotonic() - self._began
        picture = ViewState(self._rows, self._step, elapsed, left, self._console.height, self._ascii)
        return Group(draw(picture, self._spinner))

    def _seconds(self) -> Mapping[str, float]:
        """What is expected of each component; nearly nothing, where all of them may be in the cache."""
        worked = any(row.state == DONE and row.seconds > 1 for row in self._rows)
        return dict.fromkeys(self._expected, 0.0) if self._repetition and not worked else self._expected
