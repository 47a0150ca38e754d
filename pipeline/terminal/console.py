"""What an output can show: whether lines can be taken back, how wide it is, which characters it knows."""

from __future__ import annotations

import contextlib
import os
from typing import TextIO

from rich.console import Console
from rich.table import Table

SECONDS_BETWEEN_LINES = 20  # of progress, on an output whose lines cannot be taken back
_PLAIN_LOCALES = ("C", "POSIX")
_FILE_WIDTH = 120  # columns in a file, which has none: Rich's 80 break the names of files


class _Console(Console):
    """Goes on in silence when whoever read is gone, as of `| head`: a run is not over with that."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process."""
        self.quiet = True


class _AsciiConsole(_Console):
    """Draws with the characters of ASCII, whatever its output could encode."""

    @property
    def encoding(self) -> str:
        """Of what Rich draws; it writes text as it is."""
        return "ascii"


def make_console(output: TextIO) -> Console:
    """A console on an output, without colours where it is no terminal, or `NO_COLOR` asks for none.

    Python takes the locale "C" for UTF-8; who set it by hand means it.
    """
    kind = _AsciiConsole if os.environ.get("LC_ALL") in _PLAIN_LOCALES else _Console
    terminal = _is_terminal(output)
    # Rich knows the width of a terminal beside a pipe, too.
    known = terminal or os.environ.get("COLUMNS") or any(map(os.isatty, range(3)))
    width = None if known else _FILE_WIDTH
    return kind(file=output, highlight=False, markup=False, emoji=False, force_terminal=terminal, width=width)


def moves(console: Console) -> bool:
    """Whether a picture that changes may be shown: on a terminal that can take lines back, and not in CI."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return console.is_terminal and not console.is_dumb_terminal and not in_ci


def ascii_only(console: Console) -> bool:
    """Whether only the characters of ASCII are sure to be shown."""
    return not console.encoding.lower().startswith("utf")


def fit_to_terminal(console: Console) -> None:
    """Takes the size from the terminal itself: standard output and error are a file during a run."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        columns, lines = os.get_terminal_size(console.file.fileno())
        if columns and lines:
            console.size = (columns, lines)


def make_table() -> Table:
    """A table without lines; where a terminal has no room for it, its cells are broken into several lines."""
    return Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")


def _is_terminal(output: TextIO) -> bool:
    """Rich would believe FORCE_COLOR, too, and move a cursor that a file does not have."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return output.isatty()
    return False
