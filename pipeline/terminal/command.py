"""Commands that are proposed to people, in a form that can be pasted where they are."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
INSTALLED = "unet-pipeline"  # the command of an installed package, as pyproject.toml names it


def is_checkout() -> bool:
    """Whether this is a checkout: an installed package has neither the server nor the bundled images."""
    return (CHECKOUT / "run_pipeline.py").is_file()


def program() -> list[str]:
    """Words that, after those of an interpreter, start the pipeline from any folder."""
    return [str(CHECKOUT / "run_pipeline.py")] if is_checkout() else ["-m", "pipeline.cli"]


def program_name() -> str:
    """The name of the program in its help."""
    return "run_pipeline.py" if is_checkout() else INSTALLED


def command_of(arguments: Sequence[str]) -> str:
    """What was typed, to be pasted again; `arguments` as in `sys.argv`."""
    if Path(arguments[0]).name in (INSTALLED, "cli.py"):
        arguments = [*_pasted_program(), *arguments[1:]]
    return f"{shlex.quote(os.path.relpath(sys.executable))} {shlex.join(arguments)}"


def command(*words: object) -> str:
    """A command of the pipeline, to be pasted in the working folder.

    Args:
        words: name of the command, and its arguments.
    """
    return command_of([*_pasted_program(), *map(str, words)])


def without_settings(arguments: Sequence[str], names: Collection[str]) -> list[str]:
    """The words of a command line without `--set NAME=...` for any of the names, which are given anew."""
    words = list(arguments)
    kept = []
    while words:
        word = words.pop(0)
        if word == "--set" and words and words[0].partition("=")[0].strip() in names:
            words.pop(0)
        else:
            kept.append(word)
    return kept


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


def _pasted_program() -> list[str]:
    return [os.path.relpath(word) if os.path.isabs(word) else word for word in program()]
