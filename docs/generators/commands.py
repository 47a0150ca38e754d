"""Documents the command line in Markdown, from its argument parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipeline.commands.arguments import parser

WIDTH = 88  # width of the usage lines in characters


def subcommands(top: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yields name, help and parser of each command, also of nested ones (`runs show`)."""
    for action in top._actions:  # argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield name, helps.get(name, ""), command
                yield from ((f"{name} {n}", h, c) for n, h, c in subcommands(command))


def _rows(command: argparse.ArgumentParser) -> Iterator[str]:
    """Yields a row of a table for each argument."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        value = _Wide("")._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        words = [f"{option} {value}".strip() for option in action.option_strings] or [value]
        names = ", ".join(f"`{word}`" for word in words).replace("|", "\\|")
        text = " ".join((action.help or "").split()).replace("|", "\\|")
        yield f"| {names} | {text} |"


def markdown() -> str:
    """Returns a section for each command: its description, usage and arguments."""
    lines = []
    for name, text, command in subcommands(parser()):
        command.formatter_class = _Wide
        usage = command.format_usage().removeprefix("usage: ").strip()
        lines += [f"## {name}", "", text[:1].upper() + text[1:] + ".", "", f"```text\n{usage}\n```", ""]
        lines += ["| argument | meaning |", "|---|---|", *_rows(command), ""]
    return "\n".join(lines)


class _Wide(argparse.HelpFormatter):
    """Formats help with a fixed width: the output must not depend on the terminal of the build."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)
