"""Writes the report of a run again, or a comparison of two runs."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from pipeline.history.runs import HistoryError
from pipeline.process.exit_codes import BAD_INPUT, FAILED, OK
from pipeline.root import Root


def report(root_path: Path, runs: list[str], show: bool = False) -> int:
    """Writes the page and prints its path.

    Args:
        root_path: root folder of the pipeline.
        runs: one run or two, each by its id or "latest".
        show: whether to open the page in the browser, too.

    Returns:
        The exit code.
    """
    if len(runs) > 2:
        print(f"report: one run or two, not {len(runs)}", file=sys.stderr)
        return BAD_INPUT
    from pipeline.report.page import write_comparison, write_report

    root = Root.at(root_path)
    try:
        path = write_report(root, runs[0]) if len(runs) == 1 else write_comparison(root, runs[0], runs[1])
    except HistoryError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(
            f"{error.filename or root.path}: the report cannot be written: {error.strerror}", file=sys.stderr
        )
        return FAILED
    print(path)
    if show:
        open_in_browser(path)
    return OK


def open_in_browser(path: Path) -> None:
    """Opens a page in the browser, or says that there is no display."""
    if not has_display() or not webbrowser.open(path.as_uri()):
        print(f"No browser can be opened here: open {path} on a machine with a display", file=sys.stderr)


def has_display() -> bool:
    """Whether a browser can be seen; without a display `webbrowser` would start one in the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
