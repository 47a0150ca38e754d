"""Commands that are proposed to people, in a form that can be pasted where they are."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def command_of(arguments: Sequence[str]) -> str:
    """What was typed, to be pasted again; `arguments` as in `sys.argv`."""
    return f"{shlex.quote(os.path.relpath(sys.executable))} {shlex.join(arguments)}"


def command(*words: object) -> str:
    """A command of the pipeline, to be pasted in the working folder.

    Args:
        words: name of the command, and its arguments.
    """
    return command_of([os.path.relpath(CHECKOUT / "run_pipeline.py"), *map(str, words)])


def part_command(stage: str, run_id: str, arguments: Sequence[str]) -> str:
    """The command of one part of a run.

    Args:
        stage: the stage that it runs.
        run_id: id of the run; empty for a new one.
        arguments: words of the command line that all parts of the run share.
    """
    return command("run", "--only", stage, *(["--run-id", run_id] if run_id else []), *arguments)


def in_checkout(line: str) -> str:
    """A shell command that has to run in the folder of the checkout; with `cd` where that is another one."""
    here = os.path.relpath(CHECKOUT)
    return line if here == "." else f"cd {shlex.quote(here)} && {line}"
