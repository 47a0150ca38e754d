"""What a person sees while a run works: which component of how many, how long, and how the training goes."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

SECONDS_BETWEEN_LINES = 20


class Board(logging.Handler):
    """One line a finished component, and one that moves for the component at work.

    Also the handler of the logger `unet.progress`, to which the components report their steps. Where the
    output is no terminal, plain lines: one a component, and now and then one of a training.
    """

    def __init__(self, output: TextIO, total: int):
        """Args: output: where to write; total: number of components."""
        super().__init__()
        self._console = Console(file=output, highlight=False)
        self._total, self._done, self._name = total, 0, ""
        self._start = time.monotonic()
        self._detail, self._last_line = "", self._start
        # TERM=dumb cannot take a line back: it gets the plain ones.
        self._moves = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(
            console=self._console,
            refresh_per_second=4,
            transient=True,
            get_renderable=self._render,
            redirect_stdout=False,  # both go into the log
            redirect_stderr=False,
        )

    def __enter__(self) -> Board:
        if self._moves:
            self._live.start()
        logger = logging.getLogger("unet.progress")
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        logging.getLogger("unet.progress").removeHandler(self)
        name, self._name = self._name, ""
        self._live.stop()
        if error and name:
            self._print(name, "stopped" if isinstance(error, KeyboardInterrupt) else "failed", "", "bold")

    def start(self, name: str) -> None:
        """A component begins."""
        self._name, self._detail, self._start = name, "", time.monotonic()

    def end(self, name: str, cached: bool, seconds: float, note: str = "") -> None:
        """A component is finished; `note` is what it decided, if anything."""
        self._print(name, "cached" if cached else f"{seconds:.1f} s", note, "dim" if cached else "")
        self._done += 1
        self._name = ""

    def _print(self, name: str, state: str, note: str, style: str) -> None:
        text = f"[{self._done + 1:2d}/{self._total}] {name:<20} {state:>9}   {note}"
        self._console.print(Text(text.rstrip(), style=style), soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """A step of a training."""
        keys = ("epoch", "epochs", "step", "steps", "values")
        epoch, epochs, step, steps, values = (getattr(record, key) for key in keys)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        in_epoch = f"epoch {epoch}/{epochs}, " if epochs > 1 else ""
        self._detail = f"{record.getMessage()}: {in_epoch}step {step}/{steps}  {shown}"
        now = time.monotonic()
        if not self._moves and (step == steps or now - self._last_line >= SECONDS_BETWEEN_LINES):
            self._last_line = now
            self._console.print(f"        {self._detail}")

    def _render(self) -> Spinner | Text:
        if not self._name:
            return Text("")
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        line = (
            f"[{self._done + 1:2d}/{self._total}] {self._name:<20} {minutes}:{seconds:02d}   {self._detail}"
        )
        text = Text(line)
        text.truncate(self._console.width - 2, overflow="ellipsis")  # room for the spinner and its space
        return Spinner("dots", text)
