"""What a person sees while `predict` works: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipeline.terminal.console import SECONDS_BETWEEN_LINES


class PredictionProgress:
    """Counts images; shows them, and problems with them, on standard error."""

    def __init__(self, total: int):
        """Args: total: number of images."""
        self.total, self.done, self.bad = total, 0, 0
        self._console = Console(file=sys.stderr, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("loading the model", total=total, rate="")
        self._title, self._began = "", time.monotonic()
        self._last_line = self._began

    def __enter__(self) -> PredictionProgress:
        if self._console.is_terminal and self.total:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar.live.is_started:  # else it would print an empty line
            self._bar.stop()

    def begin(self) -> None:
        """The model is loaded: time counts from now on."""
        self._began = self._last_line = time.monotonic()

    def start(self, title: str) -> None:
        """An image begins."""
        self._title = title
        self._bar.update(self._task, description=_short(title))

    def share(self, share: float) -> None:
        """This share, 0 to 1, of the image at work is done."""
        self._bar.update(self._task, completed=self.done + share)
        self._line(f"{self.done} of {self.total} images; {self._title}: {share:.0%}")

    def end(self, good: bool) -> None:
        """An image is finished, or cannot be used."""
        self.done += 1
        self.bad += not good
        self._bar.update(self._task, completed=self.done, rate=self._rate)
        self._line(f"{self.done} of {self.total} images, {self._rate}")

    def problem(self, text: str) -> None:
        """Says a line, above the bar."""
        self._console.print(Text(text), soft_wrap=True)

    def summary(self, images: int) -> str:
        """What came of `images` in all: "3 of 5 images, 1 skipped, 1 bad, 2.1 images/s"."""
        skipped = images - self.total
        parts = [f"{self.done - self.bad} of {images} images"]
        parts += [f"{skipped} skipped, as they were finished before"] if skipped else []
        parts += [f"{self.bad} could not be used"] if self.bad else []
        parts += [self._rate] if self.done else []
        return ", ".join(parts)

    @property
    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = self.done / seconds
        return f"{rate:.1f} images/s" if rate >= 1 else f"{1 / rate:.1f} s an image"

    def _line(self, text: str) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.problem(text)


def _short(title: str, width: int = 40) -> str:
    return title if len(title) <= width else "…" + title[1 - width :]
