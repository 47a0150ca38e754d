"""The command line in Markdown, from the parser that reads it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipeline.cli import parser

WIDTH = 88  # of the usage lines, in characters


def subcommands(top: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, help and parser of each command, with those below it (`runs show`)."""
    for action in top._actions:  # there is no public way to ask a parser what it knows
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield name, helps.get(name, ""), command
                yield from ((f"{name} {n}", h, c) for n, h, c in subcommands(command))


def _rows(command: argparse.ArgumentParser) -> Iterator[str]:
    """A row of a table for each argument."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        value = _Wide("")._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        words = [f"{option} {value}".strip() for option in action.option_strings] or [value]
        names = ", ".join(f"`{word}`" for word in words).replace("|", "\\|")
        text = " ".join((action.help or "").split()).replace("|", "\\|")
        yield f"| {names} | {text} |"


def markdown() -> str:
    """A section for each command: what it does, its usage, its arguments."""
    lines = []
    for name, text, command in subcommands(parser()):
        command.formatter_class = _Wide
        usage = command.format_usage().removeprefix("usage: ").strip()
        lines += [f"## {name}", "", text[:1].upper() + text[1:] + ".", "", f"```text\n{usage}\n```", ""]
        lines += ["| argument | meaning |", "|---|---|", *_rows(command), ""]
    return "\n".join(lines)


class _Wide(argparse.HelpFormatter):
    """Of one width, whatever the terminal: a build must not depend on where it runs."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)
